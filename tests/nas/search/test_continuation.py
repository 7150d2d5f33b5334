"""When a run goes on: wherever its data lie now, and whatever settings were not known when it began."""

import contextlib
import copy
import json
import shutil
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nas.algorithms import ALGORITHMS, Proposal
from nas.config.check import changes
from nas.config.search import differences, parse
from nas.config.train import changed_settings, parse_training
from nas.data.prepare import prepare
from nas.runs.folder import locked, read_config, read_run, read_trials, write_run
from nas.runs.log import read_lines
from nas.search.continuation import check_run, open_run
from nas.search.ledger import Ledger
from nas.search.run import run_search
from nas.search.warm_start import earlier_trials
from search_space.families import published


@pytest.fixture
def images(tmp_path):
    """A folder of two classes of ten images, to be moved."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


def searched(run, images, **data):
    """Give the configuration of a search in `images`, whose run's trials say what they were trained on."""
    record = read_config(run) | {"data": {"source": "folder", "path": str(images), "minival": 0.2, **data}}
    return parse(record | {"training": {"batch_size": 8}, "execution": {}})


def began(run, config):
    """Write a run anew as if it had been trained with a configuration; give the data's fingerprint."""
    fingerprint = prepare(config.data, config.image_size).fingerprint
    log = run / "trials.jsonl"
    rewrite(log, data_fingerprint=fingerprint)
    aside = log.rename(log.with_suffix(".aside"))
    open_run(run, config)
    aside.rename(log)
    return fingerprint


def rewrite(log, **fields):
    """Give every trial of a log other values in some columns."""
    lines = [json.loads(line) | fields for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))


def test_a_run_goes_on_where_its_data_lie_now(run, images):
    """The same images in another folder are the same data: the run takes their new place down."""
    before = searched(run, images)
    assert began(run, before) == prepare(before.data, 16).fingerprint
    moved = images.rename(images.with_name("moved"))
    config = searched(run, moved)
    fingerprint = prepare(config.data, config.image_size).fingerprint
    check_run(run, config, fingerprint)
    assert len(earlier_trials([run], config, fingerprint)) == 12, "a warm start takes them, too"
    open_run(run, config, fingerprint)
    assert read_config(run)["data"]["path"] == str(moved)


def test_other_images_in_another_place_are_refused_in_one_line(run, images):
    """One image more or less is other data, and the line says so, by the fingerprints; other splits are named."""
    known = began(run, searched(run, images))
    other = images.with_name("other")
    shutil.copytree(images, other)
    (other / "cat" / "3.png").unlink()
    config = searched(run, other)
    fingerprint = prepare(config.data, config.image_size).fingerprint
    with pytest.raises(ValueError, match=f"were trained on: fingerprint {fingerprint}, not {known}$"):
        check_run(run, config, fingerprint)
    with pytest.raises(ValueError, match=f"the images or their split: fingerprint {known} -> {fingerprint}$"):
        earlier_trials([run], config, fingerprint)
    config = searched(run, images, minival=0.3)
    with pytest.raises(ValueError, match=r"not be comparable: data\.minival: 0\.2 -> 0\.3\. "):
        check_run(run, config, prepare(config.data, config.image_size).fingerprint)


def test_a_change_of_all_stages_is_said_once(tmp_path):
    """Not once a stage: seven stages made a line of a thousand characters, whose end was what mattered."""
    stages = [{"op": ["mbconv"], "kernel_size": [3]}] * 3
    old = {"space": {"stages": stages}, "training": {"epochs": 1}}
    new = {"space": {"stages": [{**stage, "op": ["own"]} for stage in stages]}, "training": {"epochs": 3}}
    assert changes(old, new, ()) == ["space.stages.1,2,3.op: ['mbconv'] -> ['own']", "training.epochs: 1 -> 3"]
    new["space"]["stages"][1]["op"] = ["other"]
    assert changes(old, new, {"training.epochs"}) == [
        "space.stages.1,3.op: ['mbconv'] -> ['own']",
        "space.stages.2.op: ['mbconv'] -> ['other']",
    ]


