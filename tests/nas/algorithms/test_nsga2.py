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
