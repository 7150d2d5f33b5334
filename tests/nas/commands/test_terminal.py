"""What commands print can be read."""

import pytest
from rich.console import Console

from nas.commands.terminal import Column, show, table
from nas.runs.text import bars

COLUMNS = [Column("trial", "trial"), Column("name", "a heading of some length"), Column("notes", "notes")]
ROWS = [{"trial": 10, "name": "x" * 30, "notes": "y" * 30}, {"trial": 2, "name": None, "notes": "z"}]


@pytest.mark.parametrize(("width", "shown", "hidden"), [(80, "yyy", ""), (60, "xxx", "notes"), (30, "10", "a heading")])
def test_what_does_not_fit_a_terminal_is_left_out_and_named(monkeypatch, width, shown, hidden):
    """A narrow terminal shows fewer columns instead of cutting every number short."""
    monkeypatch.setattr("nas.commands.terminal.console", lambda: Console(width=width))
    console = Console(width=width, record=True)
    console.print(table(ROWS, COLUMNS))
    text = console.export_text()
    assert shown in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert ("no room for" in text) == bool(hidden)
    assert hidden in text.split("no room for")[-1]


def test_text_in_tables_is_no_markup(capsys):
    """A cell that looks like a closing tag would crash the table, an opening one would vanish."""
    show([{"name": "[/data/x] [bold]", "notes": ":warning:"}], "table", COLUMNS, title="[red]")
    shown = capsys.readouterr().out
    for text in ("[/data/x] [bold]", ":warning:", "[red]"):
        assert text in shown


def test_bars_are_in_proportion():
    """The largest value is a full bar, half of it half as high, nothing the lowest."""
    assert bars([0, 0.5, 1]) == "▁▅█"
    assert bars([0, 0]) == "▁▁"
