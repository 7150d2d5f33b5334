"""The controllers' own promises, beside the contract of all algorithms."""

from nas.algorithms import ALGORITHMS
from nas.config.search import parse
from nas.runs.trial import Trial
from search_space.spaces import small


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
