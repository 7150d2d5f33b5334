"""The command `nas`, as a user types it."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli import main
from nas.report.found import certainty
from nas.report.reading import read
from nas.runs.folder import locked, read_config
from nas.runs.text import short
from search_space import yaml_text
from search_space.architecture import Architecture
from search_space.cost import count


def nas(capsys, *arguments):
    """Run the command in this process; give its exit status, output and errors."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("command", ["status", "trials", "best", "pareto", "pareto --hypervolume"])
def test_reading_commands_speak_json_and_csv(run, capsys, command):
    """Every reading command can be piped into another program."""
    command, *options = command.split()
    status, out, _ = nas(capsys, command, run, *options, "--format", "json")
    rows = json.loads(out)
    assert status == 0
    assert rows
    status, out, _ = nas(capsys, command, run, *options, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert len(table) == len(rows)
    assert set(table[0]) == set(rows[0])


def test_tables_fit_a_terminal(run, capsys):
    """Tables stay within the 120 columns that a pipe gets, winner stage by stage included."""
    for command in ("status", "trials", "best", "pareto"):
        status, out, _ = nas(capsys, command, run)
        assert status == 0
        assert max(map(len, out.splitlines())) <= 120 or "winner" in out
    _, out, _ = nas(capsys, "best", run, "-n", "3")
    assert "winner: trial" in out
    assert "step time" in out
    assert out.count("mbconv") >= 4


def test_the_order_and_the_number_of_trials(run, capsys):
    """`--sort reward --descending --limit 2` gives the two best."""
    _, out, _ = nas(capsys, "trials", run, "--format", "json", "--sort", "reward", "--descending", "--limit", "2")
    _, best, _ = nas(capsys, "best", run, "--format", "json", "-n", "2")
    assert [row["trial_id"] for row in json.loads(out)] == [row["trial_id"] for row in json.loads(best)]


def test_a_run_without_trials_reads_as_empty(run, capsys):
    """Looking at a search that has only begun is no error."""
    (run / "trials.jsonl").write_text("")
    for command in (["status"], ["trials"], ["best"], ["pareto"], ["pareto", "--hypervolume"]):
        status, _, err = nas(capsys, command[0], run, *command[1:])
        assert (status, err) == (0, "")
    assert nas(capsys, "trials", run, "--format", "json")[1] == "[]\n"


def test_the_table_of_hypervolume_has_the_trials_that_changed_it(run, capsys):
    """A run of hundreds of trials shows its dozen of steps; the last says 100 % and a reference shifts them all."""
    status, out, _ = nas(capsys, "pareto", run, "--hypervolume", "--columns", "accuracy", "--reference", "0.5")
    _, rows, _ = nas(
        capsys, "pareto", run, "--hypervolume", "--columns", "accuracy", "--reference", "0.5", "--format", "json"
    )
    volumes = [row["hypervolume"] for row in json.loads(rows)]
    steps = [line for line in out.splitlines() if "%" in line]
    assert status == 0
    assert len(volumes) == 10
    assert len(steps) == len(set(volumes)) < 10
    assert "100.0%" in steps[-1]
    status, _, err = nas(capsys, "pareto", run, "--reference", "0.5,1,1")
    assert (status, "belongs to --hypervolume" in err) == (2, True)


def test_trials_can_be_written_to_a_file(run, capsys, tmp_path):
    """`--out` writes the whole table."""
    status, out, _ = nas(capsys, "trials", run, "--out", tmp_path / "new" / "t.csv")
    assert status == 0
    assert "12 trials written" in out
    assert len((tmp_path / "new" / "t.csv").read_text().splitlines()) == 13


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "none.yaml"], "cannot read none.yaml"),
        (["best", "none"], "none does not exist"),
        (["status", "none"], "is not a run folder"),
        (["trials", "RUN", "--sort", "speed"], "cannot sort by 'speed'"),
        (["trials", "RUN", "--out", "t.xls"], "known endings"),
        (["pareto", "RUN", "--columns", "accuracy,speed"], "no numeric column 'speed'"),
        (["scale", "efficientnetv2_t", "--to", "m"], "no architecture 'efficientnetv2_t'"),
        (["scale", "efficientnetv2_s", "--to", "m,huge"], "'huge'"),
        (["profile", "efficientnet_b0", "--device", "cuda:99"], "cuda"),
        (["profile", "efficientnet_b0", "--batch", "0"], "must be a whole number >= 1, got '0'"),
        (["search", "x.yaml", "--trials", "-1"], "must be a whole number >= 1"),
        (["serch"], "unknown command 'serch'; did you mean 'search'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(run, capsys, tmp_path, monkeypatch, arguments, message):
    """What the user can fix is one line that names it: no traceback, nothing written."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    status, out, err = nas(capsys, *[run if argument == "RUN" else argument for argument in arguments])
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments", [["status"], ["trials"], ["best"], ["pareto"], ["trials", "--format", "csv"]], ids=" ".join
)
def test_reading_needs_neither_torch_nor_ray(run, arguments):
    """Reading a log is quick and works on a machine without them: they are never imported."""
    script = "import sys; from nas.cli import main; code = main(sys.argv[1:]); " + (
        "print(sorted({'torch', 'ray'} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", script, arguments[0], str(run), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_status_needs_no_pandas(run):
    """How far a search is can be asked each second: what takes longer to import than the answer is not imported."""
    script = "import sys; from nas.cli import main; main(['status', sys.argv[1]]); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script, str(run)], capture_output=True, text=True, check=True)
    assert not {"'torch'", "'ray'", "'pandas'", "'scipy'"} & set(done.stdout.strip("[]\n").split(", "))


def test_every_command_module_is_a_command():
    """A new file of `nas/commands/` that is not in the list would never be heard of."""
    import nas.cli
    import nas.commands

    files = {path.stem for path in Path(nas.commands.__file__).parent.glob("*.py")}
    assert sorted(nas.cli.COMMANDS) == sorted(files - {"__init__", "arguments", "pages", "terminal", "trial_table"})
    [chosen] = (action.choices for action in nas.cli._parser([])._actions if isinstance(action.choices, dict))
    assert sorted(chosen) == sorted(word for words in nas.cli.COMMANDS.values() for word in words)


def test_help_has_examples(capsys):
    """`nas --help` shows how to begin."""
    status, out, _ = nas(capsys, "--help")
    assert status == 0
    assert "nas search digits" in out


def test_a_dry_run_says_what_would_happen_and_does_nothing(capsys, tmp_path, monkeypatch):
    """The paper's search can be looked at on a laptop: space, costs, reference, resources, compute."""
    recipe = Path(__file__).parents[3] / "experiments" / "configs" / "efficientnetv2_s.yaml"
    monkeypatch.chdir(tmp_path)
    status, out, _ = nas(capsys, "search", recipe, "--dry-run")
    assert status == 0
    for word in ("1,791,590,400,000", "28 decisions", "params", "MACs", "reference", "1 GPU", "GPU hours"):
        assert word in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("population: -1", "population must be in [1, 1e+06], got -1"),
        ("sample_size: 40", "sample_size must be in [1, 20], got 40"),
        ("population: '8'", "population must be a number, got '8'"),
        ("population: 20.5", "algorithm evolution: "),
    ],
)
def test_a_dry_run_refuses_what_the_search_would_refuse(capsys, tmp_path, settings, message):
    """Settings of the algorithm are its own to check; a dry run asks it."""
    config = tmp_path / "c.yaml"
    config.write_text(f"space: {{name: small}}\nimage_size: 32\nalgorithm: {{name: evolution, {settings}}}\n")
    status, _, err = nas(capsys, "search", config, "--dry-run")
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_training_on_a_gpu_asks_for_one(capsys, tmp_path):
    """With none of it to itself every trial would pile onto the first GPU."""
    config = tmp_path / "c.yaml"
    config.write_text("space: {name: small}\nimage_size: 32\ndevice: cuda\n")
    status, _, err = nas(capsys, "search", config, "--dry-run")
    assert status == 2
    assert "search.gpus_per_trial must be above 0 to train on cuda" in err


