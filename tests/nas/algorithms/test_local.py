"""Local search's own promises, beside the contract of all algorithms."""

import numpy as np

from nas.algorithms import ALGORITHMS
from nas.runs.trial import Trial
from search_space.choices import StageChoices
from search_space.space import SearchSpace
from search_space.spaces import small

SPACE = small()
CODES = np.unique(SPACE.sample_encodings(60, np.random.default_rng(0)), axis=0)
CUBE = SearchSpace(8, tuple(StageChoices(("mbconv",), (1, 2), (3, 5), (1, 4), (8,), (2,)) for _ in range(2)), 16)


def ok(space, code, reward):
    return Trial(space.decode(code), "ok", reward=reward)


def test_neighbours_of_the_best_are_asked_and_a_better_one_is_the_next_centre():
    """Proposals differ from the centre in one decision; a worse result leaves it where it is, a better one moves it."""
    algorithm = ALGORITHMS["local"](SPACE, warm_up=3)
    trials = [ok(SPACE, CODES[n], reward) for n, reward in enumerate([0.5, 0.7, 0.6])]
    for trial in trials:
        algorithm.tell(trial)
    centre = trials[1].architecture
    for reward in (0.6, 0.7):  # no better, as good
        proposal = algorithm.ask()
        assert (proposal.proposed_by, proposal.parents) == ("local.neighbour", (centre.arch_id,))
        assert (SPACE.encode(proposal.architecture) != SPACE.encode(centre)).sum() == 1
        algorithm.tell(Trial(proposal.architecture, "ok", reward=reward))
    proposal = algorithm.ask()
    assert proposal.parents == (centre.arch_id,)
    better = proposal.architecture
    algorithm.tell(Trial(better, "ok", reward=0.8))
    assert algorithm.ask().parents == (better.arch_id,)


def test_a_failed_trial_moves_nothing():
    """Without a reward it is neither best nor centre, nor does it count for the warm-up."""
    algorithm = ALGORITHMS["local"](SPACE, warm_up=2)
    algorithm.tell(ok(SPACE, CODES[0], 0.5))
    algorithm.tell(Trial(SPACE.decode(CODES[1]), "oom", reward=0.9))
    assert algorithm.ask().proposed_by == "local.random"
    algorithm.tell(ok(SPACE, CODES[2], 0.4))
    assert algorithm.ask().parents == (SPACE.decode(CODES[0]).arch_id,)


def test_when_its_neighbours_are_done_it_restarts_near_the_best():
    """The restart changes `kick` decisions of the best at most, and becomes the centre although it is worse."""
    algorithm = ALGORITHMS["local"](CUBE, warm_up=1, kick=3)
    best = CUBE.decode([0] * 6)
    algorithm.tell(Trial(best, "ok", reward=0.9))
    for _ in range(6):
        proposal = algorithm.ask()
        assert proposal.proposed_by == "local.neighbour"
        algorithm.tell(Trial(proposal.architecture, "ok", reward=0.5))
    restart = algorithm.ask()
    assert (restart.proposed_by, restart.parents) == ("local.restart", (best.arch_id,))
    assert 2 <= (CUBE.encode(restart.architecture) != 0).sum() <= 3
    algorithm.tell(Trial(restart.architecture, "ok", reward=0.1))
    after = algorithm.ask()
    assert (after.proposed_by, after.parents) == ("local.neighbour", (restart.architecture.arch_id,))
