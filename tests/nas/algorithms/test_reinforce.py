"""The controllers' own promises, beside the contract of all algorithms."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.algorithms.reinforce import Controller
from nas.config.search import parse
from nas.runs.trial import Trial
from search_space.choices import StageChoices
from search_space.ops import OPS, Op
from search_space.space import SearchSpace
from search_space.spaces import small

SPACE = small()
LENGTHS = [len(decision.choices) for decision in SPACE.decisions]
UNIFORM = -sum(map(math.log, LENGTHS))  # log-probability of any architecture before anything was learned
CODES = np.unique(SPACE.sample_encodings(60, np.random.default_rng(0)), axis=0)
np.random.default_rng(1).shuffle(CODES)


def trial(code, reward, log_prob=UNIFORM):
    return Trial(SPACE.decode(code), "ok", reward=reward, proposal={"log_prob": log_prob})


def log_prob(algorithm, code):
    return float(algorithm.controller.log_probs(algorithm.controller.one_hot(np.array(code)[None]))[0])


def test_ppo_learns_from_ranks():
    """PPO proposes the same whether rewards are far apart or close together, as they are late in a search."""
    plain, squeezed = (ALGORITHMS["ppo"](small(), seed=2) for _ in range(2))
    for _ in range(40):
        proposal = plain.ask()
        architecture, notes = proposal.architecture, proposal.notes
        assert squeezed.ask().architecture == architecture
        reward = sum(stage.layers * stage.expansion for stage in architecture.stages) / 100
        for algorithm, told in ((plain, reward), (squeezed, 0.7 + 0.01 * reward**3)):
            algorithm.tell(Trial(architecture, "ok", proposed_by="ppo", parents=(), proposal=notes, reward=told))


def test_ppo_settings_in_a_config():
    """Every setting of PPO can be given in a configuration."""
    given = {"learning_rate": 0.1, "memory": 100, "batch": 10, "entropy": 0.02, "epochs": 6, "clip": 0.2}
    config = parse({"space": {"name": "small"}, "image_size": 32, "algorithm": {"name": "ppo", **given}})
    assert config.algorithm.settings == given


@pytest.mark.parametrize("autoregressive", [False, True])
def test_a_proposal_says_how_probable_it_was(autoregressive):
    """Frequencies of many draws are the probabilities given with them, which are those of the policy."""
    rng = np.random.default_rng(3)
    controller = Controller([2, 3], autoregressive)
    controller.bias[:] = rng.normal(size=5)
    controller.weights[:] = rng.normal(size=(5, 5)) * controller.mask
    codes, logs = controller.sample(40_000, rng)
    np.testing.assert_allclose(logs, controller.log_probs(controller.one_hot(codes)))
    for code in np.ndindex(2, 3):
        same = (codes == code).all(axis=1)
        assert same.mean() == pytest.approx(math.exp(logs[same][0]), abs=0.01)


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_proposals_carry_the_log_probability(name):
    """Of the policy as it is: before anything was learned all are equally likely."""
    notes = [ALGORITHMS[name](SPACE, seed).ask().notes["log_prob"] for seed in range(3)]
    assert notes == [pytest.approx(UNIFORM)] * 3


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_where_an_op_ignores_a_decision_the_log_probability_is_that_of_the_others(name, monkeypatch):
    """Whatever was drawn for what is no decision of the architecture is not kept, so it says nothing."""
    monkeypatch.setitem(OPS, "plain", Op(None, None, ignores=("expansion",)))
    stages = tuple(replace(stage, op=("plain", "mbconv")) for stage in SPACE.stages)
    algorithm = ALGORITHMS[name](replace(SPACE, stages=stages, reference=None), seed=0)
    algorithm.controller.bias[:] = np.random.default_rng(0).normal(size=len(algorithm.controller.bias))
    starts = algorithm.controller.starts
    chances = algorithm.controller.probabilities(np.zeros((1, starts[-1])))[0]
    ignored = 0
    for _ in range(5):
        proposal = algorithm.ask()
        code = algorithm.space.encode(proposal.architecture)
        active = algorithm.space.active(code[None])[0]
        ignored += (~active).sum()
        expected = np.log(chances[starts[:-1] + code])[active].sum()
        assert proposal.notes["log_prob"] == pytest.approx(expected)
    assert ignored


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_what_was_better_becomes_likelier(name):
    """After one batch the best is likelier than before, the worst less likely."""
    algorithm = ALGORITHMS[name](SPACE, batch=4, entropy=0.0)
    for code, reward in zip(CODES, (0.9, 0.5, 0.5, 0.1), strict=False):
        algorithm.tell(trial(code, reward))
    assert log_prob(algorithm, CODES[0]) > UNIFORM + 0.1
    assert log_prob(algorithm, CODES[3]) < UNIFORM - 0.1


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_a_batch_is_waited_for(name):
    """The policy moves when `batch` trials are scored, not before, and failed ones do not count."""
    algorithm = ALGORITHMS[name](SPACE, batch=3)
    for code, reward in zip(CODES, (0.9, 0.5), strict=False):
        algorithm.tell(trial(code, reward))
    algorithm.tell(Trial(SPACE.decode(CODES[5]), "failed"))
    assert log_prob(algorithm, CODES[0]) == pytest.approx(UNIFORM)
    algorithm.tell(trial(CODES[2], 0.4))
    moved = log_prob(algorithm, CODES[0])
    assert moved != pytest.approx(UNIFORM)
    algorithm.tell(trial(CODES[3], 0.3))
    assert log_prob(algorithm, CODES[0]) == moved


def test_a_late_result_weighs_by_the_ratio_of_its_probabilities():
    """Of two that were as good, the one that was five times less likely when it was proposed gains more."""
    gains = []
    for stale in (0, 1):
        algorithm = ALGORITHMS["reinforce"](SPACE, batch=3, entropy=0.0)
        for number, reward in enumerate((0.8, 0.8, 0.2)):
            algorithm.tell(trial(CODES[number], reward, UNIFORM - math.log(5) * (number == stale)))
        gains.append(log_prob(algorithm, CODES[0]) - log_prob(algorithm, CODES[1]))
    assert gains[0] > gains[1] + 1


def test_ppo_leaves_alone_what_has_left_the_clip_range():
    """A thousand small steps on one batch: the best gets likelier by the clip's width and a momentum's bit, no more."""
    best, worst = {}, {}
    for clip in (0.2, 1.0):
        algorithm = ALGORITHMS["ppo"](SPACE, batch=2, entropy=0.0, epochs=1000, learning_rate=0.001, clip=clip)
        algorithm.tell(trial(CODES[0], 0.9))
        algorithm.tell(trial(CODES[1], 0.1))
        best[clip] = math.exp(log_prob(algorithm, CODES[0]) - UNIFORM)
        worst[clip] = math.exp(log_prob(algorithm, CODES[1]) - UNIFORM)
    assert 1.2 < best[0.2] < 1.5 < 2.0 < best[1.0] < 2.6
    assert 0.6 < worst[0.2] < 0.8
    assert worst[1.0] < 0.5  # 1 - clip is 0: nothing holds it


def test_the_entropy_bonus_keeps_the_policy_wide():
    """From the same trials a policy with more of the bonus ends less sure, and an even reward leads it back to even."""
    sure, unsure = (ALGORITHMS["reinforce"](SPACE, entropy=entropy) for entropy in (0.0, 0.3))
    for number, code in enumerate(CODES[:50]):
        for algorithm in (sure, unsure):
            algorithm.tell(trial(code, 0.5 + 0.4 * (CODES[number][0] == 0)))
    entropies = [spread(algorithm) for algorithm in (sure, unsure)]
    assert entropies[0] < entropies[1] - 0.5
    even = ALGORITHMS["reinforce"](SPACE, entropy=1.0)
    even.controller.bias[0] = 3.0
    before = spread(even)
    for code in CODES[:50]:
        even.tell(trial(code, 0.5, log_prob(even, code)))
    assert spread(even) > before + 0.1


def spread(algorithm):
    """Entropy of the policy, in nats; its decisions are independent."""
    p = algorithm.controller.probabilities(np.zeros((1, sum(LENGTHS))))[0]
    return float(-(p * np.log(p + 1e-12)).sum())


def test_an_autoregressive_controller_sees_earlier_decisions():
    """Good are those whose two decisions agree: looking back, the second follows the first whichever that is."""
    pair = SearchSpace(8, tuple(StageChoices(("mbconv",), (1, 2), (3,), (4,), (8,), (2,)) for _ in range(2)), 16)
    follows = {}
    for autoregressive in (False, True):
        algorithm = ALGORITHMS["reinforce"](pair, batch=4, autoregressive=autoregressive, entropy=0.0)
        for _ in range(8):
            for code in np.ndindex(2, 2):
                told = {"reward": 0.5 + 0.2 * (code[0] == code[1]), "proposal": {"log_prob": -2 * math.log(2)}}
                algorithm.tell(Trial(pair.decode(code), "ok", **told))
        rows = algorithm.controller.one_hot(np.array([[0, 0], [1, 1]]))
        follows[autoregressive] = algorithm.controller.probabilities(rows)[[0, 1], [2, 3]]
    assert follows[False].sum() == pytest.approx(1)
    assert (follows[True] > 0.9).all()


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_what_is_no_longer_in_memory_is_not_learned_from(name):
    """Two searches that differ in their first trials alone update alike when those are older than the memory."""
    policies = []
    for first in (0.9, 0.1):
        algorithm = ALGORITHMS[name](SPACE, batch=5, memory=5)
        algorithm._update = lambda samples, seen=policies: seen.append([sample.reward for sample in samples])
        for number, code in enumerate(CODES[:10]):
            algorithm.tell(trial(code, first if number == 0 else 0.5))
    assert [len(seen) for seen in policies] == [5, 5, 5, 5]
    assert policies[1] == policies[3] == [0.5] * 5


def test_the_baseline_is_the_moving_mean_of_rewards():
    """Of rewards 1, 0, 1 and 0.5 and a decay of a half, the latest counts for most; each is counted once."""
    algorithm = ALGORITHMS["reinforce"](SPACE, batch=2, memory=2, baseline_decay=0.5, entropy=0.0)
    for reward in (1.0, 0.0, 1.0, 0.5):
        algorithm.tell(trial(CODES[int(reward * 2)], reward))
    # Weights 1/8, 1/4, 1/2, 1 from the first to the last: mean (0.125 + 0 + 0.5 + 0.5) / 1.875 = 0.6
    assert algorithm.mean / algorithm.weight == pytest.approx(0.6)


def test_a_trial_of_another_algorithm_counts_as_drawn_uniformly():
    """A warm start's trials have no log-probability: they teach what they would with the uniform one."""
    with_it, without = (ALGORITHMS["reinforce"](SPACE, batch=3) for _ in range(2))
    for code, reward in zip(CODES, (0.9, 0.5, 0.1), strict=False):
        with_it.tell(trial(code, reward))
        without.tell(Trial(SPACE.decode(code), "ok", reward=reward))
    assert log_prob(with_it, CODES[0]) == log_prob(without, CODES[0])


