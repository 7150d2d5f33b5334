"""Step times that err: each measurement counts by its interval, and one that is far off leads nothing."""

import math

import numpy as np
import pytest

from nas.algorithms import gaussian_process as gp
from nas.algorithms.features import Features, StageCosts
from nas.algorithms.posterior import Posterior
from nas.algorithms.step_process import StepProcess, Timings, doubts, fit_steps
from nas.algorithms.targets import Targets, observation
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()
FEATURES = Features(SPACE, by_stage=False), Features(SPACE, by_stage=True)
CODES = np.unique(SPACE.sample_encodings(120, np.random.default_rng(0)), axis=0)
np.random.default_rng(1).shuffle(CODES)
TRUE = 0.3 + StageCosts(SPACE, 32).stages(CODES)[:, 1].sum(axis=1) / 4e7
TOLD = 60


def process(error, doubt):
    timings = Timings(CODES[:TOLD], TRUE[:TOLD] * np.exp(error), doubt)
    return StepProcess(FEATURES, fit_steps(FEATURES, timings), timings)


def missed(error, doubt):
    """Root mean square error of log S of architectures that were not timed."""
    return float(np.sqrt(np.mean((process(error, doubt).predict(CODES[TOLD:])[0] - np.log(TRUE[TOLD:])) ** 2)))


def test_a_width_counts_half():
    """The usual width is 1; the square of another is drawn half way to it; what is not known is as usual."""
    found = doubts(np.array([0.1, 0.1, 0.2, 0.0, math.nan, 0.1]))
    np.testing.assert_allclose(found, [1, 1, 2.5, 0.5, 1, 1])
    assert doubts(np.full(3, math.nan)) is None


def test_the_widths_are_of_the_logarithm_of_the_interval():
    """Half the way from s_low to s_high; a trial without an interval has none."""
    told = {"accuracy": 0.5, "reward": 0.5, "s_normalised": 1.0, "p_normalised": 1.0, "w": -0.07, "v": -0.05}
    ends = [(0.9, 1.0), (0.9, 1.0), (0.8, 1.0), (None, None)]
    trials = [
        Trial(SPACE.decode(code), "ok", **told, s_low=low, s_high=high)
        for code, (low, high) in zip(CODES, ends, strict=False)
    ]
    targets = Targets(FEATURES[0], [observation(t, SPACE.encode(t.architecture)) for t in trials])
    ratio = (math.log(0.8) / math.log(0.9)) ** 2
    np.testing.assert_allclose(targets.times.doubt, [1, 1, (1 + ratio) / 2, 1])


def test_what_is_known_to_be_unsure_counts_for_less():
    """A third of the timings errs ten times as much: told so, the process misses by half as much; in any unit."""
    rng = np.random.default_rng(2)
    scale = np.where(np.arange(TOLD) % 3 == 0, 0.2, 0.02)
    error = scale * rng.normal(size=TOLD)
    plain, told, wider = (missed(error, doubt) for doubt in (None, doubts(scale), doubts(7 * scale)))
    assert told < 0.6 * plain
    assert wider == pytest.approx(told)


def test_one_slow_measurement_leads_nothing():
    """A step timed at twice its time, its interval narrow as all: what is predicted is as if it had never been."""
    error = 0.02 * np.random.default_rng(3).normal(size=TOLD)
    slow = error + math.log(2) * (np.arange(TOLD) == 5)
    usual = np.ones(TOLD)
    assert missed(slow, usual) < 1.2 * missed(error, usual)
    assert missed(slow, None) > 1.5 * missed(error, usual)


def test_one_slow_measurement_after_the_settled_ones_leads_nothing():
    """So it is where what came later is added to what was there."""
    error, slow = 0.02 * np.random.default_rng(3).normal(size=TOLD), np.arange(TOLD) == 55
    off = []
    for late in (error, error + math.log(2) * slow, error + math.log(1.06) * slow):
        timings = Timings(CODES[:TOLD], TRUE[:TOLD] * np.exp(late), np.ones(TOLD), settled=50)
        fitted = fit_steps(FEATURES, timings.at(slice(50), 50))
        off.append(StepProcess(FEATURES, fitted, timings).predict(CODES[55:56])[0][0] - math.log(TRUE[55]))
    assert abs(off[1] - off[0]) < 0.01 < off[2] - off[0]


def test_how_a_measurement_errs_is_found_out():
    """The noise that is foretold is the one by which they erred, whatever widths all of them had."""
    noise = process(0.05 * np.random.default_rng(4).normal(size=TOLD), np.ones(TOLD)).predict(CODES[TOLD:])[2]
    assert 0.025 < noise.mean() < 0.1


def test_left_out_is_what_the_others_say():
    """The errors that are read off one factorisation are those of predictions without each target."""
    y, doubt = np.log(TRUE[:20]), np.geomspace(0.5, 4, 20)
    h = gp.default_hyperparameters(FEATURES[0])
    whole = Posterior(FEATURES[0], h, CODES[:20], y, doubt)
    off, std = whole.left_out()
    others = np.arange(20) != 7
    without = Posterior(FEATURES[0], h, CODES[:20][others], y[others], doubt[others])
    without.alpha = without.factor.solved((y[others] - whole.mean) / whole.spread)  # one ruler
    without.mean, without.spread = whole.mean, whole.spread
    mean, deviation = without.predict(CODES[7:8])
    assert off[7] == pytest.approx(y[7] - mean[0], rel=1e-3)
    assert std[7] == pytest.approx(math.hypot(deviation[0], whole.noise * math.sqrt(doubt[7])), rel=1e-3)
