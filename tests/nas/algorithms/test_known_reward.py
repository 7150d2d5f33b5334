"""Rewards without exponents: what is predicted of accuracy and step time goes through the reward itself."""

from dataclasses import replace

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.algorithms.known_reward import known_reward
from nas.config.search import search_config
from nas.runs.trial import Trial
from nas.search.checks import make_algorithm
from rewards.mnasnet import mnasnet_hard
from search_space.cost import count_batch
from search_space.spaces import small
from tests.nas.algorithms.test_predictor import numbers

SPACE = small()
CODES = np.unique(SPACE.sample_encodings(150, np.random.default_rng(0)), axis=0)
np.random.default_rng(1).shuffle(CODES)
TARGET = 1.0  # the median of the step times
HARD = known_reward("mnasnet_hard", {"target": TARGET})


def negative(accuracy: float, step_time: float) -> float:
    return accuracy - 2 * step_time


def steep(accuracy: float, params: float) -> float:
    if params > 1e9:
        raise ValueError("too large")
    return 0.9 if accuracy > 0.7 else 0.1


def predictor(reward, score=mnasnet_hard, trials=40, error=0.01):
    """One told so many trials of that reward, with noisy accuracies."""
    algorithm, rng = ALGORITHMS["predictor"](SPACE), np.random.default_rng(2)
    algorithm.reward = reward
    for code, a, s, p in zip(CODES[:trials], *numbers(SPACE, CODES[:trials]), strict=True):
        accuracy = float(a * (1 + error * rng.normal()))
        told = {"accuracy": accuracy, "s_normalised": float(s), "p_normalised": float(p)}
        value = score(accuracy, float(s), target=TARGET) if score is mnasnet_hard else score(accuracy, float(s))
        algorithm.tell(Trial(SPACE.decode(code), "ok", reward=value, **told))
    return algorithm


def test_predictions_are_pushed_through_the_reward():
    """Mean and deviation are those of the reward of many draws of log A and log S, on both sides of the kink."""
    model = predictor(HARD)._model()
    assert model.targets.known is HARD
    codes = CODES[40:70]
    mean, std, noise = model.predict(codes)
    (a, a_std), (s, s_std, _) = model.quality.predict(codes), model.times.predict(codes)
    rng = np.random.default_rng(3)
    drawn_a, drawn_s = (m + d * rng.normal(size=(20_000, len(codes))) for m, d in ((a, a_std), (s, s_std)))
    rewards = np.log(HARD.of({"accuracy": np.exp(drawn_a), "step_time": np.exp(drawn_s)}))
    assert 0.2 < (np.exp(s) > TARGET).mean() < 0.8
    np.testing.assert_allclose(mean, rewards.mean(axis=0), atol=0.002)
    np.testing.assert_allclose(std, rewards.std(axis=0), rtol=0.1, atol=1e-4)
    below = np.exp(s + 4 * s_std) < TARGET
    np.testing.assert_allclose(noise[below], model.quality.noise, rtol=0.01)


def test_the_kink_is_known_where_nothing_was_told():
    """Told fast ones alone, whose reward is their accuracy, it foretells how slow ones fall; unknown, it cannot."""
    errors = {}
    times = numbers(SPACE, CODES)[1]
    slow = CODES[times > TARGET * 1.1]
    for reward in (HARD, None):
        algorithm = ALGORITHMS["predictor"](SPACE)
        algorithm.reward = reward
        for code, a, s, p in zip(CODES, *numbers(SPACE, CODES), strict=True):
            if s < TARGET:
                value = mnasnet_hard(float(a), float(s), target=TARGET)
                told = {"accuracy": float(a), "s_normalised": float(s), "p_normalised": float(p), "reward": value}
                algorithm.tell(Trial(SPACE.decode(code), "ok", **told))
        a, s, _ = numbers(SPACE, slow)
        truth = np.log(a * np.minimum(1, TARGET / s))
        errors[reward is not None] = np.abs(algorithm._model().predict(slow).mean - truth).mean()
    assert errors[True] < 0.03
    assert errors[True] < 0.3 * errors[False]


def within(accuracy: float, macs: float, params_count: float, *, most_macs: float = 3e7) -> float:
    return accuracy * min(1.0, most_macs / macs) * min(1.0, 1e5 / params_count) ** 0.1


