"""Finished logs as benchmarks, and rewards computed anew."""

import csv
import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS, Algorithm, Proposal
from nas.algorithms.algorithm import as_proposed
from nas.analysis import load, load_trials, save
from nas.analysis.plots import replays
from nas.config.settings import SearchSettings
from nas.replay.replay import replay, write_replay
from nas.replay.simulation import simulate
from nas.replay.table import Table, read_trials
from nas.runs.folder import read_config
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.cost import count
from search_space.space import SearchSpace
from search_space.spaces import small

SPACE = small()


def trial_of(architecture, **changes):
    params = count(architecture, 32, 10).params / 80_000
    step_time = sum(s.layers * s.expansion for s in architecture.stages) / 20
    accuracy = 0.8 - 0.1 / sum(s.layers for s in architecture.stages)
    known = {
        "accuracy": accuracy,
        "s_normalised": step_time,
        "p_normalised": params,
        "reward": accuracy * step_time**-0.07 * params**-0.05,
        "w": -0.07,
        "v": -0.05,
        "reward_name": "weighted_product",
    }
    return Trial(architecture, **{"status": "ok", **known, **changes})


@pytest.fixture
def log():
    rng = np.random.default_rng(0)
    return [trial_of(SPACE.decode(code)) for code in np.unique(SPACE.sample_encodings(60, rng), axis=0)]


def test_the_table_answers_what_it_knows_and_of_the_rest_the_nearest(log):
    """A known architecture gets its own trial, an unknown one that of the fewest differing decisions, each once."""
    table = Table(SPACE, log[1:])
    assert table.nearest(log[5].architecture) == log[5]
    distance = [int((SPACE.encode(t.architecture) != SPACE.encode(log[0].architecture)).sum()) for t in log[1:]]
    first = log[1:][int(np.argmin(distance))]
    assert table.nearest(log[0].architecture) == first
    assert table.nearest(first.architecture, {first.arch_id}) != first


def test_unfinished_and_foreign_trials_are_no_table(log):
    """A log without a finished trial of the space is an error, not an empty benchmark."""
    with pytest.raises(ValueError, match="none of the 1 trials"):
        Table(SPACE, [trial_of(log[0].architecture, status="oom", reward=None)])
    with pytest.raises(ValueError, match="none of the"):
        Table(small(stem_stride=2), log)


def test_replay_reaches_the_best_of_the_log(log):
    """Given the whole log's length every algorithm meets the log's best; random needs about half of it."""
    records = {r.algorithm: r for r in replay(SPACE, log, ["random", "evolution"], seeds=10)}
    best = max(t.reward for t in log)
    for record in records.values():
        assert record.reached == 1.0
        assert record.final_reward == pytest.approx(best)
        assert record.mean_best == tuple(sorted(record.mean_best))
        assert record.trials_to_best_low <= record.trials_to_best <= record.trials_to_best_high
        assert record.trials_to_near <= record.trials_to_best
    assert 0.2 * len(log) < records["random"].trials_to_best < 0.85 * len(log)


def test_a_short_replay_says_that_it_did_not_arrive(log):
    """Seeds that never meet the best give no number of trials rather than a wrong one."""
    (record,) = replay(SPACE, log, ["random"], seeds=5, budget=2)
    assert record.trials == 2
    assert record.reached < 0.5
    assert record.trials_to_best is None


def test_replay_is_the_same_twice(log):
    """The same log, algorithms and seeds give the same records."""
    assert replay(SPACE, log, ["local"], seeds=3, budget=20) == replay(SPACE, log, ["local"], seeds=3, budget=20)


def test_replay_names_what_is_wrong(log):
    """An unknown algorithm or setting is an error that names it."""
    with pytest.raises(ValueError, match="unknown algorithm 'anneal'"):
        replay(SPACE, log, ["anneal"])
    with pytest.raises(ValueError, match="sample_size"):
        replay(SPACE, log, ["evolution"], settings={"evolution": {"sample_size": 0}})
    with pytest.raises(ValueError, match="seeds"):
        replay(SPACE, log, ["random"], seeds=0)


