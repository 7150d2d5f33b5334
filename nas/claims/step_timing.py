"""Step times of several architectures by one recipe, measured on Ray as a search measures them; kept as they come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nas.cluster.process import RayProcess
from nas.cluster.protocol import Engine, Event, Job, Stopped
from nas.cluster.search import run as run_on_ray
from nas.config.train import TrainConfig, training_stages
from nas.full_training.data import prepare_for_training
from nas.full_training.share import share_of
from nas.full_training.study import packages_of
from nas.full_training.trainings import Queue
from nas.measure.fields import timing_fields
from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import StepOutOfMemory, step_time
from nas.runs.log import JsonLines, read_lines
from nas.runs.trial import Trial
from nas.signals import Signalled
from nas.training.device import device_name, limit_threads, resolve_device, set_up
from nas.trials.answer import Report
from search_space import cost
from search_space.architecture import Architecture
from search_space.network import build_network


class Step(NamedTuple):
    """What a training step depends on beside the network and the recipe."""

    image_size: int  # pixels
    batch_size: int


def steps_of(config: TrainConfig) -> list[Step]:
    """Give the steps of a training that differ, one or, with progressive learning, several; the last stage's first."""
    stages = reversed(training_stages(config))
    return list(dict.fromkeys(Step(each.strengths.image_size, each.batch_size) for each in stages))


@dataclass(frozen=True)
class Asked:
    """What every worker is given."""

    config: TrainConfig  # of any of the architectures
    reference: Architecture
    settings: StepTimeSettings
    steps: Mapping[int, Step]  # by number of the measurement
    threads: int


def measure_steps(
    architectures: Sequence[Architecture],
    config: TrainConfig,
    reference: Architecture,
    settings: StepTimeSettings,
    *,
    ray: RayProcess,
    log: Path,
) -> dict[tuple[Architecture, Step], Trial]:
    """Measure the training steps of each architecture beside the reference network's, unless the log has them.

    Args:
        config: the recipe, with any architecture.
        settings: the search's; batch and image size are the recipe's.
        ray: is started if something is to be measured, and left to who gave it.
        log: JSON lines that measurements are kept in.
    Returns: what was measured, as trials that were not trained; what failed is left out.
    Raises: Signalled on SIGINT or SIGTERM. RayFailed if Ray fails again and again.
    """
    settings = replace(settings, batch_size=None, image_size=None)
    wanted = [(each, step) for step in steps_of(config) for each in architectures]
    asked = Asked(config, reference, settings, {number: step for number, (_, step) in enumerate(wanted)}, 1)
    key = _key(asked)
    known = {
        (trial.architecture, Step(trial.image_size or 0, trial.batch_size or 0)): trial
        for record in read_lines(log)
        if record.pop("recipe", None) == key and (trial := Trial.from_dict(record)).status == "ok"
    }
    missing = {number: each for number, (each, step) in enumerate(wanted) if (each, step) not in known}
    if missing:
        with closing(JsonLines(log)) as lines:

            def on_event(event: Event) -> None:
                if event.kind == "finished" and event.trial is not None:
                    number = event.candidate.trial_id
                    lines.append({"recipe": key} | event.trial.to_dict())
                    if event.trial.status == "ok":
                        known[missing[number], asked.steps[number]] = event.trial

            _run(ray, missing, asked, on_event)
    return {each: known[each] for each in wanted if each in known}


def _run(ray: RayProcess, missing: Mapping[int, Architecture], asked: Asked, on_event: Any) -> None:
    if not ray.running:
        ray.start()
    share, threads = share_of([asked.config], None, ray.resources, here=ray.address is None)
    job = Job.of(
        replace(asked, threads=threads),
        plugins=asked.config.plugins,
        evaluator=f"{__name__}:time_one",
        epochs=1,
        time_limit_s=None,
        reports=False,
        packages=packages_of([asked.config]),
    )
    try:
        run_on_ray(ray, Queue(missing), job, Engine(share, address=ray.address), on_event=on_event)
    except Stopped as stopped:
        raise Signalled(stopped.signum) from None


def _key(asked: Asked) -> str:
    """Tell apart what was measured by another recipe."""
    told = [asdict(each) for each in (asked.config.training, asked.config.execution, asked.settings)]
    text = json.dumps([*told, asked.config.device, asked.reference.arch_id], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def time_one(architecture: Architecture, number: int, asked: Asked, report: Report) -> dict[str, Any]:
    """Time the training step of an architecture, in a worker.

    Args:
        number: of the measurement, in place of a candidate's seed.
        report: is not needed.
    Returns: the fields of a Trial that are known.
    """
    config, step = asked.config, asked.steps[number]
    limit_threads(config.execution.threads or asked.threads)
    device = resolve_device(config.device)
    set_up(device)
    prepared = prepare_for_training(config)
    classes, channels = prepared.num_classes, prepared.channels
    counts, unit = (cost.count(each, step.image_size, classes, channels) for each in (architecture, asked.reference))
    fields = {**counts._asdict(), **step._asdict(), "p_normalised": counts.params / unit.params}
    layout = torch.channels_last if config.execution.channels_last else torch.contiguous_format
    build = partial(build_network, num_classes=classes, in_channels=channels, drop_path=config.training.drop_path)
    candidate, reference = (build(each).to(device).to(memory_format=layout) for each in (architecture, asked.reference))  # type: ignore[call-overload]
    try:
        timing = step_time(
            candidate,
            reference,
            asked.settings,
            config.training,
            execution=config.execution,
            image_size=step.image_size,
            in_channels=channels,
            num_classes=classes,
            batch_size=step.batch_size,
            device=device,
        )
    except StepOutOfMemory as error:
        return fields | {"status": "oom", "error": str(error)}
    return fields | {"status": "ok", "device_name": device_name(device)} | timing_fields(timing)
