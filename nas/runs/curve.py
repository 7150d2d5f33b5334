"""A training curve that is read from the log when it is looked at: of most trials nobody looks at it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

Epochs = Sequence[Mapping[str, Any]]


_KEPT = 1 << 10  # curves: who learns from the latest trials looks at theirs again and again


class OpenLog:
    """A log held open for reading at any place; what is appended meanwhile disturbs nobody."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        self._epochs: dict[int, tuple[Mapping[str, Any], ...]] = {}  # of the curves looked at last, by where they start

    def epochs(self, start: int, size: int) -> tuple[Mapping[str, Any], ...]:
        """Give the curve that stands there. Raises ValueError as `read` does."""
        known = self._epochs.get(start)
        if known is None:
            known = tuple(json.loads(self.read(start, size)))
            if len(self._epochs) >= _KEPT:
                self._epochs.clear()
            self._epochs[start] = known
        return known

    def __del__(self) -> None:
        os.close(self._file)

    def read(self, start: int, size: int) -> bytes:
        """Give `size` bytes from `start`. Raises ValueError if the log has been cut meanwhile."""
        parts: list[bytes] = []
        while size > 0:
            parts.append(os.pread(self._file, size, start))
            if not parts[-1]:
                raise ValueError(f"{self.path} was changed while it was read")
            start, size = start + len(parts[-1]), size - len(parts[-1])
        return b"".join(parts)


class Curve(Sequence[Mapping[str, Any]]):
    """The curve of a trial, one record an epoch, as a tuple of them is."""

    __slots__ = ("_log", "_size", "_start")

    def __init__(self, log: OpenLog, start: int, size: int) -> None:
        self._log, self._start, self._size = log, start, size

    def _epochs(self) -> tuple[Mapping[str, Any], ...]:
        return self._log.epochs(self._start, self._size)

    def __bool__(self) -> bool:
        return self._size > len("[]")

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        return self._epochs()[index]

    def __len__(self) -> int:
        return len(self._epochs())

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._epochs())

    def __eq__(self, other: object) -> bool:
        return self._epochs() == (other._epochs() if isinstance(other, Curve) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._epochs())

    def __reduce__(self) -> tuple[type[tuple[Any, ...]], tuple[Any, ...]]:
        return tuple, (self._epochs(),)  # elsewhere the log may not be there
