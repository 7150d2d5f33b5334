"""`nas completion`: what a shell offers when a word is completed."""

import functools
import os
import pty
import select
import shutil
import subprocess

import pytest

from nas.cli import main

pytest.importorskip("shtab", reason="the extra `completion` is not installed")

# What bash does for a completion: the words so far, the number of the last one, the function that is registered.
ASK = """
source {script}
COMP_WORDS=({words}) COMP_CWORD={last} COMPREPLY=()
$(complete -p nas | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


# What is typed, and what may stand in place of its last word.
OFFERED = {
    "nas sea": {"search"},
    "nas search dig": {"digits"},
    "nas search digits --dry": {"--dry-run"},
    "nas train efficientnetv2_x": {"efficientnetv2_xl"},
    "nas train efficientnetv2_s train_d": {"train_digits"},
    "nas explain ru": {"runs"},
    "nas space s": {"size", "sample"},
    "nas completion z": {"zsh"},
}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """What gives the script for a shell, as `nas completion SHELL` prints it."""

    def written(shell):
        path = tmp_path_factory.mktemp("completion") / f"nas.{shell}"
        with pytest.MonkeyPatch.context() as patch, path.open("w") as file:
            patch.setattr("sys.stdout", file)
            assert main(["completion", shell]) == 0
        return path

    return functools.cache(written)


@pytest.mark.parametrize(("words", "offered"), OFFERED.items())
def test_bash_completes(words, offered, script, tmp_path):
    """Commands, options, names that come along, published networks, folders: in a real bash."""
    (tmp_path / "runs").mkdir()
    ask = ASK.format(script=script("bash"), words=words, last=len(words.split()) - 1)
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered, done.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_completes(script, tmp_path):
    """The same in a real zsh, on a terminal: what is offered alone is put into the line by a tab."""
    (tmp_path / "runs").mkdir()
    setup = f"autoload -Uz compinit; compinit -u -D; eval \"$(cat {script('zsh')})\"; print ready; PS1='> '"
    typed = {words: next(iter(offered)) for words, offered in OFFERED.items() if len(offered) == 1}
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execlp("zsh", "zsh", "-f", "-i")

    def until(text):
        shown = b""
        while text.encode() not in shown:
            assert select.select([terminal], [], [], 20)[0], shown
            shown += os.read(terminal, 65536)

    try:
        os.write(terminal, setup.encode() + b"\n")
        until("\r\nready")
        for words, offered in typed.items():
            os.write(terminal, words.encode() + b"\t")
            until(f"{words.rpartition(' ')[0]} {offered}")
            os.write(terminal, b"\x15")  # away with the line
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


def test_a_shell_that_is_not_known_is_one_line(capsys):
    """With those there are."""
    with pytest.raises(SystemExit) as ended:
        main(["completion", "fish"])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "'fish' (choose from " in err
