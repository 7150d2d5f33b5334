"""The predictor's parts: exact costs, the process's likelihood and predictions, the reward taken apart."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from nas.algorithms import ALGORITHMS, learner, reward_model
from nas.algorithms import gaussian_process as gp
from nas.algorithms import predictor as predictor_module
from nas.algorithms.features import Features, StageCosts
from nas.algorithms.nsga2 import rank_and_crowding
from nas.algorithms.posterior import Posterior, Sketch
from nas.algorithms.reward_model import _MOST, _subset, fit
from nas.algorithms.targets import Targets, observation
from nas.runs.chosen import WINNER
from nas.runs.trial import Trial
from search_space.cost import count_batch
from search_space.space import SearchSpace, StageChoices
from search_space.spaces import efficientnetv2, small

SPACE = small()
CHANNELS = SearchSpace(
    8,
    tuple(StageChoices(("mbconv", "fused_mbconv"), (1, 2), (3, 5), (1, 4), (8, 16), (1, 2)) for _ in range(2)),
    16,
    image_size=32,
)


def numbers(space, codes):
    """Accuracy, normalised step time and params of some encodings: smooth functions with interactions."""
    params = count_batch(space, codes, 32, 10).params / 80_000
    position = codes / (np.array([len(d.choices) for d in space.decisions]) - 1)
    weights = np.linspace(0.2, 1.0, codes.shape[1])
    worth = (position - 0.5) @ weights
    times = 0.3 + StageCosts(space, 32).stages(codes)[:, 1].sum(axis=1) / 4e7
    return 0.7 + 0.02 * worth + 0.01 * worth * position[:, 0], times, params


def trials_of(space, codes, **changes):
    for code, a, s, p in zip(codes, *numbers(space, codes), strict=True):
        reward = a * s**-0.07 * p**-0.05
        known = {"accuracy": a, "s_normalised": s, "p_normalised": p, "reward": reward, "w": -0.07, "v": -0.05}
        yield Trial(space.decode(code), "ok", **{k: v if v is None else float(v) for k, v in (known | changes).items()})


@pytest.mark.parametrize("space", [SPACE, efficientnetv2(), CHANNELS], ids=["small", "efficientnetv2", "channels"])
def test_stage_tables_add_up_to_the_counted_costs(space):
    """The look-up of costs gives what counting gives, also where channels or strides are decisions."""
    codes = space.sample_encodings(50, np.random.default_rng(0))
    expected = np.stack(count_batch(space, codes, 64), axis=1)
    np.testing.assert_allclose(StageCosts(space, 64).totals(codes), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [(6, 4, 1), (4, 1, 6)])
def test_the_order_in_which_numbers_are_listed_says_nothing(order):
    """A space whose expansions are written 6, 1, 4 has the same covariances as one where they stand in order."""
    other = replace(SPACE, stages=tuple(replace(stage, expansion=order) for stage in SPACE.stages))
    architectures = [SPACE.decode(code) for code in SPACE.sample_encodings(40, np.random.default_rng(0))]
    gram = []
    for space in (SPACE, other):
        features = Features(space, by_stage=True)
        columns, _ = features.columns(np.array([space.encode(a) for a in architectures]))
        effects = columns[:, : features.decision_columns.stop]
        trends = columns[:, effects.shape[1] :][:, : len(features.fields)]
        gram.append((effects @ effects.T, trends @ trends.T))
    assert not np.array_equal(other.encode(architectures[0]), SPACE.encode(architectures[0]))
    np.testing.assert_allclose(gram[0], gram[1], atol=1e-9)


def test_params_are_a_count_where_nothing_normalised_was_told():
    """An evaluator of one's own may give params alone."""
    (trial,) = trials_of(SPACE, SPACE.sample_encodings(1, np.random.default_rng(0)))
    assert observation(replace(trial, params=7), np.zeros(0)).params == trial.p_normalised
    assert observation(replace(trial, params=7, p_normalised=None), np.zeros(0)).params == 7


