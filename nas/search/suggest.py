"""A first configuration for a data set and this machine: what is found out, chosen, measured and written down."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from nas.config.search import Config, parse
from nas.cpus import available_cpus
from nas.data.description import DataDescription, Given, describe_data
from nas.data.settings import DataSettings
from nas.search.check import check
from nas.search.choices import FEWEST_TRIALS, HOURS, TRIALS, Choices, Machine, choose, fit_time
from nas.search.findings import GAP, gap_told_apart
from nas.search.machine import places_of, search_hours
from nas.whole_files import folder_for, write_whole
from rewards.uncertainty import accuracy_error
from search_space import yaml_text
from search_space.cost import count_batch

if TYPE_CHECKING:
    from nas.search.timing import SearchTime

logger = logging.getLogger(__name__)

SECONDS = 20.0  # for the measurement
# FLOP/s that a training sustains, for an estimate without one: small networks leave most of a device idle.
_CPU_RATE, _GPU_RATE = 2e10, 1e13
_LIMIT = 5  # times what the slowest candidate measured takes
_COLUMNS = 80
_COMMENTS_AT = 26


@dataclass(frozen=True)
class Suggestion:
    """A configuration for a data set and this machine."""

    text: str  # YAML, each choice with its reason
    config: Config  # that it is
    data: DataDescription
    hours: float  # that a search is expected to take
    how: str  # that is known: measured, or estimated, and by what

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the text to a file. Raises ValueError if something is there already."""
        path = Path(path)
        check_new(path)
        with folder_for(path.parent):
            write_whole(path, self.text)
        return path


def suggest(
    data: Given | DataDescription = None, *, seconds: float = SECONDS, say: Callable[[str], None] = logger.info
) -> Suggestion:
    """Suggest the configuration of a first search: space, image size, batch, minival, epochs, trials, workers.

    Args:
        data: as `describe_data` takes it, or what that gave; None = digits.
        seconds: to measure for how long trials take here; 0 = estimate it from the networks' cost.
        say: told what is being done, a line each.
    Raises: ValueError, one line, if the data cannot be read, or are too few to search with.
    """
    found = data if isinstance(data, DataDescription) else describe_data(data)
    machine = Machine(available_cpus(), _gpus())
    choices = choose(found, machine)
    text = "\n".join(_lines(found, machine, choices))
    draft = parse(yaml_text.load(text))
    time = None
    if seconds:
        checked = check(draft, seconds=seconds, say=say)
        if checked.time is None and checked.problems:
            raise ValueError(checked.problems[0])
        time = checked.time
    hours, how = _expected(draft, found, machine, time)
    images = found.images - choices.minival
    choices, hours = fit_time(choices, images, len(found.counts), hours)
    limit = _limit(time)
    head = [*_head(found, machine), *_comment(f"Expected: about {hours_text(hours)} ({how})."), ""]
    text = "\n".join([*head, *_lines(found, machine, choices, limit)]) + "\n"
    return Suggestion(text, parse(yaml_text.load(text)), found, hours, how)


def hours_text(hours: float) -> str:
    """Say hours as people do."""
    return f"{hours:.2g} hours" if hours >= 1.5 else f"{max(1, round(60 * hours))} minutes"


def check_new(path: Path) -> None:
    """Raise ValueError if something is there already: a configuration is never overwritten."""
    if path.exists() or path.is_symlink():
        raise ValueError(f"{path} is there already: choose another name with --out")


def name_of(found: DataDescription) -> str:
    """Give a name for a search on a data set: what its path is called, but for names that all splits have."""
    settings = found.settings
    if not settings.path:
        return settings.source.rpartition(":")[2].lower() or "search"
    parts = [part for part in Path(settings.path).parts if not set(part) & set("*?[/")]
    names = [Path(part).stem for part in parts if part.lower().partition(".")[0] not in _SPLITS]
    return names[-1] if names else "search"


_SPLITS = ("train", "training", "data", "images", "train-")


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _limit(time: SearchTime | None) -> int | None:
    """Give a time limit for a trial, in whole minutes: nothing slower is worth waiting for."""
    if time is None:
        return None
    slowest = max(one.timing_s + one.training_s for one in time.candidates)
    return max(2, math.ceil(_LIMIT * slowest / 60)) * 60


def _expected(draft: Config, found: DataDescription, machine: Machine, time: SearchTime | None) -> tuple[float, str]:
    if time is not None:
        rough = f"; rough: {why}" if (why := time.why_rough) else ""
        return time.hours, f"measured: candidates trained on {time.device_name}{rough}"
    space, c = draft.space, draft.space.constraints
    macs = count_batch(
        space, space.sample_encodings(512, np.random.default_rng(0)), draft.image_size, len(found.counts), c.in_channels
    ).macs
    images = (found.images - draft.data.minival) * draft.training.epochs
    rate = _GPU_RATE if machine.gpus else _CPU_RATE
    training_s = 6 * float(macs.mean()) * images / rate
    places = places_of(draft, machine.gpus)
    unit = "GPU" if machine.gpus else "CPU core"
    return search_hours(draft, places, 0.2 * training_s, training_s), f"estimated: {rate:.0e} FLOP/s a {unit}"


# ---- as text


def _head(found: DataDescription, machine: Machine) -> list[str]:
    said = found.lines()
    return [
        *_comment(f"A first search on {said['data']}, written by `nas init` on {date.today()} for {machine.text}."),
        *_comment(f"Images:   {said['images']}; classes {said['classes']}; {said['pixels']}."),
        "# Look:     nas check FILE     (what would fail, hours on this machine)",
        "# Run:      nas search FILE    (again: goes on; --trials N extends)",
    ]


