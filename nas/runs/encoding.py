"""Values of JSON lines as typed columns, and back: nothing is lost, not even what is null and what is not there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()  # what a line does not have


class Column(NamedTuple):
    """A column of lines: int64, double, bool or string; of nothing but null: null; else binary, the JSON of each."""

    values: Any  # a pyarrow Array
    absent: bool = False  # whether nulls are what lines do not have; of binary they always are

    @property
    def kind(self) -> str:
        """The type's name."""
        return str(self.values.type)


_TYPES = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}


def encoded(values: Column | Sequence[Any]) -> Column:
    """Put values of JSON, MISSING among them, into a column, unless they are one.

    To do so pyarrow imports pandas, where that is installed: who only reads a few values does without.
    """
    if isinstance(values, Column):
        return values
    kinds = set(map(type, values))
    absent = type(MISSING) in kinds
    plain = kinds - {type(MISSING), NoneType}
    if not (absent and NoneType in kinds) and len(plain) <= 1:
        known = [None if value is MISSING else value for value in values] if absent else values
        try:
            return Column(pa.array(known, _TYPES[plain.pop()] if plain else pa.null()), absent)
        except (KeyError, OverflowError, UnicodeError, pa.ArrowInvalid):
            pass  # records and lists, numbers beyond 64 bits, lone surrogates
    texts = [None if value is MISSING else json.dumps(value).encode() for value in values]
    return Column(pa.array(texts, pa.binary()), absent=True)


def decoded(column: Column) -> list[Any]:
    """Give the values of a column, as they were."""
    values = _plain(column.values)
    if column.kind == "binary":
        return [MISSING if value is None else json.loads(value) for value in values]
    return [MISSING if value is None else value for value in values] if column.absent else values


def _plain(array: Any) -> list[Any]:
    """Give an array's values; a word that many have is one object, which is quicker to make and takes less.

    Numbers come by DLPack: `to_numpy` imports pandas, which takes longer than all that is read.
    """
    if array.null_count == 0 and array.type in (_TYPES[int], _TYPES[float]):
        return list(np.from_dlpack(array).tolist())
    if array.type == _TYPES[str]:
        words = array.dictionary_encode()
        if 4 * len(words.dictionary) < len(array):
            known = [*words.dictionary.to_pylist(), None]
            return [known[-1 if at is None else at] for at in _plain(words.indices.cast(_TYPES[int]))]
    return list(array.to_pylist())


def joined(columns: Sequence[Column | None], lengths: Sequence[int]) -> Column | list[Any]:
    """Put parts of a column behind each other; where they are of several kinds, their values.

    Args:
        columns: None = no line of this part has it.
        lengths: of the parts.
    """
    known = [column for column in columns if column is not None]
    alike = len({(column.kind, column.absent) for column in known}) == 1
    if alike and len(known) == len(columns):
        return Column(pa.concat_arrays([column.values for column in known]), known[0].absent)
    pairs = zip(columns, lengths, strict=True)
    return [v for column, n in pairs for v in (decoded(column) if column is not None else [MISSING] * n)]


def columns_of(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Sequence[Any]], dict[str, int]]:
    """Turn rows into columns, in the order in which their names first come; MISSING stands where a row has none.

    Returns: the values, and the row in which each column comes first.
    """
    first: dict[str, int] = {}
    last, alike = tuple(rows[0]) if rows else (), True
    first.update(dict.fromkeys(last, 0))
    for number, row in enumerate(rows):
        if (names := tuple(row)) != last:
            last, alike = names, False
            for name in names:
                first.setdefault(name, number)
    if alike and rows:  # as nearly all are
        return dict(zip(first, zip(*(row.values() for row in rows), strict=True), strict=True)), first
    return {name: [row.get(name, MISSING) for row in rows] for name in first}, first
