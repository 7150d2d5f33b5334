"""Trials of earlier searches: which are told, that they stay the same ones, and what is refused."""

import json
import shutil
from dataclasses import replace

import pytest

from nas.config.search import parse
from nas.runs.folder import TRIALS, WARM_START, read_config
from nas.runs.log import JsonLines
from nas.search.warm_start import earlier_trials, recall, remember
from search_space.choices import StageChoices


def test_a_continued_run_is_told_the_same_trials_again(run, tmp_path):
    """What was told first is kept in the run's own folder, marked: the earlier run may be gone by then."""
    config = parse(read_config(run))
    trials = earlier_trials([run], config)
    assert len(trials) == 12
    (tmp_path / "new").mkdir()
    remember(tmp_path / "new", trials)
    shutil.copy(run / TRIALS, tmp_path / "new")
    remember(tmp_path / "new", trials[:5])  # the same command again, whatever became of the run
    again = recall(tmp_path / "new", config.space)
    assert [t.architecture for t in again] == [t.architecture for t in trials]
    assert {t.proposed_by for t in again} == {f"warm_start:{trials[0].run_id}"}
    with pytest.raises(
        ValueError, match=f"began with the trials of {trials[0].run_id}; those of other cannot be added"
    ):
        remember(tmp_path / "new", [replace(trials[0], run_id="other")])


def test_what_a_killed_start_left_is_not_told_twice(run, tmp_path):
    """A start killed while it wrote the earlier trials down is simply made again."""
    trials = earlier_trials([run], parse(read_config(run)))
    left = JsonLines(tmp_path / f".{WARM_START}")
    left.append(trials[0].to_dict())
    left.close()
    remember(tmp_path, trials)
    assert [t.arch_id for t in recall(tmp_path, parse(read_config(run)).space)] == [t.arch_id for t in trials]


def test_an_interrupted_warm_start_is_written_whole(run, tmp_path):
    """What an earlier version, killed while it wrote, left half is made whole by the same command, or made another."""
    trials = earlier_trials([run], parse(read_config(run)))
    for begun in (trials[:3], [replace(trials[0], run_id="other")]):
        (tmp_path / WARM_START).write_text("".join(trial.to_json() + "\n" for trial in begun) + '{"torn')
        remember(tmp_path, trials)
        assert len(recall(tmp_path, parse(read_config(run)).space)) == 12


def test_the_seed_may_be_another(run):
    """What is proposed, and the weights of a trial, follow from it; what was measured is as true."""
    config = parse(read_config(run))
    assert len(earlier_trials([run], replace(config, seed=config.seed + 1))) == 12


def test_trials_outside_the_space_are_left_out(run):
    """A narrower space takes what it can express of a wider one's trials."""
    config = parse(read_config(run))
    first = config.space.stages[0]
    stages = (StageChoices(**{**vars(first), "op": first.op[:1]}), *config.space.stages[1:])
    told = earlier_trials([run], replace(config, space=replace(config.space, stages=stages)))
    assert 0 < len(told) < 12
    assert {trial.architecture.stages[0].op for trial in told} == {first.op[0]}


def test_trials_trained_otherwise_are_refused(run):
    """Other epochs, other accuracies: the message names the setting."""
    record = read_config(run)
    record["training"]["epochs"] = 3
    with pytest.raises(ValueError, match=r"not comparable with this search: training.epochs: 10 -> 3"):
        earlier_trials([run], parse(record))


def test_a_run_that_has_begun_takes_no_warm_start(run):
    """An algorithm that proposed without them cannot be rebuilt with them."""
    with pytest.raises(ValueError, match="has trials already"):
        remember(run, earlier_trials([run], parse(read_config(run))))
    remember(run, [])  # but goes on without one
    assert json.loads((run / "trials.jsonl").read_text().splitlines()[0])
