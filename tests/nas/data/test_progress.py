"""Progress is shown where somebody looks, and said now and then where nobody does."""

import io
import logging

import pytest
from rich.console import Console

from nas.data import progress


def advance(show: bool) -> None:
    """Three steps of a loop over 25."""
    with progress.tracking(25, "decoding", show) as done:
        for units in (10, 10, 5):
            done(units)


def test_nothing_is_drawn_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Wanted or not."""
    for show in (True, False):
        advance(show)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar counts units to the end, and only if it is wanted."""
    for show in (True, False):
        screen = io.StringIO()
        terminal = Console(file=screen, force_terminal=True, width=100)
        monkeypatch.setattr(progress, "Console", lambda stderr, terminal=terminal: terminal)
        advance(show)
        assert ("25/25" in screen.getvalue()) == show
        assert ("decoding" in screen.getvalue()) == show


def test_log_lines_now_and_then(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without a terminal a line comes at most every half minute, with the time left at the pace so far."""
    times = iter([0.0, 20.0, 40.0, 50.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    with caplog.at_level(logging.INFO, logger="nas.data.progress"):
        advance(show=False)
    assert [record.getMessage() for record in caplog.records] == ["decoding: 20 of 25, 10 s left"]
