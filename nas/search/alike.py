"""Whether a trial was trained and timed as a run's others were: else rewards say nothing of which is better."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from nas.runs.timings import TIMED
from nas.runs.trial import Trial

logger = logging.getLogger(__name__)

_ALIKE = ("precision", "memory_format", "batch_size", "image_size", "epochs", "step_time_clock", "data_fingerprint")


class Alike:
    """What the trials of a run have in common, as its first ones say."""

    def __init__(self) -> None:
        self._ok = False  # whether any trial is
        self._known: dict[str, Any] = {}  # what the first trial says that has a column of _ALIKE
        self._devices: set[str | None] = set()

    def checked(self, trial: Trial) -> Trial:
        """Refuse a trial that was trained or timed unlike the others; say so once if only the device is another."""
        if trial.status not in ("ok", TIMED) or not self._ok:
            return trial
        unlike = [
            f"{name} {getattr(trial, name)!r} is not the run's {known!r}"
            for name in _ALIKE
            if getattr(trial, name) is not None and (known := self._known.get(name)) not in (None, getattr(trial, name))
        ]
        if unlike:
            error = f"not comparable: {'; '.join(unlike)}"
            return replace(trial, status="failed", reward=None, reward_se=None, error=error)
        if trial.device_name not in self._devices:
            logger.warning(
                "trials now come from %s, too: their step times are compared by the ratio to the reference's",
                trial.device_name,
            )
        return trial

    def count(self, trial: Trial) -> None:
        """Take a trial of the run."""
        self._devices.add(trial.device_name)
        if trial.status == "ok":
            self._ok = True
            for name in _ALIKE:  # an earlier version, or an evaluator, may not write one of them
                if name not in self._known and (value := getattr(trial, name)) is not None:
                    self._known[name] = value