def test_an_algorithm_from_outside_is_replayed(log, tmp_path, monkeypatch):
    """`module:Name` goes under that name, with settings of its own; it answers as the one it is made of."""
    monkeypatch.syspath_prepend(tmp_path)
    text = "from nas.algorithms.evolution import Evolution\nclass Mine(Evolution):\n    name = 'mine'\n"
    (tmp_path / "my_replayed.py").write_text(text)
    settings = {
        "my_replayed:Mine": {"population": 3, "sample_size": 2},
        "evolution": {"population": 3, "sample_size": 2},
    }
    mine, known = replay(SPACE, log, ["my_replayed:Mine", "evolution"], seeds=2, budget=20, settings=settings)
    assert mine == replace(known, algorithm="my_replayed:Mine")


def test_a_status_of_earlier_versions_is_still_read(log, tmp_path):
    """Logs may hold `filtered`, which nothing wrote of late: turned away before training, so it counts as pruned."""
    record = {**log[0].to_dict(), "status": "filtered", "reward": None}
    (tmp_path / "trials.jsonl").write_text(json.dumps(record) + "\n")
    assert [trial.status for trial in read_trials(tmp_path)] == ["pruned"]


def test_the_written_files_hold_the_records(log, tmp_path):
    """JSON has the curves, CSV a row per algorithm, and the picture is a PNG."""
    records = replay(SPACE, log, ["random", "local"], seeds=3, budget=30)
    whole, rows = write_replay(records, tmp_path / "out")
    assert [r["mean_best"] for r in json.loads(whole.read_text())] == [list(r.mean_best) for r in records]
    with rows.open() as file:
        table = list(csv.DictReader(file))
    assert [row["algorithm"] for row in table] == ["random", "local"]
    assert float(table[0]["final_reward"]) == pytest.approx(records[0].final_reward)
    assert "mean_best" not in table[0]
    replays(records, best=1.0).savefig(tmp_path / "replay.png")
    assert (tmp_path / "replay.png").read_bytes().startswith(b"\x89PNG")


def test_many_searches_are_drawn_in_a_row_for_each_way(log, tmp_path):
    """Of two ways, each algorithm has the same colour in both, and is named once; a few are in one picture."""
    records = replay(SPACE, log, ["random", "local", "evolution", "nsga2"], seeds=2, budget=12, workers=[1, 8])
    few, many = replays(records[:2], best=1.0), replays(records, best=1.0)
    names = ["random", "local", "evolution", "nsga2", "best of the log"]
    assert [axes.get_title(loc="left") for axes in many.axes] == ["one worker, to the end", "8 workers"]
    assert [text.get_text() for text in many.axes[0].get_legend().get_texts()] == names
    first, second = ([line.get_color() for line in axes.get_lines()] for axes in many.axes)
    assert first == second
    assert len(set(first)) == 5
    assert len(few.axes) == 1
    assert [text.get_text() for text in few.axes[0].get_legend().get_texts()] == [
        "random", "random, 8 workers", "best of the log",
    ]  # fmt: skip
    many.savefig(tmp_path / "many.png")


def test_a_csv_with_decision_columns_is_a_log(log, tmp_path):
    """Decision columns, accuracy, step_time and params give the trials back with the weighted product as reward."""
    path = tmp_path / "table.csv"
    names = [d.name for d in SPACE.decisions]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "accuracy", "step_time", "params"])
        for t in log:
            code = SPACE.encode(t.architecture)
            values = [d.choices[i] for d, i in zip(SPACE.decisions, code, strict=True)]
            writer.writerow([*values, t.accuracy, t.s_normalised, t.p_normalised])
    read = read_trials(path, SPACE)
    assert [t.architecture for t in read] == [t.architecture for t in log]
    assert [t.reward for t in read] == pytest.approx([t.reward for t in log])
    text = path.read_text()
    path.write_text(text.replace("accuracy", "acc", 1))
    with pytest.raises(ValueError, match="missing column 'accuracy'"):
        read_trials(path, SPACE)
    path.write_text(text.replace("mbconv", "conv", 1))
    with pytest.raises(ValueError, match="line 2: stage1_op"):
        read_trials(path, SPACE)