@pytest.mark.parametrize("doubt", [None, np.geomspace(0.5, 20, 25)])
@pytest.mark.parametrize("by_stage", [False, True])
def test_the_likelihood_has_the_gradient_it_claims(by_stage, doubt):
    """A wrong gradient fits wrong hyperparameters without any error, so it is held against finite differences."""
    features = Features(SPACE, by_stage=by_stage)
    codes = SPACE.sample_encodings(25, np.random.default_rng(1))
    kernel = gp._Kernel(features, gp.Inputs(*features.columns(codes)))
    start = gp.default_hyperparameters(features)
    y, n = np.random.default_rng(2).normal(size=25), len(start.blocks)
    at = start.vector() + np.random.default_rng(3).normal(0, 0.3, len(start.vector()))

    def evidence(vector):
        return gp._evidence(kernel, gp.Hyperparameters(vector[:n], vector[n:]), y, doubt)

    numeric = approx_fprime(at, lambda v: evidence(v)[0], 1e-6)
    np.testing.assert_allclose(evidence(at)[1], numeric, atol=1e-4)


def hyperparameters(features, rng):
    """Some by which every part of the kernel counts, and none as another does."""
    return gp.Hyperparameters(rng.normal(-1, 1, len(features.blocks)), np.log([0.3, 0.7, 0.5, 2.0, 0.1]))


@pytest.mark.parametrize("by_stage", [False, True])
def test_the_variance_without_data_is_the_kernels_diagonal(by_stage):
    """It is computed without the matrix, which is the sum of its parts; every part counts, none as another does."""
    features, rng = Features(SPACE, by_stage=by_stage), np.random.default_rng(1)
    inputs = gp.Inputs(*features.columns(SPACE.sample_encodings(12, rng)))
    h = hyperparameters(features, rng)
    whole = gp.covariance(features, h, inputs, inputs)
    np.testing.assert_allclose(gp.variance(features, h, inputs), np.diag(whole), rtol=1e-9)
    linear, _, pairs, inside, rest = gp._Kernel(features, inputs).parts(h)
    np.testing.assert_allclose(whole, gp.CONSTANT + linear + gp.pair_scale(h) * pairs + inside + rest, rtol=1e-9)


