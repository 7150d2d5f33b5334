"""What commands print fits 80 columns, in a terminal and in a pipe; what has no room is named."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from nas.cli import COMMANDS, main

LINES = [
    "status run",
    "trials run",
    "best run",
    "best run --w -0.1",
    "pareto run",
    "pareto run --hypervolume",
    "explain run",
    "report run",
    "scale run --to m,l",
    "scale efficientnetv2_s --to m --explain",
    "space size run/config.yaml",
    "space sample run/config.yaml -n 2",
    "data prepare run/config.yaml",
    "search run/config.yaml --dry-run",
    "check run/config.yaml --out run --no-timing",
    "init --no-timing",
    "baseline run/config.yaml --methods random_forest,linear_svm --test --threads 1",
    "proxy run --architectures 6 --dry-run",
    "replay run --algorithm random --seeds 2",
    "export run --to json --out exported",
    "export run --to json --out exported-to-a-folder-of-a-long-name/in-another-one-of-a-long-name",
    "export-study run --deepcave tables",
    "schema --out schema-of-all-of-the-configurations-of-a-search.json",
    "configs",
    "profile r1_k3_s2_e1_i8_o8 --reference r1_k3_s2_e1_i8_o8 --image-size 8 --batch 2 --num-classes 2",
]


def fits(text):
    """Whether each line fits, or is one long word, such as a path, behind its heading."""
    return all(len(line) <= 80 or max(map(len, line.split())) > 60 for line in text.splitlines())


@pytest.mark.parametrize("line", LINES)
def test_what_a_command_prints_fits(run, tmp_path, monkeypatch, capsys, line):
    """In a pipe of which nothing says how wide it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    assert main(line.split()) == 0
    shown = capsys.readouterr()
    assert shown.out
    assert fits(shown.out), shown.out
    assert fits(shown.err), shown.err


def test_a_pipe_may_be_wider(run, monkeypatch, capsys):
    """COLUMNS says so, as it does to other programs: then what was left out and named is there."""
    monkeypatch.delenv("COLUMNS", raising=False)
    main(["best", str(run)])
    narrow = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "140")
    main(["best", str(run)])
    wide = capsys.readouterr().out
    assert "(no room for" in narrow
    assert "proposed by" in narrow.split("(no room for")[1]
    assert "(no room for" not in wide
    assert "proposed by" in wide.splitlines()[0]


@pytest.mark.parametrize("words", [(), *((word,) for words in COMMANDS.values() for word in words)], ids=" ".join)
def test_help_fits(monkeypatch, capsys, words):
    """The list of commands, and each command's own page."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    assert fits(capsys.readouterr().out)


def test_a_terminal_is_asked_how_wide_it_is(run):
    """Its own width counts, and lines are broken between words."""
    master, slave = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm"}
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    command = [sys.executable, "-m", "nas.cli", "best", str(run)]
    done = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    text = b""
    try:
        while part := os.read(master, 65536):
            text += part
    except OSError:  # the other end is closed
        pass
    assert done.wait() == 0
    lines = re.sub(r"\x1b\[[0-9;]*m|\r", "", text.decode()).splitlines()
    assert max(map(len, lines)) <= 70
    assert any(line.startswith("(no room for") for line in lines)
