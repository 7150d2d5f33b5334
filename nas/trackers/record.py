"""What trackers have in common: a trial as flat settings and finite numbers, and a library that has to be there."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping
from typing import Any

from nas.runs.columns import column
from nas.runs.trial import Trial
from search_space.architecture import Architecture
from search_space.space import SearchSpace

CURVE = ("train_loss", "loss", "accuracy", "learning_rate", "image_size", "images_per_s")  # of an epoch


def decisions(space: SearchSpace, architecture: Architecture) -> dict[str, Any]:
    """Give what was chosen for an architecture, by the decisions' names: `stage3_kernel_size: 5`.

    An option that the chosen op has not is no decision there.
    """
    indices = space.encode(architecture)
    return {
        each.name: each.choices[index]
        for each, index, is_one in zip(space.decisions, indices.tolist(), space.active(indices[None])[0], strict=True)
        if is_one
    }


def numbers(trial: Trial) -> dict[str, float]:
    """Give what was measured of a trial: metrics, numbers of which more or less is better, and standard errors."""
    record = {
        name: value
        for name, value in trial.to_dict().items()
        if column(name).better is not None or name in ("accuracy_se", "reward_se")
    }
    return {name: float(value) for name, value in {**record, **trial.metrics}.items() if is_number(value)}


def epoch_numbers(epoch: Mapping[str, Any]) -> dict[str, float]:
    """Give the numbers of an epoch, the objective's own included; one that was not evaluated is left out."""
    known: dict[str, Any] = {name: epoch.get(name) for name in CURVE} | dict(epoch.get("metrics") or {})
    return {name: float(value) for name, value in known.items() if is_number(value)}


def is_number(value: Any) -> bool:
    """Whether a tracker can take it as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def flat(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Give the settings of a configuration by their path, `training.epochs`; but for records and lists of them."""
    for key, value in config.items():
        name = f"{path}{key}"
        if name in ("space", "reference", "architecture", "callbacks"):
            continue  # too long for a setting; the run folder has them
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def need(module: str, called: str, extra: str) -> None:
    """Check that a tracker's library is installed. Raises ValueError that says how to install it."""
    if importlib.util.find_spec(module) is None:
        raise ValueError(f"needs {called}: pip install 'training-aware-nas[{extra}]'")
