"""What a search gives to every trial is what its configuration says."""

import pytest

from nas.config.search import parse
from nas.search.task import task_of

CONFIG = {
    "space": {"name": "small", "image_size": 16},
    "image_size": 16,
    "seed": 3,
    "device": "cpu",
    "data": {"source": "digits", "minival": 0.3},
    "augment": {"flip": False},
    "training": {"epochs": 7},
    "execution": {"cuda_graph": "off"},
    "step_time": {"min_pairs": 3},
    "reward": {"name": "mnasnet_soft", "w": -0.1},
    "measure": ["inference"],
    "search": {"time_limit_s": 77.0},
}


def test_a_task_has_the_sections_of_the_configuration():
    """Each as it was read: one that was left out would train every candidate with defaults, and say nothing."""
    config = parse(CONFIG)
    task = task_of(config)
    for name in ("data", "augment", "training", "execution", "step_time", "reward", "reference", "measure", "device"):
        assert getattr(task, name) == getattr(config, name), name
    assert (task.image_size, task.time_limit_s, task.seeding) == (16, 77.0, config.seeding)
    assert (task.training.epochs, task.reward.name) == (7, "mnasnet_soft")


@pytest.mark.parametrize(
    ("cpus", "gpus", "threads", "share"), [(0.5, 0, 1, 0.5), (2.9, 0, 2, 2.9), (4, 0.25, 4, 0.25), (1, 1, 1, 1)]
)
def test_threads_and_the_share_of_the_device_follow_the_resources(cpus, gpus, threads, share):
    """Whole CPUs, one at least; of the GPU where there is one, else of the CPUs."""
    config = parse(CONFIG | {"search": {"cpus_per_trial": cpus, "gpus_per_trial": gpus}})
    task = task_of(config)
    assert (task.threads, task.device_share) == (threads, share)
