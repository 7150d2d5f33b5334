"""`train`, as a researcher calls it from Python: on real images, silent, told to callbacks, gone on with."""

import json
import logging
import os
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from nas.config.train import parse_training
from nas.full_training.folder import start_from
from nas.full_training.many import train_many
from nas.full_training.run import threads_of
from nas.full_training.schedule import schedule
from nas.full_training.train import train
from nas.full_training.trainings import Training
from nas.trackers.callback import Callback, Callbacks
from nas.training.checkpoint import load_checkpoint
from search_space import yaml_text
from search_space.block_strings import from_block_strings
from search_space.network import build_network

ARCH = "r1_k3_s1_e1_i8_o8_c1,r1_k3_s2_e2_i8_o16_se0.25"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Three epochs of 256 digits."""
    return {
        "data": {
            "source": "digits",
            "minival": 0.2,
            "subset": 256,
            "cache_dir": str(tmp_path_factory.mktemp("cache")),
        },
        "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.1},
        "image_size": 8,
        "eval_image_size": 8,
        "device": "cpu",
    }


class Heard(Callback):
    """Writes down what it hears, and stops the training after an epoch if that is asked."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after, self.heard, self.steps, self.end = stop_after, [], 0, None

    def on_train_begin(self, training):
        self.info = training
        self.heard.append("begin")

    def on_step(self):
        self.steps += 1

    def on_epoch(self, epoch, trial_id=None):
        assert trial_id is None
        self.heard.append(epoch["epoch"])
        if epoch["epoch"] + 1 == self.stop_after:
            raise KeyboardInterrupt

    def on_train_end(self, training, result):
        self.end = result
        self.heard.append("end")


class Threads(Callback):
    """Writes down on how many threads it was trained, and what was said."""

    def __init__(self) -> None:
        self.seen, self.said = set(), []

    def on_step(self):
        self.seen.add((torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]))

    def on_message(self, text):
        self.said.append(text)


