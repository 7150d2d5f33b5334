"""The settings of a training: what is refused, and that they need no torch."""

import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

from nas.training.settings import ExecutionSettings, ProgressiveSettings, TrainSettings, split_training

_EXECUTION = {field.name for field in fields(ExecutionSettings)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("micro_batch", 0),
        ("eval_every", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("clip_norm", 0.0),
        ("time_limit_s", -1.0),
        ("warmup_epochs", -1.0),
        ("weight_decay", -1e-5),
        ("label_smoothing", 1.0),
        ("ema_decay", 1.0),
        ("drop_path", 1.0),
        ("dropout", -0.1),
        ("optimizer", "adam"),
        ("schedule", "linear"),
        ("bn_momentum", "tf"),
        ("precision", "fp16"),
        ("cuda_graph", "yes"),
        ("threads", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    """A bad setting is one clear error that names the key and the value, before anything is trained."""
    kind: Any = ExecutionSettings if name in _EXECUTION else TrainSettings
    with pytest.raises(ValueError, match=name) as error:
        kind(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stages", 0),
        ("image_size", (0, 128)),
        ("randaugment_magnitude", (5.0, -1.0)),
        ("mixup_alpha", (0.0, float("nan"))),
        ("cutmix_alpha", (0.0,)),
        ("dropout", (0.1, 1.0)),
        ("drop_path", (-0.1, 0.2)),
        ("batch_growth", 0.5),
    ],
)
def test_a_bad_progression_is_refused_by_name(name: str, value: object) -> None:
    """A ramp out of range is one clear error before a long training begins, not in its last stage."""
    with pytest.raises(ValueError, match=name) as error:
        ProgressiveSettings(**{name: value})  # type: ignore[arg-type]
    assert repr(value) in str(error.value)


def test_settings_and_schedules_need_no_torch() -> None:
    """The command line reads settings and prints a schedule without waiting for torch to be imported."""
    code = "import sys, nas.training.progressive, nas.training.schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_was_one_section_is_two() -> None:
    """A configuration of before the split means the same: keys of execution go to their section, the rest stays."""
    old = {"training": {"epochs": 3, "precision": "bf16", "time_limit_s": 60}, "seed": 1}
    assert split_training(old) == ({"epochs": 3}, {"precision": "bf16", "time_limit_s": 60})
    assert old["training"] == {"epochs": 3, "precision": "bf16", "time_limit_s": 60}, "the record is left as it was"
    new = {"training": {"epochs": 3, "precision": "bf16"}, "execution": {"threads": 2}}
    assert split_training(new) == ({"epochs": 3}, {"precision": "bf16", "threads": 2})
    assert split_training({"training": None}) == ({}, {})


def test_a_setting_in_both_sections_is_refused() -> None:
    """Which of the two counts is never guessed: one line names both places."""
    both = {"training": {"precision": "bf16"}, "execution": {"precision": "fp32"}}
    with pytest.raises(ValueError, match=r"^training\.precision and execution\.precision are the same setting: .*$"):
        split_training(both)


def test_no_setting_is_both_learnt_and_executed() -> None:
    """A key has one section, so that moving old keys is never ambiguous."""
    assert not _EXECUTION & {field.name for field in fields(TrainSettings)}
