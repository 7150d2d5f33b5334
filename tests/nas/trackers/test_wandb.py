"""Weights & Biases in offline mode: local files, no account."""

import json

import pytest

from nas.trackers.wandb import WandB


@pytest.fixture
def library(monkeypatch):
    wandb = pytest.importorskip("wandb", reason="W&B is not installed")
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield wandb
    wandb.teardown()


def closed(library, path):
    """What a run's file holds once W&B's own process, which writes it, has ended."""
    library.teardown()
    return path.read_bytes()


def recorded(folder):
    """The ids of the runs whose files are there, each as often as it was recorded."""
    return sorted(path.name.split("-", 3)[3] for path in (folder / "wandb").glob("offline-run-*"))


@pytest.mark.filterwarnings("ignore")
def test_a_search_that_goes_on_records_each_trial_once(search, library):
    """A trial is a run of the search's group; two parts of a search leave a run a trial."""
    search.tell(WandB(), 0, 2)
    search.tell(WandB(), 2, 3)
    assert recorded(search.folder) == [f"{search.info.run_id}-{number}" for number in range(3)]
    assert json.loads((search.folder / "wandb.json").read_text())["trials"] == [0, 1, 2]
    [file] = (search.folder / "wandb").glob(f"offline-run-*-{search.info.run_id}-2/*.wandb")
    content = closed(library, file)
    for part in (b"stage2_kernel_size", b"energy_j", b"s_normalised", search.trials[2].arch_id.encode()):
        assert part in content


@pytest.mark.filterwarnings("ignore")
def test_a_training_is_one_run(training, library):
    """Its epochs and its result are in one run."""
    training.tell(WandB(), 0, 4)
    assert recorded(training.folder) == ["abcd1234"]
    [file] = (training.folder / "wandb").glob("offline-run-*/*.wandb")
    assert b"test_accuracy" in closed(library, file)
