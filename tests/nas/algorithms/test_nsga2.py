"""NSGA-II's objectives: the trial's numbers and metrics, their directions, and what is said if there are none."""

import logging

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.algorithms.nsga2 import read_objective
from nas.runs.columns import COLUMNS, Column
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()


def trials(n, **fields):
    """Trials of distinct architectures, the same numbers each."""
    codes = np.unique(SPACE.sample_encodings(2 * n, np.random.default_rng(0)), axis=0)[:n]
    return [Trial(SPACE.decode(code), "ok", **fields) for code in codes]


def test_objectives_have_names_signs_and_directions(monkeypatch):
    """Four names as ever; any numeric column by its direction or a sign; a metric by its line or a sign."""
    assert read_objective("step_time") == (("s_normalised", "step_time_ms"), False)
    assert read_objective("+step_time") == (("s_normalised", "step_time_ms"), True)
    assert read_objective("macs") == (("macs",), False)
    assert read_objective("-inference_ms") == read_objective("inference_ms") == (("inference_ms",), False)
    assert read_objective("+my_score") == (("my_score",), True)
    monkeypatch.setitem(COLUMNS, "my_score", Column("of a plug-in", better="more"))
    assert read_objective("my_score") == (("my_score",), True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("my_score", "a metric needs a sign, -my_score or \\+my_score"),
        ("inferense_ms", "did you mean 'inference_ms'"),
        ("epochs", "column 'epochs' has no direction"),
        ("-host", "no numeric column 'host'"),
        ("+arch_id", "no numeric column 'arch_id'"),
        ("-to_dict", "no numeric column 'to_dict'"),
        ("-my score", "no numeric column 'my score'"),
        ("", "no numeric column ''"),
    ],
)
def test_what_is_no_objective_is_refused(text, message):
    """Before anything runs, with what it would need."""
    with pytest.raises(ValueError, match=message):
        ALGORITHMS["nsga2"](SPACE, objectives=("accuracy", text))


def test_a_metric_drives_the_search():
    """Only the trial of the best metric is kept as a parent, when no other objective is named."""
    algorithm = ALGORITHMS["nsga2"](SPACE, objectives=("-inference_ms",), population=2)
    told = trials(4)
    for number, trial in enumerate(told):
        algorithm.tell(Trial(trial.architecture, "ok", metrics={"inference_ms": float(number)}))
    assert [t.arch_id for t in algorithm.trials] == [t.arch_id for t in told[:2]]
    assert set(algorithm.ask().parents) <= {t.arch_id for t in told[:2]}


def test_an_objective_that_no_trial_has_is_said_once(caplog):
    """Without it the search would stay random without a word."""
    algorithm = ALGORITHMS["nsga2"](SPACE)
    with caplog.at_level(logging.WARNING):
        for trial in trials(5, accuracy=0.5, params=1000):
            algorithm.tell(trial)
    (record,) = caplog.records
    assert "no finished trial has the objective step_time;" in record.getMessage()


def test_one_trial_without_a_number_among_others_is_no_warning(caplog):
    """What some trials have the search learns from; a failed trial has nothing and says nothing."""
    algorithm = ALGORITHMS["nsga2"](SPACE)
    whole = {"accuracy": 0.5, "params": 1000}
    failed, *rest = trials(4)
    with caplog.at_level(logging.WARNING):
        algorithm.tell(Trial(failed.architecture, "failed"))
        algorithm.tell(Trial(rest[0].architecture, "ok", **whole, step_time_ms=3.0))
        algorithm.tell(Trial(rest[1].architecture, "ok", **whole))
    assert not caplog.records
    assert len(algorithm.trials) == 1


NUMBERS = {"accuracy": 0.7, "s_normalised": 1.0, "p_normalised": 1.0}


def parents_of(told, asks=25, **settings):
    """Who is a parent in so many asks after these trials, by their place in `told`."""
    algorithm = ALGORITHMS["nsga2"](SPACE, population=len(told), crossover=0.0, **settings)
    bare = trials(len(told))
    for trial, numbers in zip(bare, told, strict=True):
        algorithm.tell(Trial(trial.architecture, "ok", **NUMBERS | numbers))
    place = {trial.arch_id: number for number, trial in enumerate(bare)}
    return {place[parent] for _ in range(asks) for parent in algorithm.ask().parents}


