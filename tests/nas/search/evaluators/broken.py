"""Evaluators and an algorithm with a bug of their own: what goes wrong with every candidate, or between two."""

import numpy as np

from nas.algorithms.random import RandomSearch
from nas.seeds import seed_of


def fails(architecture, seed, task, report):
    raise ValueError("no such column: acc")


def tells_numpy(architecture, seed, task, report):
    return {"status": "ok", "accuracy": np.float32(0.5), "reward": np.array(0.25)}


class Silent(Exception):
    """Cannot even say what it is."""

    def __str__(self):
        raise RuntimeError


def misbehaves(architecture, seed, task, report):
    """Each candidate of a search with seed 0 in another way."""
    number = [seed_of(0, "trial", number) for number in range(10)].index(seed)
    odd = (
        ValueError("[/data/x] [bold]gone[/]"),
        Silent(),
        ValueError("caf\udce9"),
        SystemExit(0),
        ValueError("x" * 10**7),
    )
    if number < len(odd):
        raise odd[number]
    numbers = {5: {"accuracy": float("nan")}, 6: {"accuracy": 82.6}, 7: {"params": "many"}, 8: {"accuracy": "0.5"}}
    return {"status": "ok", "accuracy": np.float32(0.5), "reward": np.array(0.25)} | numbers.get(number, {})


class Gives3(RandomSearch):
    """Fails at its fourth proposal."""

    def _propose(self, rng):
        if self.told + len(self.pending) >= 3:
            raise KeyError("my bug")
        return super()._propose(rng)
