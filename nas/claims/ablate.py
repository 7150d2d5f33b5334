"""Train the way from reference to winner, one decision after the other: what was predicted beside what is measured."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from nas.claims.ablation import Ablation, About, SeedValue, Trained, Waypoint, summarise, write_ablation
from nas.claims.compared import TRAININGS, Place, Times, train_and_time
from nas.claims.explain import PathStep, explain
from nas.claims.recipe import fresh_seeds, recipe_of
from nas.claims.step_timing import steps_of
from nas.config.recipe import Recipe
from nas.config.search import Config, parse
from nas.config.train import TrainConfig
from nas.full_training.data import prepare_for_training
from nas.full_training.trainings import Training
from nas.runs.folder import read_config, read_run, read_trials
from nas.runs.ranking import best
from nas.runs.trial import Trial
from nas.trackers.callback import Callback, TrainingEnd
from nas.trials.scoring import score
from rewards import find_reward
from rewards.signature import reads
from search_space import yaml_text
from search_space.architecture import Architecture
from search_space.space import SearchSpace

ASKED = "ablation.yaml"
COLUMNS = ("accuracy", "reward")  # that a training measures


def ablate(
    run: str | os.PathLike[str],
    column: str = "reward",
    *,
    seeds: int = 3,
    recipe: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    test: bool = False,
    out: str | os.PathLike[str] | None = None,
    confidence: float = 0.95,
    parallel: int | None = None,
    address: str | None = None,
    callbacks: Iterable[Callback | str | Mapping[str, Any]] = (),
    progress: bool = True,
) -> Ablation:
    """Train every network on the way from the reference to the winner that `explain` predicts, and compare them.

    The way changes one decision after the other, the greatest predicted gain first. The same call again goes on after
    whatever stopped it, and with more seeds trains what is new. The folder holds what was asked (`ablation.yaml`), a
    folder for each training (`trainings/ARCH_ID/seed-N`, as `nas train` makes them), step times (`timings.jsonl`)
    and the result (`ablation.json`). Seeds are those of a confirmation: none that the search has used.

    Args:
        run: folder, or an opened run.
        column: accuracy, or reward, which is scored from accuracy, step time and parameters by the run's own.
        seeds: trainings of each network; with one nothing can be told apart.
        recipe: YAML file as `nas train` takes it, or the name of one that comes along, its architecture left open;
            default: the run's own training, of which predictions are.
        epochs: instead of the recipe's.
        test: measure accuracies on the test split, of the final weights; default: on minival.
        out: folder; default: `ablation` in the run's. The way is that of the log when it was first asked for.
        confidence: of intervals, all of them together.
        parallel, address, callbacks, progress: see `train_many`.
    Returns: the ablation, `ablation.json` as a record.
    Raises: ValueError for whatever the user can fix; nothing is written then. Signalled, a KeyboardInterrupt, on SIGINT
        or SIGTERM. RayFailed if Ray fails again and again.
    """
    run, column = Path(run), column.removeprefix("+")
    config = parse(read_config(run))
    _check(config, column, seeds, confidence)
    folder = Path(out) if out is not None else run / "ablation"
    place = Place(folder, ASKED, "ablation")
    asked = _asked(folder, run, column)
    plan = _Plan(
        run=run,
        config=config,
        column=column,
        recipe=recipe_of(config, *_of_recipe(recipe, epochs, config)),
        named=str(recipe) if recipe is not None else "the search's own",
        way=[Waypoint.from_dict(each) for each in asked["way"]],
        winner=asked["winner"],
        seeds=fresh_seeds(run, config, seeds),
        test=test,
        confidence=confidence,
    )

    def summarised(ends: Sequence[TrainingEnd], times: Times) -> Ablation:
        ablation = plan.summary(ends, times)
        write_ablation(folder, ablation)
        return ablation

    return train_and_time(
        place,
        asked,
        plan.trainings(),
        plan.networks,
        config,
        summarised,
        address=address,
        parallel=parallel,
        test=test,
        callbacks=callbacks,
        progress=progress,
    )


def _check(config: Config, column: str, seeds: int, confidence: float) -> None:
    if column not in COLUMNS:
        raise ValueError(f"column must be {' or '.join(COLUMNS)}, which trainings measure, got {column!r}")
    if seeds < 1:
        raise ValueError(f"seeds must be >= 1, got {seeds}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}")
    if column == "reward" and (unknown := sorted({*reads(find_reward(config.reward.name))} - _MEASURED)):
        raise ValueError(
            f"reward {config.reward.name} reads {', '.join(unknown)}, which is not measured here; "
            "choose the column accuracy"
        )


# What a reward may read of a training and the timing of its step.
_MEASURED = {"accuracy", "step_time", "params", "step_time_s", "step_time_spread", "reference_step_time_s"}
_MEASURED |= {"params_count", "macs", "peak_memory_mb"}


def _of_recipe(
    recipe: str | os.PathLike[str] | None, epochs: int | None, config: Config
) -> tuple[Path | None, int | None]:
    return (None, epochs or config.training.epochs) if recipe is None else (Path(recipe), epochs)


# ---- the way


def _asked(folder: Path, run: Path, column: str) -> dict[str, Any]:
    """Give what is asked: the way as it was when the same was asked first, for the search may have gone on."""
    if (folder / ASKED).exists():
        before = yaml_text.load((folder / ASKED).read_text(encoding="utf-8"))
        if not (isinstance(before, dict) and before.keys() >= {"run", "column", "winner", "way"}):
            raise ValueError(f"{folder / ASKED} is damaged: it does not say which way was asked for")
        if before["column"] == column:
            return before
    found = best(read_trials(run))
    way = [each.to_dict() for each in way_of(run, column)]
    return {"run": str(run), "column": column, "winner": found and found.trial_id, "way": way}


def way_of(run: str | os.PathLike[str], column: str = "reward") -> list[Waypoint]:
    """Give the networks on the way from the reference to the winner, and what is predicted of them.

    Raises: ValueError as `explain` does, and where no way leads there.
    """
    found, config = explain(run, column), read_config(Path(run))
    if found.start is None:
        raise ValueError(f"{Path(run)}: the reference network is no architecture of the space: no way leads from it")
    if not found.path:
        raise ValueError(f"{Path(run)}: the winner is the reference network: no decision lies between them")
    reference = Architecture.from_dict(config["reference"])
    first = Waypoint(reference, found.start)
    return [first, *_changed(SearchSpace.from_dict(config["space"]), reference, found.path)]


def _changed(space: SearchSpace, reference: Architecture, path: Sequence[PathStep]) -> list[Waypoint]:
    """Change one decision after the other."""
    places = {decision.name: place for place, decision in enumerate(space.decisions)}
    code, way = space.encode(reference), []
    for step in path:
        place = places[step.decision]
        code[place] = space.decisions[place].choices.index(step.after)
        architecture = space.decode(space.canonical(code[None])[0])
        how = (step.decision, step.before, step.after, step.gain, step.low, step.high)
        way.append(Waypoint(architecture, step.value, *how))
    return way


# ---- trained


@dataclass(frozen=True)
class _Plan:
    """What is trained, and how it is compared."""

    run: Path
    config: Config  # the search's
    column: str
    recipe: Recipe
    named: str  # the recipe
    way: Sequence[Waypoint]
    winner: int | None
    seeds: tuple[int, ...]
    test: bool
    confidence: float

    @property
    def networks(self) -> list[Architecture]:
        """Each once: an option of an op that is not chosen yet changes nothing."""
        return [*dict.fromkeys(each.architecture for each in self.way)]

    def training(self, architecture: Architecture, number: int) -> TrainConfig:
        return self.recipe.config(architecture, self.seeds[number])

    def trainings(self) -> list[Training]:
        """All of the first seed first: what was interrupted has as many of each network."""
        return [
            Training(_name(each, number), self.training(each, number))
            for number in range(len(self.seeds))
            for each in self.networks
        ]

    def summary(self, ends: Sequence[TrainingEnd], times: Times) -> Ablation:
        any_training = self.training(self.networks[0], 0)
        prepared, epochs = prepare_for_training(any_training), any_training.training.epochs
        now = best(read_trials(self.run))
        about = About(
            run=str(self.run),
            run_id=str(read_run(self.run)["run_id"]),
            column=self.column,
            metric="test" if self.test else "minival",
            images=prepared.test if self.test else prepared.minival,
            confidence=self.confidence,
            epochs=epochs,
            recipe=f"{self.named}, {epochs} epochs (the search's: {self.config.training.epochs})",
            seeds=self.seeds,
            winner=self.winner,
            note=None
            if now is None or now.architecture == self.way[-1].architecture
            else f"The search's winner is trial {now.trial_id} by now: the way to it needs another folder (--out)",
        )
        named = dict(zip((each.name for each in self.trainings()), ends, strict=True))
        step = steps_of(any_training)[0]
        return summarise([self._trained(each, named, times.get((each.architecture, step))) for each in self.way], about)

    def _trained(self, waypoint: Waypoint, ends: Mapping[str, TrainingEnd], timed: Trial | None) -> Trained:
        timing, found = {} if timed is None else vars(timed), []
        for number, seed in enumerate(self.seeds):
            name = _name(waypoint.architecture, number)
            end = ends[name]
            accuracy = end.scored(test=self.test)
            value = self._value(timing, accuracy)
            found.append(SeedValue(seed, end.status, end.error, accuracy, value, f"{TRAININGS}/{name}"))
        return Trained(waypoint, tuple(found), timing, self._timing_error(timing, found))

    def _value(self, timing: Mapping[str, Any], accuracy: float | None) -> float | None:
        if accuracy is None or self.column == "accuracy":
            return accuracy
        try:
            return score({**timing, "accuracy": accuracy}, self.config.reward.name, self.config.reward.settings)
        except ValueError:  # its step could not be timed
            return None

    def _timing_error(self, timing: Mapping[str, Any], found: Sequence[SeedValue]) -> float:
        """What the interval of S leaves open in the column: a standard error, at the mean accuracy."""
        known = [each.accuracy for each in found if each.value is not None and each.accuracy is not None]
        if self.column == "accuracy" or not known or None in (timing.get("s_low"), timing.get("s_high")):
            return 0.0
        mean = math.fsum(known) / len(known)
        ends = [self._value({**timing, "s_normalised": timing[name]}, mean) or 0.0 for name in ("s_low", "s_high")]
        return abs(ends[1] - ends[0]) / (2 * NormalDist().inv_cdf((1 + self.config.step_time.confidence) / 2))


def _name(architecture: Architecture, number: int) -> str:
    return f"{architecture.arch_id}/seed-{number + 1}"
