"""Pieces of the report's HTML: text, tables, figures. Everything that is shown is escaped here."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from nas.analysis import plots
from nas.report.figures import Picture
from nas.runs.columns import COLUMNS, column
from nas.runs.text import short


def text(words: str) -> str:
    """Words as HTML."""
    return html.escape(words)


def paragraph(*sentences: str, kind: str = "") -> str:
    """A paragraph of what is not empty among the sentences; nothing of none. They are text, not HTML."""
    said = " ".join(sentence for sentence in sentences if sentence)
    return f"<p{_class(kind)}>{html.escape(said)}</p>" if said else ""


def section(key: str, heading: str, *parts: str) -> str:
    """A section with its heading; nothing where all of its parts are empty."""
    inner = "".join(parts)
    return f'<section id="{key}"><h2>{html.escape(heading)}</h2>{inner}</section>' if inner else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", kind: str = "") -> str:
    """A table of HTML cells: the first of a row is its heading. Wide ones scroll by themselves."""
    rows = [*rows]
    looks = [_look([row[place] for row in rows]) for place in range(len(head))]
    heads = "".join(f'<th scope="col"{look}>{each}</th>' for each, look in zip(head, looks, strict=True))
    body = ""
    for row in rows:
        cells = (f"<td{look}>{each}</td>" for each, look in zip(row[1:], looks[1:], strict=True))
        body += f'<tr><th scope="row"{looks[0]}>{row[0]}</th>{"".join(cells)}</tr>'
    named = f' aria-label="{html.escape(caption)}"' if caption else ""
    inner = f"<table{_class(kind)}{named}><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    title = f"<h3>{html.escape(caption)}</h3>" if caption else ""
    return f'{title}<div class="wide" tabindex="0">{inner}</div>'


def _look(cells: Sequence[str]) -> str:
    """A column of words stands to the left, one of numbers to the right."""
    bare = (re.sub(r"<[^>]*>", "", each) for each in cells)
    return _class("" if all(re.match(r"[(+×–−\d]|$", each) for each in bare) else "word")


def beside(*parts: str) -> str:
    """Parts beside each other as far as there is room."""
    return f'<div class="pair">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'


def figures(pictures: Iterable[Picture | None], kind: str = "") -> str:
    """Figures beside each other as far as there is room; nothing of none."""
    drawn = "".join(_figure(picture) for picture in pictures if picture is not None)
    return f'<div class="figures{" " + kind if kind else ""}">{drawn}</div>' if drawn else ""


def _figure(picture: Picture) -> str:
    svg = plots.as_svg(picture.drawn, picture.title, picture.description, picture.name)
    caption = f"<figcaption>{html.escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure>{svg}{caption}</figure>"


def heading(name: str) -> str:
    """A column's heading, with what it means as a tooltip."""
    line = column(name)
    about = f"{name}: {line.about}" + (f", {line.unit}" if line.unit else "") if name in COLUMNS else name
    return f'<span title="{html.escape(about)}">{html.escape(line.heading or name.replace("_", " "))}</span>'


def value(name: str, given: Any, error: Any = None) -> str:
    """A column's value as text, with its standard error where that is known; a dash where there is none."""
    given = given.item() if hasattr(given, "item") else given  # numpy's
    if missing(given):
        return "–"
    if isinstance(given, bool) or not isinstance(given, int | float):
        return html.escape(str(given))
    if name in COLUMNS:
        said = column(name).write(int(given) if _is_count(name) else given)
    else:
        said = f"{given:,}" if isinstance(given, int) else f"{given:.4g}"
    return html.escape(said) + ("" if missing(error) else f"&nbsp;±&nbsp;{error:.4f}")


def _is_count(name: str) -> bool:
    """Whether a column's numbers are whole, though a table with gaps holds them as fractions."""
    return column(name).write in (str, short)


def missing(given: Any) -> bool:
    """Whether a value is not known."""
    return given is None or (isinstance(given, float) and not math.isfinite(given))


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