def test_an_infeasible_space_is_refused_before_anything_runs(capsys, tmp_path):
    """Constraints that nothing meets are said with what the space spans."""
    config = tmp_path / "c.yaml"
    config.write_text("space: {name: small, constraints: {params_max: 1000}}\nimage_size: 32\n")
    status, _, err = nas(capsys, "search", config, "--out", tmp_path / "run")
    assert status == 2
    assert "meets the constraints {'params_max': 1000}" in err
    assert not (tmp_path / "run").exists()


def test_a_changed_config_is_refused_with_the_keys_that_differ(run, capsys, tmp_path):
    """Trials that cannot be compared never get into one log."""
    config = tmp_path / "c.yaml"
    config.write_text("space: {name: small, image_size: 16}\nimage_size: 16\ntraining: {epochs: 3}\n")
    before = (run / "config.yaml").read_text()
    status, _, err = nas(capsys, "search", config, "--out", run)
    assert status == 2
    assert "training.epochs: 10 -> 3" in err
    assert (run / "config.yaml").read_text() == before


def test_other_images_under_the_same_path_are_refused(run, capsys, tmp_path, monkeypatch):
    """Trials on changed data could never be compared with the run's: that is said before any is trained."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    (run / "trials.jsonl").write_text("".join(json.dumps(r | {"data_fingerprint": "before"}) + "\n" for r in lines))
    status, _, err = nas(capsys, "search", run / "config.yaml", "--out", run, "--trials", "20")
    assert status == 2
    assert f"the data set is not what the trials in {run} were trained on" in err
    assert err.rstrip().endswith("not before (docs: guides/resuming)")
    assert len((run / "trials.jsonl").read_text().splitlines()) == 12


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda config: config.pop("search"), "section 'search' is missing or no mapping"),
        (lambda config: config["search"].pop("trials"), "search.trials is missing"),
        (lambda config: config.update(training=None), "section 'training' is missing or no mapping"),
        (lambda config: config.update(image_size="16 px"), "image_size is '16 px'"),
    ],
)
@pytest.mark.parametrize("command", ["status", "best", "report", "scale --to m"])
def test_a_damaged_configuration_is_one_line(run, capsys, damage, message, command):
    """Whatever reads a run says which file is damaged and what it lacks."""
    config = read_config(run)
    damage(config)
    (run / "config.yaml").write_text(yaml_text.dump(config))
    name, *options = command.split()
    status, _, err = nas(capsys, name, run, *options)
    assert (status, err.count("\n")) == (2, 1)
    assert f"{run}/config.yaml is damaged: {message}" in err


def test_the_winner_has_the_sizes_of_its_run(run, capsys, monkeypatch):
    """Where a trial says neither params, MACs nor image size, as one of an evaluator's own may not, the run does."""
    monkeypatch.setenv("COLUMNS", "120")
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in lines:
        record |= {"params": None, "macs": None, "image_size": None}
        record["architecture"]["image_size"] = 224
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    best = max((r for r in lines if r["reward"] is not None), key=lambda r: r["reward"])
    cost = count(Architecture.from_dict(best["architecture"]), 16, 10, 1)  # the digits'
    _, out, _ = nas(capsys, "best", run)
    assert f"{short(cost.params)} params, {short(cost.macs)} MACs at 16 px" in " ".join(out.split())
    assert re.search(r"\d x 16 x 16|\d x 8 x 8", out), "and so have its stages' inputs"


