"""Every number and word of a trial: its unit, whether more or less of it is better, how it is headed and written.

Ranking, Pareto fronts, tables, the report and the documentation read this table. A number that a measurement, an
objective or an evaluator of your own adds to `Trial.metrics` needs no line here; with one it has a unit, a direction
and a heading: `COLUMNS["my_score"] = Column("what it is", better="more")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from nas.runs.text import fixed, short
from search_space.lookup import with_hint


@dataclass(frozen=True)
class Column:
    """What one column of the trial table means and how it is shown."""

    about: str  # one line for the documentation
    unit: str = ""  # such as ms or MiB; empty = none
    better: Literal["more", "less"] | None = None  # None = neither
    heading: str = ""  # in tables; empty = the name
    write: Callable[[Any], str] = str
    low: float | None = None  # values outside [low, high] are an error of who measured; None = no bound
    high: float | None = None


COLUMNS: dict[str, Column] = {
    "run_id": Column("of the run"),
    "trial_id": Column("counts proposals from 0", heading="trial"),
    "arch_id": Column("hash of the architecture's canonical JSON"),
    "architecture": Column("JSON"),
    "status": Column("what became of the candidate: a key of STATUSES"),
    "proposed_by": Column("the algorithm, or the part of it", heading="proposed by"),
    "parents": Column("arch_ids"),
    "proposal": Column("what the algorithm wants back with the trial, JSON"),
    "error": Column("why the status is not ok"),
    "attempt": Column("starts of the candidate"),
    "seed": Column("of initial weights, data order and augmentation"),
    # how it was trained
    "epochs": Column("of the training", low=0),
    "image_size": Column("height and width", "px", heading="px", low=1),
    "batch_size": Column("images per update", heading="batch", low=1),
    "micro_batch": Column("images per forward and backward", heading="micro batch", low=1),
    "precision": Column("fp32 or bf16"),
    "memory_format": Column("channels_last or contiguous"),
    # what came out
    "params": Column("parameters", better="less", write=short, low=0),
    "macs": Column("multiply-accumulates of one image", better="less", heading="MACs", write=short, low=0),
    "activations": Column("outputs of convolutions and linear layers", better="less", write=short, low=0),
    "accuracy": Column("top-1 on minival", better="more", write=fixed(4), low=0, high=1),
    "accuracy_se": Column("standard error of accuracy, from the minival's size", write=fixed(4), low=0, high=1),
    "minival_images": Column("images that accuracy and loss were measured on", heading="minival", low=1),
    "loss": Column("mean cross-entropy on minival", better="less", write=fixed(4)),
    "curve": Column("one record an epoch"),
    "metrics": Column("further numbers by name, each a column of its own in tables"),
    "step_time_ms": Column("median training step", "ms", "less", "step ms", fixed(2), low=0),
    "step_time_p10_ms": Column("a tenth of the steps are faster", "ms", "less", "p10", fixed(2), low=0),
    "step_time_p90_ms": Column("a tenth of the steps are slower", "ms", "less", "p90", fixed(2), low=0),
    "step_time_n": Column("pairs of steps: the candidate's and the reference's", heading="pairs", low=0),
    "step_time_clock": Column("wall, or cpu: CPU time of the one thread that works"),
    "step_time_converged": Column("whether s_low to s_high is as narrow as was asked"),
    "step_time_marks": Column("what disturbed the timing, separated by blanks"),
    "forward_ms": Column("forward part of the step", "ms", "less", "forward ms", fixed(2), low=0),
    "backward_ms": Column("backward part of the step", "ms", "less", "backward ms", fixed(2), low=0),
    "update_ms": Column("update part of the step", "ms", "less", "update ms", fixed(2), low=0),
    "reference_step_time_ms": Column(
        "median step of the reference network", "ms", heading="ref ms", write=fixed(2), low=0
    ),
    "s_normalised": Column("step time over the reference's", better="less", heading="S", write=fixed(3), low=0),
    "s_low": Column("confidence interval of S, from", better="less", heading="S from", write=fixed(3), low=0),
    "s_high": Column("confidence interval of S, to", better="less", heading="S to", write=fixed(3), low=0),
    "p_normalised": Column("params over the reference's", better="less", heading="P", write=fixed(3), low=0),
    "peak_memory_mb": Column("most that a training step's tensors take", "MiB", "less", "MiB", fixed(1), low=0),
    "data_wait_share": Column("share of the training time spent waiting for data", better="less", low=0, high=1),
    "reward": Column("what the search maximises", better="more", write=fixed(4)),
    "reward_se": Column("standard error of reward, from those of accuracy and S", write=fixed(4), low=0),
    "reward_name": Column("a key of REWARDS"),
    "w": Column("the reward's exponent of the step time"),
    "v": Column("the reward's exponent of the parameters"),
    # where and when
    "started_at": Column("ISO 8601, UTC"),
    "ended_at": Column("ISO 8601, UTC"),
    "wall_s": Column("of the whole trial", "s", "less", "wall s", fixed(1), low=0),
    "device_s": Column(
        "wall_s times the share of a device that the trial held", "s", "less", "device s", fixed(1), low=0
    ),
    "host": Column("where it ran"),
    "device_name": Column("of the GPU or processor", heading="device"),
    "torch_version": Column("of the worker"),
    "toolkit_version": Column("of the worker"),
    "git_commit": Column("of the worker's toolkit"),
    "data_fingerprint": Column("of every pixel, label and split"),
    "schema_version": Column("of the record"),
    # of tables alone: what a trial is beside the others
    "told_apart": Column("whether it is worse than the best for sure (95 %), not by luck", heading="apart"),
    # metrics that measurers of ours add
    "inference_ms": Column("median latency of one image", "ms", "less", "infer ms", fixed(2), low=0),
    "inference_batch_ms": Column("median latency of a training batch", "ms", "less", "batch ms", fixed(2)),
    "inference_ratio_low": Column("confidence interval of inference_ratio, from", better="less", write=fixed(3)),
    "inference_ratio_high": Column("confidence interval of inference_ratio, to", better="less", write=fixed(3)),
    "inference_ratio": Column("inference_ms over the reference's", better="less", heading="infer S", write=fixed(3)),
}


def column(name: str) -> Column:
    """Give the line of a column; one without says nothing but its name."""
    return COLUMNS.get(name) or Column(name)


def objective(text: str, known: Iterable[str]) -> tuple[str, bool]:
    """Read an objective: a column's name, with `+` or `-` before it where more or less of it is better.

    Args:
        known: columns that there are.
    Returns: name, and whether more is better.
    Raises: ValueError for a column that there is not, or one without a direction, here or in the table.
    """
    name, sign = (text[1:], text[0]) if text[:1] in ("+", "-") else (text, "")
    if name not in (known := tuple(known)):
        raise ValueError(f"no numeric column {with_hint(name, known)}")
    if sign:
        return name, sign == "+"
    better = column(name).better
    if better is None:
        raise ValueError(f"column {name!r} has no direction: write -{name} where less is better, +{name} where more is")
    return name, better == "more"