@pytest.mark.parametrize(("threads", "seen"), [(None, 1), (2, 2)])
def test_a_training_limits_its_threads(recipe, tmp_path, monkeypatch, threads, seen):
    """One on a CPU, said in a line where more are there; or as many as told. Afterwards all is as before."""
    monkeypatch.setattr("nas.full_training.run.available_cpus", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before, listener = torch.get_num_threads(), Threads()
    torch.set_num_threads(3)
    try:
        recipe = recipe | {"execution": {"threads": threads}, "training": {"epochs": 1, "batch_size": 64}}
        train(ARCH, recipe, folder=tmp_path / "run", callbacks=[listener], progress=False)
        assert listener.seen == {(seen, str(seen))}
        assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (3, "3")
    finally:
        torch.set_num_threads(before)
    said = ["training on one CPU thread; 8 could work: execution.threads says how many"]
    assert listener.said == ([] if threads else said)


@pytest.mark.parametrize(
    ("given", "gpu", "workers", "here", "threads"),
    [(None, False, 2, True, 1), (None, True, 2, True, 4), (None, True, 16, True, 1), (None, True, 2, False, 1)]
    + [(3, gpu, 2, here, 3) for gpu in (False, True) for here in (False, True)],
)
def test_the_threads_of_workers(recipe, monkeypatch, given, gpu, workers, here, threads):
    """On a CPU one each; on GPUs they share this machine's eight CPUs; what the configuration says goes first."""
    monkeypatch.setattr("nas.full_training.run.available_cpus", lambda: 8)
    config = parse_training(recipe | {"execution": {"threads": given}}, from_block_strings(ARCH.split(",")))
    assert threads_of(config, Callbacks([]), gpu=gpu, workers=workers, here=here) == threads


def test_a_call_trains_silently_and_says_what_came_out(recipe, tmp_path, capfd):
    """The result is what the folder's files say; callbacks hear all in order; without a bar nothing is printed."""
    heard = Heard()
    end = train(ARCH, recipe, folder=tmp_path / "run", test=True, callbacks=[heard], progress=False)
    assert capfd.readouterr() == ("", "")
    assert heard.heard == ["begin", 0, 1, 2, "end"]
    assert heard.steps == 3 * 256 // 64
    assert heard.end == end
    assert (heard.info.epochs, heard.info.steps, heard.info.image_sizes) == (3, (4, 4, 4), (8, 8, 8))
    curve = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (end.status, end.error, end.epochs_done) == ("ok", None, 3)
    assert end.accuracy == curve[-1]["accuracy"] == result["accuracy"]
    assert end.best_accuracy == max(epoch["accuracy"] for epoch in curve) == result["best_accuracy"]
    assert end.best_epoch == result["best_epoch"]
    assert end.test == result["test"]
    assert heard.info.run_id == json.loads((tmp_path / "run" / "train.json").read_text())["run_id"]


def test_an_interrupted_training_goes_on_and_tells_nothing_twice(recipe, tmp_path):
    """Ctrl-C after the second epoch: callbacks hear of the end; the same call does the third epoch alone."""
    stopped, going_on, again = Heard(stop_after=2), Heard(), Heard()
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(ARCH, recipe, folder=folder, callbacks=[stopped])
    assert stopped.heard == ["begin", 0, 1, "end"]
    assert (stopped.end.status, stopped.end.epochs_done) == ("stopped", 2)
    end = train(ARCH, recipe, folder=folder, callbacks=[going_on])
    assert going_on.heard == ["begin", 2, "end"]
    assert [epoch["epoch"] for epoch in going_on.info.curve] == [0, 1]
    assert going_on.info.run_id == stopped.info.run_id
    assert train(ARCH, recipe, folder=folder, callbacks=[again]) == end
    assert again.heard == ["begin", "end"]


def test_a_configuration_comes_in_three_forms(recipe, tmp_path):
    """A mapping, a TrainConfig and a YAML file are the same training: each goes on with what the other began."""
    architecture = from_block_strings(ARCH.split(","))
    (tmp_path / "recipe.yaml").write_text(yaml_text.dump(recipe))
    forms = [parse_training(recipe, architecture), tmp_path / "recipe.yaml", str(tmp_path / "recipe.yaml"), recipe]
    ends = [train(architecture, form, folder=tmp_path / "run") for form in forms]
    assert [end.epochs_done for end in ends] == [3, 3, 3, 3]
    assert len({end.accuracy for end in ends}) == 1
    with pytest.raises(ValueError, match=r"the configuration is for \w+, not for \w+"):
        train(replace(architecture, head_channels=64), forms[0], folder=tmp_path / "run")


def test_callbacks_of_the_configuration_hear_too(recipe, tmp_path, caplog):
    """`callbacks` in the file adds to TensorBoard's files; a faulty one harms neither the training nor the others."""

    class Faulty(Heard):
        def on_epoch(self, epoch, trial_id=None):
            raise RuntimeError("no connection")

    heard = Heard()
    with caplog.at_level(logging.WARNING):
        end = train(ARCH, {**recipe, "callbacks": ["csv"]}, folder=tmp_path / "run", callbacks=[Faulty(), heard])
    assert end.status == "ok"
    assert heard.heard == ["begin", 0, 1, 2, "end"]
    said = [record.message for record in caplog.records if record.message.startswith("callback")]
    assert said == [
        "callback Faulty.on_epoch: RuntimeError: no connection",
        "callback Faulty.on_epoch raised 3 times in all",
    ]
    assert (tmp_path / "run" / "metrics.csv").read_text().count("\n") == 4
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    config = yaml_text.load((tmp_path / "run" / "train.yaml").read_text())
    assert config["callbacks"] == ["csv"]
    assert train(ARCH, recipe, folder=tmp_path / "run").epochs_done == 3, "who listens may change"


def test_a_training_without_a_result_is_a_status(recipe, tmp_path):
    """A time limit that runs out is no error of the call's: the status says it, and why."""
    limited = {**recipe, "training": {**recipe["training"], "time_limit_s": 1e-9}}
    heard = Heard()
    end = train(ARCH, limited, folder=tmp_path / "run", callbacks=[heard])
    assert (end.status, end.accuracy, end.best_epoch, end.test) == ("timeout", None, None, None)
    assert "ran past its time limit" in end.error
    assert heard.end == end


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"callbacks": ["tensorbord"]}, {}, "unknown callback 'tensorbord'; did you mean 'tensorboard'?"),
        ({"callbacks": "csv", "plugins": ["not_there_at_all"]}, {}, "plugin 'not_there_at_all' cannot be imported"),
        ({}, {"workers": 3}, "a batch of 64 cannot be shared evenly by 3 workers"),
        ({}, {"workers": 0}, "workers must be >= 1, got 0"),
        ({"training": {"batch_size": 512}}, {}, "a batch of 512 is more than the 256 training images"),
        ({"execution": {"time_limit_s": 9}, "training": {"batch_size": 64}}, {"workers": 2}, "time_limit_s is for one"),
    ],
)
def test_what_the_user_can_fix_is_said_before_anything_is_written(recipe, tmp_path, change, arguments, message):
    """A mistake is a ValueError of one line, and no folder is made."""
    with pytest.raises(ValueError) as caught:
        train(ARCH, {**recipe, **change}, folder=tmp_path / "run", **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_something_else_is_refused(recipe, tmp_path):
    """No file of another's is written over."""
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="is not a training's folder"):
        train(ARCH, recipe, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_training_goes_on_where_its_data_and_its_first_weights_lie_now(recipe, tmp_path):
    """The same images and the same checkpoint elsewhere are the same training; its folder says where they are now."""
    images = write_digits(tmp_path / "images")
    train(ARCH, recipe, folder=tmp_path / "first")
    data = {**recipe["data"], "source": "folder", "path": str(images), "minival": 0.2, "subset": None}
    training = {**recipe["training"], "batch_size": 16}
    begun = {**recipe, "data": data, "training": training, "start_from": str(tmp_path / "first" / "last.pt")}
    with pytest.raises(KeyboardInterrupt):
        train(ARCH, begun, folder=tmp_path / "run", callbacks=[Heard(stop_after=1)])
    (tmp_path / "first").rename(tmp_path / "moved_first")
    images = images.rename(tmp_path / "moved")
    moved = begun | {"data": data | {"path": str(images)}, "start_from": str(tmp_path / "moved_first" / "last.pt")}
    assert train(ARCH, moved, folder=tmp_path / "run").epochs_done == 3
    assert yaml_text.load((tmp_path / "run" / "train.yaml").read_text())["data"]["path"] == str(images)
    _, about = load_checkpoint(tmp_path / "run" / "last.pt")
    assert about["config"]["data"]["path"] == str(images)
    next(images.glob("0/*.png")).unlink()
    with pytest.raises(
        ValueError, match=r"would not go on as it began: the images or their split: fingerprint \w+ -> "
    ):
        train(ARCH, moved, folder=tmp_path / "run")
    shutil.copy(tmp_path / "run" / "last.pt", tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"start_from: '.*moved_first/last.pt' -> '.*other.pt'"):
        train(ARCH, moved | {"start_from": str(tmp_path / "other.pt")}, folder=tmp_path / "run")


def test_a_start_that_was_killed_at_once_is_made_again(recipe, tmp_path):
    """All it left is a lock: that is nobody else's folder."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    assert train(ARCH, recipe, folder=tmp_path / "run").status == "ok"


class KilledAtBegin(Callback):
    """Writes into the folder as the training begins, and keeps what `kill -9` would leave just then."""

    def __init__(self, left) -> None:
        self.left = left

    def on_train_begin(self, training):
        (training.folder / "notes.txt").write_text("begun")
        shutil.copytree(training.folder, self.left)


def test_what_a_callback_wrote_before_the_kill_keeps_nobody_from_going_on(recipe, tmp_path, without_ray):
    """Alone and as one of many: the folder is a training's before a callback hears of it."""
    many = [Training("seed-1", parse_training(recipe, from_block_strings(ARCH.split(","))))]
    train(ARCH, recipe, folder=tmp_path / "alone", callbacks=[KilledAtBegin(tmp_path / "left")])
    train_many(many, tmp_path / "many", callbacks=[KilledAtBegin(tmp_path / "left many" / "seed-1")], progress=False)
    assert train(ARCH, recipe, folder=tmp_path / "left").status == "ok"
    assert [end.status for end in train_many(many, tmp_path / "left many", progress=False)] == ["ok"]


def write_digits(folder):
    """Sixty of the digits as a folder of images, one folder a class."""
    digits = load_digits()
    for i, (pixels, label) in enumerate(zip(digits.images[:60], digits.target, strict=False)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype("uint8")).save(folder / str(label) / f"{i}.png")
    return folder


def test_a_schedule_is_data(recipe):
    """Two epochs at 8 px and two at 12 px are 0.72 of the pixels of four at 12 px; the courses change half-way."""
    progressive = {"stages": 2, "image_size": [8, 12], "dropout": [0.1, 0.2]}
    record = {**recipe, "training": {"epochs": 4, "batch_size": 64, "schedule": "constant"}, "progressive": progressive}
    planned = schedule(parse_training(record, from_block_strings(ARCH.split(","))), points=4)
    assert planned.compute_share == pytest.approx((2 * 8**2 + 2 * 12**2) / (4 * 12**2))
    assert planned.moments == (0.5, 1.5, 2.5, 3.5)
    assert planned.courses["image_size"] == (8, 8, 12, 12)
    assert planned.courses["dropout"] == (0.1, 0.1, 0.2, 0.2)
    assert planned.courses["learning_rate"][1:] == pytest.approx([0.2 * 64 / 256] * 3), "after the warm-up"
    assert [stage.first_epoch for stage in planned.stages] == [0, 2]


def test_as_many_but_other_classes_take_a_new_head(recipe, tmp_path):
    """What was learnt of ten digits says nothing of ten letters; the same classes in another order keep their own."""
    train(ARCH, recipe, folder=tmp_path / "first")
    checkpoint = tmp_path / "first" / "last.pt"
    weights = load_checkpoint(checkpoint)[0].weights
    digits = [str(digit) for digit in range(10)]
    for names, head in (
        (digits, weights["classifier.weight"]),
        (None, weights["classifier.weight"]),
        (digits[::-1], weights["classifier.weight"].flip(0)),
        (list("abcdefghij"), None),
        ([*digits[:9], "ten"], None),
    ):
        network = build_network(from_block_strings(ARCH.split(",")), 10, 1)
        drawn = network.state_dict()["classifier.weight"].clone()
        said = start_from(network, checkpoint, names)
        state = network.state_dict()
        assert said["new_head"] is (head is None)
        assert torch.equal(state["classifier.weight"], drawn if head is None else head)
        assert torch.equal(state["conv_stem.weight"], weights["conv_stem.weight"])


def test_a_run_that_begins_from_a_checkpoint_compares_the_classes(recipe, tmp_path):
    """The class names stand in every checkpoint; a data set of other ones begins with a head of its own."""
    train(ARCH, recipe, folder=tmp_path / "first")
    pixels = load_digits().images.astype("uint8") * 15
    for i, image in enumerate(pixels[:200]):
        folder = tmp_path / "letters" / "abcdefghij"[load_digits().target[i]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    data = {"source": "folder", "path": str(tmp_path / "letters"), "cache_dir": recipe["data"]["cache_dir"]}
    begun = {**recipe, "data": data, "start_from": str(tmp_path / "first" / "last.pt")}
    train(ARCH, begun, folder=tmp_path / "letters_run")
    assert load_checkpoint(tmp_path / "letters_run" / "last.pt")[1]["started_from"]["new_head"] is True
