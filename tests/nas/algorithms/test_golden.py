"""What is proposed after a given log is what commit 9b0a34b proposed: an old search goes on as it would have then."""

import pytest

from nas.algorithms import ALGORITHMS
from nas.runs.trial import Trial
from search_space.cost import count
from search_space.spaces import small

SPACE = small()
PROPOSED = {  # the arch_ids asked after 15 told trials, seed 1; by that commit, this file run on it
    "evolution": ["33df7ff0e221", "7973ff8d4085", "281e42c1ae69"],
    "local": ["163e823fd2e6", "a4c028909899", "39b82e9b24d2"],
    "nsga2": ["de64e6e1a72b", "499265354537", "4df8430e5d08"],
    "ppo": ["e8e459fcbe03", "e1e2d8a8f50f", "23b840f716b2"],
    # With none in flight as ever; its second and third are spread out since: what is in flight counts below.
    "predictor": ["770e2316b608", "327927af7414", "1c4f53d90f56"],
    "random": ["ed34c3a83e97", "5914900a83d5", "8f7a0e4e65f2"],
    "reinforce": ["a0baa545cb46", "75a530c6b098", "7f9a6a773d5b"],
    "tpe": ["0e04e94dedd4", "a615b29d0ce6", "6c6a2ee0927a"],
}
SETTINGS = {"nsga2": {"population": 5, "crossover": 0.7}}  # 30 random ones come first by default; 0.7 was the default


@pytest.mark.parametrize("name", ALGORITHMS)
def test_proposals_are_those_of_the_earlier_version(name):
    """Fifteen synthetic trials told, three architectures asked: the same ids as ever, for every algorithm."""
    if name == "tpe":
        pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")
    algorithm = ALGORITHMS[name](SPACE, seed=1, **SETTINGS.get(name, {}))
    for _ in range(15):
        proposal = algorithm.ask()
        params = count(proposal.architecture, 32, 10).params
        step_time = sum(stage.layers * stage.expansion for stage in proposal.architecture.stages) / 20
        accuracy, p = 0.9 - 30 / params**0.5, params / 80_000
        told = {"accuracy": accuracy, "params": params, "p_normalised": p, "s_normalised": step_time}
        reward = accuracy * step_time**-0.07 * p**-0.05
        notes = {"proposed_by": proposal.proposed_by, "parents": proposal.parents, "proposal": proposal.notes}
        algorithm.tell(Trial(proposal.architecture, "ok", **told, **notes, reward=reward, w=-0.07, v=-0.05))
    assert [algorithm.ask().architecture.arch_id for _ in range(3)] == PROPOSED[name]
