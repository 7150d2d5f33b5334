"""CSV files beside the log, read back with the standard library."""

import csv

import pytest

from nas.trackers.csv import CSV


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("stop", [0, 2, 5, 12])
def test_a_search_in_two_parts_leaves_one_row_a_trial(search, stop):
    """Wherever a search was stopped, and whatever was torn then, the file has each trial once, and every column."""
    search.tell(CSV(), 0, stop)
    with (search.folder / "trials.csv").open("a") as file:
        file.write("torn,li")
    search.tell(CSV(), stop, 12)
    written = rows(search.folder / "trials.csv")
    assert [int(row["trial_id"]) for row in written] == [trial.trial_id for trial in search.trials]
    for row, trial in zip(written, search.trials, strict=True):
        assert row["architecture"] == trial.architecture.to_json()
        assert row["status"] == trial.status
        assert row["reward"] == ("" if trial.reward is None else repr(trial.reward))
        assert int(row["stage2_kernel_size"]) == trial.architecture.stages[1].kernel_size
        assert None not in row.values(), "a row as long as the header"
    assert [row["energy_j"] for row in written if row["energy_j"]] == ["12.5"]
    assert "curve" not in written[0]


def test_a_training_that_goes_on_repeats_no_epoch(training):
    """Two epochs, then the other two: four rows."""
    training.tell(CSV(), 0, 2)
    training.tell(CSV(), 2, 4)
    written = rows(training.folder / "metrics.csv")
    assert [row["epoch"] for row in written] == ["0", "1", "2", "3"]
    assert [row["top5"] for row in written] == ["", "", "", "0.9"]
    assert [row["accuracy"] for row in written] == ["", "0.6", "0.7", "0.8"]
