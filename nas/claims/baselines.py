"""What a search's winner has to be better than: other architectures of equal step time, parameters or MACs.

A baseline is the run's reference network, the median and the best of random architectures of its space, a published
one, or a file's; each grown or shrunk until it costs what the winner does. Random ones are trained by the run's own
protocol first, as a search in a folder of its own: there are many, and two of them are worth a long training.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.analysis.run import Run
from nas.architectures import Found, What, find, winner
from nas.config.search import Config, parse
from nas.families.equal import EQUAL, Equal, Quantity, Unit, equal_to, unit
from nas.families.step_cost import Measuring
from nas.runs.folder import locked, make, read_config, read_trials
from nas.runs.log import JsonLines, read_lines
from nas.runs.ranking import ranked, why_none
from nas.runs.trial import Trial
from nas.search.listed import run_listed
from nas.seeds import seed_of
from nas.signals import Signalled
from search_space.architecture import Architecture

logger = logging.getLogger(__name__)

FOLDER, MADE = "baselines", "made.jsonl"  # in the run's folder; in a folder of it, a line each that was made equal
REFERENCE, _RANDOM = "reference", re.compile(r"random:([1-9][0-9]{0,3})")
_DRAWS = 50  # for each random architecture that is to differ from those before
_MISSES = 10  # for each, that cannot be made equal


@dataclass(frozen=True)
class Baseline:
    """An architecture to compare a winner with, at equal cost."""

    name: str  # such as reference or random-20-best; fit for a file's name
    equal: Equal  # what it was made, and how near it came
    proxy: Trial | None = None  # of a random one: how it did by the run's own protocol

    @property
    def architecture(self) -> Architecture:
        """What is to be trained."""
        return self.equal.architecture

    @property
    def said(self) -> str:
        """In a line: its name, its cost over the winner's, and how near that is."""
        return f"{self.name}: {self.equal.said}"


@dataclass(frozen=True)
class Trainings:
    """How the proxies of random baselines are trained; see `nas.run_search`."""

    workers: int | None = None  # at once; None = as the run's configuration says
    address: str | None = None  # of a Ray cluster; None = this machine
    progress: bool = True


def baselines(
    run: str | os.PathLike[str],
    names: Sequence[str] = (REFERENCE, "random:20"),
    *,
    to: What | None = None,
    equal: Quantity = "step_time",
    tolerance: float = EQUAL,
    measure: Measuring | None = None,
    folder: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    address: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] = logger.info,
) -> list[Baseline]:
    """Make the baselines of a run's winner: each as large as makes its cost equal, random ones trained by their proxy.

    The same call again gives the same ones, and goes on where it was stopped or killed: what was made equal is on disk,
    and the trainings of random ones are trials of a search in a folder of their own.

    Args:
        run: folder, or an opened run.
        names: `reference` (the run's), `random:N` (of N random architectures of the run's space the median and the best
            by the run's reward), or what `find_architecture` takes: a published name, a file, block strings.
        to: what they are made equal to; default: the run's winner.
        equal: step_time, params or macs.
        tolerance: relative; what is as near as that is equal.
        measure: device and batch of step times; default: the run's. They are measured here, not on a cluster's nodes.
        folder: where they are kept; default: `baselines` in the run's folder.
        workers, address, progress: of the trainings of random ones, as `run_search` has them.
        say: told of what takes long, in sentences; default: the log.
    Returns: the baselines, in the order of `names`; `equal.is_reached` says whether the cost is near enough.
    Raises: ValueError for a name that is none or is given twice, and as `equalise` and `run_search` do; Signalled if a
        signal stopped the trainings.
    """
    run = Path(run)
    config = parse(read_config(run))
    asked = _asked(names, config)
    best = winner(run).architecture if to is None else find(to).architecture
    against = unit(Found(best, best.arch_id, run, config.to_dict()), equal, measure=measure)
    _check_device(run, against, say)
    folder = Path(folder or run / FOLDER) / f"{equal.replace('_', '-')}-{best.arch_id}"
    trainings = Trainings(workers, address, progress)
    make(folder)
    with locked(folder, "making of baselines"), closing(_Made(folder / MADE, against, tolerance, say)) as made:
        found: list[Baseline] = []
        for name, start in asked.items():
            if isinstance(start, Architecture):
                found.append(Baseline(name, made.equal(name, start)))
            else:
                found += _random(folder / name, _drawn(start, config, made), config, trainings, say)
    return found


def _asked(names: Sequence[str], config: Config) -> dict[str, Architecture | int]:
    """Give what each baseline is made from, or how many random ones there are, by its name."""
    found: dict[str, Architecture | int] = {}
    for given in names:
        name, start = _meant(given, config)
        if name in found:
            raise ValueError(f"baseline {given!r} is given twice, or another is named {name}, too")
        found[name] = start
    if not found:
        raise ValueError("no baseline is given: reference, random:20, a published name or a file")
    return found


