"""`nas train`, as a user types it: on real images, with real kills."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.cli import main
from nas.config.train import changed_settings, clamped, load_training, parse_training, training_stages
from nas.full_training.metrics import Metrics
from nas.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from nas.training.progressive import PRESETS
from search_space import yaml_text
from search_space.block_strings import from_block_strings
from search_space.families import published
from tests.trainings import curve

ARCH = "r1_k3_s1_e1_i8_o8_c1,r1_k3_s2_e2_i8_o16_se0.25"
RECIPES = sorted((Path(__file__).parents[3] / "experiments" / "configs" / "train").glob("*.yaml"))
CONFIG = {
    "data": {"source": "digits", "minival": 0.2, "subset": 256},
    "augment": {"crop": "pad", "crop_padding": 4},
    "training": {"epochs": 4, "batch_size": 64, "learning_rate": 0.4, "ema_decay": 0.9, "drop_path": 0.1},
    "progressive": {
        "stages": 2,
        "image_size": [8, 12],
        "randaugment_magnitude": [0, 5],
        "mixup_alpha": [0, 0.2],
        "dropout": [0.1, 0.2],
        "drop_path": [0.1, 0.2],
    },
    "eval_image_size": 12,
    "device": "cpu",
}


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Decoded digits, once for all tests."""
    return str(tmp_path_factory.mktemp("cache"))


def write_config(path, cache, **changes):
    record = {**CONFIG, "data": {**CONFIG["data"], "cache_dir": cache}} | changes
    path.write_text(yaml_text.dump(record))
    return path