def test_a_table_written_from_a_run_is_a_log_again(run, tmp_path):
    """`nas trials --out t.csv` can be replayed: every field comes back as it was, but for the curves."""
    save(load(run), tmp_path / "t.csv")
    space = SearchSpace.from_dict(read_config(run)["space"])
    expected = [replace(trial, curve=()) for trial in load_trials(run)]
    assert read_trials(tmp_path / "t.csv", space) == expected
    save(load(run).assign(accuracy="high"), tmp_path / "t.csv")
    with pytest.raises(ValueError, match="line 2: accuracy must be a number, got 'high'"):
        read_trials(tmp_path / "t.csv", space)


def test_a_run_folder_and_its_log_read_alike(log, tmp_path):
    """`trials.jsonl` is read by itself or through its folder; a missing one is named."""
    (tmp_path / "trials.jsonl").write_text("".join(t.to_json() + "\n" for t in log))
    assert read_trials(tmp_path) == read_trials(tmp_path / "trials.jsonl") == log
    with pytest.raises(ValueError, match="does not exist"):
        read_trials(tmp_path / "other")


def test_metrics_come_back_from_a_csv(run, tmp_path):
    """NSGA-II on a metric would else be random search under another name."""
    records = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    written = [record | {"metrics": {"mine": 1.5}} if record["status"] == "ok" else record for record in records]
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in written))
    save(load(run), tmp_path / "t.csv")
    space = SearchSpace.from_dict(read_config(run)["space"])
    assert {trial.metrics.get("mine") for trial in read_trials(tmp_path / "t.csv", space)} == {1.5, None}


def timed(log, epochs=4):
    """Trials of 40, 80, 120 ... seconds, of which a quarter is an epoch, that learn as a straight line."""

    def curve(trial, whole):
        done = [(number + 1) / epochs for number in range(epochs)]
        return tuple({"accuracy": a * trial.accuracy, "reward": a * trial.reward, "seconds": whole / 4} for a in done)

    return [replace(trial, device_s=40.0 * n, curve=curve(trial, 40.0 * n)) for n, trial in enumerate(log, start=1)]


def test_workers_share_the_hours(log, monkeypatch):
    """Two workers at trials of 40, 80 and 120 s: they end after 40, 80 and 160 s, of two devices each."""
    table = timed(log[:3])
    Scripted.order = [trial.architecture for trial in table]
    monkeypatch.setitem(ALGORITHMS, "scripted", Scripted)
    simulated = simulate(Table(SPACE, table), Scripted(SPACE, 0), trials=3, workers=2)
    assert [answer.hours * 3600 for answer in simulated.answers] == pytest.approx([80, 160, 320])
    assert [answer.reward for answer in simulated.answers] == [trial.reward for trial in table]
    assert simulated.hours * 3600 == pytest.approx(320)
    alone = simulate(Table(SPACE, table), Scripted(SPACE, 0), trials=3)
    assert [answer.hours * 3600 for answer in alone.answers] == pytest.approx([40, 120, 240])


def test_what_is_in_flight_is_not_known_yet(log):
    """Of four workers each is asked for with what was told by then: nothing at first, then one more each time."""
    heard = []

    class Listening(Scripted):
        def _propose(self, rng):
            heard.append((self.told, len(self.pending)))
            return Proposal(self.order[self.told + len(self.pending)], self.name)

    Scripted.order = [trial.architecture for trial in log]
    simulate(Table(SPACE, timed(log)), Listening(SPACE, 0), trials=6, workers=4)
    assert heard == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]