def test_a_policy_that_repeats_itself_asks_a_neighbour():
    """Sure of an architecture that was told, it asks for one a decision away, with the probability that one has."""
    algorithm = ALGORITHMS["reinforce"](SPACE)
    best = CODES[0]
    rows = algorithm.controller.one_hot(best[None])[0]
    algorithm.controller.bias[:] = 40.0 * rows
    algorithm.tell(trial(best, 0.9, 0.0))
    proposal = algorithm.ask()
    assert proposal.proposed_by == "reinforce.mutation"
    assert (SPACE.encode(proposal.architecture) != best).sum() == 1
    assert proposal.notes["log_prob"] == pytest.approx(-40.0, abs=0.1)


def test_a_policy_all_of_whose_neighbours_were_told_walks_on():
    """It asks for what lies near what it wants, two or three decisions away, not for a random architecture."""
    algorithm = ALGORITHMS["ppo"](SPACE, batch=10_000, memory=10_000)
    best = CODES[0]
    algorithm.controller.bias[:] = 40.0 * algorithm.controller.one_hot(best[None])[0]
    for architecture in (SPACE.decode(best), *SPACE.neighbours(SPACE.decode(best))):
        algorithm.tell(trial(SPACE.encode(architecture), 0.5))
    proposals = [algorithm.ask() for _ in range(20)]
    assert {proposal.proposed_by for proposal in proposals} == {"ppo.mutation"}
    away = [(SPACE.encode(proposal.architecture) != best).sum() for proposal in proposals]
    assert min(away) == 2
    assert np.mean(away) < 3.5  # at random 6.5


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_nothing_is_learned_from_ties(name):
    """Two hundred equal rewards leave the policy as it was: neither their order nor rounding counts."""
    algorithm = ALGORITHMS[name](SPACE, entropy=0.0)
    for number in range(200):
        algorithm.tell(trial(CODES[number % 40], 0.7))
    assert log_prob(algorithm, CODES[0]) == pytest.approx(UNIFORM)


def test_equal_rewards_share_their_ranks():
    """Of PPO, whose rewards count by rank: two in the middle are worth the same, less than the first."""
    algorithm = ALGORITHMS["ppo"](SPACE)
    ranks = algorithm._advantages(np.array([0.9, 0.5, 0.5, 0.1]))
    assert ranks[1] == ranks[2]
    assert ranks[0] > ranks[1] > ranks[3]