def nas_train(capsys, *arguments):
    """Run the command in this process; give its exit status and what it printed on both streams."""
    try:
        status = main(["train", *map(str, arguments)])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def kill_after(command, metrics: Path, epochs: int):
    """Start a command, and SIGKILL it as soon as it has recorded some epochs."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 400
    while not (metrics.exists() and metrics.read_text().count("\n") >= epochs):
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline, "the training did not get that far"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.timeout(600)
def test_a_killed_training_ends_as_if_it_had_not_been(tmp_path, cache, capsys):
    """After a `kill -9` in the middle, the same command gives the same weights, bit for bit, and the same curve."""
    longer = {**CONFIG["training"], "epochs": 8}
    config = write_config(tmp_path / "c.yaml", cache, training=longer)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    torch.set_num_threads(1)
    assert nas_train(capsys, ARCH, config, "--out", straight)[0] == 0
    command = [sys.executable, "-m", "nas.cli", "train", ARCH, str(config), "--out", str(killed)]
    kill_after(command, killed / "metrics.jsonl", 3)
    assert 3 <= len(load_checkpoint(killed / "last.pt")[0].curve) < 8
    status, _, err = nas_train(capsys, ARCH, config, "--out", killed)
    assert status == 0
    assert "done before" in err
    for name in ("last.pt", "best.pt"):
        (ours, _), (theirs, _) = load_checkpoint(killed / name), load_checkpoint(straight / name)
        assert ours.curve[-1]["epoch"] == theirs.curve[-1]["epoch"]
        for part in ("network", "ema"):
            assert all(torch.equal(v, getattr(theirs, part)[k]) for k, v in getattr(ours, part).items())
    assert curve(killed) == curve(straight)
    results = [json.loads((folder / "result.json").read_text()) for folder in (killed, straight)]
    assert results[0]["accuracy"] == results[1]["accuracy"]


def test_a_changed_configuration_is_refused_by_name(tmp_path, cache, capsys):
    """Going on with other settings would be neither training; what may change (where checkpoints are due) may."""
    short = {**CONFIG["training"], "epochs": 1}
    config = write_config(tmp_path / "c.yaml", cache, training=short)
    assert nas_train(capsys, ARCH, config, "--out", tmp_path / "run")[0] == 0
    write_config(config, cache, training={**short, "learning_rate": 0.3}, eval_image_size=8)
    status, _, err = nas_train(capsys, ARCH, config, "--out", tmp_path / "run")
    assert status == 2
    assert "training.learning_rate: 0.4 -> 0.3" in err
    assert "eval_image_size: 12 -> 8" in err
    write_config(config, cache, training=short, checkpoint_every=2)
    assert nas_train(capsys, ARCH, config, "--out", tmp_path / "run")[0] == 0
    other = "r1_k3_s1_e1_i8_o8_c1,r1_k3_s2_e2_i8_o24_se0.25"
    status, _, err = nas_train(capsys, other, config, "--out", tmp_path / "run")
    assert status == 2
    assert "architecture.stages.2.channels: 16 -> 24" in err


def test_fine_tuning_takes_the_body_and_a_new_head(tmp_path, cache, capsys):
    """`--from` starts from the averaged weights; where the classes differ, the head alone is new."""
    one = {**CONFIG["training"], "epochs": 1}
    config = write_config(tmp_path / "c.yaml", cache, training=one)
    assert nas_train(capsys, ARCH, config, "--out", tmp_path / "first")[0] == 0
    state, about = load_checkpoint(tmp_path / "first" / "last.pt")
    from nas.full_training.folder import start_from
    from search_space.network import build_network

    five = build_network(from_block_strings(ARCH.split(",")), 5, 1)
    head = five.classifier.weight.clone()
    said = start_from(five, tmp_path / "first" / "last.pt")
    assert said["new_head"]
    assert said["run_id"] == about["provenance"]["run_id"]
    assert torch.equal(five.classifier.weight, head)
    assert torch.equal(five.conv_stem.weight, state.ema["conv_stem.weight"])
    assert not torch.equal(state.ema["conv_stem.weight"], state.network["conv_stem.weight"])
    with pytest.raises(ValueError, match=r"is of another network: conv_stem.weight is \(8, 1, 3, 3\) there"):
        start_from(build_network(from_block_strings(ARCH.split(",")), 10, 3), tmp_path / "first" / "last.pt")
    larger = write_config(
        tmp_path / "larger.yaml", cache, training=one, progressive="none", image_size=18, eval_image_size=20
    )
    again = ["--from", tmp_path / "first" / "last.pt", "--out", tmp_path / "second"]
    assert nas_train(capsys, ARCH, larger, *again)[0] == 0
    tuned, about = load_checkpoint(tmp_path / "second" / "last.pt")
    assert about["started_from"]["new_head"] is False
    assert tuned.curve[0]["image_size"] == 18, "fine-tuned at another image size"
    other = "r1_k3_s1_e1_i8_o8_c1,r1_k3_s2_e2_i8_o24_se0.25"
    for more in ((), ("--seeds", "2")):
        never = tmp_path / "never" / "made"
        status, _, err = nas_train(capsys, other, config, "--from", tmp_path / "first", "--out", never, *more)
        assert (status, "cannot read" in err or "Is a directory" in err) == (2, True), err
        status, _, err = nas_train(capsys, other, config, *again[:2], "--out", never, *more)
        assert (status, "last.pt is of another network: " in err) == (2, True), err
        assert not never.parent.exists(), "nothing is written"


def test_the_test_split_is_used_once_and_said(tmp_path, cache, capsys):
    """`--test` states what was evaluated; asking again repeats the number without evaluating anew."""
    config = write_config(tmp_path / "c.yaml", cache, training={**CONFIG["training"], "epochs": 1})
    status, _, err = nas_train(capsys, ARCH, config, "--out", tmp_path / "run")
    assert status == 0
    assert "test accuracy" not in err
    status, _, err = nas_train(capsys, ARCH, config, "--out", tmp_path / "run", "--test")
    assert "test accuracy" in err
    assert "of the final weights, once" in err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["test"]["images"] == 359
    result["test"]["accuracy"] = 0.125
    (tmp_path / "run" / "result.json").write_text(json.dumps(result))
    assert "test accuracy 0.1250" in nas_train(capsys, ARCH, config, "--out", tmp_path / "run", "--test")[2]


def test_what_is_tested_is_what_is_exported(tmp_path, cache, capsys):
    """The same word means the same weights, by default the final ones; their accuracies stand in the exported file."""
    config = write_config(tmp_path / "c.yaml", cache, training={**CONFIG["training"], "epochs": 2})
    run = tmp_path / "run"
    assert nas_train(capsys, ARCH, config, "--out", run, "--test")[0] == 0
    best, about = load_checkpoint(run / "best.pt")
    # As if the first epoch had been the best, by weights that know nothing.
    worse = replace(best, ema={name: torch.zeros_like(value) for name, value in best.ema.items()}, curve=best.curve[:1])
    save_checkpoint(run / "best.pt", worse, about)
    final = json.loads((run / "result.json").read_text())["test"]
    for weights in ("best", "final"):
        status, _, err = nas_train(capsys, ARCH, config, "--out", run, "--test", "--weights", weights)
        assert status == 0
        assert f"of the {weights} weights, once" in err
        test = json.loads((run / "result.json").read_text())["test"]
        assert main(["export", str(run), "--weights", weights, "--out", str(tmp_path / weights)]) == 0
        said = json.loads((tmp_path / weights / "model.json").read_text())["provenance"]
        assert said["test_accuracy"] == test["accuracy"]
        assert said["epochs"] == test["epochs"] == {"best": 1, "final": 2}[weights]
        assert Path(said["checkpoint"]).name == {"best": "best.pt", "final": "last.pt"}[weights]
    assert test == final
    assert main(["export", str(run), "--out", str(tmp_path / "default")]) == 0
    assert json.loads((tmp_path / "default" / "model.json").read_text())["provenance"] == said
    assert main(["export", str(run), "--weights", "best", "--out", str(tmp_path / "untested")]) == 0
    untested = json.loads((tmp_path / "untested" / "model.json").read_text())["provenance"]
    assert untested["test_accuracy"] is None, "that of other weights is not theirs"
    capsys.readouterr()
    assert nas_train(capsys, ARCH, config, "--out", run, "--weights", "best")[0] == 2


def test_a_dry_run_prints_the_schedule_without_torch(tmp_path, cache):
    """The schedule can be read on any machine at once: torch is not even imported."""
    config = write_config(tmp_path / "c.yaml", cache)
    code = f"""
