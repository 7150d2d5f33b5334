"""`nas search`: from a configuration to a finished run."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.algorithms import ALGORITHMS, Algorithm
from nas.architectures import winner
from nas.commands.read import show_ranking, show_winner
from nas.commands.terminal import console, short
from nas.config.search import Config, load_config
from nas.runs.folder import check_run, git_commit, locked, noise_to, open_run
from nas.runs.log import read_lines
from nas.runs.trial import Trial
from nas.search.ledger import TRIALS
from nas.search.settings import SearchSettings
from nas.search.warm_start import earlier_trials, recall, remember
from nas.trackers.terminal import Display
from nas.trials.task import Task
from search_space.choices import Constraints
from search_space.space import SearchSpace

if TYPE_CHECKING:
    from nas.data.prepare import Prepared

STOPPED_BY_SIGNAL = 128


def search(
    path: Path,
    out: Path | None,
    trials: int | None,
    workers: int | None,
    address: str | None,
    dry_run: bool,
    warm_start: Sequence[Path] = (),
) -> int:
    """Run, resume or extend a search; give the exit status.

    Raises: ValueError for whatever the user can fix; nothing is written then.
    """
    config = load_config(path)
    settings = config.search
    settings = replace(settings, trials=trials or settings.trials, workers=workers or settings.workers)
    config = replace(config, search=settings)
    _check_pruning(config)
    _check_gpus(config, config.device)
    if dry_run:
        make_algorithm(config)
        return describe(config)
    folder = out or Path("runs") / path.stem
    from nas.data.prepare import prepare

    if config.device != "cpu" and not address:  # the nodes of a cluster may have what this machine lacks
        from nas.training.device import resolve_device

        _check_gpus(config, str(resolve_device(config.device)))
    prepared = prepare(config.data, config.image_size, progress=True)
    _check_data(prepared, config)
    config = replace(config, space=space_for(config, prepared))
    check_run(folder, config)
    _check_same_data(folder, prepared)
    if not address:  # whose nodes may have modules that are not here
        _check_evaluator(config.search.evaluator)
        if ":" in config.training.objective + config.training.optimizer:
            from nas.training.step import check_imports

            check_imports(config.training)
    algorithm = make_algorithm(config)
    earlier = earlier_trials(warm_start, config)
    return _run(folder, config, algorithm, earlier, address)


def _check_gpus(config: Config, device: str) -> None:
    if device.startswith("cuda") and config.search.gpus_per_trial == 0:
        raise ValueError(
            f"search.gpus_per_trial must be above 0 to train on {device}, got 0: 1, or a part of 1 for several trials "
            "side by side on a GPU; or set device: cpu"
        )


def _check_pruning(config: Config) -> None:
    if config.search.prune == "bound" and config.reward.name != "weighted_product":
        raise ValueError(f"search.prune bound needs the reward weighted_product, not {config.reward.name}")


def make_algorithm(config: Config) -> Algorithm:
    """Make the configured algorithm. Raises ValueError for settings that it refuses, Infeasible for an empty space."""
    settings = config.algorithm
    config.space.sample(np.random.default_rng(0))
    try:
        return ALGORITHMS[settings.name](config.space, settings.seed, **settings.settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"algorithm {settings.name}: {error}") from None


def space_for(config: Config, prepared: Prepared) -> SearchSpace:
    """Give the space with its constraints counted for the data's classes and channels, where the file says nothing."""
    known = {"num_classes": prepared.num_classes, "in_channels": prepared.channels}
    fill = {name: value for name, value in known.items() if name not in config.constraints_given}
    return replace(config.space, constraints=replace(config.space.constraints, **fill))


def describe(config: Config) -> int:
    """Print what a search would do, without data, devices or Ray."""
    settings, algorithm = config.search, config.algorithm
    epoch = f"{config.training.epochs} epochs at {config.image_size} px, batch {config.training.batch_size}"
    per_trial = [f"{settings.cpus_per_trial:g} CPU", f"{settings.gpus_per_trial:g} GPU"]
    lines = space_lines(config) | {
        "reference": _reference_line(config),
        "data": f"{config.data.source} {config.data.path}".strip() + f", minival {config.data.minival:g}",
        "a trial": epoch,
        "reward": f"{config.reward.name} {config.reward.settings or '(defaults)'}",
        "algorithm": f"{algorithm.name} {algorithm.settings or '(defaults)'}, seed {algorithm.seed}",
        "trials": f"{settings.trials}, {settings.workers or 'as many as fit'} at once, each {' + '.join(per_trial)}",
        "compute": _compute_line(config),
    }
    width = max(map(len, lines))
    for name, text in lines.items():
        console().print(f"{name:<{width}}  {text}", soft_wrap=True)
    return 0


def space_lines(config: Config) -> dict[str, str]:
    """Say how large the space is and what its architectures cost."""
    space = config.space
    low, high = space.cost_range()
    return {
        "space": f"{short(space.size)} architectures ({space.size:,}), {len(space.decisions)} decisions",
        "allowed": _allowed_share(space),
        "params": f"{short(low.params)} to {short(high.params)} with {space.constraints.num_classes} classes",
        "MACs": f"{short(low.macs)} to {short(high.macs)} at {space.constraints.image_size} px",
    }


