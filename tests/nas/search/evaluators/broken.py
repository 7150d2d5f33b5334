"""Evaluators and an algorithm with a bug of their own: what goes wrong with every candidate, or between two."""

import sys

import numpy as np

from nas.algorithms import ALGORITHMS
from nas.algorithms.random import RandomSearch


def fails(architecture, seed, task, report):
    raise ValueError("no such column: acc")


def tells_text(architecture, seed, task, report):
    return {"status": "ok", "accuracy": "0.5", "reward": 0.5}


def tells_numpy(architecture, seed, task, report):
    return {"status": "ok", "accuracy": np.float32(0.5), "reward": np.array(0.25)}


class Gives3(RandomSearch):
    """Fails at its fourth proposal."""

    def _propose(self, rng):
        if self.told + len(self.pending) >= 3:
            raise KeyError("my bug")
        return super()._propose(rng)


if __name__ == "__main__":
    from nas.cli import main

    ALGORITHMS["random"] = Gives3
    sys.exit(main(sys.argv[1:]))
