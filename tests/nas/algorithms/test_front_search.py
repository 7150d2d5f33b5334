"""The predictor after a front: what it finds, what it reads, and what it says where it cannot."""

import logging

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.algorithms.front_gain import MAXIMISE
from nas.runs.trial import Trial
from rewards.pareto import hypervolume
from search_space.cost import count_batch
from search_space.spaces import small

SPACE = small()
THREE = ("accuracy", "step_time", "params")
CODES = SPACE.sample_encodings(3000, np.random.default_rng(7))


def measured(codes):
    """Accuracy, step time, params, (N, 3): more of either cost buys accuracy, less and less, and not alike."""
    costs = count_batch(SPACE, codes, 32, 10)
    params, time = costs.params / 80_000, costs.activations / costs.activations.mean() + costs.macs / 4e7
    kernels = codes[:, [d.field == "kernel_size" for d in SPACE.decisions]].sum(axis=1)
    accuracy = 0.9 - 0.15 / (params + 0.3) - 0.1 / (time + 0.3) + 0.004 * kernels
    return np.stack([accuracy, time, params], axis=1)


def trial_of(architecture, *, noise=0.0, reward=None, step_time=None):
    accuracy, time, params = map(float, measured(SPACE.encode(architecture)[None])[0])
    accuracy += noise
    known = accuracy * time**-0.07 * params**-0.05 if reward is None else reward
    time = time if step_time is None else step_time
    return Trial(
        architecture, "ok", accuracy=accuracy, s_normalised=time, p_normalised=params, reward=known,
        w=None if reward is not None else -0.07, v=None if reward is not None else -0.05,
    )  # fmt: skip


def searched(name, seed, trials, **settings):
    algorithm, rng, codes = ALGORITHMS[name](SPACE, seed, **settings), np.random.default_rng(seed), []
    for _ in range(trials):
        architecture = algorithm.ask().architecture
        codes.append(SPACE.encode(architecture))
        algorithm.tell(trial_of(architecture, noise=0.003 * rng.normal()))
    return measured(np.array(codes))


def test_it_finds_more_of_a_front_than_evolution_does():
    """What 50 trials leave of the volume under all that is known, over three seeds: NSGA-II has hardly begun then."""
    everything = measured(CODES)
    corner = np.array([everything[:, 0].min(), everything[:, 1].max(), everything[:, 2].max()])
    runs = [
        [searched("predictor", n, 50, objectives=THREE) for n in range(3)],
        [searched("nsga2", n, 50) for n in range(3)],
    ]
    whole = np.concatenate([everything, *(points for some in runs for points in some)])
    missed = [[_volume(whole, corner) - _volume(points, corner) for points in some] for some in runs]
    assert np.mean(missed[0]) < 0.9 * np.mean(missed[1])


def _volume(points, corner):
    return hypervolume(points, corner, MAXIMISE)


def test_what_the_reward_says_does_not_matter():
    """Objectives are asked for because no exponents can be defended."""
    some = [SPACE.decode(code) for code in CODES[:20]]
    proposals = []
    for reward in (None, 1.0, 0.25):
        algorithm = ALGORITHMS["predictor"](SPACE, 3, objectives=THREE)
        for architecture in some:
            algorithm.tell(trial_of(architecture, reward=reward))
        proposals.append(algorithm.ask())
    assert len({proposal.architecture for proposal in proposals}) == 1
    assert proposals[0].proposed_by == "predictor.model"
    assert set(proposals[0].notes) == {"predicted_accuracy", "predicted_step_time"}


def test_an_objective_that_is_not_asked_for_is_not_read():
    """Of accuracy and params alone, whatever step times are told."""
    some = [SPACE.decode(code) for code in CODES[:20]]
    proposals = []
    for step_time in (1.0, None):
        algorithm = ALGORITHMS["predictor"](SPACE, 3, objectives=("accuracy", "params"))
        for architecture in some:
            algorithm.tell(trial_of(architecture, step_time=step_time))
        proposals.append(algorithm.ask().architecture)
    assert proposals[0] == proposals[1]


def test_several_in_flight_are_not_alike():
    """What is in flight counts as if it were there, so that the next one extends another part of the front."""
    algorithm = ALGORITHMS["predictor"](SPACE, 1, objectives=THREE)
    for code in CODES[:25]:
        algorithm.tell(trial_of(SPACE.decode(code)))
    asked = measured(np.array([SPACE.encode(algorithm.ask().architecture) for _ in range(6)]))
    assert np.ptp(asked[:, 1]) > 0.2 * np.ptp(measured(CODES)[:, 1])


@pytest.mark.parametrize("given", [("accuracy",), ("accuracy", "macs"), ("accuracy", "accuracy")])
def test_what_it_cannot_model_is_refused(given):
    """Before anything runs, with what it may be."""
    with pytest.raises(ValueError, match="objectives must be two or three of accuracy, step_time, params, or none"):
        ALGORITHMS["predictor"](SPACE, objectives=given)


def test_an_objective_that_nobody_measures_is_said(caplog):
    """An evaluator of one's own may give no step time: that is no reason to stop, nor to be silent."""
    algorithm = ALGORITHMS["predictor"](SPACE, objectives=THREE)
    for code in CODES[:15]:
        trial = trial_of(SPACE.decode(code))
        algorithm.tell(Trial(trial.architecture, "ok", accuracy=trial.accuracy, reward=trial.accuracy))
    with caplog.at_level(logging.WARNING):
        algorithm.ask()
        algorithm.ask()
    assert [record.getMessage() for record in caplog.records] == [
        "predictor: no finished trial has step_time; until one has, the reward counts"
    ]
