"""Architectures trained over seeds and timed, to be compared: the course of confirmations and of ablations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nas.claims.step_timing import Step, measure_steps
from nas.cluster.process import RayProcess
from nas.config.search import Config
from nas.full_training.many import train_many
from nas.full_training.study import TrainingEvent
from nas.full_training.trainings import Training
from nas.runs.folder import holds_something, locked
from nas.runs.trial import Trial
from nas.trackers.callback import Callback, TrainingEnd
from nas.whole_files import write_whole
from search_space import yaml_text
from search_space.architecture import Architecture

TRAININGS, TIMINGS = "trainings", "timings.jsonl"
Result = TypeVar("Result")
Times = Mapping[tuple[Any, Step], Trial]  # by architecture and step


@dataclass(frozen=True)
class Place:
    """Where it is kept. Raises: ValueError if something else lies there."""

    folder: Path
    asked: str  # file of what was asked
    kind: str  # confirmation, ablation

    def __post_init__(self) -> None:
        if holds_something(self.folder) and not any((self.folder / name).exists() for name in (self.asked, TRAININGS)):
            raise ValueError(f"{self.folder} exists and is no {self.kind}'s folder; choose another with --out")

    def write_asked(self, asked: Mapping[str, Any]) -> None:
        """Write down what was asked."""
        write_whole(self.folder / self.asked, yaml_text.dump(asked))


def train_and_time(
    place: Place,
    asked: Mapping[str, Any],
    trainings: Sequence[Training],
    architectures: Sequence[Architecture],
    config: Config,
    summarised: Callable[[Sequence[TrainingEnd], Times], Result],
    *,
    address: str | None,
    parallel: int | None,
    test: bool,
    callbacks: Iterable[Callback | str | Mapping[str, Any]],
    progress: bool,
) -> Result:
    """Train, time the steps, and give what `summarised` makes and writes of it while the folder is locked.

    What was asked is written down when the first training starts: whatever can be wrong has been looked at by then.

    Args:
        trainings: the first one's recipe is that of the step.
        config: the search's.
    """

    def on_event(event: TrainingEvent) -> None:
        if event.kind == "started" and not (place.folder / place.asked).exists():
            place.write_asked(asked)

    with closing(RayProcess(address)) as ray:
        ends = train_many(
            trainings,
            place.folder / TRAININGS,
            parallel=parallel,
            ray=ray,
            test=test,
            callbacks=callbacks,
            on_event=on_event,
            progress=progress,
        )
        with locked(place.folder, place.kind):
            place.write_asked(asked)
            log, first = place.folder / TIMINGS, trainings[0].config
            times = measure_steps(architectures, first, config.reference, config.step_time, ray=ray, log=log)
            return summarised(ends, times)
