"""`nas scale`, as a user types it: targets, step times, and the folder it writes."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from nas.architectures import find_architecture, winner
from nas.cli import main
from nas.config.train import load_training, training_stages
from nas.runs.folder import read_config
from nas.training.progressive import PRESETS
from scaling import scale
from scaling.family import read_family
from scaling.grow import with_train_size
from scaling.rule import LATE_GROWTH
from search_space import yaml_text
from search_space.cost import count

BLOCKS = "r1_k3_s1_e1_i8_o8_c1,r2_k3_s2_e4_i8_o16_se0.25"
MEASURED = ("--image-size", "20", "--measure", "--device", "cpu", "--batch", "4")


def nas_scale(capsys, *arguments):
    """Run the command in this process; give its exit status and what it printed on both streams."""
    try:
        status = main(["scale", *map(str, arguments)])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def rows_of(capsys, *arguments):
    status, out, err = nas_scale(capsys, *arguments, "--format", "json")
    assert status == 0, err
    return {row["size"]: row for row in json.loads(out)}


# A run without resized crops trains at the size that it evaluates at, and so does its family.
UNCROPPED = replace(LATE_GROWTH, train_share=1.0)


def law(architecture, image_size):
    """A step time by arithmetic, in milliseconds, for 10 classes and one channel."""
    cost = count(architecture, image_size, 10, 1)
    return 2 + cost.macs / 2e5 + cost.activations / 1e4


@pytest.fixture
def timed(run):
    """The run, with step times that obey the law; the reference network's is 20 ms, and memory is 1000 activations."""
    lines = (run / "trials.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        if record["status"] == "ok":
            architecture = find_architecture_of(record)
            ms = law(architecture, 16)
            record |= {"step_time_ms": ms, "reference_step_time_ms": 20.0, "s_normalised": ms / 20}
            record |= {"peak_memory_mb": count(architecture, 16, 10, 1).activations / 1000, "batch_size": 128}
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return run


def find_architecture_of(record):
    from search_space.architecture import Architecture

    return Architecture.from_dict(record["architecture"])


def classes_of(run, classes, channels):
    """Let a run's configuration say how many classes and channels its images have, as a search does."""
    text = (run / "config.yaml").read_text()
    text = text.replace("num_classes: 1000", f"num_classes: {classes}")
    (run / "config.yaml").write_text(text.replace("in_channels: 3", f"in_channels: {channels}"))


# ---- step times


def test_step_times_are_estimated_from_the_log_and_marked(timed, capsys):
    """A law that the log obeys is found: times of the winner and its M, each at its own train px, and memory."""
    classes_of(timed, 10, 1)
    rows = rows_of(capsys, timed, "--to", "m")
    start = with_train_size(winner(timed).architecture, UNCROPPED)
    m = scale(start, "m", UNCROPPED)
    assert (rows["start"]["train_image_size"], rows["m"]["train_image_size"]) == (16, m.train_image_size) == (16, 20)
    assert rows["start"]["arch_id"] == winner(timed).arch_id
    assert rows["start"]["step_time"] == pytest.approx(1)
    assert rows["start"]["step_time_ms"] == pytest.approx(law(start, 16))
    assert rows["m"]["step_time_ms"] == pytest.approx(law(m, 20))
    assert rows["m"]["step_time"] == pytest.approx(law(m, 20) / law(start, 16))
    assert rows["m"]["peak_memory_mb"] == pytest.approx(count(m, 20, 10, 1).activations / 1000)
    assert all(row["is_estimate"] is True for row in rows.values())
    _, out, _ = nas_scale(capsys, timed, "--to", "m,xl")
    assert "est. step" in out
    assert "est. MiB" in out
    said = " ".join(out.split())
    assert "estimated from 10 trials timed at 16 px, batch 128" in said
    assert "On trials held out it is off by ±0% (memory ±0%)" in said
    said = " ".join(nas_scale(capsys, timed, "--step-time", "1.5x,15x")[1].split())
    assert re.search(r"Extrapolated: step-time-15x \(\d\.\d times the largest trial\)\.", said)
    assert "Extrapolated" not in nas_scale(capsys, timed, "--to", "s")[1]


def test_a_target_of_step_time_is_over_the_starts_own(timed, capsys):
    """`--step-time 3x` is three times what the winner itself takes, `1.5` is one and a half; both are reached about."""
    classes_of(timed, 10, 1)
    rows = rows_of(capsys, timed, "--step-time", "3x, 1.5")
    start = with_train_size(winner(timed).architecture, UNCROPPED)
    for size, target in (("step-time-3x", 3.0), ("step-time-1.5", 1.5)):
        row = rows[size]
        grown = find_architecture_of(row)
        assert row["target"] == target
        assert row["reached"] == pytest.approx(law(grown, grown.train_image_size) / law(start, 16))
        assert row["step_time"] == row["reached"]
        assert row["error"] == pytest.approx(row["reached"] / target - 1)
        assert abs(row["error"]) < 0.2  # images grow in steps of 4: from 16 to 20 pixels alone is 1.56 times
    _, out, _ = nas_scale(capsys, timed, "--step-time", "3x")
    assert f"step-time-3x (est. {rows['step-time-3x']['reached']:.3g}x of 3x, " in out


def test_a_missed_target_is_said_above_the_table(timed, capsys):
    """What was asked, what was reached, and what the next one would be; nothing is said of a target that was met."""
    classes_of(timed, 10, 1)
    row = rows_of(capsys, timed, "--step-time", "1.2x")["step-time-1.2x"]
    assert row["error"] > 0.03 or row["error"] < -0.03, "images grow in steps of 4: there is nothing near"
    said, table = nas_scale(capsys, timed, "--step-time", "1.2x")[1].split("size ", 1)
    said = " ".join(said.split())
    side = "larger" if row["error"] < 0 else "smaller"
    assert said == (
        f"step-time-1.2x: step time 1.2x was asked for, {row['reached']:.3g}x is reached ({row['error']:+.1%}); "
        f"the next {side} one has {row['next']:.3g}x: layers, channels and pixels come in steps"
    )
    assert table.startswith(" ")
    _, out, err = nas_scale(capsys, timed, "--step-time", "1.2x", "--format", "csv")
    assert (said in err, said in out) == (True, False), "where a program reads, on the other stream"
    assert "asked for" not in nas_scale(capsys, "efficientnetv2_s", "--params", "50M")[1]
    assert nas_scale(capsys, "efficientnetv2_s", "--params", "290M")[1].startswith("size")


def test_a_family_goes_down_as_well_as_up(capsys, tmp_path):
    """A third of S's parameters: smaller in everything, met, and written with a recipe of S's strengths."""
    assert nas_scale(capsys, "efficientnetv2_s", "--params", "7M,40M", "--out", tmp_path)[0] == 0
    small, large = read_family(tmp_path)
    assert abs(small.notes["error"]) < 0.03
    assert small.dial < 0 < large.dial
    s = find_architecture("efficientnetv2_s")
    assert small.architecture.image_size < s.image_size
    assert all(a.layers <= b.layers for a, b in zip(small.architecture.stages, s.stages, strict=True))
    recipe = (tmp_path / "params-7M.yaml").read_text()
    assert "below it stays S's" in recipe
    progressive = load_training(tmp_path / "params-7M.yaml", small.architecture, {}).progressive
    assert (progressive.randaugment_magnitude, progressive.dropout) == ((5, 15), (0.1, 0.3))
    assert progressive.image_size[1] == small.architecture.train_image_size


def test_equal_is_another_architectures_size(capsys, tmp_path, timed):
    """Made equal to a run's winner: its parameters with the run's classes, its image size, and a file to train."""
    classes_of(timed, 10, 1)
    status, out, err = nas_scale(
        capsys, "efficientnet_b0", "--equal", timed, "--by", "params", "--format", "json", "--out", tmp_path / "e"
    )
    rows = {row["size"]: row for row in json.loads(out)}
    assert (status, [*rows]) == (0, ["start", "equal", "to"])
    best = winner(timed).architecture
    made = find_architecture(tmp_path / "e" / "equal.json")
    assert rows["to"]["params"] == count(best, 16, 10, 1).params
    assert rows["equal"]["params"] == count(made, 16, 10, 1).params
    ratio = rows["equal"]["params"] / rows["to"]["params"]
    assert f"efficientnet_b0 beside {timed}: {ratio:.3f} times the params" in err
    assert [made.image_size, made.dropout] == [best.image_size, best.dropout]
    assert [stage.op for stage in made.stages] == ["mbconv"] * 7


def test_step_times_are_measured_beside_the_start(capsys):
    """Real steps: the start beside itself is 1 within its noise, M takes longer; nothing is called an estimate."""
    torch.set_num_threads(1)
    rows = rows_of(capsys, BLOCKS, "--to", "l", *MEASURED)
    assert rows["start"]["step_time"] == pytest.approx(1, abs=0.3)
    assert rows["l"]["step_time"] > 1.2
    for row in rows.values():
        assert row["step_time_ms"] > 0
        assert row["peak_memory_mb"] > 0
        assert row["is_estimate"] is False
    assert rows["l"]["peak_memory_mb"] > rows["start"]["peak_memory_mb"]
    _, out, err = nas_scale(capsys, BLOCKS, "--to", "l", *MEASURED)
    assert err.count("measured") == 2
    assert "Measured on" in out
    assert "batch 4" in " ".join(out.split())
    assert "est." not in out


def test_the_start_is_measured_at_its_own_image_size(capsys):
    """From 20 px, L of the rule `from_base` trains at 40: beside the start at 40 it would be a fourth as slow."""
    torch.set_num_threads(1)
    rows = rows_of(capsys, BLOCKS, "--rule", "from_base", "--to", "l", *MEASURED[2:], "--image-size", "24")
    assert [rows[size]["train_image_size"] for size in ("start", "l")] == [20, 40]
    assert rows["l"]["step_time"] == pytest.approx(rows["l"]["step_time_ms"] / rows["start"]["step_time_ms"], rel=0.5)


def test_a_target_may_be_measured(capsys):
    """What is printed as reached is what was measured of that very architecture; six measurements and the start's."""
    torch.set_num_threads(1)
    status, out, err = nas_scale(capsys, BLOCKS, "--step-time", "2x", *MEASURED, "--format", "json")
    assert status == 0
    start, grown = json.loads(out)
    assert grown["reached"] == grown["step_time"]
    assert grown["error"] == pytest.approx(grown["reached"] / 2 - 1)
    assert grown["params"] > start["params"]
    assert 2 <= err.count("measured") <= 7
    assert f": {grown['reached']:.3f}x" in err


def test_without_a_log_no_step_time_is_invented(run, capsys):
    """Nothing measured, nothing to estimate from: the columns are empty, not 0; a run of too few trials says why."""
    rows = rows_of(capsys, "efficientnetv2_s", "--to", "m")
    assert [rows["m"][name] for name in ("step_time", "step_time_ms", "peak_memory_mb", "is_estimate")] == [None] * 4
    (run / "trials.jsonl").write_text("".join((run / "trials.jsonl").read_text().splitlines(True)[:5]))
    status, out, err = nas_scale(capsys, run, "--to", "m")
    assert status == 0
    assert "step" not in out
    assert "no step times" in err
    assert "add --measure" in err


def test_another_image_size_has_another_size_to_train_at(capsys):
    """`--image-size 224` goes before the published 384, and the published 300 to train at goes with it."""
    rows = rows_of(capsys, "efficientnetv2_s", "--to", "m", "--image-size", "224")
    assert [(row["image_size"], row["train_image_size"]) for row in rows.values()] == [(224, 180), (280, 224)]


# ---- what is written


def test_a_runs_family_folder_is_complete_and_trains(timed, capsys, tmp_path):
    """One JSON and one recipe a size, table, picture; the search's data; a recipe really trains its network."""
    classes_of(timed, 10, 1)
    out = tmp_path / "family"
    assert nas_scale(capsys, timed, "--to", "s,m", "--out", out)[0] == 0
    names = {"family.csv", "family.json", "family.md", "family.png", "s.json", "s.yaml", "m.json", "m.yaml"}
    assert {path.name for path in out.iterdir()} == names
    assert (out / "family.png").read_bytes().startswith(b"\x89PNG")
    table = list(csv.DictReader(io.StringIO((out / "family.csv").read_text())))
    assert [row["is_estimate"] for row in table] == ["True", "True"]
    assert all(float(row["step_time_ms"]) > 0 for row in table)
    assert [one.dial for one in read_family(out)] == [0, 1]
    said = json.loads((out / "family.json").read_text())["provenance"]
    assert said["arch_id"] == winner(timed).arch_id
    assert "estimated from 10 trials" in said["step_time"]
    m = find_architecture(str(out / "m.json"))
    config = load_training(out / "m.yaml", m, {})
    assert config.data.source == "digits"
    assert config.training.batch_size == 128
    assert config.progressive.image_size == (13, 20), "from two thirds"
    assert config.eval_image_size == m.image_size == 20, "larger images at test time are for resized crops"
    assert config.training.optimizer == "sgd", "as in the search: the paper's recipe is not for digits"
    assert config.progressive.randaugment_magnitude[1] < 2
    assert config.augment.randaugment_policy == "increasing", "little of the official policy is not weak"
    assert f"nas train {out}/m.json {out}/m.yaml" in (out / "m.yaml").read_text()
    train = ["train", out / "m.json", out / "m.yaml", "--epochs", "1", "--out", tmp_path / "trained"]
    torch.set_num_threads(1)
    assert main([str(word) for word in train]) == 0
    assert json.loads((tmp_path / "trained" / "result.json").read_text())["accuracy"] > 0


def test_recipes_of_s_m_and_l_have_the_papers_strengths(capsys, tmp_path):
    """From the published S, recipes have the paper's schedule to the number, but M and L end at 384, not 380 px."""
    assert nas_scale(capsys, "efficientnetv2_s", "--to", "s,m,l,xl", "--out", tmp_path)[0] == 0
    schedules = {}
    for size in ("s", "m", "l", "xl"):
        config = load_training(tmp_path / f"{size}.yaml", find_architecture(str(tmp_path / f"{size}.json")), {})
        schedules[size] = config.progressive
        assert config.augment.randaugment_policy == "official", "what the paper's magnitudes are of"
        assert (config.training.optimizer, config.training.epochs, config.training.ema_decay) == (
            "rmsprop",
            350,
            0.9999,
        )
        assert (config.training.batch_size, config.training.learning_rate) == (4096, 0.016)
    assert schedules["s"] == PRESETS["paper_s"]
    for size in ("m", "l"):
        assert schedules[size].image_size == (128, 384)
        assert vars(schedules[size]) | {"image_size": (128, 380)} == vars(PRESETS[f"paper_{size}"])
    assert schedules["xl"] == schedules["l"]


def test_a_size_between_has_strengths_between(capsys, tmp_path):
    """Halfway between M and L on the dial, everything is halfway between the paper's M and L."""
    from nas.families.recipes import schedule

    between = schedule(1.5, (100, 200))
    assert between.image_size == (100, 200)
    assert between.randaugment_magnitude == (5, 22.5)
    assert between.mixup_alpha == (0, 0.35)
    assert between.dropout == (0.1, 0.45)
    assert nas_scale(capsys, "efficientnetv2_s", "--params", "80M", "--out", tmp_path)[0] == 0
    grown = find_architecture(str(tmp_path / "params-80M.json"))
    magnitude = load_training(tmp_path / "params-80M.yaml", grown, {}).progressive.randaugment_magnitude[1]
    assert 20 < magnitude < 25


def test_a_recipe_without_data_says_so(capsys, tmp_path):
    """Of a published start no data is known: the recipe can be looked at, and training names the path to fill in."""
    assert nas_scale(capsys, "efficientnetv2_s", "--to", "m", "--out", tmp_path / "f")[0] == 0
    train = ["train", str(tmp_path / "f" / "m.json"), str(tmp_path / "f" / "m.yaml")]
    assert main([*train, "--dry-run"]) == 0
    capsys.readouterr()
    assert main([*train, "--out", str(tmp_path / "t")]) == 2
    err = capsys.readouterr().err
    assert "no folder 'PATH-OF-TRAINING-IMAGES'" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "t").exists()