def test_a_warm_start_with_other_images_of_the_same_path_is_refused(run, images):
    """The configuration is the same to the letter; the trials were trained on other images all the same."""
    known = began(run, searched(run, images))
    (images / "dog" / "0.png").unlink()
    config = searched(run, images)
    fingerprint = prepare(config.data, config.image_size).fingerprint
    with pytest.raises(ValueError, match=f"fingerprint {known} -> {fingerprint}"):
        earlier_trials([run], config, fingerprint)


def test_data_of_which_no_trial_says_anything_may_not_move(run, images):
    """An evaluator of one's own may not write fingerprints; then the place is all that is known of the data."""
    config = searched(run, images)
    began(run, config)
    log = run / "trials.jsonl"
    rewrite(log, data_fingerprint=None)
    check_run(run, config, prepare(config.data, 16).fingerprint)
    moved = searched(run, images.rename(images.with_name("moved")))
    with pytest.raises(ValueError, match=r"comparable: data\.path: '.*images' -> '.*moved'"):
        check_run(run, moved, prepare(moved.data, 16).fingerprint)


# ---- a configuration that is corrected before a trial is finished


def test_a_correction_after_an_early_stop_begins_anew(run, tmp_path, caplog):
    """Candidates of a mistaken space cannot be told to an algorithm of the right one: the run was bricked by them."""
    config, folder = parse(read_config(run)), tmp_path / "new"
    wrong = parse(read_config(run) | {"space": {"name": "efficientnetv2"}, "image_size": 32})
    for given in (wrong, config, config):
        run_id = open_run(folder, given)
        ledger = Ledger(folder, ALGORITHMS["random"](given.space, 0), run_id=run_id, seed=0, trials=2, max_attempts=1)
        candidate = ledger.next_candidate()
        given.space.encode(candidate.proposal.architecture)
        ledger.stop()
        ledger.close()
    assert caplog.text.count("it begins anew") == 1
    assert candidate.attempt == 2, "the unchanged configuration goes on with what was proposed"
    assert read_config(folder)["image_size"] == config.image_size


def test_what_no_algorithm_could_be_told_is_not_logged(tmp_path):
    """An algorithm of one's own that leaves its space ends the search; its log is as it was."""
    config = parse({"space": {"name": "small"}, "image_size": 32})
    algorithm = ALGORITHMS["random"](config.space, 0)
    algorithm.ask = lambda: Proposal(published("efficientnet_b0"), "mine")
    ledger = Ledger(tmp_path, algorithm, run_id="r", seed=0, trials=2, max_attempts=1)
    with pytest.raises(ValueError):
        ledger.next_candidate()
    ledger.close()
    assert read_lines(tmp_path / "proposals.jsonl") == []


def test_another_version_of_an_evaluator_is_another_measurement(run, tmp_path, monkeypatch):
    """The name is the same, the numbers may not be; where no trial is finished, the new version is taken down."""
    module = types.ModuleType("gauge")
    module.__version__ = "1.0"
    monkeypatch.setitem(sys.modules, "gauge", module)
    record = read_config(run)
    record["search"]["evaluator"] = "gauge:evaluate"
    config, folder = parse(record), tmp_path / "new"
    open_run(folder, config)
    module.__version__ = "1.1"
    open_run(folder, config)
    assert read_run(folder)["modules"] == {"gauge": "1.1"}
    shutil.copy(run / "trials.jsonl", folder)
    check_run(folder, config)
    module.__version__ = "2.0"
    with pytest.raises(ValueError, match=r"not be comparable: version of gauge: 1\.1 -> 2\.0\. "):
        check_run(folder, config)
    with pytest.raises(ValueError, match=r"not comparable with this search: version of gauge: 1\.1 -> 2\.0"):
        earlier_trials([folder], config)
    with pytest.raises(ValueError, match=r"search\.evaluator: 'gauge:evaluate' -> 'gauge:other'"):
        check_run(folder, replace(config, search=replace(config.search, evaluator="gauge:other")))
    write_run(folder, {**read_run(folder), "modules": {}})  # as a run of an earlier version has it, which did not know
    check_run(folder, config)