def test_rewards_below_0_have_a_best_one(run, capsys):
    """The best of negative rewards is the highest, not a failed trial without any."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in lines:
        record["reward"] = None if record["reward"] is None else record["reward"] - 5
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    best = max((r for r in lines if r["reward"] is not None), key=lambda r: r["reward"])
    shown = json.loads(nas(capsys, "status", run, "--format", "json")[1])[0]
    assert (shown["best_trial"], shown["best_reward"]) == (best["trial_id"], best["reward"])


def test_status_says_whether_anything_runs(run, capsys):
    """After a kill -9 nothing runs, whatever the events say was in flight: only who holds the run's lock runs."""

    def state():
        return json.loads(nas(capsys, "status", run, "--format", "json")[1])[0]["state"]

    assert state() == "finished"
    with locked(run):
        assert state() == "running"
    config = read_config(run)
    config["search"]["trials"] = 99
    (run / "config.yaml").write_text(yaml_text.dump(config))
    assert state() == "stopped"


def test_errors_and_marks_stand_in_the_tables(run, capsys, monkeypatch):
    """0.9826±.0123, `*` the winner, `≈` not told apart from it, a line that sums up; in 110 columns; JSON has all."""
    monkeypatch.setenv("COLUMNS", "120")
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in lines:
        if record["status"] == "ok":
            record |= {"accuracy_se": 0.0123, "reward_se": 0.02, "minival_images": 500}
    lines[0] |= {"accuracy_se": None, "metrics": {"joules": 1.23456789}}
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    _, out, _ = nas(capsys, "best", run)
    rows = json.loads(nas(capsys, "best", run, "--format", "json")[1])
    table = out.split("±: standard error")[0].splitlines()
    assert max(map(len, table)) <= 110
    assert f"{rows[0]['reward']:.4f}±.0200  *  {rows[0]['accuracy']:.4f}±.0123" in table[2]
    assert ["≈" in line for line in table[3:]] == [row["told_apart"] is False for row in rows[1:]]
    assert {row["told_apart"] for row in rows} == {True, False}
    assert len({line.index(f"{row['accuracy']:.4f}") for line, row in zip(table[2:], rows, strict=True)}) == 1, (
        "aligned"
    )
    out = " ".join(out.split())
    assert "minival of 500 images: accuracy is known to ±0.0123" in out
    assert f"winner: trial {rows[0]['trial_id']}, {rows[0]['arch_id']}: reward {rows[0]['reward']:.4f} ± 0.0200" in out
    front = nas(capsys, "pareto", run)[1]
    assert "±.0123" in front
    assert "*: the winner, ≈: not told apart" in front
    assert "1.235" in nas(capsys, "trials", run)[1], "four digits of a metric that nobody declared"