def test_a_runs_winner_has_the_size_it_was_searched_at(capsys, tmp_path, run):
    """Where the space says no image size the run does: there are recipes, and step times can be estimated."""
    config = read_config(run)
    config["space"]["image_size"] = None
    (run / "config.yaml").write_text(yaml_text.dump(config))
    records = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in records:
        record["architecture"]["image_size"] = None
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    status, _, err = nas_scale(capsys, run, "--to", "m", "--out", tmp_path / "a")
    assert (status, "no training recipes" in err) == (0, False)
    assert (tmp_path / "a" / "m.yaml").exists()


@pytest.mark.parametrize("crop", ["none", "pad", "resized"])
def test_a_table_and_its_recipes_agree_on_sizes(timed, capsys, tmp_path, crop):
    """What the table says a size is used and trained at, its architecture says, too, and its recipe does."""
    text = (timed / "config.yaml").read_text()
    (timed / "config.yaml").write_text(text.replace("crop: none", f"crop: {crop}"))
    rows = rows_of(capsys, timed, "--to", "s,m,l", "--out", tmp_path)
    for size in ("s", "m", "l"):
        architecture, row = find_architecture(str(tmp_path / f"{size}.json")), rows[size]
        config = load_training(tmp_path / f"{size}.yaml", architecture, {})
        assert row["image_size"] == architecture.image_size == config.eval_image_size
        assert row["train_image_size"] == architecture.train_image_size == config.progressive.image_size[1]
        assert training_stages(config)[-1].strengths.image_size == row["train_image_size"]
        assert (row["train_image_size"] < row["image_size"]) == (crop == "resized")
        assert row["macs"] == count(architecture, row["image_size"], 10, 1).macs
    assert rows["s"]["image_size"] == rows["start"]["image_size"] == 16, "as it was searched"


