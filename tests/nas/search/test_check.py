"""What a look at a configuration finds before a search is run."""

import dataclasses
import math
from typing import NamedTuple

import pytest
from PIL import Image

import nas
from nas.config.search import parse, search_config
from nas.data.description import DataDescription
from nas.runs.folder import read_config, write_config
from nas.search import findings
from nas.search.checks import counted_for
from nas.search.machine import Places, search_hours
from nas.search.timing import QUANTILES, REFERENCE

SOUND = {
    "space": {"name": "small", "image_size": 16},
    "image_size": 16,
    "data": {"source": "digits", "minival": 0.2},
    "training": {"epochs": 2, "batch_size": 64},
    "search": {"trials": 10, "workers": 1},
    "device": "cpu",
}


def checked(**sections):
    """The problems and warnings of a configuration, nothing measured."""
    found = nas.check(search_config(**{**SOUND, **sections}), seconds=0)
    return "\n".join(found.problems), "\n".join(found.warnings)


def test_a_sound_search_is_measured(monkeypatch):
    """Its reference and candidates of the space are trained for a moment; hours follow, and nothing would fail.

    Who else is busy on the machine is said: it makes them too long.
    """
    monkeypatch.setattr("nas.search.check.users_of_locks", lambda: frozenset({1}))
    said = []
    found = nas.check(SOUND, seconds=1.5, say=said.append)
    assert found.problems == ()
    assert found.data.images == 1438
    assert [one.name for one in found.time.candidates] == [REFERENCE, *QUANTILES]
    assert 0 < found.time.low < found.time.hours < found.time.high
    assert all(one.steps >= 1 and one.step_s > 0 and one.training_s > 0 for one in found.time.candidates)
    assert [line for line in said if "a step" in line]
    assert "data.minival must be" in "\n".join(found.warnings)
    assert "others time or train on this machine, so times are too long: process 1" in "\n".join(found.warnings)


def test_a_candidate_that_does_not_train_is_a_problem(monkeypatch):
    """One that memory fails for is named with its error, what else fails says so itself; hours are not known then."""

    def fails(*given, **more):
        raise ValueError("no such thing")

    for train, problem in ((fails, "no such thing"), (lambda *given, **more: Ended("oom", "too large"), "too large")):
        monkeypatch.setattr("nas.search.timing.train", train)
        found = nas.check(SOUND, seconds=0.1)
        assert found.time is None
        assert found.problems in ((problem,), tuple(f"{name}: {problem}" for name in (REFERENCE, *QUANTILES)))


class Ended(NamedTuple):
    """What is known of a training that did not come to its end."""

    status: str
    error: str


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"data": {"source": "folder", "path": "/none"}}, "no folder '/none'"),
        ({"data": {"source": "digits", "minival": 0}}, "data.minival leaves no image"),
        ({"data": {"source": "digits", "minival": 2000}}, "minival 2000 leaves no image to train on"),
        ({"training": {"batch_size": 2048}}, "training.batch_size 2048 is more than the 1150 training images"),
        ({"device": "cuda:99", "search": {"gpus_per_trial": 1}}, "device 'cuda:99' asked for"),
        ({"search": {"workers": 10_000}}, "search.workers is 10000, but only"),
        ({"data": {"source": "digits", "decode_size": 10**6, "storage": "arrays"}}, "decoded images need"),
        ({"search": {"cpus_per_trial": 100_000}}, "a trial needs 100000 CPU"),
    ],
)
def test_what_would_fail_is_found(sections, problem):
    """Paths, numbers of images, devices, places, room on the disk: each is a line, and none is raised."""
    problems, _ = checked(**sections)
    assert problem in problems


@pytest.mark.parametrize(
    ("sections", "warning"),
    [
        ({"image_size": 4}, "image_size 4 leaves 1 px before stage 4, which has stride 2: at least 8 px"),
        ({"image_size": 64}, "image_size 64 is more than twice the images' 8 px"),
        ({"space": {"name": "small", "constraints": {"num_classes": 7}}}, "num_classes is 7, the data have 10"),
        ({"data": {"source": "digits", "minival": 8}}, "data.minival has 8 images of 10 classes"),
        ({"data": {"source": "digits", "subset": 130}}, "makes 2 steps an epoch of 130 images"),
    ],
)
def test_what_is_weak_is_said(sections, warning):
    """A search would run, and be worth less."""
    problems, warnings = checked(**sections)
    assert not problems
    assert warning in warnings


def test_a_folder_with_other_trials_would_refuse(run):
    """A search of this name has begun with other settings."""
    found = nas.check(SOUND, folder=run, read=False)
    assert "would not be comparable" in "\n".join(found.problems)