def _meant(given: str, config: Config) -> tuple[str, Architecture | int]:
    if given == REFERENCE:
        return given, config.reference
    if random := _RANDOM.fullmatch(given):
        return given.replace(":", "-"), int(random[1])
    if given.partition(":")[0] == "random":
        raise ValueError(f"baseline random:N takes 1 to 9999 architectures, got {given!r}")
    try:
        architecture = find(given).architecture
    except ValueError as error:
        raise ValueError(f"baseline {given!r} is neither reference nor random:20, and {error}") from None
    name = Path(given).stem
    return (name if re.fullmatch(r"[\w.-]{1,60}", name) else architecture.arch_id), architecture


def _check_device(run: Path, against: Unit, say: Callable[[str], None]) -> None:
    """Say where step times are measured on something else than the run's were."""
    here = None if against.timer is None else against.timer.device_name
    theirs = {trial.device_name for trial in ranked(read_trials(run)) if trial.device_name}
    if here is not None and theirs and here not in theirs:
        say(f"step times are made equal on {here}; those of the run are of {', '.join(sorted(theirs))}")


class _Made:
    """What was made equal, on disk: measured again it would come out another way."""

    def __init__(self, log: Path, against: Unit, tolerance: float, say: Callable[[str], None]) -> None:
        self.against, self.tolerance, self.say = against, tolerance, say
        self._known = {_key(record): record["equal"] for record in read_lines(log)} if log.exists() else {}
        self._log = JsonLines(log)
        self.close = self._log.close

    def equal(self, name: str, start: Architecture, *, ends: bool = True, said_as: str | None = None) -> Equal:
        """Make an architecture equal, unless that was done.

        Args:
            ends: see `equal_to`.
            said_as: what it is called where only those that became equal are told of; None = its name, and all are.
        """
        timer = self.against.timer
        record: dict[str, Any] = {"name": name, "from": start.arch_id, "tolerance": self.tolerance}
        record |= {"device": timer and timer.device_name, "batch": timer and timer.settings.batch_size}
        known = self._known.get(_key(record))
        if known is not None:
            return Equal(**{**known, "architecture": Architecture.from_dict(known["architecture"])})
        made = equal_to(start, self.against, tolerance=self.tolerance, ends=ends, say=logger.info)
        if said_as is None or made.is_reached:
            self.say(f"{said_as or name}: {made.said}")
        self._log.append(record | {"equal": {**asdict(made), "architecture": made.architecture.to_dict()}})
        return made


def _key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("name", "from", "tolerance", "device", "batch"))


def _drawn(number: int, config: Config, made: _Made) -> list[Equal]:
    """Draw architectures of the space and make them equal, until so many are, and differ; stem and head stay.

    What cannot be made equal is left out: its layers and channels are at their least or most, and at another cost it
    would be no fair opponent. What was drawn before is drawn again: the draws do not depend on how many are wanted.
    """
    found: dict[str, Equal] = {}
    missed = 0
    for draw in range(_DRAWS * number):
        rng = np.random.default_rng(seed_of(config.seed, "baselines", draw, seeding=config.seeding))
        said_as = f"random-{number}, {len(found) + 1} of {number}"
        equal = made.equal(f"random-{draw}", config.space.sample(rng), ends=False, said_as=said_as)
        if not equal.is_reached:
            missed += 1
            if missed > _MISSES * number:
                break
        elif equal.architecture.arch_id != made.against.found.architecture.arch_id:
            found.setdefault(equal.architecture.arch_id, equal)
        if len(found) == number:
            if missed:
                share = f"{missed} of {draw + 1} could not be made equal within {made.tolerance:.0%}"
                made.say(f"random-{number}: {share} and are left out")
            return list(found.values())
    raise ValueError(
        f"baseline random:{number}: of {draw + 1} random architectures only {len(found)} different ones could be made "
        f"equal within {made.tolerance:.0%}: ask for fewer, or for another --equal"
    )


def _random(
    folder: Path, drawn: list[Equal], config: Config, trainings: Trainings, say: Callable[[str], None]
) -> list[Baseline]:
    """Train the random ones by the run's protocol; give the median and the best of them."""
    run = _finished(folder, drawn) or run_listed(
        [each.architecture for each in drawn], config, folder=folder, **vars(trainings)
    )
    if run.ended is not None and run.ended.signum is not None:
        raise Signalled(run.ended.signum)
    scored = ranked(run.trials)
    if not scored:
        raise ValueError(f"{folder}: {why_none(run.trials)}")
    if len(scored) < len(drawn):
        say(f"{folder.name}: {len(drawn) - len(scored)} of {len(drawn)} have no score and are left out")
    by_id = {each.architecture.arch_id: each for each in drawn}
    # Of an even number the better of the two in the middle: no winner is to gain by it.
    chosen = {"median": scored[(len(scored) - 1) // 2], "best": scored[0]}
    return [Baseline(f"{folder.name}-{name}", by_id[trial.arch_id], trial) for name, trial in chosen.items()]


def _finished(folder: Path, drawn: list[Equal]) -> Run | None:
    """Give the run of the random ones where all of them are answered: no search is begun for nothing."""
    answered = {trial.arch_id for trial in read_trials(folder)}
    return Run(folder) if answered == {each.architecture.arch_id for each in drawn} else None
