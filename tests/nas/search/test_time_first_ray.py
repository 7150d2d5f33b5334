"""`search.time_first` on real Ray: real networks timed and trained, and drivers really killed."""

import random
import time

import pytest

import nas
from nas.analysis.frame import load, load_timings
from nas.commands.read import status
from nas.config.search import search_config
from nas.runs.folder import PROPOSALS, TIMINGS, TRIALS
from nas.runs.log import read_lines
from nas.trackers.callback import Callback
from tests.nas.search import test_kill

pytestmark = pytest.mark.timeout(600)


class Heard(Callback):
    def __init__(self):
        self.timed, self.ended = [], []

    def on_timing(self, timing):
        self.timed.append(timing)

    def on_trial_end(self, trial):
        self.ended.append(trial)


def configured(tmp_path, **search):
    return search_config(
        space={"name": "small", "image_size": 8},
        image_size=8,
        data={"source": "digits", "cache_dir": str(tmp_path / "cache"), "subset": 256},
        training={"epochs": 1, "batch_size": 64},
        step_time={"warmup": 1, "min_pairs": 2, "max_pairs": 2, "block_pairs": 2, "turn": 1, "lock": False},
        algorithm={"name": "evolution", "warm_up": 1},
        device="cpu",
        search={"trials": 3, "workers": 2, "time_first": 2} | search,
    )


def test_digits_are_timed_first_and_the_winner_is_not_timed_again(tmp_path, one_ray, capsys):
    """What is trained has its timing's columns; readers of trials meet no timing, those of timings all."""
    heard = Heard()
    run = nas.run_search(configured(tmp_path), folder=tmp_path / "run", callbacks=[heard], progress=False)
    assert run.ended.state == "finished"
    table, timings = load(run.folder), load_timings(run.folder)
    assert (len(table), len(timings)) == (len(heard.ended), len(heard.timed)) == (3, 6)
    assert set(table["status"]) == {"ok"}
    assert set(timings["status"]) == {"timed"}
    assert timings[["accuracy", "reward"]].isna().all(axis=None)
    assert [name for name in timings.columns if name != "after"] == [*table.columns]
    shared = ["s_normalised", "s_low", "s_high", "step_time_ms", "step_time_n", "reference_step_time_ms"]
    both = table.merge(timings, on="arch_id", suffixes=("", "_timed"))
    assert len(both) == 3
    for name in shared:
        assert both[name].equals(both[f"{name}_timed"].rename(name)), name
    assert run.best()["trial_id"].min() >= 0
    assert run.status().timings == 6
    assert run.status().device_h * 3600 == pytest.approx(table["device_s"].sum() + timings["device_s"].sum())
    status(run.folder, "table")
    assert "timings" in capsys.readouterr().out
    assert "6 were timed" in run.report().read_text()
    again = nas.run_search(run.folder, progress=False)
    assert len(again.trials) == 3
    further = nas.run_search(run.folder, trials=4, progress=False)
    assert (len(further.trials), len(further.timings())) == (4, 8)


def test_a_driver_killed_again_and_again_makes_each_timing_once(tmp_path, monkeypatch):
    """kill -9 at random moments, with candidates that raise, crash and hang, loses and doubles none of them."""
    rng, trials, k = random.Random(time.time_ns()), 8, 3
    config = test_kill.CONFIG.replace("misbehaving:", "timing_kinds:").replace(
        "trials: TRIALS", f"trials: TRIALS, time_first: {k}"
    )
    monkeypatch.setattr(test_kill, "CONFIG", config)
    folder, before = tmp_path / "run", {TIMINGS: b"", TRIALS: b""}
    for _ in range(test_kill.KILLS):
        process = test_kill.start(tmp_path, trials)
        count = test_kill.started(tmp_path)
        test_kill.wait_for(lambda: test_kill.started(tmp_path) > count or process.poll() is not None)  # noqa: B023
        time.sleep(rng.uniform(0, 4))
        process.kill()
        process.communicate()
        for name, text in before.items():
            now = (folder / name).read_bytes() if (folder / name).exists() else b""
            assert now.startswith(text), f"{name} changed"
            before[name] = now[: now.rfind(b"\n") + 1]
    process = test_kill.start(tmp_path, trials)
    output = test_kill.finish(process)
    assert process.returncode == 0, output
    for name, text in before.items():
        assert (folder / name).read_bytes().startswith(text)
    timings, records = read_lines(folder / TIMINGS), read_lines(folder / TRIALS)
    assert sorted(each["trial_id"] for each in records) == list(range(trials))
    assert sorted(-each["trial_id"] for each in timings) == list(range(1, k * trials + 1))
    assert len({each["arch_id"] for each in timings}) == k * trials
    expected = {"ok": "timed", **{name: what for name, what in test_kill.EXPECTED.items() if name != "ok"}}
    assert all(each["status"] == expected[test_kill.kind(each["arch_id"])] for each in timings)
    times = {each["arch_id"]: each["s_normalised"] for each in timings}
    trained = [each for each in records if each["status"] == "ok"]
    assert trained
    assert all(each["s_normalised"] == times[each["arch_id"]] for each in trained)
    proposed = [e for e in read_lines(folder / PROPOSALS) if e["event"] == "proposed"]
    assert len(proposed) == len({e["trial_id"] for e in proposed}) == (k + 1) * trials