# ---- two searches that begin at once


def test_the_second_of_two_first_starts_is_refused(run, tmp_path, monkeypatch):
    """Both found no folder; the one that comes second writes nothing into the other's."""
    folder = tmp_path / "new"
    config = parse(read_config(run) | {"training": {"batch_size": 8}, "execution": {}})

    with contextlib.ExitStack() as stack:

        def start(ray):
            folder.mkdir()  # the other one was faster
            stack.enter_context(locked(folder))

        monkeypatch.setattr("nas.search.run.RayProcess.start", start)
        monkeypatch.setattr("nas.search.run.slots", lambda *arguments, **more: 1)
        with pytest.raises(ValueError, match=f"another search is running in {folder}"):
            run_search(config, folder=folder, progress=False)
    assert [path.name for path in folder.iterdir()] == [".lock"]
    open_run(folder, config)  # what a start that was killed so early leaves is no other's folder


# ---- settings that an earlier version did not know


def leaves(record, path=()):
    for key, value in record.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        yield (*path, key)


SECTIONS = ("data", "augment", "training", "execution", "step_time", "reward", "search")


def lacking(record, path):
    """A resolved configuration of a version that did not know one setting, or one section."""
    record = copy.deepcopy(record)
    inside = record
    for key in path[:-1]:
        inside = inside[key]
    del inside[path[-1]]
    return record


@pytest.mark.parametrize(
    ("resolved", "changed"),
    [
        (parse({"space": {"name": "small"}, "image_size": 32}).to_dict(), differences),
        (
            json.loads(json.dumps(parse_training({"image_size": 32}, published("efficientnetv2_b0")).to_dict())),
            changed_settings,
        ),
    ],
    ids=["search", "training"],
)
def test_every_setting_that_an_older_configuration_lacks_has_its_default(resolved, changed):
    """Whichever setting comes next: a run that began before it goes on with it written at its default."""
    paths = [path for path in leaves(resolved) if path[0] in SECTIONS]
    assert len(paths) > 40
    for path in paths:
        assert changed(lacking(resolved, path), resolved) == [], path


def test_at_another_value_it_is_a_change():
    """The old run had the default, not whatever is asked now; in a reward and in a progressive schedule, too."""
    base = {"space": {"name": "small"}, "image_size": 32}
    old = lacking(parse(base).to_dict(), ("reward", "w"))
    assert differences(old, parse(base | {"reward": {"w": -0.1}}).to_dict()) == ["reward.w: -0.07 -> -0.1"]
    schedules = [
        parse_training({"progressive": {"stages": 2, "image_size": [8, 12], **more}}, published("efficientnetv2_b0"))
        for more in ({}, {"batch_growth": 2.0})
    ]
    before, after = (json.loads(json.dumps(each.to_dict())) for each in schedules)
    old = lacking(before, ("progressive", "batch_growth"))
    assert changed_settings(old, before) == []
    assert changed_settings(old, after) == ["progressive.batch_growth: 1.0 -> 2.0"]


def test_a_column_that_older_trials_lack_makes_nobody_incomparable(run):
    """What a version did not write down is not known to differ; where a later trial of the run says it, it counts."""
    log = run / "trials.jsonl"
    rewrite(log, step_time_clock=None)
    config = parse(read_config(run))
    ledger = Ledger(run, ALGORITHMS["random"](config.space, 0), run_id="r", seed=0, trials=15, max_attempts=1)
    template = next(trial for trial in read_trials(run) if trial.status == "ok")
    for clock, status in (("thread", "ok"), ("wall", "failed"), (None, "ok")):
        candidate = ledger.next_candidate()
        done = ledger.finish(candidate.trial_id, replace(template, step_time_clock=clock))
        assert done.status == status, clock
    assert "step_time_clock 'wall' is not the run's 'thread'" in ledger.trials[-2].error
    ledger.close()
