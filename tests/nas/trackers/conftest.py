"""A search and a training as callbacks are told of them, without running either."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from nas.config.search import parse
from nas.runs.folder import read_config, read_lines, read_run
from nas.runs.trial import Trial
from nas.trackers.callback import SearchInfo, TrainingEnd, TrainingInfo

CURVE = tuple(
    {
        "epoch": number,
        "train_loss": 2.0 - number / 10,
        "loss": None if number == 0 else 1.5 - number / 10,
        "accuracy": None if number == 0 else 0.5 + number / 10,
        "learning_rate": 0.1,
        "image_size": 16,
        "seconds": 1.5,
        "images_per_s": 100.0,
        **({"metrics": {"top5": 0.9}} if number == 3 else {}),  # of an objective of one's own
    }
    for number in range(4)
)


@pytest.fixture
def search(run):
    """Twelve finished trials; `tell(callback, first, last)` tells one part of the search, begun and ended."""
    config = parse(read_config(run)).to_dict()
    trials = [Trial.from_dict(record) for record in read_lines(run / "trials.jsonl")]
    trials[2] = replace(trials[2], metrics={"energy_j": 12.5}, started_at=trials[2].ended_at)
    info = SearchInfo(run, read_run(run)["run_id"], config, (), len(trials), 2, "running")

    def tell(callback, first, last, state="stopped"):
        callback.on_search_begin(replace(info, trials=trials[:first]))
        for trial in trials[first:last]:
            callback.on_trial_begin(trial.trial_id, None)
            callback.on_trial_end(trial)
        callback.on_search_end(replace(info, trials=trials[:last], state=state))

    return SimpleNamespace(folder=run, trials=trials, tell=tell, info=info)


@pytest.fixture
def training(tmp_path):
    """A training of four epochs; `tell(callback, first, last)` tells some of them."""
    config = {"architecture": {"stages": []}, "training": {"epochs": 4, "ema_decay": None}, "seed": 0}
    info = TrainingInfo(tmp_path, "abcd1234", config, (), 4, (16,) * 4, (10,) * 4, "CPU")

    def tell(callback, first, last):
        begun = replace(info, curve=CURVE[:first])
        callback.on_train_begin(begun)
        for epoch in CURVE[first:last]:
            callback.on_step()
            callback.on_epoch(epoch)
        test = {"accuracy": 0.75, "loss": 1.0, "images": 10, "weights": "final"} if last == 4 else None
        end = TrainingEnd(tmp_path, "ok" if last == 4 else "stopped", None, last, 0.8, 1.2, 0.8, 3, test)
        callback.on_train_end(begun, end)

    return SimpleNamespace(folder=tmp_path, tell=tell, info=info)