def _reference_line(config: Config) -> str:
    from search_space.cost import count

    c = config.space.constraints
    cost = count(config.reference, config.image_size, c.num_classes, c.in_channels)
    return f"{config.reference.arch_id}, {short(cost.params)} params, {short(cost.macs)} MACs at {config.image_size} px"


def _allowed_share(space: SearchSpace) -> str:
    if not space.constraints:
        return "all (no constraints)"
    rng = np.random.default_rng(0)
    space.sample(rng)  # says so if there is none
    drawn = 20_000
    free = replace(space, constraints=_unbounded(space.constraints))
    share = float(space.allowed(free.sample_encodings(drawn, rng)).mean())
    return f"about {share:.2%} keep the constraints" if share else f"fewer than one in {drawn:,} keep the constraints"


def _unbounded(c: Constraints) -> Constraints:
    return replace(c, params_min=None, params_max=None, macs_min=None, macs_max=None)


def _compute_line(config: Config) -> str:
    """The arithmetic a median candidate's training takes, and so what a device must sustain."""
    from search_space.cost import count_batch

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


def _check_data(prepared: Prepared, config: Config) -> None:
    if prepared.minival < 1:
        raise ValueError("data.minival leaves no image to measure accuracy on; give a larger one")
    if prepared.train < config.training.batch_size:
        raise ValueError(
            f"training.batch_size {config.training.batch_size} is more than the {prepared.train} training images"
        )


def _check_same_data(folder: Path, prepared: Prepared) -> None:
    """Refuse to go on with other images under the same path: no later trial could be compared with earlier ones."""
    trials = read_lines(folder / TRIALS)
    known = next((t["data_fingerprint"] for t in trials if t["status"] == "ok" and t.get("data_fingerprint")), None)
    if known is not None and known != prepared.fingerprint:
        raise ValueError(
            f"the data set is not what the trials in {folder} were trained on: "
            f"fingerprint {prepared.fingerprint}, not {known}"
        )


def _check_evaluator(evaluator: str) -> None:
    """Import it as a worker will, which has this folder on its path: a misspelt one would fail every trial."""
    if evaluator == SearchSettings.evaluator:
        return
    module, _, function = evaluator.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        getattr(importlib.import_module(module), function)
    except Exception as error:
        raise ValueError(f"search.evaluator {evaluator!r} cannot be imported: {error}") from None
    finally:
        sys.path.remove(str(Path.cwd()))


def _task(config: Config) -> Task:
    settings = config.search
    return Task(
        data=config.data,
        augment=config.augment,
        training=config.training,
        execution=config.execution,
        step_time=config.step_time,
        reward=config.reward,
        reference=config.reference,
        image_size=config.image_size,
        device=config.device,
        threads=max(1, math.floor(settings.cpus_per_trial)),
        time_limit_s=settings.time_limit_s,
        device_share=settings.gpus_per_trial or settings.cpus_per_trial,
        git_commit=git_commit(),
    )


def _run(folder: Path, config: Config, algorithm: Algorithm, earlier: Sequence[Trial], address: str | None) -> int:
    from nas.cluster.connection import connect, disconnect, slots
    from nas.cluster.engine import Stopped, run
    from nas.search.ledger import Ledger

    settings = config.search
    with contextlib.ExitStack() as stack:
        display = Display(settings.trials)
        known = folder.exists()
        if known:  # before anything slow
            stack.enter_context(locked(folder))
        stack.enter_context(noise_to(Path(os.devnull)))
        display.say("starting Ray" if address is None else f"connecting to Ray at {address}")
        resources = connect(address)
        stack.callback(disconnect)
        at_once = slots(settings, resources, elastic=address is not None)
        run_id = open_run(folder, config)
        if not known:
            stack.enter_context(locked(folder))
        stack.enter_context(noise_to(folder / "ray.log"))
        if earlier:
            remember(folder, earlier)
        for trial in (warm := recall(folder, config.space)):
            algorithm.tell(trial)
        ledger = Ledger(
            folder,
            algorithm,
            run_id=run_id,
            seed=config.seed,
            trials=settings.trials,
            max_attempts=settings.max_attempts,
        )
        stack.callback(ledger.close)
        if warm:
            display.say(f"{len(warm)} trials of earlier searches told")
        display.start(folder, ledger, at_once)
        try:
            run(ledger, _task(config), settings, address=address, on_event=display.on_event)
        except Stopped as stopped:
            display.stop()
            display.say(f"stopped; {len(ledger.trials)} trials are in {folder}. The same command goes on from there")
            return STOPPED_BY_SIGNAL + stopped.signum
        finally:
            display.stop()
        finished = ledger.done
    if not finished:
        display.say(f"the time is up; {len(ledger.trials)} trials are in {folder}. The same command goes on from there")
    show_ranking(folder)
    if any(trial.reward is not None for trial in ledger.trials):
        show_winner(winner(folder))
        return 0
    return 1 if ledger.trials else 0
