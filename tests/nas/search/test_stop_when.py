"""A search that ends where more trials would gain too little: what is written down, and how it goes on."""

import random
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.algorithms import ALGORITHMS
from nas.config.search import parse
from nas.config.settings import RepeatSettings, StopSettings
from nas.runs.events import asked
from nas.runs.folder import PROPOSALS
from nas.runs.repeats import is_repeat
from nas.runs.trial import Trial
from nas.search.checks import check_config
from nas.search.ledger import Ledger
from nas.search.plan import describe
from search_space.families import published
from search_space.spaces import small

CONFIG = {"space": {"name": "small"}, "image_size": 32}
STOP = StopSettings(0.001)


def open_ledger(folder, *, trials=200, stop_when=STOP, repeats=None):
    algorithm = ALGORITHMS["random"](small(), 3)
    return Ledger(
        folder, algorithm, run_id="r", seed=1, trials=trials, max_attempts=2, repeats=repeats, stop_when=stop_when
    )


def work(ledger, rng, steps=10**6):
    """Run as an engine with three slots would; rewards are near 0.7, and follow from architecture and seed."""
    running = []
    while not ledger.done and steps:
        steps -= 1
        candidate = ledger.next_candidate() if len(running) < 3 else None
        if candidate is not None:
            running.append(candidate)
        elif running:
            one = running.pop(rng.randrange(len(running)))
            true = 0.7 + 0.02 * int(one.proposal.architecture.arch_id[:4], 16) / 16**4
            reward = true + 0.001 * np.random.default_rng(one.seed).normal()
            ledger.finish(one.trial_id, Trial(published("efficientnet_b0"), "ok", reward=reward, reward_se=0.001))
    return ledger


def test_a_search_ends_where_more_trials_gain_too_little(tmp_path):
    """Before its trials are used up and after twenty; the log says why, and the same search again changes nothing."""
    ledger = work(open_ledger(tmp_path), random.Random(0))
    ledger.close()
    assert ledger.done
    assert 20 <= len(ledger.trials) < 100
    assert "more are expected to gain 0.00" in ledger.enough
    assert asked(tmp_path / PROPOSALS) == (len(ledger.trials), True, ledger.enough), "by which status says finished"
    again = open_ledger(tmp_path)
    assert again.next_candidate() is None
    assert again.done
    assert again.enough == ledger.enough
    again.close()


def test_it_goes_on_where_less_is_asked_of_it(tmp_path):
    """With a smaller gain, or without the setting; then it may end by the setting again."""
    first = work(open_ledger(tmp_path), random.Random(0))
    first.close()
    smaller = work(open_ledger(tmp_path, stop_when=StopSettings(0.0001)), random.Random(0))
    smaller.close()
    assert len(smaller.trials) > len(first.trials)
    assert smaller.enough
    without = work(open_ledger(tmp_path, stop_when=None), random.Random(0))
    without.close()
    assert len(without.trials) == 200
    assert without.enough is None
    assert asked(tmp_path / PROPOSALS) == (200, False, None)


@pytest.mark.parametrize("less", range(1, 16, 2))
def test_one_killed_near_its_end_ends_as_it_would_have(tmp_path, less):
    """Before and after the decision, with trainings in flight, and among its repeats: six of the best three."""
    repeats = RepeatSettings(3, 3)
    (tmp_path / "straight").mkdir()
    straight = work(open_ledger(tmp_path / "straight", repeats=repeats), random.Random(0))
    trials = sorted(straight.trials, key=lambda trial: trial.trial_id)
    assert [is_repeat(trial) for trial in trials] == [False] * (len(trials) - 6) + [True] * 6
    work(open_ledger(tmp_path, repeats=repeats), random.Random(0), steps=2 * len(trials) - less).close()
    resumed = work(open_ledger(tmp_path, repeats=repeats), random.Random(1))
    assert resumed.done
    assert resumed.enough
    trials = sorted(resumed.trials, key=lambda trial: trial.trial_id)
    assert [is_repeat(trial) for trial in trials][-7:] == [False, *[True] * 6]


def test_the_search_says_why_it_ended(tmp_path, monkeypatch, capsys, without_ray):
    """As its last line, in what it returns, and in its status; ten more trials then say the same."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "evaluators")
    settings = {"trials": 60, "evaluator": "learning:evaluate", "stop_when": {"expected_gain": 0.5}}
    space = {"name": "small", "image_size": 8}
    sections = {"space": space, "image_size": 8, "device": "cpu", "algorithm": {"name": "random"}}
    sections |= {"training": {"epochs": 1}, "data": {"source": "digits", "cache_dir": str(tmp_path / "cache")}}
    for trials in (60, 70):
        run = nas.run_search(nas.search_config(search=settings, **sections), folder=tmp_path / "run", trials=trials)
        assert run.ended.state == "finished"
        assert run.ended.reason.startswith("search.stop_when: after 20 trials 10 more are expected to gain 0.")
        assert capsys.readouterr().err.splitlines()[-1] == run.ended.reason
    found = run.status()
    assert (found.state, found.trials, found.ended_by) == ("finished", 20, run.ended.reason)
    assert nas.stop_advice(run) == found.advice


def test_settings_are_read_and_checked():
    """`search.stop_when` is a section of its own; off unless it is there, and refused where nothing can be said."""
    config = parse(CONFIG | {"search": {"trials": 50, "stop_when": {"expected_gain": 0.01}}})
    assert config.search.stop_when == StopSettings(0.01)
    assert parse(config.to_dict()).search == config.search
    assert parse(CONFIG).search.stop_when is None
    assert "50, or fewer: until 10 more are expected to gain less than 0.01" in describe(config)["trials"]
    for given, message in [
        ({"gain": 3}, "unknown key 'search.stop_when.gain'"),
        ({"expected_gain": 0}, "search.stop_when: expected_gain must be above 0, got 0"),
        (0.001, "search.stop_when must be a mapping, got 0.001"),
    ]:
        with pytest.raises(ValueError) as error:
            parse(CONFIG | {"search": {"stop_when": given}})
        assert message in str(error.value)
    several = parse(CONFIG | {"search": {"stop_when": {}}, "algorithm": {"name": "nsga2"}})
    with pytest.raises(ValueError, match=r"search\.stop_when: what more trials would gain is not said of several"):
        check_config(several)
