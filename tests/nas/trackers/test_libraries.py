"""A tracker whose library is missing says what to install; one that is not used imports nothing."""

import importlib.util
import subprocess
import sys

import pytest

from nas.trackers import make_callbacks


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        ("mlflow", "mlflow", "callback 'mlflow' needs MLflow: pip install 'training-aware-nas[mlflow]'"),
        ("wandb", "wandb", "callback 'wandb' needs Weights & Biases: pip install 'training-aware-nas[wandb]'"),
        (
            "tensorboard",
            "tensorboardX",
            "callback 'tensorboard' needs tensorboardX: pip install 'training-aware-nas[tensorboard]'",
        ),
    ],
)
def test_a_missing_library_is_one_line_that_says_what_to_install(monkeypatch, name, module, message):
    """It is said when the configuration is read, not when the first trial is finished."""
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == module else there(wanted))
    with pytest.raises(ValueError) as caught:
        make_callbacks([name])
    assert str(caught.value) == message


def test_no_tracker_imports_its_library_before_it_is_used():
    """Making every tracker takes no time and no library: they are imported when a search begins."""
    code = """
import sys
from nas.trackers import TRACKERS, make_callbacks
assert not {"nas.trackers.mlflow", "nas.trackers.tensorboard"} & set(sys.modules)
for name in TRACKERS:
    try:
        make_callbacks([name])
    except ValueError as error:
        assert "pip install" in str(error)
assert not {"mlflow", "wandb", "tensorboardX", "IPython", "torch", "ray"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
