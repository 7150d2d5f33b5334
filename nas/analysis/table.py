"""Columns of a large log as pandas tables: the same as its lines give, without parsing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from nas.runs.encoding import MISSING, Column, decoded
from nas.runs.part import ARCH_ID, ROW, RUN_ID, TRIAL_ID, Part
from search_space.space import SearchSpace

_AT_ONCE = 24  # columns read together: few enough to hold little, enough to open files seldom


def trial_table(
    parts: Sequence[Part],
    space: SearchSpace | None,
    *,
    wanted: Callable[[str], bool] = lambda name: True,
    rows: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Give one row a trial, as `pd.DataFrame` gives it of the lines' rows.

    Args:
        space: whose decisions are wanted; None = every field of every stage.
        wanted: says of a column's name whether it is read.
        rows: places of the trials that are wanted, the index of the table then; None = all.
    """
    lengths = [part.rows for part in parts]
    names = {name: null for name, null in _table_columns(parts, space).items() if wanted(name[1:])}
    places = None if rows is None else np.sort(np.asarray(rows, dtype=np.int64))
    table = pd.DataFrame(
        {
            name[1:]: _series([_with_nulls(column) for column in columns] if null else columns, lengths, places)
            for name, null, columns in _columns(parts, names)
        }
    )
    return table if places is None else table.set_axis(pd.Index(places)).loc[list(rows or ())]


def epoch_table(parts: Sequence[Part]) -> pd.DataFrame:
    """Give one row an epoch of each trial. Raises nas.runs.part.Unfit where the lines have to be read."""
    tables: list[dict[str, Column]] = []
    for part in parts:
        epochs = dict(part.epochs())
        rows = epochs.pop(ROW).values.cast(pa.int64())  # of no epoch it is of no type
        known = part.columns((RUN_ID, TRIAL_ID, ARCH_ID))
        tables.append(
            {name[1:]: Column(column.values.take(rows), column.absent) for name, column in known.items()} | epochs
        )
    lengths = [len(table["trial_id"].values) for table in tables]
    if not sum(lengths):
        return pd.DataFrame([])
    kept = [(table, length) for table, length in zip(tables, lengths, strict=True) if length]
    names = dict.fromkeys(name for table, _ in kept for name in table)
    return pd.DataFrame({n: _series([table.get(n) for table, _ in kept], [each for _, each in kept]) for n in names})


def _table_columns(parts: Sequence[Part], space: SearchSpace | None) -> dict[str, bool]:
    """Name the columns in the order in which the rows have them; whether one that a line has not is null there."""
    first = {name: row for part in reversed(parts) for name, row in part.first.items()}
    known = dict.fromkeys(name for part in parts for name in part.first)
    if space is None:
        return dict.fromkeys(known, False)
    own = [name for name in known if name[0] == "="]
    decisions = [f"#stage{each.stage + 1}_{each.field}" for each in space.decisions]
    begin = [name for name in own if name in parts[0].first and not first[name]]
    return dict.fromkeys(begin, False) | dict.fromkeys(decisions, True) | dict.fromkeys(own, False)


def _columns(parts: Sequence[Part], names: dict[str, bool]) -> Iterator[tuple[str, bool, list[Column | None]]]:
    wanted = list(names)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        read = [part.columns(some) for part in parts]
        for name in some:
            yield name, names[name], [each.pop(name, None) for each in read]


def _with_nulls(column: Column | None) -> Column | None:
    """Take what lines do not have as null: a decision that an architecture does not make."""
    if column is None:
        return None
    return Column(column.values.fill_null(b"null") if column.kind == "binary" else column.values)


def _series(columns: Sequence[Column | None], lengths: Sequence[int], places: Any = None) -> Any:
    """Put parts of a column together, of the type that pandas finds for its values; at some places, or all.

    Args:
        places: ascending int64 array, or None.
    """
    kinds = {"null" if column is None else column.kind for column in columns}
    full = all(column is not None and not column.values.null_count for column in columns)
    if not (kinds <= {"int64", "double", "null"} or kinds <= {"string", "null"} or kinds <= {"bool", "null"}):
        whole = _of_any_kind(columns, lengths)
        return whole if places is None else whole.iloc[places].reset_index(drop=True)
    if places is not None:
        columns, lengths = _taken(columns, lengths, places)
    if kinds == {"int64"} and full:
        return np.concatenate([column.values.to_numpy() for column in columns if column is not None])
    if kinds == {"null"}:
        said = places is None and all(column is not None and not column.absent for column in columns)
        return np.full(sum(lengths), None, dtype=object) if said else _floats(columns, lengths)
    if kinds <= {"int64", "double", "null"}:
        return _floats(columns, lengths)
    if kinds <= {"bool", "null"}:
        return _bools(columns, lengths, full=full)
    text = pd.DataFrame([{"text": "a"}])["text"].dtype
    if not isinstance(text, pd.StringDtype):
        return _of_any_kind(columns, lengths)
    chunks = [
        pa.nulls(n, pa.string()) if column is None else column.values.cast(pa.string())
        for column, n in zip(columns, lengths, strict=True)
    ]
    return text.__from_arrow__(pa.chunked_array(chunks, pa.string()))  # type: ignore[attr-defined]


def _taken(
    columns: Sequence[Column | None], lengths: Sequence[int], places: Any
) -> tuple[list[Column | None], list[int]]:
    """Give the values at some places alone."""
    ends = np.cumsum(lengths)
    cuts = np.searchsorted(places, [0, *ends])
    inside = [places[a:b] - (end - n) for a, b, end, n in zip(cuts, cuts[1:], ends, lengths, strict=False)]
    some = [
        None if column is None else Column(column.values.take(pa.array(at)), column.absent)
        for column, at in zip(columns, inside, strict=True)
    ]
    return some, [len(at) for at in inside]


def _floats(columns: Sequence[Column | None], lengths: Sequence[int]) -> Any:
    values, start = np.full(sum(lengths), np.nan), 0
    for column, n in zip(columns, lengths, strict=True):
        if column is not None and column.kind != "null":
            values[start : start + n] = column.values.to_numpy(zero_copy_only=False)
        start += n
    return values


def _bools(columns: Sequence[Column | None], lengths: Sequence[int], *, full: bool) -> Any:
    if full:
        return np.concatenate([column.values.to_numpy(zero_copy_only=False) for column in columns if column])
    values: list[Any] = []
    for column, n in zip(columns, lengths, strict=True):
        absent = np.nan if column is None or column.absent else None
        values += [absent] * n if column is None else [absent if v is None else v for v in column.values.to_pylist()]
    return np.array(values, dtype=object)


def _of_any_kind(columns: Sequence[Column | None], lengths: Sequence[int]) -> pd.Series[Any]:
    values = [
        value
        for column, n in zip(columns, lengths, strict=True)
        for value in ([MISSING] * n if column is None else decoded(column))
    ]
    return pd.DataFrame([{} if value is MISSING else {"value": value} for value in values])["value"]
