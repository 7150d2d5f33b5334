"""From a configuration to a finished run: begins, goes on or extends; nothing is printed but by callbacks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.algorithms import Algorithm
from nas.analysis.run import Ended, Run
from nas.cluster.process import RayProcess
from nas.cluster.protocol import Engine, Event, Job, Stopped
from nas.cluster.search import run as run_on_ray
from nas.cluster.share import Share, slots
from nas.config.search import Config, with_numbers, with_plugins
from nas.data.prepare import Prepared, prepare_for_search
from nas.measure.holders import described, users_of_locks
from nas.plugins import load as load_plugins
from nas.runs.folder import held, locked, read_trials
from nas.runs.status import is_finished
from nas.runs.trial import Trial
from nas.runs.waiting import about_waiting
from nas.search.checks import (
    check_config,
    check_data,
    check_evaluator,
    check_here,
    check_ops,
    make_algorithm,
    space_for,
)
from nas.search.continuation import as_begun, check_run, open_run
from nas.search.findings import about_sizes
from nas.search.given import Given, config_of, is_run
from nas.search.ledger import Ledger
from nas.search.pruning import make_judge
from nas.search.task import packages_of, task_of
from nas.search.warm_start import check_warm_start, earlier_trials, recall, remember
from nas.trackers import make_callbacks
from nas.trackers.callback import Callback, Callbacks, SearchInfo
from nas.trackers.display import Display


def run_search(
    config: Given,
    *,
    folder: str | os.PathLike[str] | None = None,
    trials: int | None = None,
    workers: int | None = None,
    address: str | None = None,
    warm_start: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] = (),
    callbacks: Iterable[Callback | str | Mapping[str, Any]] = (),
    plugins: Sequence[str] | str = (),
    progress: bool = True,
) -> Run:
    """Run a search; the same call again goes on with one that was stopped or killed, and with more trials extends it.

    Args:
        config: a Config, what a YAML file would hold, the path of a YAML file, or a run folder to go on with.
        folder: of the run; default: `runs/NAME` of the YAML file, or the run folder given.
        trials: finished trials, of any status, to reach; default: the configuration's.
        workers: trials at once; default: the configuration's.
        address: of a Ray cluster, such as `auto`; None = this machine.
        warm_start: folders, or the folder, of earlier runs whose trials the algorithm is told first.
        callbacks: told what happens: callbacks, or what a configuration may name; besides those that it does name.
        plugins: modules to import here and in every worker, besides those that the configuration names.
        progress: whether to show a bar (lines, where that is no terminal or notebook) on standard error.
    Returns: the run; its `ended` says whether it is finished, was stopped by a signal or ran out of time.
    Raises: ValueError for whatever the user can fix; nothing is written then, but for what a worker alone can find: a
        plug-in that cannot be imported there. What the search algorithm or the log
        raises, after running trials have ended.
    """
    given, folder = _resolve(config, folder, [plugins] if isinstance(plugins, str) else plugins)
    first = [Path(run) for run in ([warm_start] if isinstance(warm_start, str | os.PathLike) else warm_start)]
    config = as_begun(folder, with_numbers(given, trials, workers), first)
    check_config(config)
    shown = [Display()] if progress else []
    listeners = Callbacks(make_callbacks([*shown, *config.callbacks, *callbacks]))
    if not address:  # the nodes of a cluster may have what this machine lacks
        check_evaluator(config)
        check_ops(config.space)
        check_here(config)
    prepared = prepare_for_search(config, progress=True)
    check_data(prepared, config)
    config = replace(config, space=space_for(config, prepared))
    check_run(folder, config, prepared.fingerprint)
    algorithm = make_algorithm(config)
    earlier = earlier_trials(first, config, prepared.fingerprint)
    check_warm_start(folder, earlier)
    return _run(folder, config, prepared, algorithm, earlier, address, listeners)


def _resolve(given: Given, folder: str | os.PathLike[str] | None, plugins: Sequence[str]) -> tuple[Config, Path]:
    """Give the configuration and the run folder that are meant."""
    load_plugins(plugins)  # what is read next may name theirs
    config = config_of(given)
    if folder is None:
        if not isinstance(given, str | os.PathLike):
            raise ValueError("a configuration made in Python needs a folder for its run")
        folder = given if is_run(given) else Path("runs") / Path(given).stem
    return with_plugins(config, plugins), Path(folder)


def _run(
    folder: Path,
    config: Config,
    prepared: Prepared,
    algorithm: Algorithm,
    earlier: Sequence[Trial],
    address: str | None,
    listeners: Callbacks,
) -> Run:
    settings = config.search
    share = Share(settings.cpus_per_trial, settings.gpus_per_trial)
    with contextlib.ExitStack() as stack:
        if known := folder.exists():  # before anything slow
            stack.enter_context(locked(folder))
            if is_finished(folder, settings.trials):
                return _finished(folder, config, prepared.fingerprint, listeners)
        for warning in about_sizes(config, None):
            listeners.on_message(warning)
        listeners.on_message("starting Ray" if address is None else f"connecting to Ray at {address}")
        ray = RayProcess(address)
        stack.callback(ray.close)
        ray.start()
        at_once = slots(share, settings.workers, ray.resources, elastic=address is not None)
        if not known:
            stack.enter_context(held(folder))
        if address is None and config.step_time.lock and (others := users_of_locks()):
            who = ", ".join(map(described, sorted(others)))
            listeners.on_message(f"{who} times or trains on this host, too: timing a candidate may wait for it")
        run_id = open_run(folder, config, prepared.fingerprint)  # checked again: another search may have been here
        ray.log_to(folder / "ray.log")
        remember(folder, earlier)
        for trial in (warm := recall(folder, config.space)):
            algorithm.tell(trial)
        ledger = Ledger(
            folder,
            algorithm,
            run_id=run_id,
            seed=config.seed,
            seeding=config.seeding,
            trials=settings.trials,
            max_attempts=settings.max_attempts,
            repeats=settings.repeats,
            stop_when=settings.stop_when,
            time_first=settings.time_first,
        )
        stack.callback(ledger.close)
        if warm:
            listeners.on_message(f"{len(warm)} trials of earlier searches told")
        about = SearchInfo(folder, run_id, config.to_dict(), tuple(ledger.trials), settings.trials, at_once, "running")
        listeners.on_search_begin(about)
        ended = Ended("failed")
        try:
            ended = _trials(ledger, config, prepared, ray, listeners)
        finally:
            listeners.on_search_end(replace(about, trials=tuple(ledger.trials), state=ended.state))
        for line in (ended.reason, about_waiting(trial.data_wait_share for trial in ledger.trials)):
            if line:
                listeners.on_message(line)
    return Run(folder, ended)


def _finished(folder: Path, config: Config, fingerprint: str, listeners: Callbacks) -> Run:
    """Tell of a search that has all its trials: nothing is started for it."""
    run_id = open_run(folder, config, fingerprint)
    trials, settings = tuple(read_trials(folder)), config.search
    about = SearchInfo(folder, run_id, config.to_dict(), trials, settings.trials, settings.workers or 0, "running")
    listeners.on_search_begin(about)
    listeners.on_search_end(replace(about, state="finished"))
    return Run(folder, Ended("finished"))


def _trials(ledger: Ledger, config: Config, prepared: Prepared, ray: RayProcess, listeners: Callbacks) -> Ended:
    """Run trials until the search ends, and say how it did."""
    settings = config.search
    job = Job.of(
        task_of(config, prepared),
        plugins=config.plugins,
        evaluator=settings.evaluator,
        epochs=config.training.epochs,
        time_limit_s=settings.time_limit_s,
        reports=settings.prune != "none" or listeners.wants_epochs,
        packages=packages_of(config),
        fingerprint=prepared.fingerprint,
    )
    engine = Engine(
        Share(settings.cpus_per_trial, settings.gpus_per_trial),
        workers=settings.workers,
        fresh_process=settings.fresh_process,
        max_hours=settings.max_hours,
        address=ray.address,
        judge=make_judge(
            settings,
            config.training.epochs,
            ledger.trials,
            eval_every=config.training.eval_every,
            spared=ledger.is_repeat,
        ),
    )
    try:
        run_on_ray(ray, ledger, job, engine, on_event=_teller(listeners), on_message=listeners.on_message)
    except Stopped as stopped:
        return Ended("stopped", stopped.signum)
    return Ended("finished", reason=ledger.enough) if ledger.done else Ended("out of time")


def _teller(listeners: Callbacks) -> Callable[[Event], None]:
    """Give what tells callbacks what the engine tells."""
    told: dict[int, int] = {}  # epochs of each running trial

    def tell(event: Event) -> None:
        number = event.candidate.trial_id
        if event.candidate.timing_only:
            if event.kind == "finished" and event.trial is not None:
                listeners.on_timing(event.trial)
            return
        if event.kind == "started":
            told[number] = 0
            listeners.on_trial_begin(number, event.candidate.proposal)
        elif event.kind == "died":
            listeners.on_trial_lost(number)
        elif event.trial is not None:
            if listeners.wants_epochs:  # the last epoch comes with the answer
                for epoch in event.trial.curve[told.get(number, 0) :]:
                    listeners.on_epoch(epoch, number)
            told[number] = len(event.trial.curve)
            if event.kind == "finished":
                told.pop(number, None)
                listeners.on_trial_end(event.trial)

    return tell
