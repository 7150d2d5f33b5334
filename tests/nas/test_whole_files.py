"""A file is there whole or as it was."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.whole_files import folder_for, linked_whole, to_disk, write_whole, written_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_in_the_middle(path):
    with written_whole(path) as file:
        file.write(b"new")
        raise OSError("disk full")


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    """An error in the middle, such as a full disk, costs neither the old content nor leaves half of the new."""
    path = tmp_path / "table.csv"
    write_whole(path, "old")
    with pytest.raises(OSError, match="full"):
        fail_in_the_middle(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    """In whatever alphabet: the temporary file beside it takes no part of that; a longer one is the system's error."""
    for name in ("x" * 250 + ".html", "é" * 127):
        for content in ("old", "new"):
            write_whole(tmp_path / name, content)
        assert (tmp_path / name).read_text() == "new"
    with pytest.raises(OSError, match="File name too long"):
        write_whole(tmp_path / ("x" * 256), "")
    assert len(names(tmp_path)) == 2


def test_a_file_of_two_names_is_two_files_once_either_is_written(tmp_path, monkeypatch):
    """A checkpoint that is the best and the last is written once; the next last one leaves the best alone."""
    best, last = tmp_path / "best", tmp_path / "last"
    write_whole(best, "epoch 1")
    for _ in range(2):  # again, as after a kill
        assert linked_whole(best, last)
    assert best.samefile(last)
    write_whole(last, "epoch 2")
    assert (best.read_text(), last.read_text()) == ("epoch 1", "epoch 2")
    assert names(tmp_path) == ["best", "last"]

    def refused(*names):
        raise PermissionError("one name a file")

    monkeypatch.setattr(os, "link", refused)
    assert not linked_whole(best, last)
    assert last.read_text() == "epoch 2"


HALF = """
import pathlib, sys, time
from nas.whole_files import written_whole
with written_whole(pathlib.Path(sys.argv[1]), one_writer=True) as file:
    file.write(b"half of ")
    file.flush()
    time.sleep(60)
"""


def test_a_killed_writer_leaves_the_file_as_it_was_and_the_next_takes_its_place(tmp_path):
    """kill -9 in the middle of a checkpoint: the old one is whole, and what is left is written over, not gathered."""
    path = tmp_path / "last.pt"
    write_whole(path, b"old")
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", HALF, str(path)])
        while not (part := tmp_path / ".last.pt.part").exists() or not part.stat().st_size:
            time.sleep(0.01)
        writer.kill()
        writer.wait()
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == [".last.pt.part", "last.pt"]
    with written_whole(path, one_writer=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["last.pt"]


def test_a_file_system_that_cannot_say_when_files_are_on_disk_is_said_once(caplog):
    """Some network drives cannot; what is not a file cannot either. Whatever else is wrong is an error."""
    null = Path(os.devnull)
    with null.open("wb") as file:
        for _ in range(2):
            to_disk(file.fileno(), null)
    assert caplog.text.count("/dev: its file system cannot say when files are on disk") == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        to_disk(999, null)


def test_a_folder_in_which_nothing_came_to_be_is_taken_away(tmp_path):
    """With those around it that were made for it, also where it cannot be made; what was there or written stays."""
    (tmp_path / "there").mkdir()
    for inner in ("a/b", "there/a/b", "there"):
        with pytest.raises(OSError, match="disk full"), folder_for(tmp_path / inner):
            raise OSError("disk full")
    for out_of_place in ("a/" + "x" * 300, "there/a/\0"):
        with pytest.raises((OSError, ValueError)), folder_for(tmp_path / out_of_place):
            pass
    assert names(tmp_path) == ["there"]
    assert names(tmp_path / "there") == []

    def half():
        with folder_for(tmp_path / "a" / "b") as folder:
            write_whole(folder.parent / "written", "")
            write_whole(folder / ("x" * 300), "")

    with pytest.raises(OSError, match="too long"):
        half()
    assert names(tmp_path / "a") == ["written"]
