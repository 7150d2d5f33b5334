"""The settings of a training: what is refused, and that they need no torch."""

import subprocess
import sys

import pytest

from nas.training.settings import ProgressiveSettings, TrainSettings


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
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    """A bad setting is one clear error that names the key and the value, before anything is trained."""
    with pytest.raises(ValueError, match=name) as error:
        TrainSettings(**{name: value})
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