def test_of_many_trials_the_best_half_and_a_spread_of_the_others_is_used():
    """Of 3,000 settled trials the best half of those used, then evenly spread ones; and all that came later."""
    rank = np.random.default_rng(0).permutation(3020).astype(float)
    rank[:3000] = np.argsort(np.argsort(rank[:3000]))
    kept, settled = _subset(rank, 3000)
    half = _MOST // 2
    assert settled == len(set(kept[:settled])) == _MOST
    assert rank[kept[:half]].tolist() == list(range(2999, 2999 - half, -1))
    others = rank[kept[half:settled]]
    assert others[-1] == 0
    assert set(np.diff(others)) <= {-((3000 - half) // half), -((3000 - half) // half) - 1}
    assert kept[settled:].tolist() == list(range(3000, 3020))
    assert sorted(_subset(rank[:300], 290)[0]) == list(range(300))
    assert _subset(rank[:9], 0)[1] == 9


def test_the_process_learns_and_knows_how_well():
    """From 100 noisy accuracies it explains most of the variance, finds the noise, and its errors are as foretold."""
    rng = np.random.default_rng(4)
    codes = np.unique(SPACE.sample_encodings(260, rng), axis=0)
    rng.shuffle(codes)
    truth, features = numbers(SPACE, codes)[0], Features(SPACE, by_stage=False)
    seen = truth[:100] + 0.003 * rng.normal(size=100)
    posterior = Posterior(features, gp.fit(features, codes[:100], seen), codes[:100], seen)
    mean, std = posterior.predict(codes[100:])
    errors = mean - truth[100:]
    assert 1 - np.mean(errors**2) / truth[100:].var() > 0.8
    assert 0.0015 < posterior.noise < 0.006
    assert 0.5 < np.std(errors / std) < 2.0


def test_candidates_in_flight_are_surer_but_move_nothing():
    """Assuming what runs keeps the mean and lowers the deviation there."""
    rng = np.random.default_rng(5)
    codes = SPACE.sample_encodings(40, rng)
    features = Features(SPACE, by_stage=False)
    accuracy = numbers(SPACE, codes)[0]
    posterior = Posterior(features, gp.default_hyperparameters(features), codes[:30], accuracy[:30])
    other = posterior.assuming(codes[30:])
    (mean, std), (new_mean, new_std) = posterior.predict(codes[30:]), other.predict(codes[30:])
    np.testing.assert_allclose(new_mean, mean, atol=1e-8)
    assert (new_std < std).all()
    assert posterior.assuming(codes[:0]) is posterior


def test_candidates_in_flight_keep_others_away():
    """Taken to end below what is predicted, they and their like promise less; what was told is not moved much."""
    predictor = noisy_predictor(60, explore=0)
    model, codes = predictor._model(), SPACE.sample_encodings(1, np.random.default_rng(8))
    near = predictor._changes(codes, np.random.default_rng(9))
    before, after = model.predict(near).mean, model.assuming(codes, 1.0).predict(near).mean
    assert (after < before).mean() > 0.95
    assert (before - after).mean() > 0.2 * model.predict(codes).std[0]
    assert model.assuming(codes, 1.0).winner == model.winner


def test_many_in_flight_are_spread_out(monkeypatch):
    """Eight proposals without a result differ in more decisions than if each were taken to come back as predicted."""

    def apart(below):
        monkeypatch.setattr(predictor_module, "_BELOW", below)
        predictor = noisy_predictor(60, explore=0)
        codes = np.array([SPACE.encode(predictor.ask().architecture) for _ in range(8)])
        return np.mean([(a != b).sum() for a, b in itertools.combinations(codes, 2)])

    assert apart(1.0) > 1.1 * apart(0.0)


@pytest.mark.parametrize("by_stage", [False, True])
def test_more_observations_are_taken_in_as_if_all_had_come_at_once(by_stage):
    """Adding to a factorisation gives what a new one gives: means, deviations and what is left out, doubts counted."""
    rng, features = np.random.default_rng(5), Features(SPACE, by_stage=by_stage)
    codes = SPACE.sample_encodings(60, rng)
    targets, doubt = rng.normal(size=40), np.geomspace(0.5, 20, 40)
    h = hyperparameters(features, rng)
    whole = Posterior(features, h, codes[:40], targets, doubt)
    grown = Posterior(features, h, codes[:30], rng.normal(size=30), doubt[:30])
    grown = grown.observing(codes[30:35], rng.normal(size=35), doubt[30:35]).observing(
        codes[35:40], targets, doubt[35:]
    )
    np.testing.assert_allclose(grown.predict(codes), whole.predict(codes), rtol=1e-8)
    np.testing.assert_allclose(grown.left_out(), np.array(whole.left_out())[:, 35:], rtol=1e-8)


@pytest.mark.parametrize("by_stage", [False, True])
def test_a_glance_sees_the_mean_and_hardly_less_than_the_deviation(by_stage):
    """By sums made beforehand, and by a part of the data: the first and the last; the fewer the wider, all: equal."""
    rng, features = np.random.default_rng(5), Features(SPACE, by_stage=by_stage)
    codes = SPACE.sample_encodings(150, rng)
    posterior = Posterior(features, hyperparameters(features, rng), codes[:90], rng.normal(3, 2, size=90))
    posterior = posterior.observing(codes[90:97], rng.normal(3, 2, size=97)).assuming(codes[97:100])
    mean, std = posterior.predict(codes)
    deviations = [Sketch(posterior, rows, 10).predict(codes)[1] for rows in (90, 60, 20)]
    np.testing.assert_allclose(Sketch(posterior, 20, 10).predict(codes)[0], mean, atol=1e-4)
    np.testing.assert_allclose(deviations[0], std, rtol=1e-3)
    assert (deviations[1] > std * (1 - 1e-3)).all()
    assert (deviations[2] > deviations[1] * (1 - 1e-3)).all()
    assert deviations[2].mean() > 1.05 * std.mean()
    late = np.arange(97, 100)
    assert (
        Sketch(posterior, 20, 10).predict(codes)[1][late].max() < Sketch(posterior, 20, 0).predict(codes)[1][late].min()
    )


def targets_of(**changes):
    codes = SPACE.sample_encodings(30, np.random.default_rng(6))
    features = Features(SPACE, by_stage=False)
    observations = [observation(t, SPACE.encode(t.architecture)) for t in trials_of(SPACE, codes, **changes)]
    return Targets(features, observations), codes


def test_params_are_exact_whatever_the_classifier():
    """Ten classes and a reference network are recovered from told params: P of an unseen candidate is exact."""
    targets, _ = targets_of()
    fresh = SPACE.sample_encodings(20, np.random.default_rng(7))
    np.testing.assert_allclose(np.exp(targets.log_params(fresh)), numbers(SPACE, fresh)[2], rtol=1e-6)


def test_exponents_are_read_or_recovered():
    """w and v come with the trials, or follow from rewards, step times and params when they do not."""
    assert targets_of()[0].exponents == (-0.07, -0.05)
    assert targets_of(w=None, v=None)[0].exponents == pytest.approx((-0.07, -0.05), abs=1e-4)


def test_step_time_is_recovered_from_rewards():
    """Without told step times, the reward, accuracy and params leave S up to a factor."""
    targets, codes = targets_of(s_normalised=None)
    ratio = targets.times[1] / numbers(SPACE, codes)[1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_another_reward_is_split_into_accuracy_and_the_rest():
    """A reward that is no weighted product still has accuracy taken out: the rest depends on costs alone."""
    codes = SPACE.sample_encodings(30, np.random.default_rng(6))
    trials = [
        replace(t, reward=t.accuracy * (1.0 if t.s_normalised < 0.6 else 0.5), w=None, v=None)
        for t in trials_of(SPACE, codes)
    ]
    targets = Targets(Features(SPACE, by_stage=False), [observation(t, SPACE.encode(t.architecture)) for t in trials])
    assert targets.exponents == (1.0, 0.0)
    assert set(np.round(targets.times[1], 9)) == {0.5, 1.0}


def test_given_step_times_are_used():
    """With a timer at hand the predicted reward follows it, and no step time is modelled."""
    codes = np.unique(SPACE.sample_encodings(40, np.random.default_rng(8)), axis=0)
    predictor = ALGORITHMS["predictor"](
        SPACE, step_time=lambda many: numbers(SPACE, np.array([SPACE.encode(a) for a in many]))[1]
    )
    for trial in trials_of(SPACE, codes):
        predictor.tell(trial)
    model = predictor._model()
    assert model.times is None
    a, s, p = numbers(SPACE, codes)
    np.testing.assert_allclose(model.predict(codes)[0], np.log(a * s**-0.07 * p**-0.05), atol=0.01)


def noisy_predictor(trials, noise=0.01, **settings):
    """A predictor told so many trials with noisy accuracies."""
    rng = np.random.default_rng(9)
    codes = np.unique(SPACE.sample_encodings(2 * trials, rng), axis=0)
    rng.shuffle(codes)
    predictor = ALGORITHMS["predictor"](SPACE, **settings)
    for trial in trials_of(SPACE, codes[:trials]):
        error = 1 + noise * rng.normal()
        predictor.tell(replace(trial, accuracy=trial.accuracy * error, reward=trial.reward * error))
    return predictor


def test_the_gain_is_what_a_draw_from_the_model_would_gain():
    """Drawn from the model: true rewards and their noisy observations, and by how much the winner's mean then rises."""
    model = noisy_predictor(40, noise=0.1)._model()
    near = SPACE.neighbours(SPACE.decode(model.winner.code))
    rng, codes = np.random.default_rng(10), np.array([SPACE.encode(a) for a in near])
    mean, std, noise = model.predict(codes)
    held = model.predict(model.winner.code[None]).mean
    assert held == pytest.approx(max(model.predict(model.targets.codes).mean))
    true = mean + std * rng.normal(size=(50_000, len(codes)))
    looks = true + noise * rng.normal(size=true.shape)
    believed = mean + std**2 / (std**2 + noise**2) * (looks - mean)
    gained = np.maximum(believed - held, 0.0)
    assert math.log(model.targets.reward.max()) - held[0] > 0.005  # the one that looks best was lucky
    np.testing.assert_allclose(np.exp(model.log_gain(codes)), gained.mean(axis=0), atol=6 * gained.std() / 50_000**0.5)


def test_late_proposals_are_by_gain():
    """After `explore` proposals the candidate of the greater gain is asked, before it the more optimistic one."""
    early, late = (noisy_predictor(40, noise=0.003, explore=explore) for explore in (1000, 40))
    hopeful, gainful = (SPACE.encode(predictor.ask().architecture)[None] for predictor in (early, late))
    model = late._model()
    assert model.log_gain(gainful)[0] > model.log_gain(hopeful)[0]
    assert model.optimistic(gainful, 1.0)[0] < model.optimistic(hopeful, 1.0)[0]


def test_many_in_flight_need_not_wait_for_the_warm_up():
    """Eight workers get the model's proposals once ten are out and four are back, not after ten are back."""
    predictor = ALGORITHMS["predictor"](SPACE, warm_up=10)
    asked = [predictor.ask().architecture for _ in range(10)]
    codes = np.array([SPACE.encode(a) for a in asked[:4]])
    told = list(trials_of(SPACE, codes))
    for trial in told[:3]:
        predictor.tell(trial)
    assert predictor.ask().proposed_by == "predictor.random"
    predictor.tell(told[3])
    assert predictor.ask().proposed_by == "predictor.model"


def test_a_network_that_failed_to_train_does_not_drown_the_rest():
    """One accuracy at chance level among good ones leaves the spread of the targets as it was."""
    codes = SPACE.sample_encodings(30, np.random.default_rng(6))
    trials = list(trials_of(SPACE, codes))
    trials[3] = replace(trials[3], accuracy=0.001, reward=0.001)
    targets = Targets(Features(SPACE, by_stage=False), [observation(t, SPACE.encode(t.architecture)) for t in trials])
    assert np.ptp(targets.quality) < 0.5
    assert math.isclose(targets.quality[3], targets.quality.min())


def test_fronts_and_crowding():
    """Dominated points are on later fronts; the ends of a front are never crowded out."""
    points = np.array([[0.0, 3.0], [1.0, 1.0], [3.0, 0.0], [2.0, 2.0], [4.0, 4.0], [0.5, 2.0]])
    rank, crowding = rank_and_crowding(points)
    assert rank.tolist() == [0, 0, 0, 1, 2, 0]
    assert np.isinf(crowding[[0, 2]]).all()
    assert crowding[1] == pytest.approx(2.5 / 3 + 2 / 3)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_rewards_below_0_are_learned_too(shift):
    """A reward such as accuracy - k * step time may be negative all along: what is proposed must get better even so."""
    algorithm, rewards = ALGORITHMS["predictor"](SPACE, 0), []
    for _ in range(40):
        proposal = algorithm.ask()
        architecture = proposal.architecture
        accuracy, time, params = (float(x[0]) for x in numbers(SPACE, SPACE.encode(architecture)[None]))
        rewards.append(accuracy - 0.1 * time - shift)
        notes = proposal.notes
        told = {"accuracy": accuracy, "s_normalised": time, "p_normalised": params, "reward": rewards[-1]}
        algorithm.tell(Trial(architecture, "ok", **told))
    assert min(rewards[30:]) > max(rewards[:10])
    assert notes["predicted_reward"] == pytest.approx(rewards[-1], abs=0.01)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_the_scale_of_step_time_is_the_likelier_one_in_any_unit(unit):
    """Times that multiply are learned as logarithms, ones that add up as they are, in ms as in s.

    The density of a time is not that of its logarithm: comparing them without what is between prefers one by the unit.
    """
    codes = np.unique(SPACE.sample_encodings(90, np.random.default_rng(6)), axis=0)
    features = Features(SPACE, by_stage=False), Features(SPACE, by_stage=True)
    position = codes / (np.array([len(d.choices) for d in SPACE.decisions]) - 1)
    worth = position @ np.linspace(0.2, 1.0, codes.shape[1])
    for times, logarithmic in ((worth - worth.min() + 0.3, False), (np.exp(worth), True)):
        seen = []
        for trial, s in zip(trials_of(SPACE, codes), unit * times, strict=True):
            reward = trial.accuracy * s**-0.07 * trial.p_normalised**-0.05
            seen.append(observation(replace(trial, s_normalised=s, reward=reward), SPACE.encode(trial.architecture)))
        assert fit(features, Targets(features[0], seen)).times.logarithmic == logarithmic


def test_what_is_in_flight_is_counted_as_observed():
    """What is foretold of the second proposal of two is as if the first had come back as expected, not below."""
    predictor = noisy_predictor(40, noise=0.05, explore=10**6)
    first, second = predictor.ask(), predictor.ask()
    bare = predictor._model()
    code = SPACE.encode(second.architecture)[None]
    believed = bare.assuming(SPACE.encode(first.architecture)[None])
    assert believed.predict(code)[1][0] < 0.99 * bare.predict(code)[1][0]
    mean, std = bare.targets.told(*(float(x[0]) for x in believed.predict(code)[:2]))
    told = {name: second.notes[name] for name in ("predicted_reward", "predicted_std")}
    assert told == {"predicted_reward": pytest.approx(mean), "predicted_std": pytest.approx(std)}


@pytest.mark.parametrize("status", ["failed", "oom", "nan", "timeout"])
def test_the_like_of_broken_trials_is_left_alone(status):
    """Ten that ended without a result, all with one choice, make that choice look poor; lost ones say nothing."""
    codes = np.unique(SPACE.sample_encodings(90, np.random.default_rng(6)), axis=0)
    np.random.default_rng(7).shuffle(codes)
    good, bad = codes[codes[:, 0] == 0][:20], codes[codes[:, 0] == 1][:20]
    predicted = {}
    for ended in (status, "interrupted"):
        predictor = ALGORITHMS["predictor"](SPACE)
        for trial in trials_of(SPACE, np.concatenate([good, bad[:10]])):
            predictor.tell(trial)
        for code in bad[10:]:
            predictor.tell(Trial(SPACE.decode(code), ended))
        predicted[ended] = predictor._model().quality.predict(bad)[0].mean()
    assert predicted[status] < predicted["interrupted"] - 0.001


def test_gains_too_small_for_a_number_still_have_an_order():
    """Where the winner is far ahead, the more promising of two is known, of which both would gain 0."""
    model = noisy_predictor(40, noise=0.003)._model()
    codes = SPACE.sample_encodings(200, np.random.default_rng(11))
    usual = model.log_gain(codes)
    gains = {}
    for ahead in (0.0, 1.0, 100.0):
        model.winner = model.winner._replace(mean=model.predict(codes).mean.max() + ahead)
        gains[ahead] = model.log_gain(codes)
        assert np.isfinite(gains[ahead]).all()
        assert len(np.unique(gains[ahead])) == len(np.unique(codes, axis=0))
    assert gains[100.0].max() < -1000
    assert usual.max() > -20


def test_the_winner_is_a_scored_one_and_stands_once():
    """Neither a broken trial nor a repeat is a rival of its own."""
    codes = np.unique(SPACE.sample_encodings(60, np.random.default_rng(6)), axis=0)
    predictor = ALGORITHMS["predictor"](SPACE)
    trials = list(trials_of(SPACE, codes[:12]))
    for trial in [*trials, *trials[:3]]:
        predictor.tell(trial)
    for code in codes[12:]:
        predictor.tell(Trial(SPACE.decode(code), "failed"))
    targets = predictor._model().targets
    leading = targets.leading(100)
    assert len(leading) == 12
    rewards = [t.reward for t in trials]
    assert (leading[0] == codes[int(np.argmax(rewards))]).all()
    assert (predictor._model().winner.code == leading).all(axis=1).any()


@pytest.mark.parametrize("explore", [0, 1000])
@pytest.mark.parametrize(("part", "loss"), [(1, 1e-3), (8, 0.1)])
def test_glancing_first_costs_little_of_the_gain(explore, part, loss, monkeypatch):
    """What is proposed is worth about what the best of all is, looked at closely, and is itself looked at closely."""
    monkeypatch.setattr(reward_model, "_FEW", 40)
    monkeypatch.setattr(reward_model, "_PART", part)
    glancing = noisy_predictor(150, explore=explore)
    model = glancing._model()
    assert model.glance is not model
    worth = glancing._reward_gain(150)(model)
    proposal = glancing.ask()
    code = SPACE.encode(proposal.architecture)[None]
    mean, std = model.targets.told(*(float(each[0]) for each in model.predict(code)[:2]))
    assert proposal.notes["predicted_reward"] == pytest.approx(mean, rel=1e-9)
    assert proposal.notes["predicted_std"] == pytest.approx(std, rel=1e-6)
    monkeypatch.setattr(reward_model, "_FEW", 10**9)
    plain = noisy_predictor(150, explore=explore).ask()
    assert worth(code)[0] > worth(SPACE.encode(plain.architecture)[None])[0] - loss
    assert proposal.notes[WINNER]["arch_id"] == plain.notes[WINNER]["arch_id"]
    assert proposal.notes[WINNER]["mean"] == pytest.approx(plain.notes[WINNER]["mean"], rel=1e-9)


def test_a_long_search_goes_on_as_it_would_have(monkeypatch):
    """Later trials are added to settled ones: a log told at once gives what asking on the way gave, to the bit."""
    monkeypatch.setattr(learner, "_WHOLE", 30)
    monkeypatch.setattr(learner, "_EVERY", 10)
    monkeypatch.setattr(reward_model, "_MOST", 35)
    told = noisy_predictor(59)
    codes = np.array([o.code for o in told._learner().observations])
    steps = [
        replace(trial, s_low=0.99 * trial.s_normalised, s_high=(1.01 + 0.001 * i) * trial.s_normalised)
        for i, trial in enumerate(trials_of(SPACE, codes))
    ]
    asking, silent = ALGORITHMS["predictor"](SPACE), ALGORITHMS["predictor"](SPACE)
    for number, trial in enumerate(steps):
        asking.tell(trial)
        silent.tell(trial)
        if number > 25:
            asking._model()
    model, other = asking._model(), silent._model()
    assert len(model.settled.codes) == 35
    assert 35 < len(model.quality.codes) == len(model.times.process.codes) < 59
    first, second = asking.ask(), silent.ask()
    assert first.architecture == second.architecture
    assert first.notes == second.notes
    np.testing.assert_array_equal(model.quality.factor.own, other.quality.factor.own)
    np.testing.assert_array_equal(model.quality.alpha, other.quality.alpha)


def test_later_trials_count_from_the_first(monkeypatch):
    """Those that are added to settled ones move predictions as if all had been settled."""
    wholes = [10**6, 50]
    means = []
    for whole in wholes:
        monkeypatch.setattr(learner, "_WHOLE", whole)
        model = noisy_predictor(79, noise=0.003)._model()
        codes = SPACE.sample_encodings(100, np.random.default_rng(3))
        means.append(model.predict(codes).mean)
    assert len(model.settled.codes) == 64
    np.testing.assert_allclose(means[1], means[0], rtol=1e-9)