def _comment(text: str, indent: str = "") -> list[str]:
    hang, width = " " * 10 if ":   " in text else "", _COLUMNS - len(indent) - 2
    parts = wrap(text, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
    return [f"{indent}# {part}" for part in parts]


def _lines(found: DataDescription, machine: Machine, choices: Choices, limit: int | None = None) -> Iterator[str]:
    """Give the lines of a configuration."""
    for key, value, why in _choices(found, machine, choices, limit):
        indent = " " * (len(key) - len(key.lstrip()))
        line = f"{key}: {value}".rstrip()
        if not why:
            yield line
        elif len(line) < _COMMENTS_AT and _COMMENTS_AT + 2 + len(why) <= _COLUMNS:
            yield f"{line:<{_COMMENTS_AT}}# {why}"
        elif len(line) + 4 + len(why) <= _COLUMNS:
            yield f"{line}  # {why}"
        else:
            yield from _comment(why, indent)
            yield line


_Line = tuple[str, object, str]


def _choices(found: DataDescription, machine: Machine, choices: Choices, limit: int | None) -> Iterator[_Line]:
    yield from _of_space(found, choices, machine)
    yield from _of_data(found, choices)
    yield from _of_training(found, choices)
    yield from _of_search(machine, choices, limit)


def _of_space(found: DataDescription, choices: Choices, machine: Machine) -> Iterator[_Line]:
    size = choices.image_size
    yield "space", "", ""
    if choices.is_small:
        yield "  name", "small", "for small images; `nas space size FILE` shows it"
        yield "  stem_stride", choices.stem_stride, f"{size // choices.stem_stride} px behind the stem"
    else:
        yield "  name", "efficientnetv2", "the paper's: op, kernel, expansion, layers of each stage"
        yield "  backbone", "efficientnet_b0", "whose channels and strides it keeps; larger: efficientnet_b4"
    yield "  image_size", size, "that candidates are meant for, in pixels"
    yield "image_size", size, _why_size(found, choices, machine)


def _why_size(found: DataDescription, choices: Choices, machine: Machine) -> str:
    median = found.sizes[1]
    if choices.crop == "resized":
        return f"the images' {median} px are much for {'a GPU' if machine.gpus else 'CPUs'} and {choices.trials} trials"
    if choices.image_size > median:
        return f"the images have {median} px; stages with stride need a few more"
    return f"the images have {median} px"


def _of_data(found: DataDescription, choices: Choices) -> Iterator[_Line]:
    settings, plain = found.settings, DataSettings()
    yield "data", "", ""
    yield "  source", settings.source, "found by looking" if settings.path else "comes along"
    for name in ("path", "test_path", "image_column", "label_column", "train_split", "test_split"):
        value = getattr(settings, name)
        if value != getattr(plain, name):
            why = "no search looks at it: `nas train --test` does" if name.startswith("test") else ""
            yield f"  {name}", json.dumps(value, ensure_ascii=not value.isprintable()), why
    error, gap = accuracy_error(0.9, choices.minival), gap_told_apart(choices.minival, choices.trials)
    enough = "" if gap <= GAP * 1.01 else "; a quarter of the images, more would tell apart more"
    yield (
        "  minival",
        choices.minival,
        f"held out to judge by: an accuracy of 0.9 is known to ±{error:.3f}, and {gap:.3f} below the best of "
        f"{choices.trials} trials is told apart{enough}",
    )
    if choices.subset:
        yield "  subset", choices.subset, f"of the training images: with all it would take more than {HOURS:g} hours"


def _of_training(found: DataDescription, choices: Choices) -> Iterator[_Line]:
    yield "augment", "", ""
    if choices.crop == "resized":
        yield "  crop", "resized", "parts of the images, which are larger"
        yield "  crop_scale", "[0.35, 1.0]", "share of the area: short trainings learn more from more of it"
    else:
        yield "  crop", "pad", "shifts by up to an eighth of the image"
    why = "false" if choices.flip else "true"
    other = "another" if choices.flip else "the same"
    yield "  flip", str(choices.flip).lower(), f"{why} if a mirrored image is of {other} class"
    yield "training", "", ""
    steps = (choices.subset or found.images - choices.minival) // choices.batch_size
    yield "  epochs", choices.epochs, f"of {steps} steps; the paper's search has 10"
    yield "  batch_size", choices.batch_size, "images a step; at least 16 steps an epoch"
    if choices.is_small:
        yield "  learning_rate", 0.4, "peak, for 256 images: scaled by the batch"
        yield "  drop_path", 0.05, "small networks need little"


def _of_search(machine: Machine, choices: Choices, limit: int | None) -> Iterator[_Line]:
    yield "search", "", ""
    fewer = f"; {TRIALS} would take more than {HOURS:g} hours" if choices.trials < TRIALS else ""
    few = "the fewest that teach something" if choices.trials == FEWEST_TRIALS else "to begin with; more can follow"
    yield "  trials", choices.trials, few + fewer
    yield "  workers", choices.workers, f"at once, on {machine.text}"
    yield "  cpus_per_trial", choices.cpus_per_trial, "a training computes on so many threads"
    if machine.gpus:
        yield "  gpus_per_trial", 1, "0.5 has two candidates share one"
    if limit is not None:
        yield "  time_limit_s", limit, f"{_LIMIT} times what the slowest candidate measured takes"
    yield "device", "cuda" if machine.gpus else "cpu", ""
    yield "seed", 0, "of what is proposed, and of the trainings"
