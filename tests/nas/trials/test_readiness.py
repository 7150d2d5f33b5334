"""What a host must have before it gets a candidate, and which of a trial's ends are looked into."""

import pickle

import numpy as np
import pytest

from nas.config.search import parse
from nas.runs.trial import Trial
from nas.search.task import packages_of, task_of
from nas.trials.installed import TOOLKIT, arrive, installed, source_digest
from nas.trials.readiness import fault_of_host, suspect, use_device
from search_space.spaces import small

CONFIG = {"space": {"name": "small", "image_size": 8}, "image_size": 8, "device": "cpu"}
EVALUATOR = "nas.trials.evaluate:evaluate"
ARCHITECTURE = small().sample(np.random.default_rng(0))


@pytest.fixture
def task(tmp_path):
    return pickle.dumps(task_of(parse(CONFIG | {"data": {"cache_dir": str(tmp_path)}})))


def test_a_host_like_the_driver_is_prepared_and_has_no_fault(task, tmp_path):
    """After the check the data lie decoded."""
    assert arrive(installed(()), task, (), EVALUATOR, None) is None
    assert list(tmp_path.glob("*/train_images.npy"))


@pytest.mark.parametrize("name", [*TOOLKIT, "torch"])
def test_another_version_is_said_before_anything_of_it_runs(name):
    """Of the toolkit the source decides: versions stay the same while it is worked on."""
    assert f"{name}'s " in arrive(installed(()) | {name: "other"}, b"no pickle", (), EVALUATOR, None)


def test_what_only_the_driver_has_is_missing_and_what_it_has_not_is_not_compared(task):
    """The nodes of a cluster may have what the driver lacks, but not the other way round."""
    assert arrive(installed(()) | {"mylab": "1"}, task, (), EVALUATOR, None) == "mylab is not installed there"
    assert arrive(installed(()) | {"mylab": None}, task, (), EVALUATOR, None) is None


def test_the_digest_follows_the_source(tmp_path, monkeypatch):
    """One file more, or one letter changed, is another package; a module without a folder has its digest, too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab_of_readiness").mkdir()
    file = tmp_path / "lab_of_readiness" / "__init__.py"
    digests = []
    for text in ("x = 1", "x = 2"):
        file.write_text(text)
        digests.append(source_digest("lab_of_readiness"))
    (tmp_path / "lab_of_readiness" / "more.py").touch()
    (tmp_path / "module_of_readiness.py").touch()
    digests += [source_digest("lab_of_readiness"), source_digest("module_of_readiness")]
    assert len({*digests}) == 4
    assert None not in digests
    assert source_digest("not_to_be_found") is None


def test_packages_are_those_that_a_configuration_names_by_module():
    """Ours are compared anyway."""
    named = CONFIG | {"measure": ["mylab.power:watts"], "search": {"trials": 1, "evaluator": "lab:evaluate"}}
    assert packages_of(parse(named)) == ("lab", "mylab")


def test_faults_of_a_host_are_said_in_a_line(task):
    """Other images, no such plug-in, no such evaluator."""
    assert "its images or their split are not the driver's" in fault_of_host(task, (), EVALUATOR, "other")
    assert "no_such_plugin" in fault_of_host(task, ("no_such_plugin",), EVALUATOR, None)
    assert "no_such_module" in fault_of_host(task, (), "no_such_module:evaluate", None)


def test_a_full_disk_is_a_fault_of_the_host(task, monkeypatch):
    """Also where it would last for this candidate."""
    monkeypatch.setattr("nas.trials.readiness._ROOM_MB", 10**9)
    assert "MiB free" in fault_of_host(task, (), EVALUATOR, None)


def test_a_device_that_this_process_cannot_use_is_tried_in_a_fresh_one(task, monkeypatch):
    """What a candidate did to its process is no fault of the host."""

    def broken(name):
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr("nas.trials.readiness.use_device", broken)
    assert fault_of_host(task, (), EVALUATOR, None) is None
    monkeypatch.undo()
    with pytest.raises(ValueError, match="sees no GPU"):
        use_device("cuda:99")


@pytest.mark.parametrize(
    ("trial", "expected"),
    [
        (Trial(ARCHITECTURE, "ok", data_fingerprint="a"), False),
        (Trial(ARCHITECTURE, "ok"), False),
        (Trial(ARCHITECTURE, "oom"), False),
        (Trial(ARCHITECTURE, "failed"), True),
        (Trial(ARCHITECTURE, "timeout"), True),
        (Trial(ARCHITECTURE, "ok", data_fingerprint="b"), True),
    ],
)
def test_only_what_may_be_the_hosts_doing_is_looked_into(trial, expected):
    """A trial that is well costs nothing."""
    assert suspect(trial, "a") is expected
