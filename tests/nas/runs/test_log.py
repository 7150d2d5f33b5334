"""The append-only log survives a writer killed at any byte."""

import errno
import json
import logging
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from nas.runs.folder import git_commit, make, provenance, write_whole
from nas.runs.log import JsonLines, read_lines


def test_what_is_appended_is_read_back(tmp_path):
    """A user reads from the log exactly what the search wrote, in order."""
    records = [{"n": i, "text": 'ä\n"', "x": None} for i in range(5)]
    log = JsonLines(tmp_path / "log.jsonl")
    for record in records:
        log.append(record)
    log.close()
    assert read_lines(tmp_path / "log.jsonl") == records


def test_no_file_has_no_lines(tmp_path):
    """A search that has not begun reads as empty, not as an error."""
    assert read_lines(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize("cut", range(1, 21))
def test_a_torn_last_line_is_reported_ignored_and_cut_off(tmp_path, caplog, cut):
    """Whatever byte the writer was killed at, whole lines stay and the next line does not join the torn one."""
    path = tmp_path / "log.jsonl"
    line = json.dumps({"n": 1, "text": "abcdef"}) + "\n"
    path.write_text('{"n":0}\n' + line[: len(line) - cut])
    with caplog.at_level(logging.WARNING):
        assert read_lines(path) == [{"n": 0}]
    assert "line 2 is torn" in caplog.text
    log = JsonLines(path)
    log.append({"n": 2})
    log.close()
    assert read_lines(path) == [{"n": 0}, {"n": 2}]


def test_a_block_of_zeros_behind_the_last_line_is_torn(tmp_path):
    """A machine that lost power can leave zeros where the last write was; they are no error."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"n":0}\n' + b"\0" * 100)
    assert read_lines(path) == [{"n": 0}]


def test_a_broken_line_in_the_middle_is_an_error_with_its_number(tmp_path):
    """Damage that no kill explains is not passed over in silence."""
    path = tmp_path / "log.jsonl"
    path.write_text('{"n":0}\n{"n":\n{"n":2}\n')
    with pytest.raises(ValueError, match="line 2 is not a JSON object"):
        read_lines(path)


def test_blank_lines_are_none(tmp_path):
    """An editor, or `cat` of two logs, leaves some; what is appended after them is read, too."""
    path = tmp_path / "log.jsonl"
    path.write_text('\n{"n":0}\n\n  \n{"n":1}\n\n')
    log = JsonLines(path)
    log.append({"n": 2})
    log.close()
    assert read_lines(path) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_line_that_does_not_fit_leaves_nothing(tmp_path, monkeypatch):
    """On a full disk half a line may be written: a later one, when there is room again, does not join it."""
    log = JsonLines(tmp_path / "log.jsonl")
    log.append({"n": 0})
    write, calls = os.write, []

    def full(file, line):
        calls.append(line)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "no space left")
        return write(file, line[:5])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="no space left"):
        log.append({"n": 1, "text": "abcdef"})
    monkeypatch.undo()
    log.append({"n": 2})
    log.close()
    assert read_lines(tmp_path / "log.jsonl") == [{"n": 0}, {"n": 2}]


def test_a_log_is_appended_to(tmp_path):
    """Whoever else writes into it, no line is written over."""
    log, other = JsonLines(tmp_path / "log.jsonl"), JsonLines(tmp_path / "log.jsonl")
    for number, each in enumerate((log, other, log, other)):
        each.append({"n": number})
    log.close()
    other.close()
    assert [record["n"] for record in read_lines(tmp_path / "log.jsonl")] == [0, 1, 2, 3]


def test_new_names_are_on_disk(tmp_path, monkeypatch):
    """A file that is on disk may have no name there after a power failure: its folder is synchronised, too."""
    synced, fsync = [], os.fsync
    where = Path("/proc/self/fd")
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append((where / str(file)).readlink()), fsync(file)))
    make(tmp_path / "runs" / "new")
    assert synced == [tmp_path, tmp_path / "runs"]
    JsonLines(tmp_path / "runs" / "new" / "log.jsonl").close()
    assert synced[2:] == [tmp_path / "runs" / "new"]
    write_whole(tmp_path / "runs" / "whole", "text")
    assert synced[-1] == tmp_path / "runs"


@pytest.mark.parametrize("ids", ["12345678", "12e45678", "1e5"])
def test_no_id_of_a_run_is_a_number(monkeypatch, ids):
    """pandas would read them as numbers, 12e45678 as infinity: two runs were one."""
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(hex=ids.ljust(32, "0")))
    with pytest.raises(ValueError, match="could not convert"):
        float(provenance()["run_id"])
    whole = "123456789012e45678ab"
    monkeypatch.setattr(subprocess, "run", lambda command, **more: Said(whole if "rev-parse" in command else ""))
    assert git_commit() == "123456789012e"


@pytest.mark.parametrize(
    ("program", "said"), [("/home/her/env/bin/nas", "nas"), ("studies/mine.py", "studies/mine.py")]
)
def test_the_command_names_no_folder_of_the_environment(monkeypatch, program, said):
    """A report goes to other people: where its author keeps programs is not theirs to know."""
    monkeypatch.setattr(sys, "argv", [program, "search", "digits.yaml"])
    assert provenance()["command"] == [said, "search", "digits.yaml"]


class Said:
    """What a command printed."""

    def __init__(self, stdout):
        self.stdout = stdout


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    """NaN is not JSON: a log that holds it could not be read by other tools."""
    log = JsonLines(tmp_path / "log.jsonl")
    with pytest.raises(ValueError):
        log.append({"x": float("nan")})
    log.close()
    assert read_lines(tmp_path / "log.jsonl") == []