def test_without_an_image_size_there_are_architectures_but_no_recipes(capsys, tmp_path):
    """Block strings say no image size: what can be written is, what cannot is said; with --image-size all is."""
    status, _, err = nas_scale(capsys, BLOCKS, "--to", "m", "--out", tmp_path / "a")
    assert status == 0
    assert "no training recipes" in err
    assert not list((tmp_path / "a").glob("*.yaml"))
    status, _, err = nas_scale(capsys, BLOCKS, "--to", "m", "--out", tmp_path / "b", "--image-size", "40")
    assert "no training recipes" not in err
    m = find_architecture(str(tmp_path / "b" / "m.json"))
    assert (m.image_size, m.train_image_size) == (52, 40)  # 50 and 41.6 in fours; 40 and 32 were the start's
    assert load_training(tmp_path / "b" / "m.yaml", m, {}).progressive.image_size == (14, 40)


# ---- what is printed


def test_tables_fit_eighty_columns(timed):
    """In a terminal of 80 columns no cell is cut off, whatever the table holds."""
    for arguments in (
        [str(timed), "--step-time", "1.5x,2x"],
        ["efficientnetv2_s", "--explain"],
        ["efficientnetv2_b0", "--rule", "from_base", "--to", "s,m", "--explain"],
    ):
        text = in_terminal(["scale", *arguments], columns=80)
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text


