"""Whether this host can evaluate a search's candidates: seen before its first one, and again when one fails. No ray."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nas import plugins
from nas.data.prepare import prepare_for_search
from nas.imports import uncollected
from nas.runs.trial import Trial
from nas.trials.answer import Evaluator, check_task, find_evaluator
from nas.trials.task import Task
from search_space.lookup import describe

_ROOM_MB = 100  # in the folder of temporary files: Ray and libraries write there


def load(task: bytes, names: Iterable[str], evaluator: str) -> tuple[Any, Evaluator]:
    """Import plug-ins, give the task, which may hold what is theirs, and the evaluator.

    Raises: whatever is raised where something that the search names is not to be had in this process.
    """
    with uncollected():
        plugins.load(names)
        evaluate = find_evaluator(evaluator)
        unpickled = pickle.loads(task)
    check_task(unpickled)
    return unpickled, evaluate


def fault_of_host(task: bytes, names: Iterable[str], evaluator: str, fingerprint: str | None) -> str | None:
    """Prepare this host for a search's candidates, its data above all; give why it can evaluate none, or None.

    Args:
        fingerprint: of the data on the search's driver; None = whatever they are here.
    """
    try:
        unpickled, evaluate = load(task, names, evaluator)
        _check_room(Path(tempfile.gettempdir()))
        if isinstance(unpickled, Task):
            _check_data(unpickled, fingerprint)
            if evaluate.__module__ == "nas.trials.evaluate":  # one of the user's may want no torch
                _check_device(unpickled.device)
    except Exception as error:
        return describe(error)
    return None


def suspect(trial: Trial, fingerprint: str | None) -> bool:
    """Whether a trial ended in a way that its host may be to blame for."""
    other_data = None not in (trial.data_fingerprint, fingerprint) and trial.data_fingerprint != fingerprint
    return other_data or trial.status in ("failed", "timeout")


def _check_room(folder: Path) -> None:
    free_mb = shutil.disk_usage(folder).free / 2**20
    if free_mb < _ROOM_MB:
        raise ValueError(f"{folder} has {free_mb:.0f} MiB free, {_ROOM_MB} are needed")
    with tempfile.TemporaryFile(dir=folder) as file:  # it may be read-only, or have no inodes left
        file.write(bytes(4096))


def _check_data(task: Task, fingerprint: str | None) -> None:
    found = prepare_for_search(task).fingerprint
    if fingerprint not in (None, found):
        raise ValueError(f"its images or their split are not the driver's: fingerprint {found}, not {fingerprint}")


def _check_device(name: str) -> None:
    """Use the device; where that fails, in a process of its own: a candidate may have left this one unable to."""
    try:
        use_device(name)
    except Exception:
        code = f"from nas.trials.readiness import use_device; use_device({name!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise


def use_device(name: str) -> None:
    """Raise whatever is raised where a device cannot be used."""
    import torch

    from nas.training.device import resolve_device

    (torch.ones(1, device=resolve_device(name)) + 1).item()
