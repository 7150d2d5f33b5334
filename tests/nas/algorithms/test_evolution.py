"""Regularised evolution's own promises, beside the contract of all algorithms."""

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()
CODES = np.unique(SPACE.sample_encodings(60, np.random.default_rng(0)), axis=0)


def told(rewards, **settings):
    """Evolution that was told trials of these rewards, in this order; and the trials."""
    algorithm = ALGORITHMS["evolution"](SPACE, **settings)
    trials = [Trial(SPACE.decode(code), "ok", reward=r) for code, r in zip(CODES, rewards, strict=False)]
    for trial in trials:
        algorithm.tell(trial)
    return algorithm, trials


def changed(a, b):
    """Number of decisions on which two architectures differ."""
    return int((SPACE.encode(a) != SPACE.encode(b)).sum())


def test_the_oldest_dies_however_good_it_is():
    """The best of all was told first; when three came after it, a population of three has it for a parent no more."""
    algorithm, trials = told([0.9, 0.5, 0.6, 0.4], population=3, sample_size=3, warm_up=3)
    assert {algorithm.ask().parents for _ in range(10)} == {(trials[2].arch_id,)}


def test_the_best_of_a_tournament_is_the_parent():
    """Of three in a tournament of three that is the best; a tournament of one takes any."""
    strict, trials = told([0.5, 0.7, 0.6], population=3, sample_size=3, warm_up=3)
    assert {strict.ask().parents for _ in range(20)} == {(trials[1].arch_id,)}
    loose, _ = told([0.5, 0.7, 0.6], population=3, sample_size=1, warm_up=3)
    assert {loose.ask().parents for _ in range(20)} == {(trial.arch_id,) for trial in trials}


def test_rewards_below_0_have_a_best_one_too():
    """A reward such as accuracy - time may be negative throughout: the least negative one is the parent."""
    algorithm, trials = told([-0.5, -0.2, -0.9], population=3, sample_size=3, warm_up=3)
    assert {algorithm.ask().parents for _ in range(5)} == {(trials[1].arch_id,)}


@pytest.mark.parametrize("mutations", [1, 4])
def test_a_child_differs_by_as_many_mutations_as_asked(mutations):
    """One decision with `mutations: 1`, always; about four in the mean with 4, less those that hit the same one."""
    algorithm, trials = told([0.5, 0.9, 0.4], population=3, sample_size=3, warm_up=3, mutations=mutations)
    steps = [changed(algorithm.ask().architecture, trials[1].architecture) for _ in range(80)]
    if mutations == 1:
        assert set(steps[:20]) == {1}  # later its neighbours are used up, and random ones are asked
    else:
        assert 2.8 < np.mean(steps) < 4.2


def test_crossover_has_two_parents_and_takes_from_both():
    """With crossover the child has decisions of either parent; each decision is one of theirs but for a mutation."""
    algorithm, trials = told([0.5, 0.7, 0.6], population=3, sample_size=1, warm_up=3, crossover=1.0)
    by_id = {trial.arch_id: SPACE.encode(trial.architecture) for trial in trials}
    mixed = 0
    for _ in range(20):
        child = algorithm.ask()
        first, second = (by_id[parent] for parent in child.parents)
        code = SPACE.encode(child.architecture)
        assert ((code != first) & (code != second)).sum() <= 1
        mixed += (code != first).sum() > 1 and (code != second).sum() > 1
    assert mixed > 3


def test_it_warms_up_with_random_ones_and_counts_what_was_scored():
    """Fourteen scored trials and any number of failed ones are no population of 15 yet."""
    algorithm, _ = told([0.5] * 14, warm_up=15)
    algorithm.tell(Trial(SPACE.decode(CODES[20]), "failed"))
    assert algorithm.ask().proposed_by == "evolution.random"
    algorithm.tell(Trial(SPACE.decode(CODES[21]), "ok", reward=0.5))
    assert algorithm.ask().proposed_by == "evolution.mutation"
