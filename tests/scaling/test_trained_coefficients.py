"""The coefficients' grid search with real trainings: the search's own evaluator scores every point."""

import math
from dataclasses import replace

import pytest
import torch

from nas.config.search import parse
from nas.trials.evaluate import evaluate
from nas.trials.task import Task
from scaling.coefficients import fit_coefficients
from search_space.block_strings import from_block_strings

BASE = from_block_strings(["r1_k3_s1_e1_i8_o8_c1", "r2_k3_s2_e4_i8_o16_c1"], image_size=8, head_channels=32)
CONFIG = {
    "space": {"name": "small", "image_size": 8},
    "data": {"source": "digits", "minival": 0.2, "subset": 256},
    "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.4},
    "step_time": {"warmup": 1, "min_pairs": 2, "max_pairs": 2},
    "reward": {"name": "weighted_product", "w": 0, "v": 0},
    "image_size": 8,
    "device": "cpu",
}


@pytest.fixture
def task(tmp_path):
    """What the trials of a search share, as its configuration says."""
    config = parse({**CONFIG, "data": {**CONFIG["data"], "cache_dir": str(tmp_path)}})
    return Task(
        data=config.data,
        augment=config.augment,
        training=config.training,
        execution=config.execution,
        step_time=config.step_time,
        reward=config.reward,
        reference=BASE,
        image_size=config.image_size,
        device=config.device,
        threads=1,
        time_limit_s=None,
        device_share=1.0,
    )


def test_coefficients_from_real_proxy_trainings(task):
    """Each point of the grid is trained at its own image size; its score is that training's accuracy, and repeats."""
    trained = {}

    def proxy(architecture):
        at_its_size = replace(task, image_size=architecture.image_size)
        answer = evaluate(architecture, 0, at_its_size, lambda so_far: True)
        trained[architecture.arch_id] = answer
        return answer["reward"] if answer["status"] == "ok" else math.nan

    torch.set_num_threads(1)
    points = fit_coefficients(BASE, proxy, step=0.5, tolerance=0.25)
    assert {(p.alpha, p.beta, p.gamma) for p in points} == {(2.0, 1.0, 1.0), (1.0, 1.5, 1.0), (1.0, 1.0, 1.5)}
    assert [p.score for p in points] == sorted((p.score for p in points), reverse=True)
    for p in points:
        answer = trained[p.architecture.arch_id]
        assert (answer["image_size"], p.score) == (p.architecture.image_size, answer["accuracy"])
        assert answer["epochs"] == 2
        assert p.score > 0.15  # chance is 0.1: it learned
    assert {p.architecture.image_size for p in points} == {8, 12}
    again = evaluate(points[0].architecture, 0, replace(task, image_size=points[0].architecture.image_size), bool)
    assert again["accuracy"] == points[0].score
