"""The standard error of a trial's reward."""

import math
from statistics import NormalDist

import pytest

from nas.trials.scoring import score, score_error
from rewards import REWARDS

Z = NormalDist().inv_cdf(0.975)
TRIAL = {"accuracy": 0.9, "accuracy_se": 0.01, "s_normalised": 1.0, "p_normalised": 0.5}


def error(fields, name="weighted_product", settings=None, confidence=0.95):
    """Score the trial, then give the error of that."""
    settings = settings or {}
    scored = fields if "reward" in fields else fields | {"reward": score(fields, name, settings)}
    return score_error(scored, name, settings, confidence=confidence)


def test_the_paper_s_reward_errs_as_its_accuracy_does():
    """It is a multiple of the accuracy: relative errors are equal, whatever the step time and size."""
    fields = TRIAL | {"s_normalised": 0.4}
    assert error(fields) / score(fields, "weighted_product", {}) == pytest.approx(0.01 / 0.9)


def test_the_interval_of_s_is_added_as_squares():
    """1 % of S is 0.07 % of the reward; beside 0.07 % from the accuracy that is sqrt(2) times as much."""
    fields = TRIAL | {"accuracy_se": 0.9 * 0.0007, "s_low": 1 - 0.01 * Z, "s_high": 1 + 0.01 * Z}
    reward = score(fields, "weighted_product", {})
    assert error(fields) / reward == pytest.approx(0.0007 * 2**0.5, rel=1e-3)
    wider = NormalDist().inv_cdf(0.995) / Z
    assert error(fields, confidence=0.99) / reward == pytest.approx(math.hypot(0.0007, 0.0007 / wider), rel=1e-3)


def test_a_reward_with_a_bend_is_scored_at_both_ends():
    """MnasNet's hard reward at its target: slower costs, faster gives nothing; the mean slope counts."""
    fields = TRIAL | {"s_low": 0.9, "s_high": 1.1}
    expected = math.hypot(0.01, 0.9 * (1 - 1 / 1.1) / (2 * Z))
    assert error(fields, "mnasnet_hard") == pytest.approx(expected)


def test_an_accuracy_of_1_has_one_side():
    """There is no accuracy above it to score; the slope below it counts."""
    assert error(TRIAL | {"accuracy": 1.0}) == pytest.approx(0.01 * 0.5**-0.05)


def test_a_metric_with_an_interval_counts(monkeypatch):
    """Rewards of one's own may read numbers by name; `NAME_low` and `NAME_high` say how sure each is."""
    monkeypatch.setitem(REWARDS, "latency", lambda accuracy, ms: accuracy - ms)
    monkeypatch.setitem(REWARDS, "only_ms", lambda ms: -ms)
    metrics = {"ms": 0.2, "ms_low": 0.2 - 0.03 * Z, "ms_high": 0.2 + 0.03 * Z}
    assert error(TRIAL | {"metrics": metrics}, "latency") == pytest.approx(math.hypot(0.01, 0.03))
    assert error(TRIAL | {"metrics": metrics}, "only_ms") == pytest.approx(0.03)
    assert error(TRIAL | {"metrics": {"ms": 0.2}}, "latency") == pytest.approx(0.01)
    assert math.isnan(error(TRIAL | {"metrics": {"ms": 0.2}}, "only_ms")), "nothing in it says how sure it is"


@pytest.mark.parametrize(
    "fields",
    [
        {"accuracy_se": None},
        {"s_low": 0.0, "s_high": None},
        {"s_low": 0.0, "s_high": 2.0},
        {"reward": 0.123},
        {"reward": None},
    ],
    ids=["accuracy without", "interval without end", "S from 0", "another reward's", "not scored"],
)
def test_what_is_not_known_is_nan(fields):
    """An error that is not known in full is none: a part of it would claim too much."""
    assert math.isnan(error(TRIAL | fields))
