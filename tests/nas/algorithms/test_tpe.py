"""What the tpe algorithm adds to Optuna's sampler, beside the contract of all algorithms."""

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS, Proposal
from nas.runs.trial import Trial
from search_space.spaces import small

pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")

SPACE = small()
CODES = np.unique(SPACE.sample_encodings(200, np.random.default_rng(0)), axis=0)
np.random.default_rng(1).shuffle(CODES)


def asked(seed, flying=(), rewards=lambda code: 0.5 + 0.001 * code.sum()):
    """The code that is asked next after 30 trials, with these architectures in flight."""
    algorithm = ALGORITHMS["tpe"](SPACE, seed)
    for code in CODES[:30]:
        algorithm.tell(Trial(SPACE.decode(code), "ok", reward=float(rewards(code))))
    for architecture in flying:
        algorithm.assume(Proposal(architecture, "tpe"))
    return SPACE.encode(algorithm.ask().architecture)


def test_what_is_in_flight_counts_as_poor():
    """With twelve in flight around what would be asked, something else is: else all workers would go to one place."""
    moved = []
    for seed in range(8):
        wanted = asked(seed, [SPACE.decode(code) for code in CODES[30:42]])
        around = SPACE.neighbours(SPACE.decode(wanted))[:12]
        moved.append((asked(seed, around) != wanted).any())
    assert sum(moved) >= 4


def test_it_goes_where_rewards_were_high():
    """Maximised, not minimised: proposals begin with the choice of the higher rewards, whichever that is."""
    low, high = (
        np.mean([asked(seed, rewards=lambda code, s=sign: s * code[0])[0] for seed in range(12)]) for sign in (-1, 1)
    )
    assert low < 0.3
    assert high > 0.7


def test_an_architecture_that_was_seen_is_changed_until_it_is_new():
    """Its densities peak where it has been; a random one would learn nothing of that: the parent says what it was."""
    algorithm = ALGORITHMS["tpe"](SPACE, startup=1, candidates=200)
    best = SPACE.decode(CODES[0])
    for code in CODES[:40]:
        near = float((code == CODES[0]).mean())
        algorithm.tell(Trial(SPACE.decode(code), "ok", reward=near))
    proposals = []
    for _ in range(30):
        proposals.append(algorithm.ask())
        near = float((SPACE.encode(proposals[-1].architecture) == CODES[0]).mean())
        algorithm.tell(Trial(proposals[-1].architecture, "ok", reward=near))
    changed = [p for p in proposals if p.proposed_by == "tpe.mutation"]
    assert changed
    assert {p.parents for p in changed} <= {(arch_id,) for arch_id in algorithm.seen}
    assert best.arch_id not in {p.architecture.arch_id for p in proposals}


def asked_after(trials, sign):
    """What five seeds ask after so many trials of which the first decision was good or bad."""
    algorithms = [ALGORITHMS["tpe"](SPACE, seed, startup=10) for seed in range(5)]
    for algorithm in algorithms:
        for code in CODES[:trials]:
            algorithm.tell(Trial(SPACE.decode(code), "ok", reward=float(sign * code[0])))
    return [algorithm.ask().architecture.arch_id for algorithm in algorithms]


def test_it_starts_at_random():
    """Before `startup` results the rewards say nothing: the same is asked whatever they were."""
    assert asked_after(9, 1) == asked_after(9, -1)
    assert asked_after(30, 1) != asked_after(30, -1)


def test_what_a_proposal_costs_does_not_grow_with_the_log(monkeypatch):
    """Optuna looks at so many trials at most, the best among them; a replayed log, which asked nothing, asks the same.

    Nor do trials that only said what was in flight pile up in its study.
    """
    monkeypatch.setattr("nas.algorithms.tpe._MOST", 60)
    monkeypatch.setattr("nas.algorithms.tpe._GOOD", 20)
    one, other = ALGORITHMS["tpe"](SPACE, 1), ALGORITHMS["tpe"](SPACE, 1)
    rewards = np.random.default_rng(2).permutation(150) / 150
    for number, code in enumerate(CODES[:150]):
        told = Trial(SPACE.decode(code), "ok", reward=float(rewards[number]))
        one.tell(told)
        other.tell(told)
        for _ in range(8 * (number % 10 == 0)):  # as many in flight
            one.ask()
        if number % 10 == 5:
            one.pending.clear()
        assert len(one.worths) <= 60
        assert len(one.study.get_trials(deepcopy=False)) < 2 * 60 + 20
    best = {SPACE.decode(CODES[at]).arch_id for at in np.argsort(-rewards)[:20]}
    assert best <= set(one.worths)
    one.pending.clear()
    other.seen |= one.seen
    assert one._propose(np.random.default_rng(3)) == other._propose(np.random.default_rng(3))
