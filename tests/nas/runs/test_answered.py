"""What an evaluator answers is checked where it is made: nothing gets in that readers of the log stumble over."""

import errno
import json
import logging
import math

import numpy as np
import pytest
import torch

from nas.runs.answered import trial_of
from nas.runs.trial import Trial
from nas.trials.answer import answer
from search_space.families import published

B0 = published("efficientnet_b0")


def made(**fields):
    return trial_of(B0, {"status": "ok", **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"params": "many"}, "params must be a number, got 'many'"),
        ({"params": 2.5}, r"params must be a whole number below 2\*\*63, got 2.5"),
        ({"macs": 1e300}, r"macs must be a whole number below 2\*\*63, got 1e\+300"),
        ({"params": 10**5000}, "params must be a number, got a int"),
        ({"params": math.inf}, "params must be a whole number"),
        ({"epochs": -1}, "epochs must be >= 0, got -1"),
        ({"accuracy": 82.6}, r"accuracy must be in \[0, 1\], got 82.6"),
        ({"accuracy": "0.5"}, "accuracy must be a number, got '0.5'"),
        ({"accuracy": b"0.5"}, "accuracy must be a number, got b'0.5'"),
        ({"accuracy": True}, "accuracy must be a number, got True"),
        ({"accuracy": np.bool_(True)}, "accuracy must be a number, got (np.)?True"),
        ({"accuracy": torch.tensor(True)}, r"accuracy must be a number, got tensor\(True\)"),
        ({"accuracy": np.array([0.5, 0.6])}, "accuracy must be a number, got array"),
        ({"step_time_converged": 1}, "step_time_converged must be true or false, got 1"),
        ({"host": 5}, "host must be text, got 5"),
        ({"trial_id": None}, "trial_id must be a number, got None"),
        ({"curve": 3}, "curve must be a list of mappings, one an epoch, got 3"),
        ({"curve": {"accuracy": 0.5}}, "curve must be a list of mappings"),
        ({"curve": [0.1]}, "curve must be a list of mappings, one an epoch, got 0.1 in it"),
        ({"curve": [{"accuracy": 0.5}, {"accuracy": "good"}]}, r"curve\[1\]: accuracy must be a number, got 'good'"),
        ({"curve": [{"accuracy": 50}]}, r"curve\[0\]: accuracy must be in \[0, 1\], got 50"),
        ({"curve": [{"epoch": "first"}]}, r"curve\[0\]: epoch must be a number, got 'first'"),
        ({"curve": [{"seen": [1]}]}, r"curve\[0\]: seen must be a number, got \[1\]"),
        ({"metrics": [("top5", 1)]}, "metrics must be numbers by name, got"),
        ({"metrics": {1: 1.0}}, "metrics must have names, got 1"),
        ({"metrics": {"top5": "high"}}, "top5 must be a number, got 'high'"),
        ({"metrics": {"top5": np.bool_(True)}}, "top5 must be a number"),
        ({"metrics": {"inference_ms": -1}}, "inference_ms must be >= 0, got -1"),
        ({"parents": "abc"}, "parents must be a list of arch_ids, got 'abc'"),
        ({"acc": 0.5}, "a trial has no place for 'acc'"),
    ],
)
def test_what_is_no_such_thing_is_refused(fields, message):
    """By name, with the value and what is allowed; the value may be anything."""
    with pytest.raises(ValueError, match=message):
        made(**fields)


@pytest.mark.parametrize("given", [None, [0.5], ("ok", 0.5), 0.9, {}, {"accuracy": 0.5}])
def test_an_answer_is_a_mapping_with_a_status(given):
    """A bare accuracy, or a forgotten return, is what one writes first."""
    with pytest.raises(ValueError, match=r"an evaluator must answer a (mapping of fields, got|`status`)"):
        trial_of(B0, given)