def test_an_error_of_any_text_is_shown_as_it_is(run, capsys, monkeypatch):
    """Brackets are no markup; what cannot be encoded, in a log of an earlier version or a path, is escaped."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    lines[3]["error"] = "no [/data/x] caf\udce9"
    (run / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    named = run.rename(run.with_name("[bold]caf\udce9"))
    for form in ("json", "csv"):
        assert "no [/data/x] caf" in nas(capsys, "trials", named, "--format", form)[1]
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert main(["trials", str(named), "--out", str(named / "t.parquet")]) == 0
    assert main(["best", str(named)]) == main(["report", str(named)]) == 0
    sys.stdout.flush()
    shown = sys.stdout.buffer.getvalue().decode()
    assert r"[bold]caf\udce9/t.parquet" in shown
    assert r"no [/data/x] caf\udce9" in (named / "report.html").read_text(encoding="utf-8")


def test_a_run_of_which_nothing_was_scored_says_why(run, capsys):
    """Each command that looks for the best says what became of the trials, and the last errors, each once."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        error = f"cannot read [/data/x{number % 2}]" if number < 10 else "stopped after epoch 1"
        line |= {"status": "failed" if number < 10 else "pruned", "reward": None, "error": error}
    (run / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = (
        "none of 12 trials was scored: failed 10, pruned 2; the last errors: trial 11: stopped after epoch 1; "
        "trial 9: cannot read [/data/x1]; trial 8: cannot read [/data/x0]"
    )
    status, out, err = nas(capsys, "best", run)
    assert (status, " ".join(out.split()), err) == (0, said, "")
    assert nas(capsys, "best", run, "--format", "json")[:2] == (0, "[]\n")
    for command in (["scale", run, "--to", "m"], ["profile", run]):
        assert nas(capsys, *command) == (2, "", f"nas: {run}: {said} (docs: faq)\n")
    assert nas(capsys, "report", run)[0] == 0
    assert f"No winner: {said}." in (run / "report.html").read_text()


def test_means_over_seeds_are_shown(run, capsys):
    """An architecture that the log has several times, with other seeds, is shown with the error of its mean."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    first = next(record for record in lines if record["status"] == "ok")
    known = {"accuracy_se": 0.001, "reward_se": 0.001, "minival_images": 50_000}
    lines = [record | known if record["status"] == "ok" else record for record in lines]
    again = first | known | {"trial_id": 99, "seed": 99, "accuracy": 0.9, "reward": first["reward"] - 0.02}
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [*lines, again]))
    _, out, _ = nas(capsys, "best", run)
    assert "trained with several seeds, their means" in out
    mean, error = first["reward"] - 0.01, (0.02**2 / 2 / 2 + 0.001**2) ** 0.5
    assert f"{mean:.4f}±{f'{error:.4f}'[1:]}" in out
    assert "other seeds" not in out


def test_the_best_of_repeats_is_shown_beside_the_best_seen(run, capsys):
    """What looked best and falls back when it is trained again is the best seen, and no longer the winner, anywhere."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    scored = sorted((line for line in lines if line["status"] == "ok"), key=lambda line: -line["reward"])
    first, second = scored[:2]
    again = [first | {"trial_id": 90 + n, "seed": 90 + n, "reward": first["reward"] - 0.5} for n in range(3)]
    again.append(second | {"trial_id": 99, "seed": 99})
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [*lines, *again]))
    _, out, _ = nas(capsys, "best", run)
    out = " ".join(out.split())  # lines are broken where a terminal's are
    assert f"best: {second['arch_id']}, posterior mean" in out
    assert f"best seen: trial {first['trial_id']}, {first['reward']:.4f}" in out
    assert f"winner: trial {second['trial_id']}, {second['arch_id']}" in out
    [row] = json.loads(nas(capsys, "status", run, "--format", "json")[1])
    assert (row["best_trial"], row["best_seen_trial"]) == (second["trial_id"], first["trial_id"])
    assert row["trainings"] == 2