@pytest.mark.parametrize(
    "better", [{"accuracy": 0.8}, {"s_normalised": 0.9}, {"p_normalised": 0.9}, {"accuracy": 0.8, "p_normalised": 0.9}]
)
def test_who_dominates_wins_the_tournament(better):
    """More accuracy, less step time, fewer params: of two in a tournament that is the parent, whoever came first."""
    assert parents_of([better, {}]) == {0}
    assert parents_of([{}, better]) == {1}


def test_of_equals_in_rank_the_lonelier_wins():
    """Three on a front: those at its ends are parents, the one between them never beats either."""
    front = [{"accuracy": 0.6, "s_normalised": 0.8}, {"accuracy": 0.7, "s_normalised": 0.9}, {"accuracy": 0.8}]
    assert parents_of(front, objectives=("accuracy", "step_time")) == {0, 2}
    assert parents_of([front[1], front[0], front[2]], objectives=("accuracy", "step_time")) == {1, 2}


def test_a_trim_keeps_the_first_front_and_its_ends():
    """Of twice the population the half that stays is the best by rank, then the lonelier of the front that is cut."""
    algorithm = ALGORITHMS["nsga2"](SPACE, population=3, objectives=("accuracy", "step_time"))
    bare = trials(6)
    # On the front: 0, 2, 3 and 5, of which 2 and 3 lie close; 1 and 4 are dominated.
    points = [(0.6, 0.5), (0.5, 0.9), (0.70, 0.70), (0.71, 0.72), (0.5, 0.6), (0.9, 0.9)]
    for trial, (accuracy, time) in zip(bare, points, strict=True):
        algorithm.tell(Trial(trial.architecture, "ok", accuracy=accuracy, s_normalised=time))
    kept = [t.arch_id for t in algorithm.trials]
    assert len(kept) == 3
    assert {bare[0].arch_id, bare[5].arch_id} <= set(kept) <= {bare[n].arch_id for n in (0, 2, 3, 5)}


def test_a_child_has_two_parents_with_crossover_and_one_without():
    """Each decision of a child is one of its parents', but for the one that mutates."""
    for crossover, number in ((1.0, 2), (0.0, 1)):
        algorithm = ALGORITHMS["nsga2"](SPACE, population=4, crossover=crossover)
        told = {t.arch_id: t for t in trials(4)}
        for n, trial in enumerate(told.values()):
            algorithm.tell(
                Trial(trial.architecture, "ok", **NUMBERS | {"accuracy": 0.5 + n / 10, "s_normalised": n + 1.0})
            )
        for _ in range(10):
            child = algorithm.ask()
            assert len(child.parents) == number
            codes = np.array([SPACE.encode(told[parent].architecture) for parent in child.parents])
            assert (codes != SPACE.encode(child.architecture)).all(axis=0).sum() <= 1


def test_a_child_of_two_parents_has_decisions_of_both():
    """It lies further from either than mutation alone would bring it."""
    codes = SPACE.sample_encodings(200, np.random.default_rng(3))
    codes = codes[[0, int((codes != codes[0]).sum(axis=1).argmax())]]  # two that differ in most decisions
    far = {}
    for crossover in (0.0, 1.0):
        algorithm = ALGORITHMS["nsga2"](SPACE, objectives=("accuracy",), population=2, crossover=crossover)
        for code in codes:
            algorithm.tell(Trial(SPACE.decode(code), "ok", accuracy=0.5))
        children = np.array([SPACE.encode(algorithm.ask().architecture) for _ in range(30)])
        far[crossover] = (np.array([(children != code).sum(axis=1) for code in codes]).min(axis=0) > 3).sum()
    assert far[0.0] == 0
    assert far[1.0] > 5


def test_random_ones_come_first():
    """As many finished trials as the population has are waited for; failed ones do not count."""
    algorithm = ALGORITHMS["nsga2"](SPACE, population=3)
    told = trials(4)
    for trial in told[:2]:
        algorithm.tell(Trial(trial.architecture, "ok", **NUMBERS))
    algorithm.tell(Trial(told[2].architecture, "failed", **NUMBERS))
    assert algorithm.ask().proposed_by == "nsga2.random"
    algorithm.tell(Trial(told[3].architecture, "ok", **NUMBERS))
    assert algorithm.ask().proposed_by == "nsga2.child"
