"""The append-only log survives a writer killed at any byte."""

import json
import logging

import pytest

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


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    """NaN is not JSON: a log that holds it could not be read by other tools."""
    log = JsonLines(tmp_path / "log.jsonl")
    with pytest.raises(ValueError):
        log.append({"x": float("nan")})
    log.close()
    assert read_lines(tmp_path / "log.jsonl") == []
