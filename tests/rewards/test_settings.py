"""A reward's signature is its contract: what it reads, what its settings are and of which type."""

import sys
import types
from typing import Literal

import pytest

from rewards import REWARDS, reward, reward_settings
from rewards.measurement import Measurement
from rewards.signature import settings_class
from rewards.weighted_product import weighted_product


def own(
    accuracy: float,
    inference_ms: float,
    *,
    weight: float = 2.0,
    whole: int = 1,
    squared: bool = False,
    kind: Literal["a", "b"] = "a",
    limits: tuple[float, float] = (0.0, 1.0),
) -> float:
    """A user's reward over a metric."""
    return accuracy - weight * whole * inference_ms ** (2 if squared else 1) + (kind == "b") + limits[0]


def bare(accuracy, *, k=1, flag=True):
    """A user's reward without annotations."""
    return accuracy * k


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(REWARDS, "own", own)
    monkeypatch.setitem(REWARDS, "bare", bare)
    module = types.ModuleType("my_rewards")
    module.own, module.number = own, 3
    monkeypatch.setitem(sys.modules, "my_rewards", module)


MEASURED = Measurement(accuracy=0.8, metrics={"inference_ms": 0.1})


@pytest.mark.parametrize("name", ["own", "my_rewards:own"])
def test_a_reward_of_ones_own_reads_metrics_and_has_settings(name):
    """Registered or named `module:function`: 0.8 - 2 * 0.1 by default, 0.8 - 3 * 0.01 as set, list for a tuple."""
    assert reward(name, MEASURED) == pytest.approx(0.6)
    given = {"weight": 3, "squared": True, "limits": [0, 2]}
    assert reward(name, MEASURED, given) == pytest.approx(0.77)
    assert reward_settings(name, given)["limits"] == (0.0, 2.0)
    assert list(reward_settings(name)) == ["weight", "whole", "squared", "kind", "limits"]


def test_a_metric_that_was_not_measured_is_an_error_that_names_it():
    """As of a field: a missing number never becomes a score."""
    with pytest.raises(ValueError, match="reward own needs inference_ms, which was not measured"):
        reward("own", Measurement(accuracy=0.8))


def test_a_field_goes_before_a_metric():
    """A metric named as a field does not take its place."""
    assert reward("bare", Measurement(accuracy=0.8, metrics={"accuracy": 0.1})) == 0.8


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("weight", "2", "must be a finite number, got '2'"),
        ("weight", True, "must be a finite number, got True"),
        ("whole", 1.5, "must be a whole number, got 1.5"),
        ("whole", 10**400, "must be a finite number, got 1000"),
        ("squared", 1, "must be true or false, got 1"),
        ("squared", "no", "must be true or false, got 'no'"),
        ("kind", "c", "must be one of a, b, got 'c'"),
        ("limits", [1], "must be a list of 2, got [1]"),
        ("limits", 3, "must be a list, got 3"),
    ],
)
def test_a_setting_of_another_type_is_refused(setting, value, message):
    """The annotation is checked, to the leaf; the message names setting, reward and value."""
    with pytest.raises(ValueError) as error:
        reward("own", MEASURED, {setting: value})
    assert str(error.value).startswith(f"setting {setting!r} of reward own {message}")


def test_without_annotations_the_default_says_the_type():
    """A number takes any number, true or false only these."""
    assert reward("bare", MEASURED, {"k": 0.5}) == 0.4
    with pytest.raises(ValueError, match="setting 'flag' of reward bare must be true or false, got 3"):
        reward("bare", MEASURED, {"flag": 3})


def test_a_whole_number_as_default_takes_any_number():
    """Who writes `k=1` does not mean that 0.5 is none."""

    def whole(accuracy, *, k=1):
        return accuracy * k

    REWARDS["own"] = whole
    assert reward("own", MEASURED, {"k": 0.5}) == 0.4


def test_settings_are_one_frozen_class_a_reward():
    """Made once, so that equal settings are equal; hashable as all data is, and so is what was measured."""
    made = settings_class(weighted_product)
    assert made is settings_class(weighted_product)
    assert made(w=-0.1) == made(w=-0.1) != made()
    with pytest.raises(AttributeError):
        made().w = 3
    assert hash(made()) == hash(made())
    assert hash(MEASURED) == hash(Measurement(accuracy=0.8))


def test_what_is_no_reward_is_said():
    """A setting without a default could not be written out; a number is no function; a module may be missing."""

    def undefined(accuracy, *, k):
        return accuracy * k

    REWARDS["own"] = undefined
    with pytest.raises(ValueError, match="setting 'k' of reward undefined has no default"):
        reward("own", MEASURED, {"k": 1})
    with pytest.raises(ValueError, match="reward 'my_rewards:number' must be a function, got 3"):
        reward("my_rewards:number", MEASURED)
    with pytest.raises(ValueError, match="reward 'no_such:f' cannot be imported"):
        reward_settings("no_such:f")


def test_a_reward_that_gives_no_number_says_so(monkeypatch):
    """A forgotten `return` is an error of every trial, not a trial that is ok and has no reward."""
    import rewards
    from rewards.measurement import Measurement

    monkeypatch.setitem(rewards.REWARDS, "forgot", lambda accuracy: None)
    with pytest.raises(ValueError, match="reward forgot must give a number, got None"):
        rewards.reward("forgot", Measurement(accuracy=0.5))