def test_the_model_chooses_the_winner_and_says_how_sure_it_is(run, capsys):
    """What a proposal notes as the best is the winner in every command, beside what looked best, of its own reward."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    first, second = sorted((line for line in lines if line["status"] == "ok"), key=lambda line: -line["reward"])[:2]
    noted = {"arch_id": second["arch_id"], "mean": 0.61, "std": 0.02, "noise": 0.05, "chance": 0.34}
    last = next(line for line in reversed(lines) if line["status"] == "ok")
    last["proposal"] = {
        "predicted_reward": 0.1,
        "predicted_std": 0.01,
        "winner_by_model": noted | {"after": last["arch_id"]},
    }
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    out = " ".join(nas(capsys, "best", run)[1].split())
    sure = f"best: {second['arch_id']}, posterior mean 0.6100 ± 0.0200, the best of all tried with 34%"
    assert f"{sure}; best seen: trial {first['trial_id']}, {first['reward']:.4f}" in out
    assert f"winner: trial {second['trial_id']}, {second['arch_id']}" in out
    again = " ".join(nas(capsys, "best", run, "--w", "0")[1].split())
    assert "posterior mean" not in again
    [row] = json.loads(nas(capsys, "status", run, "--format", "json")[1])
    assert (row["best_trial"], row["best_seen_trial"]) == (second["trial_id"], first["trial_id"])
    assert row["chance_best"] == 0.34
    told = " ".join(nas(capsys, "explain", run)[1].split())
    assert f"winner: {second['arch_id']}, posterior mean of its reward 0.6100 ± 0.0200; it is the best" in told
    assert sure[1:] in certainty(read(run))