def test_a_minival_is_as_large_as_what_it_tells_apart():
    """The images that a gap asks for tell that gap apart, and no smaller one: the one is the other's inverse."""
    for gap, trials in ((0.02, 100), (0.05, 1000), (0.02, 1000)):
        images = findings.minival_for(gap, trials)
        assert findings.gap_told_apart(images, trials) == pytest.approx(gap, rel=0.02)
    assert findings.minival_for(0.02, 1000) > findings.minival_for(0.02, 100)


def test_the_hours_of_a_search():
    """Trainings share a device, of which who is timed has it alone: 36 trials of 100 s, of which timing is 20."""
    config = parse({**SOUND, "search": {"trials": 36}})
    assert search_hours(config, Places(1, 1), 20, 80) == pytest.approx(1.0)
    assert search_hours(config, Places(4, 1), 20, 80) == pytest.approx(0.4)
    assert search_hours(config, Places(4, 4), 20, 80) == pytest.approx(0.25)
    assert search_hours(config, Places(2, 8), 20, 80) == pytest.approx(0.5)
    unlocked = dataclasses.replace(config, step_time=dataclasses.replace(config.step_time, lock=False))
    assert search_hours(unlocked, Places(4, 1), 20, 80) == pytest.approx(0.25)
    assert math.isnan(search_hours(config, Places(1, 1), math.nan, 1))


def test_what_is_just_enough_is_not_said():
    """Eight pixels are one behind strides of 8, sixteen are twice the digits' eight, 256 images four batches of 64."""
    for sections in (
        {"image_size": 8},
        {"image_size": 16},
        {"data": {"source": "digits", "minival": 0.2, "subset": 256}},
        {"data": {"source": "digits", "minival": 10}},
    ):
        problems, warnings = checked(**sections)
        assert not problems
        assert not [text for text in ("image_size", "an epoch of", "of 10 classes") if text in warnings], warnings


def test_without_reading_paths_are_looked_for(tmp_path):
    """Of a folder, or of files by a pattern; nothing is opened, counted or timed."""
    (tmp_path / "train-0.parquet").touch()
    here = {"source": "parquet", "path": str(tmp_path / "train-*.parquet"), "test_path": str(tmp_path / "test-*")}
    found = nas.check(search_config(**SOUND | {"data": here}), read=False)
    assert found.problems == (f"data.test_path {here['test_path']} is not there",)
    assert (found.data, found.time) == (None, None)
    gone = nas.check(search_config(**SOUND | {"data": {"source": "folder", "path": "/none"}}), read=False)
    assert gone.problems == ("data.path /none is not there",)
    assert nas.check(SOUND, read=False).problems == ()


def test_a_run_that_has_begun_is_looked_at_as_it_goes_on(run):
    """With the reference that its trials have, and the numbers of trials and workers that are asked for."""
    record = read_config(run)
    own = parse(record | {"reference": "efficientnet_b0"})
    write_config(run, own.to_dict())
    given = {name: value for name, value in record.items() if name not in ("reference", "constraints_given")}
    found = nas.check(given, folder=run, trials=77, workers=1, read=False)
    assert found.config.reference == own.reference != nas.check(given, read=False).config.reference
    assert (found.config.search.trials, found.config.search.workers) == (77, 1)


@pytest.mark.parametrize("read", [False, True])
def test_a_run_counted_for_its_classes_is_no_other(run, tmp_path, read):
    """A search counts its space for the data's classes, which no configuration says: that is no change of it."""
    pictures = tmp_path / "pictures"
    for number, name in enumerate("abc" * 8):
        (pictures / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (10 * number, 99, 7)).save(pictures / name / f"{number}.png")
    given = SOUND | {"data": {"source": "folder", "path": str(pictures), "minival": 6}}
    config = search_config(**given)
    write_config(run, dataclasses.replace(config, space=counted_for(config, 3, 3)).to_dict())
    found = nas.check(given, folder=run, read=read, seconds=0)
    assert "comparable" not in "\n".join(found.problems)
    given["training"] = {"epochs": 3, "batch_size": 64}
    found = nas.check(given, folder=run, read=read, seconds=0)
    assert "comparable: training.epochs: 2 -> 3." in "\n".join(found.problems)


def test_the_room_that_decoded_images_take():
    """A byte a pixel and channel of training and test images, as large as crops need, never larger than they are."""
    config = parse(SOUND)
    data = DataDescription(config.data, None, (60, 40), 20, 3, (10, 20, 30), (), ())
    assert findings.kept_bytes(config, data) == 16 * 16 * 3 * 120
    resized = parse({**SOUND, "augment": {"crop": "resized"}})
    assert findings.kept_bytes(resized, data) == 30 * 30 * 3 * 120
    assert findings.disk(config, data).startswith("centres at 16 px: 768 B each, 92.2 kB for 120; ")
    as_jpegs = parse({**SOUND, "data": {**SOUND["data"], "storage": "jpeg"}})
    assert findings.kept_bytes(as_jpegs, data) < 16 * 16 * 3 * 120
    assert findings.disk(as_jpegs, data).startswith("JPEGs, for centres at 16 px, quality 90: about ")