def test_numbers_of_every_library_are_numbers():
    """Python's own are logged: exact where they are whole."""
    trial = made(
        params=np.int64(2**62 + 1),
        macs=np.float64(5),
        epochs=torch.tensor(3),
        accuracy=np.float32(0.5),
        loss=torch.tensor([2.0], requires_grad=True),
        reward=np.array([0.25]),
        step_time_converged=np.bool_(True),
        host=np.str_("here"),
        metrics={"top5": np.float16(0.5), "unknown": None, "lost": math.nan},
        curve=({"accuracy": np.float32(0.5), "epoch": np.int64(n)} for n in range(2)),
    )
    kept = (trial.params, trial.macs, trial.epochs, trial.accuracy, trial.loss, trial.reward)
    assert kept == (2**62 + 1, 5, 3, 0.5, 2.0, 0.25)
    assert {type(each) for each in kept} == {int, float}
    assert (trial.step_time_converged, type(trial.host), trial.metrics) == (True, str, {"top5": 0.5})
    assert trial.curve == ({"accuracy": 0.5, "epoch": 0}, {"accuracy": 0.5, "epoch": 1})
    assert Trial.from_dict(json.loads(trial.to_json())) == trial


@pytest.mark.parametrize("name", ["accuracy", "loss", "reward"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), torch.tensor(math.nan)])
def test_what_came_to_nothing_is_nan_never_ok(name, value):
    """Whatever the evaluator calls it; other numbers that are not finite are not known."""
    trial = made(**{"accuracy": 0.5, "reward": 0.5, name: value})
    assert (trial.status, trial.reward, getattr(trial, name)) == ("nan", None, None)
    assert trial.error == f"its {name} was {float(value)}"
    assert made(accuracy=0.5, s_normalised=math.nan, reward=0.5).status == "ok"


def test_only_what_is_ok_has_a_reward():
    """A reward of a trial that failed would be shown by whoever does not look at its status."""
    assert made(status="pruned", error="slow", reward=0.9, reward_se=0.1).reward is None


def test_epochs_without_a_number_count_from_0():
    """Trackers and pictures need one; what an epoch says of an unknown kind is kept."""
    curve = made(curve=[{"accuracy": math.nan}, {"note": "warm-up", "steps": 5}]).curve
    assert curve == ({"epoch": 0, "accuracy": None}, {"epoch": 1, "note": "warm-up", "steps": 5})


class Silent(Exception):
    """Cannot even say what it is."""

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Silent(), "Silent: (its message cannot be had: RuntimeError)"),
        (ValueError("caf\udce9 in [/data/x]"), r"ValueError: caf\udce9 in [/data/x]"),
        (ValueError("\x1b[2J\x00two\nlines"), r"ValueError: \x1b[2J\x00two lines"),
        (ValueError("x" * 10**7), f"ValueError: {'x' * 400}... (10,000,000 characters)"),
        (SystemExit("no GPU"), "SystemExit: no GPU"),
        (SystemExit(0), "SystemExit: 0"),
    ],
)
def test_whatever_is_raised_is_an_answer(error, said, caplog):
    """Also what cannot be printed, encoded or said; in one line, and no log is flooded."""

    def evaluate(*arguments):
        raise error

    with caplog.at_level(logging.ERROR):
        trial = answer(B0, 0, None, evaluate, lambda fields: True)
    assert trial.status == "failed"
    assert trial.error.startswith(f"{said} (at answer.py:")
    trial.to_json().encode("utf-8")
    assert len(caplog.text) < 50_000


def test_a_full_disk_is_no_answer_of_a_candidate():
    """It is the machine's fault: whoever runs the candidate hears of it, and nothing is written about the candidate."""

    def evaluate(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "/scratch/features")

    with pytest.raises(OSError, match="/scratch/features"):
        answer(B0, 0, None, evaluate, lambda fields: True)


def test_an_error_that_is_answered_is_one_line():
    """What an evaluator says itself may be as long or broken as what it raises."""
    assert made(status="failed", error="a\udc80\nb").error == r"a\udc80 b"
    assert len(made(status="failed", error="x" * 10**6).error) < 1100


def test_an_interrupt_is_no_answer():
    """Ctrl-C ends what runs a candidate in its own process."""

    def evaluate(*arguments):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(B0, 0, None, evaluate, lambda fields: True)


def test_a_poisoned_log_of_an_earlier_version_is_read(caplog):
    """Text in place of a number counts as not known, and that is said."""
    record = made(params=5, accuracy=0.5, reward=0.5).to_dict() | {"params": "many", "error": "a\udc80"}
    with caplog.at_level(logging.WARNING):
        trial = Trial.from_dict(record)
    assert (trial.params, trial.accuracy, trial.error) == (None, 0.5, r"a\udc80")
    assert "params 'many' is no number" in caplog.text
