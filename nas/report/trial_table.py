"""All trials as a table that sorts and filters in the page: its data, which `trials.js` shows a page at a time."""

from __future__ import annotations

import html
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.analysis.frame import decision_columns, metric_columns
from nas.report.figures import decision_label
from nas.report.markup import missing, paragraph, section
from nas.report.reading import Reading
from nas.runs.columns import COLUMNS, column
from nas.runs.text import short

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 20_000  # of a longer run: the front, the best, and others evenly spread
_FRONT = "○: on the front."
OUTCOME = ("reward", "accuracy", "s_normalised", "p_normalised", "step_time_ms", "params", "macs")  # of a trial
_SHOWN = (
    "trial_id",
    "status",
    *OUTCOME,
    "wall_s",
    "arch_id",
    "proposed_by",
    "error",
)


def trial_table(reading: Reading) -> str:
    """The section with every trial. Without a script it shows what to do instead."""
    rows = _chosen(reading)
    record = json.dumps(
        {"columns": _columns(rows), "marks": _marks(rows, reading)}, separators=(",", ":"), allow_nan=False
    )
    whole = len(reading.frame)
    some = f"{len(rows):,} of {whole:,} trials: those of the front, the best {MOST_ROWS // 2:,}, others evenly spread."
    said = "" if len(rows) == whole else some
    example = "status=ok accuracy>0.9"
    return section(
        "trials",
        "All trials",
        paragraph(said, "A heading sorts by its column.", "" if reading.winner is None else "*: the winner.", _FRONT),
        '<form class="filter" role="search"><label>Filter <input type="search" name="filter" autocomplete="off" '
        f'placeholder="{html.escape(example)}" spellcheck="false"></label>'
        '<label><input type="checkbox" name="front"> front only</label>'
        '<label><input type="checkbox" name="decisions"> decisions</label><output name="count"></output></form>'
        '<div class="wide" tabindex="0"><table id="all"><thead></thead><tbody></tbody></table></div>'
        '<div class="pages"><button type="button" data-page="-1">previous</button><span></span>'
        '<button type="button" data-page="1">next</button></div>'
        "<noscript><p>This table needs JavaScript; nas trials RUN --format csv writes it without.</p></noscript>"
        f'<script type="application/json" id="data">{record.replace("<", chr(92) + "u003c")}</script>',
    )


def _chosen(reading: Reading) -> pd.DataFrame:
    frame = reading.frame
    if len(frame) <= MOST_ROWS:
        return frame
    best = frame[reading.scored].nlargest(MOST_ROWS // 2, "reward").index
    first = frame.index.isin([*reading.front.index[: MOST_ROWS // 4], *best])
    others = np.flatnonzero(~first)
    room = max(1, MOST_ROWS - int(first.sum()))
    some = others[np.unique(np.linspace(0, len(others) - 1, min(room, len(others))).astype(int))]
    return frame.iloc[np.sort(np.concatenate([np.flatnonzero(first), some]))]


def _columns(rows: pd.DataFrame) -> list[dict[str, Any]]:
    decisions = decision_columns(rows)
    names = [*_SHOWN[:-3], *metric_columns(rows), *_SHOWN[-3:]]
    known = [name for name in names if name in rows and rows[name].notna().any()]
    return [_column(name, rows[name], rows.get(f"{name}_se")) for name in known] + [
        _column(name, rows[name]) | {"decision": 1, "heading": decision_label(name)} for name in decisions
    ]


def _column(name: str, values: pd.Series[Any], errors: pd.Series[Any] | None = None) -> dict[str, Any]:
    """A column as the page reads it: numbers as they are, words by their place in a list of distinct ones."""
    line = column(name)
    about: dict[str, Any] = {
        "name": name,
        "heading": line.heading or name.replace("_", " "),
        "about": f"{name}: {line.about}" if name in COLUMNS else name,
    }
    if values.dtype.kind in "iuf":
        digits = _digits(name)
        if errors is not None and errors.notna().any():
            about["errors"] = [_rounded(each, digits) for each in errors.tolist()]
        return about | {"digits": digits, "numbers": [_rounded(each, digits) for each in values.tolist()]}
    words = [None if missing(each) else each.item() if hasattr(each, "item") else each for each in values.tolist()]
    distinct = list(dict.fromkeys(words))
    places = {word: place for place, word in enumerate(distinct)}
    said = [word if isinstance(word, int | float | None) else str(word) for word in distinct]
    return about | {"words": said, "places": [places[word] for word in words]}


def _digits(name: str) -> int:
    """Digits behind the point; -1: written short, as 12.3M; -2: as it is."""
    if name not in COLUMNS or column(name).write is str:
        return -2
    return -1 if column(name).write is short else len(column(name).write(0.0).partition(".")[2])


def _rounded(value: float, digits: int) -> float | None:
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if value == int(value) and digits < 0:
            return int(value)
        return round(value, digits + 2) if digits >= 0 else float(f"{value:.6g}")
    return value


def _marks(rows: pd.DataFrame, reading: Reading) -> dict[str, list[int]]:
    """Places of the winner and of the front among the rows."""
    places = {index: place for place, index in enumerate(rows.index)}
    winner = [] if reading.winner is None else [places[reading.winner.name]]
    return {"winner": winner, "front": [places[index] for index in reading.front.index if index in places]}
