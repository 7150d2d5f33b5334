"""Each reward against arithmetic, and all of them against one contract."""

import subprocess
import sys
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards import REWARDS, reward, reward_settings
from rewards.measurement import Measurement
from rewards.mnasnet import mnasnet_hard, mnasnet_soft
from rewards.weighted_product import weighted_product

MEASURED = Measurement(accuracy=0.8, step_time=1.5, params=2.0)
accuracies = st.floats(0.01, 1.0)
ratios = st.floats(0.01, 100.0)


def test_weighted_product_is_the_papers_formula():
    """A user compares rewards with the paper's: at S = 2 and P = 3 the formula is 0.8 * 2**-0.07 * 3**-0.05."""
    assert weighted_product(0.8, 2.0, 3.0) == pytest.approx(0.8 * 2**-0.07 * 3**-0.05, rel=1e-12)
    assert weighted_product(0.8, 1.0, 1.0) == 0.8
    assert weighted_product(0.8, 2.0, 3.0, w=0.0, v=0.0) == 0.8


@given(accuracies, ratios, ratios)
def test_halving_the_time_or_the_size_is_worth_what_the_exponents_say(accuracy, step_time, params):
    """The trade is relative: half the time is worth a factor 2**0.07, half the size 2**0.05, wherever one stands."""
    score = weighted_product(accuracy, step_time, params)
    assert weighted_product(accuracy, step_time / 2, params) / score == pytest.approx(2**0.07)
    assert weighted_product(accuracy, step_time, params / 2) / score == pytest.approx(2**0.05)


def test_mnasnet_soft_is_its_equation_2():
    """Both sides of the target follow one exponent: at T = 4 and S = 2 the score is 0.6 * 0.5**-0.07."""
    assert mnasnet_soft(0.6, 2.0, target=4.0) == pytest.approx(0.6 * 0.5**-0.07)
    assert mnasnet_soft(0.6, 8.0, target=4.0) == pytest.approx(0.6 * 2**-0.07)


def test_mnasnet_hard_pays_nothing_for_being_faster_than_the_target_and_punishes_being_slower():
    """Up to the target the score is the accuracy; twice the target halves it."""
    assert mnasnet_hard(0.6, 1.0, target=4.0) == 0.6
    assert mnasnet_hard(0.6, 4.0, target=4.0) == 0.6
    assert mnasnet_hard(0.6, 8.0, target=4.0) == pytest.approx(0.3)
    assert mnasnet_hard(0.6, 8.0, target=4.0, beta=-2.0) == pytest.approx(0.15)


@pytest.mark.parametrize("score", [mnasnet_soft, mnasnet_hard])
def test_mnasnet_refuses_a_target_that_is_no_time(score):
    """A target of 0 in a configuration would make every score infinite or zero."""
    with pytest.raises(ValueError, match="target must be positive and finite, got 0"):
        score(0.5, 1.0, target=0.0)


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize(("field", "value"), [("accuracy", -0.1), ("accuracy", 71.3), ("accuracy", inf)])
def test_an_accuracy_outside_0_to_1_is_refused(name, field, value):
    """A percentage taken for a fraction must not become a score."""
    with pytest.raises(ValueError, match=r"accuracy must be in \[0, 1\], got"):
        reward(name, Measurement(accuracy=value, step_time=1.0, params=1.0))


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize("value", [0.0, -1.0, inf])
def test_a_step_time_that_is_no_time_is_refused(name, value):
    """A timer that gave 0 must not make the candidate the best of all."""
    with pytest.raises(ValueError, match="step_time must be positive and finite, got"):
        reward(name, Measurement(accuracy=0.5, step_time=value, params=1.0))


@pytest.mark.parametrize("value", [0.0, -1.0, inf, nan])
def test_weighted_product_refuses_params_that_are_no_size(value):
    """The same for the size."""
    with pytest.raises(ValueError, match="params must be positive and finite, got"):
        weighted_product(0.5, 1.0, value)


def test_weighted_product_refuses_a_missing_accuracy():
    """Called directly, without `reward` in front of it, NaN must not slip through a comparison."""
    with pytest.raises(ValueError, match="accuracy must be in"):
        weighted_product(nan, 1.0, 1.0)


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize("field", ["accuracy", "step_time"])
def test_a_missing_number_is_an_error_that_names_it(name, field):
    """What was not measured must never become a score: not 0, not the score of something else."""
    measured = {"accuracy": 0.8, "step_time": 1.5, "params": 2.0} | {field: nan}
    with pytest.raises(ValueError, match=f"reward {name} needs {field}, which was not measured"):
        reward(name, Measurement(**measured))


def test_a_reward_needs_only_what_it_reads():
    """MnasNet's rewards do not look at the size, so a measurement without one is good enough."""
    assert reward("mnasnet_hard", Measurement(accuracy=0.8, step_time=0.5)) == 0.8


@pytest.mark.parametrize("name", REWARDS)
@given(accuracy=accuracies, step_time=ratios, factor=st.floats(1.01, 10))
def test_better_is_never_worse(name, accuracy, step_time, factor):
    """Every reward: more accurate is better; slower is not better, and clearly worse beyond the target."""
    score = reward(name, Measurement(accuracy=accuracy, step_time=step_time, params=1.0))
    assert reward(name, Measurement(accuracy=accuracy / factor, step_time=step_time, params=1.0)) < score
    slower = reward(name, Measurement(accuracy=accuracy, step_time=step_time * factor, params=1.0))
    assert slower < score or (name == "mnasnet_hard" and step_time * factor <= 1 and slower == score)


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_takes_its_own_settings_and_its_defaults_are_those_told(name):
    """The settings written beside the log (`reward_settings`) are those the scores were made with."""
    settings = reward_settings(name)
    assert settings
    assert reward(name, MEASURED, settings) == reward(name, MEASURED) == reward(name, MEASURED, {})
    for key in settings:
        assert reward(name, MEASURED, {key: settings[key] - 0.5}) != reward(name, MEASURED), key


def test_settings_reach_the_formula():
    """`w: -0.1` in a configuration changes the exponent and nothing else."""
    assert reward("weighted_product", MEASURED, {"w": -0.1}) == pytest.approx(0.8 * 1.5**-0.1 * 2**-0.05)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("weighted", {}, "unknown reward 'weighted'; known: weighted_product, mnasnet_soft, mnasnet_hard"),
        ("weighted_product", {"alpha": 1}, "unknown setting 'alpha' of reward weighted_product; known: w, v"),
        ("mnasnet_hard", {"w": 1}, "unknown setting 'w' of reward mnasnet_hard; known: target, beta"),
        ("weighted_product", {"accuracy": 1.0}, "unknown setting 'accuracy'"),
        ("weighted_product", {"w": "-0.07"}, "setting 'w' of reward weighted_product must be a finite number"),
        ("weighted_product", {"v": nan}, "setting 'v' of reward weighted_product must be a finite number"),
        ("weighted_product", {"v": True}, "must be a finite number, got True"),
    ],
)
def test_a_bad_name_or_setting_is_an_error_that_lists_what_is_known(name, settings, message):
    """A misspelt reward or setting must not silently score by the defaults."""
    with pytest.raises(ValueError, match=message):
        reward(name, MEASURED, settings)


def test_rewards_start_without_torch():
    """The command line and notebooks read logs on machines and at moments where importing torch is too slow."""
    code = "import sys, rewards, rewards.pareto; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
