"""What a search is checked for before anything starts: a mistake should cost seconds, not a hundred failed trials."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import fields, replace

import numpy as np

from nas.algorithms import Algorithm, find_algorithm
from nas.algorithms.halving import rungs
from nas.algorithms.known_reward import known_reward
from nas.config.search import Config
from nas.config.settings import EVALUATOR
from nas.data.prepare import Prepared
from nas.measure import find_measurers
from nas.runs.advice import why_not
from nas.runs.columns import COLUMNS
from nas.runs.objectives import objectives_of
from nas.runs.trial import Trial, check_metrics
from nas.search.pruning import NEEDED
from nas.seeds import seed_of
from nas.training.settings import TrainSettings, check_images_at_once
from nas.trials.answer import find_evaluator
from rewards import find_reward
from rewards.measurement import Measurement
from rewards.signature import reads
from search_space.lookup import nearest
from search_space.ops import BUILT_IN, find_op
from search_space.space import SearchSpace

logger = logging.getLogger(__name__)


def check_config(config: Config) -> None:
    """Check what can be checked without data and devices. Raises ValueError, or warns."""
    if config.search.prune == "bound" and config.reward.name != "weighted_product":
        raise ValueError(f"search.prune bound needs the reward weighted_product, not {config.reward.name}")
    if config.search.prune != "none":
        try:
            rungs(config.training.epochs, config.training.eval_every, config.search.prune_epochs)
        except ValueError as error:
            raise ValueError(f"search.prune {config.search.prune}: {error}") from None
    if config.search.stop_when and (reason := why_not(config.to_dict())):
        raise ValueError(f"search.stop_when: what more trials would gain is {reason}")
    check_gpus(config, config.device)
    check_images_at_once(config.training, config.execution)
    _check_measured(config)
    find_measurers(config.measure)
    if clamped := config.augment.clamped:
        logger.warning("augment.randaugment_magnitude: %s", clamped)


def _check_measured(config: Config) -> None:
    """Refuse a reward or an objective of a number that nothing here measures: no trial would count."""
    adds = (
        config.measure or config.training.objective != TrainSettings.objective or config.search.evaluator != EVALUATOR
    )
    if adds:
        return
    known = {field.name for field in fields(Measurement)}
    for name in reads(find_reward(config.reward.name)):
        if name not in known:
            raise ValueError(f"reward {config.reward.name} needs {name}, which nothing measures{_nearest(name, known)}")
    columns = {*COLUMNS, *(field.name for field in fields(Trial))}
    for text, (names, _) in objectives_of(config.to_dict()).items():
        if not columns & {*names}:
            raise ValueError(
                f"algorithm.objectives: nothing measures {names[0]}{_nearest(names[0], columns)}, got {text}"
            )


def _nearest(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ": see `measure`"


def check_gpus(config: Config, device: str) -> None:
    """Refuse to train on a GPU that trials do not ask for: every trial would pile onto the first. Raises ValueError."""
    if device.startswith("cuda") and config.search.gpus_per_trial == 0:
        raise ValueError(
            f"search.gpus_per_trial must be above 0 to train on {device}, got 0: 1, or a part of 1 for several trials "
            "side by side on a GPU; or set device: cpu"
        )


def make_algorithm(config: Config) -> Algorithm:
    """Make the configured algorithm. Raises ValueError for settings that it refuses, Infeasible for an empty space."""
    settings = config.algorithm
    drawn = seed_of(config.seed, "algorithm", seeding=config.seeding)
    seed = drawn if settings.seed is None else settings.seed
    config.space.sample(np.random.default_rng(0))
    try:
        algorithm = find_algorithm(settings.name)(config.space, seed, **settings.settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"algorithm {settings.name}: {error}") from None
    algorithm.reward = known_reward(config.reward.name, config.reward.settings)
    return algorithm


def space_for(config: Config, prepared: Prepared) -> SearchSpace:
    """Give the space with its constraints counted for the data's classes and channels, where the file says nothing."""
    return counted_for(config, prepared.num_classes, prepared.channels)


def counted_for(config: Config, num_classes: int, channels: int) -> SearchSpace:
    """Give the space with its constraints counted for these classes and channels, where the file says nothing."""
    known = {"num_classes": num_classes, "in_channels": channels}
    fill = {name: value for name, value in known.items() if name not in config.constraints_given}
    return replace(config.space, constraints=replace(config.space.constraints, **fill))


def check_data(prepared: Prepared, config: Config) -> None:
    """Check that there are images to train and to measure accuracy on. Raises ValueError."""
    check_images(prepared.train, prepared.minival, config)


def check_images(train: int, minival: int, config: Config) -> None:
    """Check numbers of images to train and to measure accuracy on. Raises ValueError."""
    if minival < 1:
        raise ValueError("data.minival leaves no image to measure accuracy on; give a larger one")
    if train < config.training.batch_size:
        raise ValueError(f"training.batch_size {config.training.batch_size} is more than the {train} training images")


def check_ops(space: SearchSpace) -> list[str]:
    """Compare ops that do not come with the toolkit with their modules; the others are known to be right.

    Returns: what is not as an op says, but would go into no reward, a line each.
    Raises: ValueError for an op whose shape or parameters are not what it says.
    """
    if not own_ops(space):
        return []
    from search_space.op_check import space_faults  # with torch

    faults = space_faults(space)
    if wrong := [fault.text for fault in faults if fault.what in ("shape", "params")]:
        raise ValueError(wrong[0])
    return [fault.text for fault in faults]


def own_ops(space: SearchSpace) -> list[str]:
    """Give the names of a space's ops that do not come with the toolkit."""
    names = dict.fromkeys(name for stage in space.stages for name in stage.op)
    return [name for name in names if find_op(name) not in BUILT_IN]


def check_here(config: Config) -> None:
    """Check what needs torch, which the driver of a search waits for only where it must: it takes two seconds.

    Raises: ValueError for an objective or optimiser that cannot be imported, and for a device that is not there.
    """
    if config.training.objective != TrainSettings.objective or ":" in config.training.optimizer:
        from nas.training.objective import make_objective, metric_names
        from nas.training.step import check_imports

        check_imports(config.training)
        check_metrics(metric_names(make_objective(config.training)))
    if config.device != "cpu":
        from nas.training.device import resolve_device

        check_gpus(config, str(resolve_device(config.device)))


def check_evaluator(config: Config) -> None:
    """Import it as a worker will: a misspelt one would fail every trial. Raises ValueError.

    One of the user's has to say that it gives what a bound is made of, and that it times without training: that is seen
    in no other way before it runs.
    """
    name = config.search.evaluator
    if name == EVALUATOR:
        return
    evaluator, function = find_evaluator(name), name.partition(":")[2]
    gives = getattr(evaluator, "gives", ())
    if config.search.time_first > 1 and not getattr(evaluator, "times", False):
        raise ValueError(
            f"search.time_first needs timings without a training, and search.evaluator {name!r} does not say that it "
            f"gives them; if it answers `timed` where task.timing_only says so, write {function}.times = True beside it"
        )
    if config.search.prune == "bound" and (lacking := [column for column in NEEDED if column not in gives]):
        raise ValueError(
            f"search.prune bound needs {', '.join(lacking)} of every trial, and search.evaluator {name!r} does not say "
            f"that it gives them; if it does, write {function}.gives = {NEEDED} beside it, else take search.prune asha"
        )
