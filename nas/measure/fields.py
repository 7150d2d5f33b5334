"""A step time as flat fields: the columns of the trial log, and of a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.measure.step_time import StepTime


# Columns of a trial that a step time fills.
TIMING_COLUMNS = (
    "step_time_ms",
    "step_time_p10_ms",
    "step_time_p90_ms",
    "step_time_n",
    "step_time_clock",
    "step_time_converged",
    "step_time_marks",
    "forward_ms",
    "backward_ms",
    "update_ms",
    "reference_step_time_ms",
    "s_normalised",
    "s_low",
    "s_high",
    "peak_memory_mb",
)


def timing_fields(timing: StepTime) -> dict[str, Any]:
    """Give the fields of `nas.runs.trial.Trial` that a step time fills."""
    return {
        "step_time_ms": timing.step_time_s * 1e3,
        "step_time_p10_ms": timing.step_time_p10_s * 1e3,
        "step_time_p90_ms": timing.step_time_p90_s * 1e3,
        "step_time_n": timing.n,
        "step_time_clock": timing.clock,
        "step_time_converged": timing.converged,
        "step_time_marks": " ".join(timing.marks) or None,
        "forward_ms": timing.forward_s * 1e3,
        "backward_ms": timing.backward_s * 1e3,
        "update_ms": timing.update_s * 1e3,
        "reference_step_time_ms": timing.reference_step_time_s * 1e3,
        "s_normalised": timing.ratio,
        "s_low": timing.ratio_low,
        "s_high": timing.ratio_high,
        "peak_memory_mb": timing.peak_memory_mb,
    }
