"""A configuration looked at before it is run: what would fail here, what is weak, what a search takes."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nas import faults
from nas.config.search import Config, with_numbers
from nas.config.settings import EVALUATOR
from nas.data.description import DataDescription, describe_source, open_data
from nas.data.prepare import prepare_sample
from nas.data.sources.records import Source
from nas.measure.holders import described, users_of_locks
from nas.runs.folder import config_if_run
from nas.search import findings
from nas.search.checks import (
    check_config,
    check_evaluator,
    check_here,
    check_images,
    check_ops,
    counted_for,
    make_algorithm,
)
from nas.search.continuation import as_begun, check_run
from nas.search.findings import Splits, splits_of
from nas.search.given import Given, config_of
from nas.search.machine import places_of
from nas.trackers import make_callbacks

if TYPE_CHECKING:
    from nas.search.timing import SearchTime

logger = logging.getLogger(__name__)

Where = str | os.PathLike[str] | None  # a run folder; None = of no run
SECONDS = 60.0  # for the measurement
_SAMPLE = 1024  # images that candidates are timed with, or four batches


@dataclass(frozen=True)
class Checked:
    """What a look at a configuration found."""

    config: Config  # resolved; its space counted for the data's classes, where they could be read
    data: DataDescription | None  # None = not looked at, or cannot be read
    problems: tuple[str, ...]  # why a search here would fail, a line each
    warnings: tuple[str, ...]  # what makes it worth less than it could be
    time: SearchTime | None  # what it takes; None = not measured


def check(
    config: Given,
    *,
    folder: Where = None,
    trials: int | None = None,
    workers: int | None = None,
    read: bool = True,
    seconds: float = SECONDS,
    say: Callable[[str], None] = logger.info,
) -> Checked:
    """Look at a search before it is run: find what would fail on this machine, and measure how long it takes.

    Nothing is written but temporary files. Of the data the images are listed, and some decoded for the measurement.

    Args:
        config: a Config, what a YAML file would hold, the path of a YAML file, or a run folder.
        folder: of the run; one that has begun keeps its reference. None = of no run.
        trials, workers: as `run_search` has them.
        read: whether to read the data; without, only paths are looked for, and nothing is measured.
        seconds: for the measurement, some candidates together; 0 = none.
        say: told what is being done, a line each.
    Raises: ValueError for what no machine could run: an unknown name, a setting out of range, an empty space.
    """
    config = with_numbers(config_of(config), trials, workers)
    config = config if folder is None else as_begun(Path(folder), config)
    check_config(config)
    check_evaluator(config)
    make_callbacks(config.callbacks)
    make_algorithm(config)
    miscounted: list[str] = []
    problems = _caught(lambda: miscounted.extend(check_ops(config.space))) + _problems_here(config)
    if read:
        with tempfile.TemporaryDirectory() as scratch:
            found = _with_data(config, folder, Path(scratch), problems, seconds, say)
    else:
        problems += _caught(partial(_check_run, folder, _counted_as_begun(folder, config)))
        warnings = tuple(findings.about_sizes(config, None))
        found = Checked(config, None, (*findings.about_paths(config), *problems), warnings, None)
    return replace(found, warnings=(*miscounted, *found.warnings))


def _check_run(folder: Where, config: Config) -> None:
    if folder is not None:
        check_run(Path(folder), config)


def _counted_as_begun(folder: Where, config: Config) -> Config:
    """Count the space for what the run's trials were counted for, where the data are not known."""
    begun = None if folder is None else config_if_run(Path(folder))
    if begun is None:
        return config
    known = begun["space"]["constraints"]
    return replace(config, space=counted_for(config, known["num_classes"], known["in_channels"]))


def _with_data(
    config: Config, folder: Where, scratch: Path, problems: list[str], seconds: float, say: Callable[[str], None]
) -> Checked:
    opened: list[tuple[DataDescription, Source]] = []

    def read() -> None:
        say(f"reading {config.data.source} {config.data.path}".strip())
        settings, source = open_data(config.data, scratch)
        opened.append((describe_source(settings, source), source))

    unread = _caught(read)
    if not opened:
        problems += _caught(partial(_check_run, folder, _counted_as_begun(folder, config)))
        return Checked(config, None, (*unread, *problems), tuple(findings.about_sizes(config, None)), None)
    [(data, source)] = opened
    config = replace(config, space=counted_for(config, len(data.counts), data.channels))
    problems += _caught(partial(_check_run, folder, config))
    splits, too_few = _split(config, data)
    problems += too_few
    warnings = [] if splits is None else list(findings.about_images(config, data, splits))
    warnings += findings.about_sizes(config, data)
    if seconds and splits and not problems and config.search.evaluator == EVALUATOR:
        if others := users_of_locks():
            who = ", ".join(map(described, sorted(others)))
            warnings.append(f"others time or train on this machine, so times are too long: {who}")
        time, slow = _measured(config, data, source, splits, scratch, seconds, say)
        problems += slow
        if time is not None and (why := time.why_rough):
            warnings.append(f"the hours are rough: {why}; --seconds measures for longer")
    else:
        time = None
    problems += findings.about_room(config, data)
    return Checked(config, data, tuple(problems), tuple(warnings), time)


def _split(config: Config, data: DataDescription) -> tuple[Splits | None, list[str]]:
    """Split the images; the other is why a search could not."""
    try:
        splits = splits_of(config, data)
    except ValueError as error:
        return None, [str(error)]
    return splits, _caught(partial(check_images, splits.train, splits.minival, config))


def _problems_here(config: Config) -> list[str]:
    """Find what this machine lacks."""
    found = _caught(lambda: check_here(config))
    return found + (_caught(lambda: places_of(config, _gpus(config))) if not found else [])


def _gpus(config: Config) -> int:
    if not config.search.gpus_per_trial:
        return 0
    import torch

    return torch.cuda.device_count()


def _measured(
    config: Config,
    data: DataDescription,
    source: Source,
    splits: Splits,
    scratch: Path,
    seconds: float,
    say: Callable[[str], None],
) -> tuple[SearchTime | None, list[str]]:
    """Measure what the search takes; the other is what went wrong."""
    from nas.search.timing import time_search

    found: list[SearchTime] = []

    def measure() -> None:
        images = max(_SAMPLE, 4 * config.training.batch_size)
        say(f"decoding {min(images, len(source.train.labels)):,} images, to measure with")
        sample = scratch / "sample"
        sample.mkdir()
        frame = config.augment.frame_size(config.image_size)
        settings = replace(config.data, storage=findings.how_kept(config, data).storage)
        prepared = prepare_sample(settings, source, config.image_size, sample, images=images, frame_size=frame)
        say(f"training the reference and candidates of the space, {seconds:g} s in all")
        places = places_of(config, _gpus(config))
        counted = (splits.train, splits.minival)
        found.append(time_search(config, prepared, counted, places, seconds=seconds, say=say))

    problems = _caught(measure)
    problems += [f"{one.name}: {one.error}" for time in found for one in time.candidates if one.error]
    return (found[0] if found and not math.isnan(found[0].hours) else None), problems


def _caught(do: Callable[[], object]) -> list[str]:
    """Give what a step refuses, a line; none if it does not."""
    try:
        do()
    except (ValueError, OSError) as error:
        return [str(error) if isinstance(error, ValueError) else str(faults.line(error))]
    return []
