"""MLflow's own client reads what was recorded in a local store."""

import pytest

pytest.importorskip("mlflow", reason="MLflow is not installed")
pytest.importorskip("alembic", reason="MLflow's local store needs SQLAlchemy and Alembic")

from mlflow.tracking import MlflowClient

from nas.trackers.mlflow import MLflow

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SQLAlchemy, in MLflow


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def recorded(folder, experiment="training-aware-nas"):
    """The client of the default store and all runs that are not deleted."""
    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    return client, client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def history(client, run, name):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


def children(runs, parent):
    found = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return {int(run.data.tags["nas.trial_id"]): run for run in found}


def test_a_search_in_two_parts_is_one_run_with_a_child_a_trial(search):
    """Stopped and resumed, and once more with nothing to do: one parent, each trial once, with all it has to tell."""
    search.tell(MLflow(), 0, 5)
    search.tell(MLflow(), 5, 12, state="finished")
    search.tell(MLflow(), 12, 12, state="finished")
    client, runs = recorded(search.folder)
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["nas.run_id"] == search.info.run_id
    assert parent.data.params["image_size"] == "16"
    assert parent.data.params["training.epochs"] == "10"
    found = children(runs, parent)
    assert len(runs) == 13
    assert sorted(found) == list(range(12))
    for trial in search.trials:
        run = found[trial.trial_id]
        assert run.data.params["stage2_kernel_size"] == str(trial.architecture.stages[1].kernel_size)
        assert run.data.tags["nas.status"] == trial.status
        for name in ("accuracy", "s_normalised", "reward", "params"):
            assert run.data.metrics.get(name) == getattr(trial, name)
        curve = [(epoch["epoch"] + 1, epoch["accuracy"]) for epoch in trial.curve]
        assert history(client, run, "accuracy") == curve
        assert run.info.status == ("FINISHED" if trial.status == "ok" else "FAILED")
    assert found[2].data.metrics["energy_j"] == 12.5
    rewards = history(client, parent, "reward")
    assert [step for step, _ in rewards] == [number for number in range(1, 13) if number not in (4, 8)]
    assert history(client, parent, "best_reward")[-1] == (12, max(reward for _, reward in rewards))


def test_a_trial_whose_recording_was_killed_is_recorded_anew(search):
    """A child run that was left open by a killed search is replaced by a whole one."""
    search.tell(MLflow(), 0, 3)
    client, runs = recorded(search.folder)
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    client.delete_run(children(runs, parent)[2].info.run_id)
    tags = {"mlflow.parentRunId": parent.info.run_id, "nas.trial_id": "2"}
    half = client.create_run(parent.info.experiment_id, tags=tags)
    search.tell(MLflow(), 3, 4)
    client, runs = recorded(search.folder)
    found = children(runs, parent)
    assert sorted(found) == [0, 1, 2, 3]
    assert found[2].info.run_id != half.info.run_id
    assert found[2].data.metrics["reward"] == search.trials[2].reward


def test_another_store_gets_everything(search, tmp_path):
    """A tracking URI and an experiment of one's own; what an earlier store has is told to the new one, too."""
    search.tell(MLflow(), 0, 2)
    search.tell(MLflow(tracking_uri=f"sqlite:///{tmp_path / 'elsewhere.db'}", experiment="mine"), 2, 3)
    client = MlflowClient(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    runs = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert len(runs) == 4


def test_a_training_that_goes_on_stays_one_run(training):
    """Each epoch is one step, also one that is repeated after the last checkpoint; the result is told once."""
    training.tell(MLflow(), 0, 3)
    training.tell(MLflow(), 2, 4)
    training.tell(MLflow(), 4, 4)
    client, [run] = recorded(training.folder)
    assert history(client, run, "accuracy") == [(2, 0.6), (3, 0.7), (4, 0.8)]
    assert [step for step, _ in history(client, run, "train_loss")] == [1, 2, 3, 4]
    assert history(client, run, "top5") == [(4, 0.9)], "what an objective measures is a metric, too"
    assert history(client, run, "test_accuracy") == [(4, 0.75)]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"training.epochs": "4", "training.ema_decay": "None", "seed": "0"}
