"""What a search would do, without data, devices or Ray: the text of a dry run."""

from __future__ import annotations

import numpy as np

from nas.config.search import Config
from nas.config.settings import SearchSettings
from nas.data.disk import disk_use
from nas.runs.advice import AHEAD
from nas.runs.text import short
from search_space.cost import count, count_batch
from search_space.description import DRAWN, SpaceDescription, describe_space


def describe(config: Config) -> dict[str, str]:
    """Say what a search would do: heading -> text, in the order to be read.

    Raises: Infeasible if no architecture keeps the constraints.
    """
    settings, algorithm = config.search, config.algorithm
    epoch = f"{config.training.epochs} epochs at {config.image_size} px, batch {config.training.batch_size}"
    per_trial = [f"{settings.cpus_per_trial:g} CPU", f"{settings.gpus_per_trial:g} GPU"]
    return space_lines(describe_space(config.space)) | {
        "reference": _reference_line(config),
        "data": f"{config.data.source} {config.data.path}".strip() + f", minival {config.data.minival:g}",
        "disk": disk_use(config.data, config.image_size, config.augment.frame_size(config.image_size)),
        "a trial": epoch,
        "reward": f"{config.reward.name} {config.reward.settings or '(defaults)'}",
        "algorithm": f"{algorithm.name} {algorithm.settings or '(defaults)'}, seed {_algorithm_seed(config)}",
        "trials": f"{_trials(settings)}, {settings.workers or 'as many as fit'} at once, each {' + '.join(per_trial)}",
        "compute": _compute_line(config),
    }


def _trials(settings: SearchSettings) -> str:
    again, enough, k = settings.repeats, settings.stop_when, settings.time_first
    said = f", of which the last {again.trials} train the best {again.top} again" if again else ""
    said += f", or fewer: until {AHEAD} more are expected to gain less than {enough.expected_gain:g}" if enough else ""
    said += f", each the one worth most of {k} that are timed" if k > 1 else ""
    return f"{settings.trials}{said}"


def space_lines(space: SpaceDescription) -> dict[str, str]:
    """Say how large a space is and what its architectures cost."""
    low, high, share, at = space.lowest, space.highest, space.allowed, space.constraints
    if share is None:
        allowed = "all (no constraints)"
    else:
        allowed = (f"about {share:.2%}" if share else f"fewer than one in {DRAWN:,}") + " keep the constraints"
    return {
        "space": f"{short(space.size)} architectures ({space.size:,}), {len(space.decisions)} decisions",
        "allowed": allowed,
        "params": f"{short(low.params)} to {short(high.params)} with {at.num_classes} classes",
        "MACs": f"{short(low.macs)} to {short(high.macs)} at {at.image_size} px",
    }


def _algorithm_seed(config: Config) -> str:
    own = config.algorithm.seed
    return f"drawn from {config.seed}" if own is None else str(own)


def _reference_line(config: Config) -> str:
    c = config.space.constraints
    cost = count(config.reference, config.image_size, c.num_classes, c.in_channels)
    return f"{config.reference.arch_id}, {short(cost.params)} params, {short(cost.macs)} MACs at {config.image_size} px"


def _compute_line(config: Config) -> str:
    """The arithmetic a median candidate's training takes, and so what a device must sustain."""
    space, c = config.space, config.space.constraints
    sample = space.sample_encodings(2000, np.random.default_rng(0))
    macs = float(np.median(count_batch(space, sample, config.image_size, c.num_classes, c.in_channels).macs))
    images = _images(config)
    if images is None:
        return f"a median candidate has {short(macs)} MACs: {short(6 * macs)} FLOPs per image and training step"
    flops = 6 * macs * images * config.training.epochs  # forward and twice that backward, two FLOPs a MAC
    total = flops * config.search.trials
    hours = total / 1e14 / 3600
    gpu = f", {hours:,.1f} GPU hours at a sustained 100 TFLOP/s" if hours >= 0.1 else ""
    return f"a median candidate: {short(macs)} MACs, {short(flops)} FLOPs a trial, {short(total)} in all{gpu}"


def _images(config: Config) -> int | None:
    """Training images, where they are known without reading the data."""
    return config.data.subset or (config.data.known.images if config.data.known else None)
