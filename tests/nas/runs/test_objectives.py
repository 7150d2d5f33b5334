"""Of a search of several objectives the front is told, everywhere, and not one number."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.cli import main
from nas.runs.objectives import Front, objective_columns, objectives_of
from nas.runs.trial import Trial
from nas.trackers.callback import SearchInfo
from nas.trackers.progress import SearchProgress
from rewards.pareto import pareto_front
from search_space.spaces import SPACES, backbone_of
from tests.nas.report.conftest import several_objectives

CONFIG = {"algorithm": {"name": "nsga2", "objectives": ["accuracy", "step_time"]}}
ARCHITECTURE = backbone_of(SPACES["small"](image_size=16))


def made(points):
    return [
        Trial(ARCHITECTURE, "ok", trial_id=number, accuracy=a, s_normalised=s, reward=a)
        for number, (a, s) in enumerate(points)
    ]


@pytest.mark.parametrize(
    ("algorithm", "names"),
    [
        (CONFIG["algorithm"], ["accuracy", "step_time"]),
        ({"name": "evolution", "population": 30}, []),
        ({"name": "nsga2", "objectives": ["reward"]}, []),
        ({"name": "mine", "objectives": ["beauty", "truth"]}, []),
        ({"name": "mine", "objectives": ["-latency", "accuracy"]}, ["-latency", "accuracy"]),
    ],
)
def test_which_searches_have_several(algorithm, names):
    """Those whose algorithm names two or more that a trial can have; what another calls so is its own affair."""
    assert [*objectives_of({"algorithm": algorithm})] == names


def test_columns_are_those_that_are_known():
    """Step time is S where trials have it, else milliseconds."""
    assert objective_columns(CONFIG, lambda name: True) == ("+accuracy", "-s_normalised")
    assert objective_columns(CONFIG, lambda name: name != "s_normalised") == ("+accuracy", "-step_time_ms")


def test_the_front_grows_to_that_of_all_trials():
    """Looked at now and then, it is the front of everything so far; failures and what is not measured do not count."""
    points = np.random.default_rng(0).random((200, 2))
    front = Front(objectives_of(CONFIG))
    for number, trial in enumerate(made(points)):
        front.count(trial)
        front.count(Trial(ARCHITECTURE, "failed", accuracy=2.0, s_normalised=0.0))
        front.count(Trial(ARCHITECTURE, "ok", accuracy=2.0))
        if number % 17 == 0:
            assert front.look()
    expected = points[pareto_front(points, [True, False])]
    (low, _), (high, most) = expected.min(axis=0), expected.max(axis=0)
    assert front.look() == (
        f"front {len(expected)}: accuracy {low:.3g} to {high:.3g}, step time {expected[:, 1].min():.3g} to {most:.3g}"
    )


def test_the_live_line_tells_the_front():
    """In place of the best reward."""
    trials = made([(0.9, 1.0), (0.8, 0.5), (0.7, 2.0)])
    info = SearchInfo(Path(), "r", CONFIG, trials, budget=9, workers=2, state="running")
    _, line = SearchProgress(info, lambda: 0.0).look()
    assert "front 2: accuracy 0.8 to 0.9, step time 0.5 to 1, busy" in line
    assert "best" not in line
    _, line = SearchProgress(SearchInfo(Path(), "r", {}, trials, 9, 2, "running"), lambda: 0.0).look()
    assert "best 0.9000 (trial 0)" in line


def test_the_commands_show_the_front(run, capsys):
    """`best` lists it and names no winner; with a reward it ranks as ever; `status` has its line."""
    several_objectives(run)
    front = nas.open_run(run).pareto()
    assert main(["best", str(run)]) == 0
    shown = capsys.readouterr().out
    assert "winner" not in shown
    assert f"the front of accuracy, s_normalised: {len(front)} trials that no other beats in all" in shown
    assert main(["best", str(run), "--format", "json"]) == 0
    assert [row["trial_id"] for row in json.loads(capsys.readouterr().out)] == front["trial_id"].tolist()
    assert main(["best", str(run), "--reward", "weighted_product"]) == 0
    assert "winner: trial" in capsys.readouterr().out
    assert main(["status", str(run)]) == 0
    assert re.search(rf"^front +front {len(front)}: accuracy", capsys.readouterr().out, flags=re.M)
