"""What commands print: tables that fit a terminal, JSON, CSV."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table

from nas.trackers.terminal import OpenConsole, pipe_columns, wrapped

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table: the row's key, the heading, how a value is written, and the key of its standard error."""

    key: str
    heading: str
    write: Callable[[Any], str] = str
    error: str = ""  # is written behind the value, 0.9826±.0077; empty = has none


def show(rows: Sequence[Row], form: str, columns: Sequence[Column], title: str | None = None) -> None:
    """Print rows on standard output.

    Args:
        form: `table` shows `columns` alone; `json` (a list) and `csv` show every key with its value as it is.
    """
    if form == "json":
        print(json.dumps([_plain(row) for row in rows], indent=2))
    elif form == "csv":
        names = list(dict.fromkeys(key for row in rows for key in row))
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_plain(row) for row in rows)
    else:
        console().print(table(rows, columns, title))


def table(rows: Sequence[Row], columns: Sequence[Column], title: str | None = None) -> RenderableType:
    """Lay rows out as a table; a missing number is shown as a dash, a column of nothing but those is left out.

    On a terminal too narrow for all columns the last ones are left out, and named below.
    """
    columns = [column for column in columns if any(not _missing(row.get(column.key)) for row in rows)]
    for count in range(len(columns), 0, -1):
        laid_out = _laid_out(rows, columns[:count], title)
        if Console(width=1000, height=25, markup=False, emoji=False).measure(laid_out).maximum <= console().width:
            break
    if hidden := ", ".join(column.heading for column in columns[count:]):
        return Group(laid_out, f"(no room for {hidden})")
    return laid_out


def _laid_out(rows: Sequence[Row], columns: Sequence[Column], title: str | None) -> Table:
    looks: dict[str, Any] = {"box": box.SIMPLE_HEAD, "pad_edge": False, "show_edge": False, "padding": (0, 1, 0, 0)}
    laid_out = Table(title=title, title_justify="left", **looks)
    for column in columns:
        numeric = any(isinstance(row.get(column.key), int | float) for row in rows)
        laid_out.add_column(column.heading, justify="right" if numeric else "left", no_wrap=True)
    errors = [_errors(rows, column) for column in columns]
    for number, row in enumerate(rows):
        cells = ("-" if _missing(row.get(column.key)) else column.write(row[column.key]) for column in columns)
        laid_out.add_row(*(cell + error[number] for cell, error in zip(cells, errors, strict=True)))
    return laid_out


def _errors(rows: Sequence[Row], column: Column) -> list[str]:
    """What stands behind a column's values: ±.0077, or ±? and as many blanks where one among them is not known."""
    values = [row.get(column.error) for row in rows]
    texts = ["" if _missing(value) else f"±{column.write(value).removeprefix('0')}" for value in values]
    width = max(map(len, texts), default=0)
    known = (not _missing(row.get(column.key)) for row in rows)
    return [text or ("±?".rjust(width) if width and value else "") for text, value in zip(texts, known, strict=True)]


def console(*, stderr: bool = False) -> Console:
    """A console on standard output (or error); a pipe gets 80 columns, or COLUMNS, and no colours.

    Text is printed as it is: paths, names and error messages are no markup.
    """
    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() else pipe_columns()
    return OpenConsole(file=file, width=width, highlight=False, markup=False, emoji=False)


def say(text: str, *, stderr: bool = False) -> None:
    """Print text on standard output (or error), broken between words where it is too long for a line.

    What a pipe takes from standard error is a log, which is searched by lines: they stay whole.
    """
    out = console(stderr=stderr)
    out.print(text if stderr and not out.is_terminal else wrapped(text, out.width), soft_wrap=True)


def show_facts(rows: Mapping[str, str] | Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Print headings and what is to be said of each beside them, in a column of its own."""
    rows = list(rows.items() if isinstance(rows, Mapping) else rows)
    width = indent + max((len(heading) for heading, _ in rows), default=0) + 2
    out = console()
    for heading, text in rows:
        line = f"{' ' * indent}{heading}".ljust(width) + text
        out.print(wrapped(line, out.width, width), soft_wrap=True)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _plain(row: Row) -> dict[str, Any]:
    """Numbers that are not finite become None, numpy's become Python's."""
    plain = {key: value.item() if hasattr(value, "item") else value for key, value in row.items()}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in plain.items()}