def test_trials_are_stopped_as_a_search_would(log):
    """ASHA of four epochs looks after the first: the worse two thirds of those that came so far end there, paid for."""
    rewards = [0.5, 0.6, 0.4, 0.3]
    table = timed([replace(trial, reward=r, accuracy=r) for trial, r in zip(log[:4], rewards, strict=True)])
    Scripted.order = [trial.architecture for trial in table]
    heard = []

    class Listening(Scripted):
        def _learn(self, trial):
            heard.append((trial.status, trial.accuracy, len(trial.curve)))

    halving = SearchSettings(prune="asha")
    simulated = simulate(Table(SPACE, table), Listening(SPACE, 0), trials=4, settings=halving)
    assert [answer.reward for answer in simulated.answers] == [0.5, 0.6, None, None]
    assert simulated.hours * 3600 == pytest.approx(40 + 80 + 120 / 4 + 160 / 4)
    assert heard == [("ok", 0.5, 4), ("ok", 0.6, 4), ("pruned", 0.1, 1), ("pruned", 0.075, 1)]


def test_hours_end_a_search(log):
    """What would end later is not known; all algorithms are compared at the hours that each of them took."""
    table = timed(log[:10])
    (record,) = replay(SPACE, table, ["random"], seeds=5, hours=200 / 3600)
    assert record.final_hours == record.equal_hours == pytest.approx(200 / 3600)
    assert record.mean_best_by_hours[-1] == record.equal_reward == record.final_reward
    whole, short = replay(SPACE, table, ["random"], seeds=5, prune=["none", "asha"])
    assert short.pruned_share > 0.3
    assert whole.pruned_share == 0
    assert whole.equal_hours == short.equal_hours <= short.final_hours < whole.final_hours
    assert whole.hours == short.hours
    asked = SearchSettings(prune="asha", prune_epochs=(2,))
    whole, later = replay(SPACE, table, ["random"], seeds=5, prune=["none", "asha"], search=asked)
    assert whole.pruned_share == 0
    assert later.final_hours > short.final_hours
    (again,) = replay(SPACE, table, ["random"], seeds=5, prune=["asha"], prune_epochs=[1], search=asked)
    assert again.final_hours == short.final_hours


def test_candidates_are_timed_before_one_is_trained(log, monkeypatch):
    """Two timings of 5 s for each training of 20 s, in the order and on the workers that a search would have."""
    order = log[:6]
    monkeypatch.setattr(Scripted, "order", [trial.architecture for trial in order])
    epochs = tuple({"reward": 0.5, "seconds": 10.0} for _ in range(2))
    table = [replace(trial, device_s=25.0, curve=epochs) for trial in order]
    heard = []

    class Chooser(Scripted):
        def _propose(self, rng):
            return Proposal(self.order[len(self.seen)], self.name)

        def _learn_timing(self, timing):
            heard.append((timing.arch_id, timing.status, timing.accuracy, timing.s_normalised))

        def _choose(self, timings):
            return as_proposed(timings[-1])

        def _learn(self, trial):
            heard.append((trial.arch_id, trial.status, trial.trial_id))

    one = simulate(Table(SPACE, table), Chooser(SPACE, 0), trials=3, time_first=2)
    assert one.hours * 3600 == pytest.approx(3 * (5 + 5 + 20))
    assert [answer.hours * 3600 for answer in one.answers] == pytest.approx([30, 60, 90])
    assert (one.asked, one.exact) == (6, 6)
    timings, trained = [each for each in heard if each[1] == "timed"], [each for each in heard if each[1] == "ok"]
    assert [each[0] for each in timings] == [trial.arch_id for trial in order]
    assert timings[0][2:] == (None, order[0].s_normalised)
    assert trained == [(order[i].arch_id, "ok", number) for number, i in enumerate((1, 3, 5))]
    # Two workers: both time; one trains the second for 20 s, the other times on and trains the fourth 10 s later.
    two = simulate(Table(SPACE, table), Chooser(SPACE, 0), trials=3, workers=2, time_first=2)
    assert [answer.hours * 3600 / 2 for answer in two.answers] == pytest.approx([25, 35, 55])


