"""TensorBoard's event files, read back with TensorBoard itself."""

import pytest

pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from nas.trackers.tensorboard import TensorBoard


def events(folder):
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def scalars(folder):
    """{tag: [(step, value), ...]} as TensorBoard shows them."""
    found = events(folder)
    return {tag: [(e.step, pytest.approx(e.value)) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_each_trial_is_a_run_with_its_epochs_its_numbers_and_its_decisions(search):
    """SCALARS has a trial's curve and what was measured, HPARAMS its decisions beside these."""
    search.tell(TensorBoard(), 0, 12)
    for trial in search.trials:
        run = search.folder / "tensorboard" / f"trial-{trial.trial_id:04}"
        found = scalars(run)
        curve = [(epoch["epoch"] + 1, epoch["accuracy"]) for epoch in trial.curve]
        assert found.get("epoch/accuracy", []) == curve
        assert found.get("final/reward", []) == ([] if trial.reward is None else [(2, trial.reward)])
        data = events(run).summary_metadata["_hparams_/session_start_info"].plugin_data.content
        chosen = plugin_data_pb2.HParamsPluginData.FromString(data).session_start_info.hparams
        assert chosen["stage2_kernel_size"].number_value == trial.architecture.stages[1].kernel_size
        assert chosen["status"].string_value == trial.status
    third = scalars(search.folder / "tensorboard" / "trial-0002")
    assert third["final/energy_j"] == [(2, 12.5)], "a number of one's own is a metric like others"


@pytest.mark.parametrize("stop", [0, 3, 12])
def test_a_search_that_goes_on_doubles_nothing(search, stop):
    """After a stop and a go, and once more without a new trial, the curve of the search has one point a trial."""
    search.tell(TensorBoard(), 0, stop)
    search.tell(TensorBoard(), stop, 12)
    search.tell(TensorBoard(), 12, 12)
    best = scalars(search.folder / "tensorboard" / "search")["search/best_reward"]
    scored = [trial for trial in search.trials if trial.reward is not None]
    assert [step for step, _ in best] == [number for number in range(1, 13) if number not in (4, 8)]
    assert best[-1] == (12, max(trial.reward for trial in scored))
    runs = sorted(path.name for path in (search.folder / "tensorboard").iterdir())
    assert runs == ["search", *(f"trial-{number:04}" for number in range(12))]
    for trial in scored:
        run = search.folder / "tensorboard" / f"trial-{trial.trial_id:04}"
        assert len(scalars(run)["final/reward"]) == 1


def test_a_tracker_that_comes_late_tells_what_was_before(search):
    """A search that gets its tracker when it goes on has the trials of before in it, too."""
    search.tell(TensorBoard(), 7, 12)
    assert (search.folder / "tensorboard" / "trial-0000").is_dir()


def test_a_training_shows_each_epoch_once_and_what_came_out(training):
    """Epochs written after the checkpoint that a training goes on from are hidden; the result is in place of before."""
    training.tell(TensorBoard(), 0, 3)
    training.tell(TensorBoard(), 2, 4)  # the third epoch was after the last checkpoint
    training.tell(TensorBoard(), 4, 4)
    assert (training.folder / "tensorboard" / "epochs").read_text() == "4\n"
    found = scalars(training.folder / "tensorboard")
    assert found["accuracy"] == [(2, 0.6), (3, 0.7), (4, 0.8)]
    assert [step for step, _ in found["train_loss"]] == [1, 2, 3, 4]
    assert found["top5"] == [(4, 0.9)]
    result = scalars(training.folder / "tensorboard" / "result")
    assert result["final/test_accuracy"] == [(0, 0.75)]
    assert result["final/best_accuracy"] == [(0, 0.8)]


@pytest.mark.parametrize("first", [1, 4])
def test_what_a_kill_kept_back_is_added(training, first):
    """Where workers trained on while the command that tells was gone, the next start tells what is missing."""
    training.tell(TensorBoard(), 0, 1)
    training.tell(TensorBoard(), first, 4)
    found = scalars(training.folder / "tensorboard")
    assert [step for step, _ in found["train_loss"]] == [1, 2, 3, 4]


def test_files_of_earlier_versions_are_not_doubled(training):
    """They say nothing of how many epochs they have: it is as many as the checkpoint."""
    training.tell(TensorBoard(), 0, 3)
    (training.folder / "tensorboard" / "epochs").unlink()
    training.tell(TensorBoard(), 2, 4)
    found = scalars(training.folder / "tensorboard")
    assert [step for step, _ in found["train_loss"]] == [1, 2, 3, 4]
