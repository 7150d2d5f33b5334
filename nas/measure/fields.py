"""A step time as flat fields: the columns of the trial log, and of a profile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.measure.step_time import StepTime


_OF: dict[str, Callable[[StepTime], Any]] = {
    "step_time_ms": lambda timing: timing.step_time_s * 1e3,
    "step_time_p10_ms": lambda timing: timing.step_time_p10_s * 1e3,
    "step_time_p90_ms": lambda timing: timing.step_time_p90_s * 1e3,
    "step_time_n": lambda timing: timing.n,
    "step_time_clock": lambda timing: timing.clock,
    "step_time_converged": lambda timing: timing.converged,
    "step_time_marks": lambda timing: " ".join(timing.marks) or None,
    "forward_ms": lambda timing: timing.forward_s * 1e3,
    "backward_ms": lambda timing: timing.backward_s * 1e3,
    "update_ms": lambda timing: timing.update_s * 1e3,
    "reference_step_time_ms": lambda timing: timing.reference_step_time_s * 1e3,
    "s_normalised": lambda timing: timing.ratio,
    "s_low": lambda timing: timing.ratio_low,
    "s_high": lambda timing: timing.ratio_high,
    "peak_memory_mb": lambda timing: timing.peak_memory_mb,
}
TIMING_COLUMNS = tuple(_OF)  # of a trial, that a step time fills


def timing_fields(timing: StepTime) -> dict[str, Any]:
    """Give the fields of `nas.runs.trial.Trial` that a step time fills."""
    return {name: of(timing) for name, of in _OF.items()}