import sys
from nas.cli import main
status = main(["train", {ARCH!r}, {str(config)!r}, "--progressive", "paper_s", "--epochs", "350", "--dry-run"])
assert "torch" not in sys.modules
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [row[4] for row in rows] == ["128", "185", "242", "300"]
    assert [row[5] for row in rows] == ["5.0", "8.3", "11.7", "15.0"]
    assert rows[-1][3] == "350"
    assert max(map(len, done.stdout.splitlines())) <= 80
    curves = {line.split()[0]: line.split()[-3:] for line in done.stdout.splitlines() if line.endswith(" 300")}
    first, course, last = curves["image"]
    assert (first, last) == ("128", "300")
    assert [course.count(bar) for bar in dict.fromkeys(course)] == [12, 12, 12, 12], "four stages of equal length"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_is_read_and_its_resolved_form_is_the_same_training(path):
    """`train.yaml` of a run is a configuration by itself, and one that the same training goes on with."""
    config = load_training(path, published("efficientnetv2_s"), {})
    again = parse_training(yaml_text.load(yaml_text.dump(json.loads(json.dumps(config.to_dict())))))
    assert again == config
    assert not changed_settings(config.to_dict(), again.to_dict())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_no_recipe_is_stronger_than_its_policy_defines(path):
    """Each of our recipes, also with the paper's schedule, names a policy that goes as far as its magnitudes."""
    config = load_training(path, published("efficientnetv2_s"), {})
    assert clamped(config) is None
    assert config.progressive != PRESETS["paper_s"] or config.augment.randaugment_policy == "official"


def test_a_magnitude_beyond_the_policy_is_said(tmp_path, cache, capsys):
    """The paper's schedule with timm's policy, which ends at 10, is told in a dry run."""
    config = write_config(tmp_path / "c.yaml", cache, progressive="paper_s")
    _, out, _ = nas_train(capsys, ARCH, config, "--dry-run")
    assert "RandAugment   policy increasing ends at 10: 15 does as 10; official goes to 30" in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainig": {}}, "unknown key 'trainig'; did you mean 'training'?"),
        ({"progressive": {"stage": 2}}, "unknown key 'progressive.stage'; did you mean 'progressive.stages'?"),
        ({"progressive": "paper_xs"}, "unknown progressive 'paper_xs'; did you mean 'paper_s'?"),
        ({"progressive": {"image_size": [8]}}, "progressive.image_size"),
        ({"progressive": {"randaugment_magnitude": [0, 40]}}, "randaugment_magnitude must be in [0, 30], got 40"),
        ({"progressive": "none"}, "missing key 'image_size'"),
        ({"progressive": "none", "image_size": 0}, "image_size must be >= 1, got 0"),
        ({"checkpoint_every": 0}, "checkpoint_every must be >= 1, got 0"),
        ({"data": {"source": "digits", "minival": 0}}, "data.minival leaves no image"),
        ({"execution": {"micro_batch": 1}}, "execution.micro_batch must be at least 2, for batch norm"),
        ({"training": {"epochs": "ten"}}, "training.epochs: input should be a valid integer, got 'ten'"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, cache, capsys, change, message):
    """A mistake in the file ends with exit status 2 and one line that names the key, before anything is written."""
    config = write_config(tmp_path / "c.yaml", cache, **change)
    status, _, err = nas_train(capsys, ARCH, config, "--out", tmp_path / "run")
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_stages_cover_the_training():
    """Every epoch belongs to one stage, and batches grow where images are small, if that is asked for."""
    record = {**CONFIG, "progressive": {"stages": 3, "image_size": [16, 32], "batch_growth": 4.0}}
    stages = training_stages(parse_training(record, from_block_strings(ARCH.split(","))))
    assert [stage.first_epoch for stage in stages] == [0, 2, 3]
    assert sum(stage.epochs for stage in stages) == 4
    assert [stage.batch_size for stage in stages] == [256, 112, 64]  # 64 * (32 / 16)**2, 64 * (32 / 24)**2 in eights