def in_terminal(arguments, columns):
    """What the command prints on a terminal so wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "dumb", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nas.cli", *arguments]
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.STDOUT, env=environment)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    assert process.wait() == 0, text
    return text.decode()


def test_plain_compound_scaling_stands_beside_the_rule(capsys):
    """`--explain` shows what plain compound scaling makes of the same start: a third of the parameters missing."""
    _, out, _ = nas_scale(capsys, "efficientnetv2_s", "--to", "m", "--explain", "--format", "json")
    by_name = {row["name"]: row for row in json.loads(out)}
    assert by_name["params"]["share"] == pytest.approx(-0.048, abs=0.001)
    assert by_name["params"]["uniform_share"] == pytest.approx(-0.352, abs=0.001)
    assert by_name["stage7_channels"]["uniform"] is None


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["efficientnetv2_s", "--step-time", "3x"], "has no log to estimate step times from: add --measure, or give"),
        (["RUN", "--step-time", "fast"], "--step-time takes numbers such as 3x or 1.5, got 'fast'"),
        (["RUN", "--step-time", "0x"], "--step-time takes numbers such as 3x or 1.5, got '0x'"),
        (["RUN", "--step-time", "3M"], "--step-time takes numbers such as 3x or 1.5, got '3M'"),
        (["RUN", "--step-time", ""], "--step-time takes numbers such as 3x or 1.5, got ''"),
        (["RUN", "--step-time", "1e-9x"], "target step_time 1e-09 is out of reach: the rule gives 0."),
        (["RUN", "--params", "3x"], "--params takes numbers such as 50M or 4.5G, got '3x'"),
        (["RUN", "--params", "nan"], "--params takes numbers such as 50M or 4.5G, got 'nan'"),
        (["RUN", "--step-time", "3x", "--params", "5M"], "one kind of target at a time, got params and step_time"),
        (["RUN", "--step-time", "3x,3x"], "size '3x' is given twice"),
        (["RUN", "--to", "m,l,m"], "size 'm' is given twice"),
        (["RUN", "--step-time", "3x,fast"], "--step-time takes numbers such as 3x or 1.5, got 'fast'"),
        ([BLOCKS, "--measure"], "says no image size, on which the step time depends: add --image-size"),
        (["RUN", "--batch", "8"], "--device and --batch are of a measurement: add --measure"),
        (["RUN", "--measure", "--device", "cuda:99"], "cuda:99"),
        (["RUN", "--measure", "--batch", "0"], "must be a whole number >= 1, got '0'"),
        (["RUN", "--image-size", "0"], "must be a whole number >= 1, got '0'"),
        (["RUN", "--rule", "late"], "unknown rule 'late'; known: late_growth, from_base, uniform"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(timed, capsys, tmp_path, arguments, message):
    """What the user can fix is one line and exit status 2; the folder does not come to be."""
    words = [timed if word == "RUN" else word for word in arguments]
    status, out, err = nas_scale(capsys, *words, "--out", tmp_path / "family")
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "family").exists()


def test_a_file_is_no_folder(capsys, tmp_path):
    """`--out` of a file is refused before anything is computed, and the file stays as it is."""
    (tmp_path / "family").write_text("mine")
    status, out, err = nas_scale(capsys, "efficientnetv2_s", "--out", tmp_path / "family")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "is no folder" in err
    assert (tmp_path / "family").read_text() == "mine"


def test_out_of_memory_is_one_line(capsys, tmp_path):
    """A convolution with 288 TB of weights fits no machine: said in one line, with the size of the network."""
    huge = "r1_k3_s1_e1_i8_o20000_c1,r1_k3_s1_e20000_i20000_o8_c1"
    arguments = (huge, "--to", "s", *MEASURED, "--out", tmp_path / "family")
    status, _, err = nas_scale(capsys, *arguments)
    assert status == 2
    assert "out of memory on cpu: a network of 72T params at 16 px cannot be measured" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "family").exists()
