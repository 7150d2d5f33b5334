"""Train the best of a search, and baselines, again: longer, with fresh seeds, and say which of them are told apart."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.claims.compared import TRAININGS, Place, Times, train_and_time
from nas.claims.confirmation import About, Confirmation, SeedResult, Trained, summarise, write_confirmation
from nas.claims.contenders import Contender, contenders
from nas.claims.recipe import fresh_seeds, recipe_of
from nas.claims.step_timing import steps_of
from nas.claims.time_to_target import epoch_seconds, first_epoch
from nas.config.recipe import Recipe
from nas.config.search import Config, parse
from nas.config.train import TrainConfig
from nas.families.equal import Quantity
from nas.full_training.data import prepare_for_training
from nas.full_training.folder import METRICS
from nas.full_training.metrics import whole_lines
from nas.full_training.trainings import Training
from nas.runs.folder import read_config, read_run
from nas.trackers.callback import Callback, TrainingEnd
from nas.trackers.display import Display
from search_space import yaml_text

logger = logging.getLogger(__name__)
ASKED = "confirm.yaml"


def confirm(
    run: str | os.PathLike[str],
    *,
    top: int = 5,
    seeds: int = 3,
    recipe: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    baselines: Sequence[str] | str = (),
    equal: Quantity | None = "step_time",
    target_accuracy: float | None = None,
    test: bool = False,
    out: str | os.PathLike[str] | None = None,
    confidence: float = 0.95,
    parallel: int | None = None,
    address: str | None = None,
    callbacks: Iterable[Callback | str | Mapping[str, Any]] = (),
    progress: bool = True,
) -> Confirmation:
    """Train the best architectures of a run, and baselines, again and compare them over seeds.

    The same call again goes on after whatever stopped it, and with more seeds, more of the best or other baselines
    trains what is new. The folder holds what was asked (`confirm.yaml`), a folder for each training
    (`trainings/ARCH_ID/seed-N`, as `nas train` makes them), step times (`timings.jsonl`) and the result
    (`confirm.json`). Seeds are the same for every architecture, and none that the search has used.

    Args:
        run: folder, or an opened run.
        top: the best so many distinct architectures, by the run's log when this was first asked.
        seeds: trainings of each architecture; with one nothing can be told apart.
        recipe: YAML file as `nas train` takes it, or the name of one that comes along, its architecture left open;
            default: the run's own training, for three times as many epochs.
        epochs: instead of the recipe's.
        baselines: `reference`, `random:20` (the median and the best of so many random ones), or what
            `find_architecture` takes: a published name, a file, block strings; see `nas.baselines`.
        equal: what of the winner's cost they are made equal in, by growing or shrinking: step_time, params or macs;
            None = they are trained as they are.
        target_accuracy: on minival; time until it is reached is told in epochs and in seconds of training steps.
        test: compare accuracies on the test split, of the final weights; default: on minival, by whose images the
            search has chosen, which is a little in favour of what it has found.
        out: folder; default: `confirm` in the run's.
        confidence: of intervals, and that not one pair is told apart wrongly.
        parallel, address, callbacks, progress: see `train_many`.
    Returns: the confirmation, `confirm.json` as a record.
    Raises: ValueError for whatever the user can fix; nothing is written then. Signalled, a KeyboardInterrupt, on SIGINT
        or SIGTERM. RayFailed if Ray fails again and again.
    """
    run = Path(run)
    _check(top, seeds, target_accuracy, confidence)
    config = parse(read_config(run))
    names = [baselines] if isinstance(baselines, str) else [*baselines]
    folder = Path(out) if out is not None else run / "confirm"
    asked: dict[str, Any] = {"run": str(run), "top": top, "baselines": names, "equal": equal}
    place = Place(folder, ASKED, "confirmation")
    plan = _Plan(
        run=run,
        config=config,
        recipe=recipe_of(config, None if recipe is None else Path(recipe), epochs),
        named=str(recipe) if recipe is not None else "the search's own",
        who=_chosen(folder, run, asked, address, progress),
        seeds=fresh_seeds(run, config, seeds),
        test=test,
        target=target_accuracy,
        confidence=confidence,
    )
    asked["contenders"] = [each.to_dict() for each in plan.who]

    def summarised(ends: Sequence[TrainingEnd], times: Times) -> Confirmation:
        confirmation = plan.summary(ends, times, folder)
        write_confirmation(folder, confirmation)
        return confirmation

    return train_and_time(
        place,
        asked,
        plan.trainings(),
        [each.architecture for each in plan.who],
        config,
        summarised,
        address=address,
        parallel=parallel,
        test=test,
        callbacks=callbacks,
        progress=progress,
    )


def _check(top: int, seeds: int, target: float | None, confidence: float) -> None:
    for name, value in (("top", top), ("seeds", seeds)):
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    if target is not None and not 0 < target <= 1:
        raise ValueError(f"target_accuracy must be in (0, 1], got {target}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}")


def _chosen(folder: Path, run: Path, asked: Mapping[str, Any], address: str | None, progress: bool) -> list[Contender]:
    """Give who is trained: as it was chosen when the same was asked first, for the search may have gone on."""
    if (folder / ASKED).exists():
        before = yaml_text.load((folder / ASKED).read_text(encoding="utf-8"))
        if not isinstance(before, dict) or "contenders" not in before:
            raise ValueError(f"{folder / ASKED} is damaged: it says nothing of contenders")
        if all(before.get(name) == asked[name] for name in ("top", "baselines", "equal")):
            return [Contender.from_dict(each) for each in before["contenders"]]
    say = Display().on_message if progress else logger.info
    how: dict[str, Any] = {"address": address, "progress": progress, "say": say}
    return contenders(run, asked["top"], asked["baselines"], asked["equal"], **how)


@dataclass(frozen=True)
class _Plan:
    """What is trained, and how it is compared."""

    run: Path
    config: Config  # the search's
    recipe: Recipe
    named: str  # the recipe
    who: Sequence[Contender]
    seeds: tuple[int, ...]
    test: bool
    target: float | None
    confidence: float

    def training(self, contender: Contender, number: int) -> TrainConfig:
        return self.recipe.config(contender.architecture, self.seeds[number])

    def trainings(self) -> list[Training]:
        """All of the first seed first: what was interrupted has as many of each architecture."""
        return [
            Training(_name(contender, number), self.training(contender, number))
            for number in range(len(self.seeds))
            for contender in self.who
        ]

    def summary(self, ends: Sequence[TrainingEnd], times: Times, folder: Path) -> Confirmation:
        any_training = self.training(self.who[0], 0)
        prepared = prepare_for_training(any_training)
        epochs = any_training.training.epochs
        about = About(
            run=str(self.run),
            run_id=str(read_run(self.run)["run_id"]),
            metric="test" if self.test else "minival",
            images=prepared.test if self.test else prepared.minival,
            confidence=self.confidence,
            epochs=epochs,
            recipe=f"{self.named}, {epochs} epochs (the search's: {self.config.training.epochs})",
            seeds=self.seeds,
            target_accuracy=self.target,
        )
        found = []
        for place, contender in enumerate(self.who):
            seconds = epoch_seconds(self.training(contender, 0), prepared.train, times)
            results = tuple(
                self._result(contender, number, ends[number * len(self.who) + place], seconds, folder)
                for number in range(len(self.seeds))
            )
            last = times.get((contender.architecture, steps_of(any_training)[0]))
            timing = {} if last is None else vars(last)
            found.append(Trained(contender, results, timing, None if seconds is None else math.fsum(seconds)))
        return summarise(found, about)

    def _result(
        self, contender: Contender, number: int, end: TrainingEnd, seconds: Sequence[float] | None, folder: Path
    ) -> SeedResult:
        reached = None
        if self.target is not None:
            reached = first_epoch(whole_lines(end.folder / METRICS), self.target)
        return SeedResult(
            seed=self.seeds[number],
            status=end.status,
            error=end.error,
            accuracy=end.scored(test=self.test),
            epochs_to_target=reached,
            seconds_to_target=None if reached is None or seconds is None else math.fsum(seconds[:reached]),
            folder=f"{TRAININGS}/{_name(contender, number)}",
        )


def _name(contender: Contender, number: int) -> str:
    return f"{contender.architecture.arch_id}/seed-{number + 1}"