def test_a_trained_network_is_exported_with_its_recipe(tmp_path, cache, capsys):
    """An exported file says which network, recipe, data and accuracy it is, and holds the averaged weights."""
    config = write_config(tmp_path / "c.yaml", cache, training={**CONFIG["training"], "epochs": 1})
    assert nas_train(capsys, ARCH, config, "--out", tmp_path / "run")[0] == 0
    asked = ["export", str(tmp_path / "run"), "--to", "json,timm", "--out", str(tmp_path / "exports")]
    assert main(asked) == 0
    said = json.loads((tmp_path / "exports" / "model.json").read_text())
    state, about = load_checkpoint(tmp_path / "run" / "last.pt")
    assert said["recipe"] == about["config"]
    assert (said["num_classes"], said["in_channels"], said["image_size"]) == (10, 1, 12)
    assert said["provenance"]["minival_accuracy"] == state.curve[-1]["accuracy"]
    assert said["provenance"]["data"]["fingerprint"] == about["data"]["fingerprint"]
    assert said["provenance"]["run_id"] == about["provenance"]["run_id"]
    exported = torch.load(tmp_path / "exports" / "model.pth", weights_only=True)
    assert exported["metadata"] == said
    assert torch.equal(exported["state_dict"]["classifier.weight"], state.ema["classifier.weight"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["efficientnetv2_s", "--to", "timn"], "unknown export 'timn'; did you mean 'timm'?"),
        (["nothing.pt"], "no architecture 'nothing.pt'"),
    ],
)
def test_what_cannot_be_exported_is_one_line(tmp_path, capsys, arguments, message):
    """A wrong format or name ends with exit status 2, one line and no files."""
    assert main(["export", *arguments, "--out", str(tmp_path / "exports")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "exports").exists()


def test_a_format_that_is_impossible_does_not_keep_the_others_back(tmp_path, capsys):
    """timm has no stem of stride 1: what can be written is, the rest is said, and the status is 2."""
    architecture = replace(from_block_strings(ARCH.split(",")), stem_stride=1)
    (tmp_path / "a.json").write_text(architecture.to_json())
    given = ["--out", str(tmp_path / "exports"), "--image-size", "16"]
    assert main(["export", str(tmp_path / "a.json"), "--to", "timm,torchscript", *given]) == 2
    assert "not written: timm: timm's EfficientNet has stem_stride 2" in capsys.readouterr().err
    assert [path.suffix for path in (tmp_path / "exports").iterdir()] == [".pt"]


def test_the_best_of_the_kept_epochs_is_kept(tmp_path):
    """With `checkpoint_every: 2`, last.pt and best.pt are of even epochs and the last; a worse one is not the best."""
    from nas.full_training.folder import keep

    state = TrainingState({}, {}, None, 0, None, (), 0.0, 0.0)
    done, kept = (), []
    for epoch, accuracy in enumerate((0.9, 0.4, 0.8, 0.5, 0.3, 0.45, 0.2)):
        done = (*done, {"epoch": epoch, "accuracy": accuracy})
        keep(tmp_path, replace(state, curve=done), {}, 2, 7)
        kept.append([len(load_checkpoint(path)[0].curve) for path in sorted(tmp_path.glob("*.pt"))])
    assert kept == [[], [2, 2], [2, 2], [4, 4], [4, 4], [4, 6], [4, 7]]


def test_the_metrics_follow_the_checkpoint(tmp_path):
    """Lines of an epoch that is repeated, or torn ones, go; a line that was never written comes: one line an epoch."""
    metrics, done = tmp_path / "metrics.jsonl", [{"epoch": 0, "accuracy": 0.5}, {"epoch": 1, "accuracy": 0.6}]
    for before in ("", '{"epoch":0}\n', '{"epoch":0}\n{"epoch":1}\n{"epoch":2}\n{"ep'):
        metrics.write_text(before)
        with closing(Metrics(metrics, done)):
            assert [json.loads(line) for line in metrics.read_text().splitlines()] == done


def test_a_schedule_from_a_file(tmp_path, cache, capsys):
    """`--progressive FILE` goes before the configuration's, and `none` turns it off."""
    config = write_config(tmp_path / "c.yaml", cache, image_size=10)
    (tmp_path / "p.yaml").write_text("stages: 2\nimage_size: [7, 11]\n")
    _, out, _ = nas_train(capsys, ARCH, config, "--progressive", tmp_path / "p.yaml", "--dry-run")
    sizes = [line.split()[4] for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert sizes == ["7", "11"]
    _, out, _ = nas_train(capsys, ARCH, config, "--progressive", "none", "--dry-run")
    assert [line.split()[4] for line in out.splitlines() if line.strip()[:1].isdigit()] == ["10"]
    (tmp_path / "p.yaml").write_text("stags: 2\n")
    status, _, err = nas_train(capsys, ARCH, config, "--progressive", tmp_path / "p.yaml", "--dry-run")
    assert status == 2
    assert "did you mean 'progressive.stages'?" in err
