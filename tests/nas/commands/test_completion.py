"""`nas completion`: what a shell offers when a word is completed."""

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


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script for bash, as `nas completion bash` prints it."""
    path = tmp_path_factory.mktemp("completion") / "nas.bash"
    with pytest.MonkeyPatch.context() as patch, path.open("w") as file:
        patch.setattr("sys.stdout", file)
        assert main(["completion", "bash"]) == 0
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("nas sea", {"search"}),
        ("nas search dig", {"digits"}),
        ("nas search digits --dry", {"--dry-run"}),
        ("nas train efficientnetv2_x", {"efficientnetv2_xl"}),
        ("nas train efficientnetv2_s train_d", {"train_digits"}),
        ("nas explain ru", {"runs"}),
        ("nas space s", {"size", "sample"}),
        ("nas completion z", {"zsh"}),
    ],
)
def test_bash_completes(words, offered, script, tmp_path):
    """Commands, options, names that come along, published networks, folders: in a real bash."""
    (tmp_path / "runs").mkdir()
    ask = ASK.format(script=script, words=words, last=len(words.split()) - 1)
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered, done.stderr


def test_a_shell_that_is_not_known_is_one_line(capsys):
    """With those there are."""
    with pytest.raises(SystemExit) as ended:
        main(["completion", "fish"])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "'fish' (choose from " in err
