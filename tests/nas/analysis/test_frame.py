"""A run's log as a pandas table."""

import json

import numpy as np
import pandas as pd
import pytest

from nas.analysis import best, hypervolume_over_time, load, load_epochs, load_trials, pareto, rescore, save
from nas.cli import main
from rewards.pareto import hypervolume
from search_space.architecture import Architecture


def test_one_row_a_trial_one_column_a_decision(run):
    """`stage3_kernel_size` of a row is the kernel size of the third stage of that row's architecture."""
    frame = load(run)
    assert len(frame) == 12
    for _, row in frame.iterrows():
        architecture = Architecture.from_json(row["architecture"])
        assert architecture.arch_id == row["arch_id"]
        for number, stage in enumerate(architecture.stages, start=1):
            assert row[f"stage{number}_op"] == stage.op
            assert row[f"stage{number}_kernel_size"] == stage.kernel_size
            assert row[f"stage{number}_se_ratio"] == stage.se_ratio
    assert "stage1_channels" not in frame.columns  # fixed in this space: no decision


def test_what_is_unknown_is_nan_and_never_zero(run):
    """A failed trial has no accuracy, which must not look like an accuracy of 0."""
    frame = load(run).set_index("trial_id")
    assert frame.loc[3, "status"] == "failed"
    assert np.isnan(frame.loc[3, "accuracy"])
    assert np.isnan(frame.loc[7, "reward"])
    assert frame["reward"].dtype == np.float64
    assert frame["accuracy"].notna().sum() == 10


def test_several_runs_in_one_table(run):
    """Logs of several runs are read together; run_id tells them apart."""
    assert len(load([run, run / "trials.jsonl"])) == 24


def test_curves(run):
    """One row a trial and epoch."""
    epochs = load_epochs(run)
    assert len(epochs) == 20
    assert list(epochs.columns[:4]) == ["run_id", "trial_id", "arch_id", "epoch"]


def test_best_is_by_reward_among_the_answered(run):
    """The first row is the trial of highest reward; failed ones never rank."""
    frame = load(run)
    ranked = best(frame, 100)
    assert len(ranked) == 10
    assert ranked["reward"].is_monotonic_decreasing
    assert ranked.iloc[0]["reward"] == max(t.reward or 0 for t in load_trials(run))


def test_pareto_rows_are_beaten_by_none_and_all_others_are(run):
    """A trial is on the front exactly if no other is at least as good in all columns and better in one."""
    frame = load(run)
    front = pareto(frame)
    ok = frame[frame["status"] == "ok"]
    for _, row in ok.iterrows():
        better = (
            (ok["accuracy"] >= row["accuracy"])
            & (ok["s_normalised"] <= row["s_normalised"])
            & (ok["params"] <= row["params"])
            & (
                (ok["accuracy"] > row["accuracy"])
                | (ok["s_normalised"] < row["s_normalised"])
                | (ok["params"] < row["params"])
            )
        )
        assert (row["trial_id"] in set(front["trial_id"])) == (not better.any())
    assert set(pareto(frame, ["-accuracy"])["trial_id"]) == {ok.loc[ok["accuracy"].idxmin(), "trial_id"]}
    with pytest.raises(ValueError, match=r"no numeric column 'acuracy'; did you mean 'accuracy'"):
        pareto(frame, ["acuracy"])


def test_hypervolume_over_time_is_that_of_the_trials_so_far(run):
    """Each row is the volume of all trials up to it, whatever fell off the front since; failed trials only count."""
    frame = load(run)
    frame["started_at"] = [f"2026-11-21T{hour:02}:00:00+00:00" for hour in range(len(frame))]
    frame["ended_at"] = [f"2026-11-21T{hour:02}:30:00.500+00:00" for hour in range(len(frame))]
    growth = hypervolume_over_time(frame, reference=(0.5, 2.0, 1e6))
    ok = frame[frame["status"] == "ok"]
    assert list(growth["trial_id"]) == list(ok["trial_id"])
    assert list(growth["trials"]) == [n for n, status in enumerate(frame["status"], start=1) if status == "ok"]
    for row, (_, got) in enumerate(growth.iterrows(), start=1):
        points = ok.head(row)[["accuracy", "s_normalised", "params"]]
        assert got["hypervolume"] == pytest.approx(hypervolume(points, (0.5, 2.0, 1e6), (True, False, False)))
        assert got["front"] == len(pareto(ok.head(row)))
    assert growth["share"].iloc[-1] == 1
    assert growth["device_hours"].iloc[-1] == pytest.approx(frame["device_s"].sum() / 3600)
    assert growth["hours"].tolist() == pytest.approx([n - 0.5 + 0.5 / 3600 for n in growth["trials"]])