def test_counted_numbers_are_known_where_nothing_was_told():
    """MACs and params of architectures that were never told are counted, for the classes and the size of the trials."""
    reward = known_reward(f"{__name__}:within", {})
    assert reward.reads == ("accuracy", "macs", "params_count")
    params, macs, _ = count_batch(SPACE, CODES, 32, 10)  # the space counts for others
    accuracy = numbers(SPACE, CODES)[0]
    few = macs < 3e7
    assert 20 < few.sum() < len(CODES) - 20
    algorithm = ALGORITHMS["predictor"](SPACE)
    algorithm.reward = reward
    for code, a, p, m in zip(CODES[few], accuracy[few], params[few], macs[few], strict=True):
        told = {"accuracy": float(a), "params": int(p), "macs": int(m), "reward": within(a, m, p)}
        algorithm.tell(Trial(SPACE.decode(code), "ok", **told))
    model = algorithm._model()
    assert model.targets.known is reward
    mean, _, _ = model.predict(CODES[~few])
    truth = [within(*each) for each in zip(accuracy[~few], macs[~few], params[~few], strict=True)]
    np.testing.assert_allclose(mean, np.log(truth), atol=0.03)


def test_rewards_below_0_are_pushed_in_their_own_unit():
    """They have no logarithm; what is foretold is in the rewards' unit, and right."""
    algorithm = predictor(known_reward(f"{__name__}:negative", {}), score=negative, error=0.0)
    model = algorithm._model()
    assert model.targets.known is not None
    a, s, _ = numbers(SPACE, CODES[40:60])
    found = [model.targets.told(m, d)[0] for m, d, _ in zip(*model.predict(CODES[40:60]), strict=True)]
    np.testing.assert_allclose(found, a - 2 * s, atol=0.08)


def test_what_the_reward_refuses_counts_as_the_worst():
    """A reward that raises for what was predicted ends no search."""
    reward = known_reward(f"{__name__}:steep", {})
    scores = reward.of({"accuracy": np.array(0.8), "params": np.array([1.0, 2e9])})
    assert np.isnan(scores).tolist() == [False, True]


def asserting(accuracy: float, macs: float) -> float:
    assert macs < 3e7, "too large"
    return accuracy * (1 - macs / 3e7) ** 0.5


def rooted(accuracy: float, params: float) -> float:
    return accuracy * (1 - params / 1e3) ** 0.5  # complex from there


def test_whatever_a_reward_raises_counts_as_refused():
    """An assertion, a complex number: of what nobody measured, both are the reward's no."""
    for function, name, fine, wrong in ((asserting, "macs", 1e7, 4e7), (rooted, "params", 1.0, 2e3)):
        reward = known_reward(f"{__name__}:{function.__name__}", {})
        scores = reward.of({"accuracy": np.array(0.8), name: np.array([fine, wrong])})
        assert scores[0] == function(0.8, fine)
        assert np.isnan(scores[1])


def test_counts_of_another_image_size_are_not_taken_for_known():
    """MACs at 36 px are no line of those at 224 px, which the space says: the reward is learned as it is told."""
    reward = known_reward(f"{__name__}:within", {})
    space = replace(SPACE, image_size=224)
    algorithm = ALGORITHMS["predictor"](space)
    algorithm.reward = reward
    params, macs, _ = count_batch(SPACE, CODES, 36, 10)
    for code, a, p, m in zip(CODES, numbers(SPACE, CODES)[0], params, macs, strict=True):
        told = {"accuracy": float(a), "params": int(p), "macs": int(m), "reward": within(float(a), m, p)}
        algorithm.tell(Trial(space.decode(code), "ok", **told))
    assert algorithm._model().targets.known is None


def test_a_reward_that_is_not_what_was_told_is_left_alone():
    """Trials of another reward, a warm start's, or one that reads what cannot be predicted: as if none were known."""
    assert predictor(known_reward("mnasnet_hard", {"target": 0.5}))._model().targets.known is None
    assert known_reward(f"{__name__}:of_memory", {}) is None
    algorithm = predictor(HARD, trials=20)
    for number, code in enumerate(CODES[20:30]):
        told = replace(Trial(SPACE.decode(code), "ok"), accuracy=0.7, s_normalised=0.5, p_normalised=1.0)
        algorithm.tell(replace(told, reward=0.7 + number, w=None, v=None))
    assert algorithm._model().targets.known is None


def of_memory(accuracy: float, peak_memory_mb: float) -> float:
    return accuracy / peak_memory_mb


def test_a_reward_of_all_that_is_predicted_is_known():
    """The default reads accuracy, step time and params, and no more."""
    assert known_reward("weighted_product", {}).reads == ("accuracy", "step_time", "params")


def test_a_search_says_what_it_scores_by():
    """The reward of the configuration, with its settings."""
    algorithm = make_algorithm(
        search_config(space={"name": "small"}, image_size=16, reward={"name": "mnasnet_hard", "target": 0.7})
    )
    assert algorithm.reward.settings == {"target": 0.7, "beta": -1.0}
    assert algorithm.reward.of({"accuracy": np.array(0.6), "step_time": np.array(1.4)}) == pytest.approx(0.3)
