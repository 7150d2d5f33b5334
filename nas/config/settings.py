"""Settings of a search that no module of its own reads: how many trials, where they run, which algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Prune = Literal["none", "asha", "bound"]


@dataclass(frozen=True)
class AlgorithmSettings:
    """Which search algorithm, its seed and its own settings."""

    name: str = "predictor"  # a key of ALGORITHMS, or module:Name
    seed: int | None = None  # None = drawn from the search's
    settings: dict[str, Any] = field(default_factory=dict)  # fields of the algorithm's `Settings`

    def __post_init__(self) -> None:
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed!r}")


EVALUATOR = "nas.trials.evaluate:evaluate"


@dataclass(frozen=True)
class RepeatSettings:
    """Trainings of a search that go to architectures it has trained already, under another seed."""

    top: int = 8  # architectures, the best so far, that are trained again where that may change which is best
    seeds: int = 2  # trainings of each, the first counted in: top * (seeds - 1) trials of the search are repeats

    def __post_init__(self) -> None:
        for name, least in (("top", 2), ("seeds", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, got {getattr(self, name)!r}")

    @property
    def trials(self) -> int:
        """Trials of the search that are repeats."""
        return self.top * (self.seeds - 1)


@dataclass(frozen=True)
class StopSettings:
    """When a search ends before its trials are used up. What has begun is finished, and repeats are still made."""

    expected_gain: float = 0.001  # of the reward by ten more trials: once less is expected (nas/runs/advice.py)

    def __post_init__(self) -> None:
        if not 0 < self.expected_gain < float("inf"):
            raise ValueError(f"expected_gain must be above 0, got {self.expected_gain!r}")


@dataclass(frozen=True)
class SearchSettings:
    """How trials are run. Changing any of these but the evaluator leaves finished trials comparable."""

    trials: int = 100  # finished trials of any status at which the search ends
    workers: int | None = None  # trials at once; None = as many as the resources hold
    cpus_per_trial: float = 1.0  # CPUs that a trial holds, and threads that it computes with
    gpus_per_trial: float = 0.0  # fractions pack several trials on one GPU
    max_hours: float | None = None  # no candidate is started later; running ones finish
    time_limit_s: float | None = None  # of one trial, timing included; then status `timeout`
    max_attempts: int = 3  # starts of a candidate whose process dies before it is `failed`
    # Stop trials early. asha: the worse two thirds at 1/9 and at 1/3 of the epochs. bound: those that even with an
    # optimistic accuracy would not be among the best `prune_top` (weighted_product alone); never in the second half.
    prune: Prune = "none"
    # Of `asha`: after which epochs only the best third goes on, such as [2, 5, 10] of 30 epochs; none in the second
    # half, each evaluated; [] = after 1/9 and 1/3 of them.
    prune_epochs: tuple[int, ...] = ()
    prune_top: int = 10  # of `bound`: how many of the best it aims at
    prune_confidence: float = (
        0.95  # of `bound`: share of trainings that end below all bounds; 0.99 asks for 99 finished ones, 0.95 for 19
    )
    repeats: RepeatSettings | None = None  # train the best again under other seeds, as part of `trials`; None = never
    stop_when: StopSettings | None = None  # end where more trials gain little; None = only when `trials` are finished
    time_first: int = 1  # candidates timed for each one trained, which is the one worth most; 1 = each is trained
    fresh_process: bool | None = None  # a new process per trial; None = on GPUs only
    evaluator: str = EVALUATOR  # module:function that turns a candidate into a trial's fields

    def __post_init__(self) -> None:
        for name in ("trials", "max_attempts", "prune_top", "time_first"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)!r}")
        at = self.prune_epochs
        if at and (self.prune != "asha" or min(at) < 1 or list(at) != sorted(set(at))):
            raise ValueError(f"prune_epochs must be ascending epochs from 1 on, with prune asha, got {list(at)}")
        if not 0 < self.prune_confidence < 1:
            raise ValueError(f"prune_confidence must be in (0, 1), got {self.prune_confidence!r}")
        for name in ("cpus_per_trial", "gpus_per_trial"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)!r}")
        for name in ("workers", "max_hours", "time_limit_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value!r}")
        if self.cpus_per_trial == 0 and self.gpus_per_trial == 0:
            raise ValueError("cpus_per_trial and gpus_per_trial cannot both be 0")
        if self.repeats is not None and 2 * self.repeats.trials > self.trials:
            part = f"{self.repeats.trials} of {self.trials}"
            raise ValueError(f"repeats: top * (seeds - 1) must be at most half of the trials, got {part}")
        module, colon, function = self.evaluator.partition(":")
        if not (module and colon and function):
            raise ValueError(f"evaluator must be module:function, got {self.evaluator!r}")
