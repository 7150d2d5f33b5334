"""A run for the tools of others: Optuna's study, DeepCAVE's tables."""

import json
import re
import shutil

import pandas as pd
import pytest

import nas
from nas.cli import main
from nas.export.study import Parameter, read_record
from nas.runs.folder import read_trials
from tests.nas.report.conftest import search_by

optuna = pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")


@pytest.fixture
def storage():
    """A storage that is not on disk: a file's takes a second to be made."""
    return optuna.storages.InMemoryStorage()


def test_a_run_is_a_study(run, tmp_path, capsys):
    """Optuna reads back what was chosen, what came out, how it was learnt, and what failed; the best is the run's."""
    storage = f"sqlite:///{tmp_path}/study.db"
    assert main(["export-study", str(run), "--storage", storage]) == 0
    assert "12 trials added" in " ".join(capsys.readouterr().out.split())  # a long path wraps the line
    study = optuna.load_study(study_name="run", storage=storage)
    record, trials = read_record(run), study.get_trials()
    assert study.metric_names == ["reward"]
    assert study.user_attrs["run_id"] == record.run_id
    assert [trial.state.name for trial in trials].count("FAIL") == 2
    assert trials[3].user_attrs["error"] == "ValueError: x"
    assert trials[7].user_attrs["status"] == "oom"
    best = nas.open_run(run).best_trial
    assert study.best_trial.number == best.trial_id
    assert study.best_value == best.reward
    for ours, theirs in zip(record.trials, trials, strict=True):
        assert theirs.params == record.chosen(ours)
        assert theirs.user_attrs["arch_id"] == ours.arch_id
        assert theirs.intermediate_values == {epoch["epoch"]: epoch["accuracy"] for epoch in ours.curve}
        assert json.loads(theirs.user_attrs["architecture"]) == ours.architecture.to_dict()
    assert optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())


def test_it_grows_with_its_run(run, storage):
    """Again adds what has finished since, after a kill as well: a trial is there once, whole."""
    log = run / "trials.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:5]))
    assert nas.export_study(run, storage) == 5
    log.write_text("".join(lines))
    assert nas.export_study(nas.open_run(run), storage) == 7
    assert nas.export_study(run, storage) == 0
    numbers = [t.user_attrs["trial_id"] for t in optuna.load_study(study_name="run", storage=storage).get_trials()]
    assert sorted(numbers) == list(range(12))


def test_bad_input_is_one_line_and_nothing_is_written(run, storage, tmp_path, capsys):
    """Another run's study, no run, no database, no target: status 2."""
    nas.export_study(run, storage)
    other = shutil.copytree(run, tmp_path / "other" / "run")
    about = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(about | {"run_id": "rother"}))
    with pytest.raises(ValueError, match="has a study 'run' that is not of"):
        nas.export_study(other, storage)
    for arguments, message in (
        (["--storage", "study.db"], "no study in 'study.db'"),
        (["--storage", "sqlite:////nowhere/at/all/study.db"], "no study in 'sqlite:////nowhere/at/all/study.db'"),
        ([], "give --storage URL"),
        (["--name", "x", "--deepcave", str(tmp_path / "dc")], "--name is the Optuna study's"),
    ):
        assert main(["export-study", str(other), *arguments]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1
    assert main(["export-study", str(tmp_path / "none"), "--storage", f"sqlite:///{tmp_path}/new.db"]) == 2
    assert not (tmp_path / "new.db").exists()
    assert len(optuna.load_study(study_name="run", storage=storage).get_trials()) == 12
    assert nas.export_study(other, storage, name="second") == 12


def test_whole_numbers_that_rise_evenly_are_integers():
    """A sampler or a plot of Optuna's may go between none of the others."""
    steps = {
        choices: Parameter("x", choices).step
        for choices in ((1, 2, 3), (3, 5), (1, 4, 6), (0.0, 0.25), ("a", "b"), (5, 3))
    }
    assert steps == {(1, 2, 3): 1, (3, 5): 2, (1, 4, 6): None, (0.0, 0.25): None, ("a", "b"): None, (5, 3): None}


def test_several_objectives_are_several_values(run, storage):
    """A search for a front is a study for a front, each objective in its direction."""
    search_by(run, name="nsga2", objectives=["accuracy", "params"])
    assert nas.export_study(run, storage) == 12
    study = optuna.load_study(study_name="run", storage=storage)
    assert study.metric_names == ["accuracy", "p_normalised"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    front = {trial.user_attrs["arch_id"] for trial in study.best_trials}
    assert front == set(nas.open_run(run).pareto()["arch_id"])


def test_deepcave_reads_its_tables(run, tmp_path, capsys):
    """By the rules of its documentation, read as its converter does: categories as text, bounds in the heading."""
    folder = tmp_path / "deepcave" / "run"
    assert main(["export-study", str(run), "--deepcave", str(folder)]) == 0
    space, trials = pd.read_csv(folder / "configspace.csv"), pd.read_csv(folder / "trials.csv")
    items = [column for column in space if column.startswith("item_")]
    for _, row in space.iterrows():
        if row["type"] == "integer":
            assert trials[row["name"]].between(row["lower"], row["upper"]).all()
        else:
            known = [str(row[item]) for item in items if pd.notna(row[item])]
            assert row["default"] in known
            assert set(trials[row["name"]]) <= set(known)
    (metric,) = (column for column in trials if column.startswith("metric"))
    found = re.fullmatch(r"metric:(\w+) \[(-?\d+\.?\d*|[-+]inf); (-?\d+\.?\d*|[-+]inf)\] \((\w+)\)", metric)
    name, low, high, direction = found.groups()
    assert (name, direction) == ("reward", "maximize")
    assert trials[metric].dropna().between(float(low), float(high)).all()
    assert trials["status"].value_counts().to_dict() == {"success": 10, "crashed": 1, "memoryout": 1}
    assert (trials["end_time"] >= trials["start_time"]).all()
    rewards = [trial.reward for trial in sorted(read_trials(run), key=lambda trial: trial.trial_id)]
    assert trials[metric].astype(object).where(trials[metric].notna(), None).tolist() == rewards