def test_the_reference_of_a_hypervolume(run):
    """Without one it is the worst of the run; one that does not fit the columns is refused."""
    frame = load(run)
    ok = frame[frame["status"] == "ok"]
    worst = (ok["accuracy"].min(), ok["s_normalised"].max())
    named = hypervolume_over_time(frame, ["accuracy", "s_normalised"], worst)
    assert hypervolume_over_time(frame, ["accuracy", "s_normalised"]).equals(named)
    with pytest.raises(ValueError, match="reference must be a number for each of accuracy, s_normalised"):
        hypervolume_over_time(frame, ["accuracy", "s_normalised"], (0.5,))


def test_rewards_are_computed_anew_without_training(run):
    """Other exponents give the reward their formula gives; trials without an answer stay unscored."""
    frame = load(run)
    again = rescore(frame, "weighted_product", {"w": -0.14, "v": 0.0})
    ok = frame["status"] == "ok"
    expected = frame["accuracy"] * frame["s_normalised"] ** -0.14
    assert again.loc[ok, "reward"].to_numpy() == pytest.approx(expected[ok].to_numpy())
    assert again.loc[~ok, "reward"].isna().all()
    assert (again["w"] == -0.14).all()
    with pytest.raises(ValueError, match="unknown setting 'x' of reward weighted_product; known: w, v"):
        rescore(frame, "weighted_product", {"x": 1.0})


def test_a_trial_that_cannot_be_scored_anew_stops_no_other(run, caplog, capsys):
    """It has no reward and says why; a reward that can score none is refused."""
    log = run / "trials.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[1]["s_normalised"], lines[2]["p_normalised"], lines[4]["params"] = None, 0.0, "many"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = rescore(load(run), "weighted_product", {"w": -0.14})
    assert again["reward"].notna().sum() == 8
    assert "needs step_time, which was not measured" in again["error"][1]
    assert "params must be positive" in again["error"][2]
    assert main(["best", str(run), "--w", "-0.14"]) == 0
    shown = capsys.readouterr().out
    assert "winner: trial" in shown
    assert caplog.text.count("2 of 10 trials cannot be scored: ") == 1
    assert "params 'many' is no number" in caplog.text
    for args in (["status"], ["trials"], ["pareto"], ["report"]):
        assert main([*args, str(run)]) == 0
    for line in lines:
        line["s_normalised"] = None
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match="reward weighted_product needs step_time, which was not measured"):
        rescore(load(run), "weighted_product", {"w": -0.14})


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_written_tables_read_back(run, tmp_path, ending):
    """What other tools read is what the log says."""
    frame = load(run)
    save(frame, tmp_path / f"t{ending}")
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda p: pd.read_json(p, lines=True)}[ending]
    again = read(tmp_path / f"t{ending}")
    assert list(again["arch_id"]) == list(frame["arch_id"])
    assert again["reward"].to_numpy() == pytest.approx(frame["reward"].to_numpy(), nan_ok=True)
    assert list(again["stage2_op"]) == list(frame["stage2_op"])


def test_endings_that_are_not_known_are_named(run, tmp_path):
    """A wrong file name is an error with the known endings, and nothing is written."""
    with pytest.raises(ValueError, match=r"cannot write 't\.xls'; known endings: \.csv, \.parquet, \.jsonl"):
        save(load(run), tmp_path / "t.xls")
    with pytest.raises(ValueError, match="holds no trials"):
        load(tmp_path)


def test_the_log_reads_with_pandas_alone(run):
    """Nobody needs this toolkit to read a log: it is JSON lines. Ids stay what they are, also those like numbers."""
    log = run / "trials.jsonl"
    ids = {"run_id": "12e45678", "data_fingerprint": "123456"}
    lines = [json.loads(line) | ids for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    frame = pd.read_json(log, lines=True, dtype=False)
    assert len(frame) == 12
    for each in (frame, load(run)):
        assert set(each["run_id"]) == {"12e45678"}
        assert set(each["data_fingerprint"]) == {"123456"}
        assert each["accuracy"].dtype == "float64"
    assert json.loads(log.read_text().splitlines()[0])["schema_version"] == 1


def test_a_log_without_younger_columns_is_read(run, capsys):
    """Of a version that wrote a handful of columns: what is not there is not known."""
    log = run / "trials.jsonl"
    kept = ("run_id", "trial_id", "architecture", "status", "accuracy", "reward", "params")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps({name: line[name] for name in kept}) + "\n" for line in lines))
    frame = load(run)
    assert set(frame.columns) >= {"arch_id", "s_normalised", "device_name"}
    assert frame["s_normalised"].isna().all()
    for command in (["status"], ["trials"], ["best"], ["pareto", "--columns", "accuracy,params"], ["report"]):
        assert main([*command, str(run)]) == 0, capsys.readouterr().err
    assert len(load_trials(run)) == 12
