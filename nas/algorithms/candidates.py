"""The best of many candidates, whose worth is estimated from above first and computed only where that may matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nas.algorithms.features import Codes

Floats = NDArray[np.float64]
Worth = Callable[[Codes], Floats]


class Candidates:
    """Candidates by their worth.

    Who is best is as if the worth of all were computed, wherever no bound is below the worth.
    Source: Minoux, Accelerated greedy algorithms for maximizing submodular set functions, 1978.

    Args:
        worth: of encodings (N, decisions), (N,).
        bound: no less than that; None = worth itself is cheap.
    """

    def __init__(self, worth: Worth, bound: Worth | None, codes: Codes) -> None:
        self.worth, self.bound = worth, bound
        self.codes, self.values, self.known = codes[:0], np.empty(0), np.empty(0, dtype=bool)
        self.add(codes)

    def add(self, codes: Codes) -> None:
        """Take in more (N, decisions)."""
        values = (self.bound or self.worth)(codes)
        self.codes = np.concatenate([self.codes, codes])
        self.values = np.concatenate([self.values, values])
        self.known = np.concatenate([self.known, np.full(len(codes), self.bound is None)])

    def best(self, n: int, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Numbers of the n best, the best first; of those that `among` (N,) is true of, None = of all."""
        among = np.ones(len(self.codes), dtype=bool) if among is None else among
        while True:
            known = np.flatnonzero(self.known & among)
            last = -np.inf if len(known) < n else np.partition(self.values[known], -n)[-n]
            hopeful = np.flatnonzero(~self.known & among & (self.values > last))
            if not len(hopeful):
                return known[np.argsort(-self.values[known], kind="stable")[:n]]
            some = hopeful[np.argsort(-self.values[hopeful], kind="stable")[:_AT_ONCE]]
            self.values[some], self.known[some] = self.worth(self.codes[some]), True


_AT_ONCE = 16