def test_timings_need_to_have_taken_a_known_time(log):
    """What a trial took before its first epoch is not made up."""
    with pytest.raises(ValueError, match=f"time_first needs the seconds of every epoch.*{log[0].arch_id} has none"):
        replay(SPACE, log, ["random"], time_first=[2])
    with pytest.raises(ValueError, match="time_first must be at least 1, got 0"):
        replay(SPACE, log, ["random"], time_first=[0])


def test_a_log_without_times_has_no_hours(log):
    """Nothing is made up: hours are not known, and a budget of them is refused."""
    (record,) = replay(SPACE, log, ["random"], seeds=2, workers=[2])
    assert (record.hours_to_best, record.final_hours, record.equal_reward, record.hours) == (None, None, None, ())
    with pytest.raises(ValueError, match="hours cannot be kept: the log does not say how long"):
        replay(SPACE, log, ["random"], hours=1.0)
    with pytest.raises(ValueError, match="prune asha needs the rewards of every epoch"):
        replay(SPACE, log, ["random"], prune=["asha"])
    with pytest.raises(ValueError, match="prune must be one of none, asha, bound, got 'median'"):
        replay(SPACE, log, ["random"], prune=["median"])


def test_a_tables_curves_and_times_are_read(log, tmp_path):
    """Any table can be searched as a run can: `device_s`, and an accuracy an epoch, where there are some."""
    path, names = tmp_path / "table.csv", [d.name for d in SPACE.decisions]
    code = SPACE.encode(log[0].architecture)
    values = [d.choices[i] for d, i in zip(SPACE.decisions, code, strict=True)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        about = ["accuracy", "step_time", "params", "device_s", "train_s", "accuracy_1", "accuracy_2"]
        writer.writerow([*names, *about])
        writer.writerow([*values, 0.5, 2.0, 1.0, 30, 24, "", 0.5])
    (trial,) = read_trials(path, SPACE)
    assert trial.device_s == 30
    second = {"epoch": 1, "seconds": 12.0, "accuracy": 0.5, "reward": trial.reward}
    assert trial.curve == ({"epoch": 0, "seconds": 12.0}, second)
    path.write_text(path.read_text().replace(",30,", ",long,"))
    with pytest.raises(ValueError, match="line 2: device_s must be a number, got 'long'"):
        read_trials(path, SPACE)


class Scripted(Algorithm):
    """Asks for the architectures of `order`, from the place that its seed says."""

    name = "scripted"
    order: ClassVar[list[Architecture]] = []

    def _propose(self, rng):
        return Proposal(self.order[(self.seed + self.told) % len(self.order)], self.name)

    def _learn(self, trial):
        pass


def test_the_interval_of_a_replay_is_of_95_percent(log, monkeypatch):
    """40 seeds that meet the best after 1 to 40 trials: the mean of first rewards has the interval of its error.

    The bootstrap's is 1.96 standard errors of the mean to either side; one of 80 % would be 1.28.
    """
    table = log[:40]
    Scripted.order = [trial.architecture for trial in table]
    monkeypatch.setitem(ALGORITHMS, "scripted", Scripted)
    (record,) = replay(SPACE, table, ["scripted"], seeds=40)
    first = np.array([trial.reward for trial in table])
    error = first.std() / 40**0.5
    assert record.mean_best[0] == pytest.approx(first.mean())
    assert (record.mean_best[0] - record.low_best[0]) / error == pytest.approx(1.96, abs=0.2)
    assert (record.high_best[0] - record.mean_best[0]) / error == pytest.approx(1.96, abs=0.2)
    assert record.trials_to_best == 20.5
    assert 13 <= record.trials_to_best_low <= 17
    assert 24 <= record.trials_to_best_high <= 28
