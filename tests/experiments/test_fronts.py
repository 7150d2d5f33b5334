"""Fronts of searches on a finished log: what is evaluated is the log's, each trial once, however many are in flight."""

import numpy as np
import pytest

from nas.replay.table import Table
from search_space.spaces import small
from tests.nas.algorithms.test_predictor import trials_of

pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")
from experiments.benchmarks.fronts import Logged, search, shares

SPACE = small()
CODES = np.unique(SPACE.sample_encodings(60, np.random.default_rng(0)), axis=0)


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("name", ["random", "nsga2"])
def test_a_whole_log_is_the_whole_front(name, workers):
    """After as many trials as the log has everything was seen; before, less is."""
    problem = Logged(Table(SPACE, list(trials_of(SPACE, CODES))))
    found = search(problem, name, {}, 0, len(CODES), workers)
    assert sorted(map(tuple, found)) == sorted(map(tuple, problem.reference))
    part, whole = (shares({("", 0): found[:n]}, problem.reference, problem.corner, (n,)) for n in (10, len(CODES)))
    assert whole["", 0][str(len(CODES))] == pytest.approx(1)
    assert 0 < part["", 0]["10"] < 1


def test_with_several_workers_the_quick_ones_end_first():
    """Eight begin at once: the first that ends is the quickest of the first eight."""
    problem = Logged(Table(SPACE, list(trials_of(SPACE, CODES))))
    alone, together = (search(problem, "random", {}, 0, 20, workers) for workers in (1, 8))
    assert together[0][1] == alone[:8, 1].min()
