"""Evaluate one candidate: build it, time its training step beside the reference, train it, score it. No ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from nas.data.batches import Batches
from nas.data.prepare import Prepared, SplitName, prepare_for_search
from nas.data.settings import AugmentSettings
from nas.measure import Subject, find_measurers
from nas.measure.device_lock import DeviceLock
from nas.measure.fields import timing_fields
from nas.measure.step_time import StepOutOfMemory, StepTime, step_time
from nas.runs.timings import TIMED
from nas.runs.trial import check_metrics
from nas.seeds import seed_of
from nas.training.device import device_name, limit_threads, resolve_device, set_up
from nas.training.objective import make_objective
from nas.training.result import EpochResult, TrainResult
from nas.training.settings import ExecutionSettings, TrainSettings
from nas.training.train import train
from nas.trials.answer import Report
from nas.trials.scoring import score, score_error
from nas.trials.task import Task
from rewards import reward_settings
from rewards.uncertainty import accuracy_error
from search_space import cost
from search_space.architecture import Architecture
from search_space.network import Network, build_network


def evaluate(architecture: Architecture, seed: int, task: Task, report: Report) -> dict[str, Any]:
    """Time and train one candidate on this process's device; time it alone if the task says so.

    Of one that was timed before, on a device like this one, that timing stands: S is measured once.

    Args:
        seed: of the initial weights, the data order, the augmentation, dropout and drop path.
        report: told after every evaluated epoch what the answer would be now; False stops the candidate as `pruned`.
    Returns: the fields of a Trial that are known now; `status` says what became of it.
    Raises: ValueError for settings that fit no candidate (a device that is not there, too few images).
    """
    start = time.perf_counter()
    limit_threads(task.execution.threads or task.threads)
    device = resolve_device(task.device)
    set_up(device)
    # Before anything is on the device: its users are known by their locks, and who has none is taken for a stranger.
    lock = DeviceLock(device) if task.step_time.lock else None
    prepared = prepare_for_search(task, known=task.prepared)
    answer = _known_before(architecture, task, prepared, device)
    torch.manual_seed(seed_of(seed, "weights", seeding=task.seeding))
    network = build(architecture, task.training, task.execution, prepared, device)
    try:
        answer |= _known_timing(task, answer) or _timing(network, task, prepared, device)
        check_metrics(answer["metrics"])  # here and below: before a training is spent on what cannot be logged
    except StepOutOfMemory as error:
        return answer | {"status": "oom", "error": str(error)}
    if task.timing_only:
        return answer | {"status": TIMED, "device_s": (time.perf_counter() - start) * task.device_share}
    left_s = None if task.time_limit_s is None else task.time_limit_s - (time.perf_counter() - start)
    if left_s is not None and left_s <= 0:
        return answer | {"status": "timeout", "error": f"timing alone took {task.time_limit_s:g} s"}
    curve: list[Mapping[str, Any]] = []

    def on_epoch(epoch: EpochResult) -> bool:
        curve.append(epoch.to_dict())
        if epoch.accuracy is None:
            return True
        so_far = answer | {"curve": curve, "loss": epoch.loss} | _accuracy(epoch.accuracy, task, prepared)
        check_metrics(epoch.metrics)
        so_far["metrics"] = _joined(answer["metrics"], epoch.metrics)
        return report(so_far | _scores(so_far, task))

    result = _train(network, task, prepared, device, lock, seed, left_s, on_epoch)
    answer |= _training_fields(result) | _accuracy(result.accuracy, task, prepared)
    answer["metrics"] = _joined(answer["metrics"], result.metrics)
    if result.status == "ok":
        answer |= _scores(answer, task)
    return answer | {"device_s": (time.perf_counter() - start) * task.device_share}


def build(
    architecture: Architecture,
    settings: TrainSettings,
    execution: ExecutionSettings,
    prepared: Prepared,
    device: torch.device,
) -> Network:
    """Build a candidate's network on a device, with weights drawn by PyTorch's generator as it stands."""
    network = build_network(architecture, prepared.num_classes, prepared.channels, drop_path=settings.drop_path)
    layout = torch.channels_last if execution.channels_last else torch.contiguous_format
    return network.to(device).to(memory_format=layout)  # type: ignore[no-any-return, call-overload]


# A worker that lives for many trials builds the reference once.
_reference = lru_cache(maxsize=1)(build)


def _known_timing(task: Task, answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give what an earlier timing measured; None if there is none, or it was on another device."""
    if task.timed is None or task.timed.get("device_name") != answer["device_name"]:
        return None
    return dict(task.timed)


def _timing(network: Network, task: Task, prepared: Prepared, device: torch.device) -> dict[str, Any]:
    """Give the fields of a trial that are measured before it is trained."""
    found = timing_fields(_time(network, task, prepared, device))
    return found | {"metrics": _measured(network, task, prepared, device)}


def _time(network: Network, task: Task, prepared: Prepared, device: torch.device) -> StepTime:
    return step_time(
        network,
        _reference(task.reference, task.training, task.execution, prepared, device),
        task.step_time,
        task.training,
        execution=task.execution,
        image_size=task.image_size,
        in_channels=prepared.channels,
        num_classes=prepared.num_classes,
        batch_size=task.training.batch_size,
        device=device,
    )


def _measured(network: Network, task: Task, prepared: Prepared, device: torch.device) -> dict[str, float]:
    """Give what the measurers of the search say of a candidate."""
    if not task.measure:
        return {}
    subject = Subject(
        network=network,
        reference=_reference(task.reference, task.training, task.execution, prepared, device),
        image_size=task.image_size,
        in_channels=prepared.channels,
        num_classes=prepared.num_classes,
        batch_size=task.training.batch_size,
        device=device,
        execution=task.execution,
        settings=task.step_time,
    )
    with torch.random.fork_rng([device] if device.type == "cuda" else []):  # what is trained afterwards is not changed
        found: dict[str, float] = {}
        for measure in find_measurers(task.measure):
            numbers = measure(subject)
            if not isinstance(numbers, Mapping):
                raise TypeError(f"a measurer must give numbers by name, got {numbers!r}")
            found = _joined(found, numbers)
        return found


def _joined(metrics: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """Put metrics together. Raises ValueError for a name that two of them have: one would be lost."""
    if twice := sorted(metrics.keys() & more.keys()):
        raise ValueError(f"metric {twice[0]!r} is given twice: by two measurers, or by one and the objective")
    return {**metrics, **more}


def _train(
    network: Network,
    task: Task,
    prepared: Prepared,
    device: torch.device,
    lock: DeviceLock | None,
    seed: int,
    left_s: float | None,
    on_epoch: Callable[[EpochResult], bool],
) -> TrainResult:
    settings, execution = task.training, task.execution
    limits = [limit for limit in (left_s, execution.time_limit_s) if limit is not None]

    def batches(split: SplitName, augment: AugmentSettings | None) -> Batches:
        return Batches(
            prepared,
            split,
            batch_size=settings.batch_size,
            device=device,
            augment=augment,
            seed=seed,
            seeding=task.seeding,
            channels_last=execution.channels_last,
        )

    with ExitStack() as held:
        holding = False

        def let_timers_in() -> None:
            """Called before each step. Leaving the device means waiting for it, so it is left only to who asks."""
            nonlocal holding
            if lock is not None and not (holding and not lock.timer_waits()):
                held.close()
                held.enter_context(lock.training())
                holding = True

        def report(epoch: EpochResult) -> bool:
            """Leave the device first: Ray keeps the process of a trial that it stops here, and all it holds."""
            nonlocal holding
            held.close()
            holding = False
            return on_epoch(epoch)

        return train(
            network,
            batches("train", task.augment),
            batches("minival", None),
            settings,
            execution=replace(execution, time_limit_s=min(limits, default=None)),
            device=device,
            seed=seed,
            seeding=task.seeding,
            on_epoch=report,
            between_steps=let_timers_in,
        )


# ---- fields of the trial


def _known_before(architecture: Architecture, task: Task, prepared: Prepared, device: torch.device) -> dict[str, Any]:
    shape = (task.image_size, prepared.num_classes, prepared.channels)
    counts, reference = cost.count(architecture, *shape), cost.count(task.reference, *shape)
    settings = reward_settings(task.reward.name) | task.reward.settings
    return {
        **counts._asdict(),
        "p_normalised": counts.params / reference.params,
        "epochs": task.training.epochs,
        "image_size": task.image_size,
        "batch_size": task.training.batch_size,
        "reward_name": task.reward.name,
        "w": settings.get("w"),
        "v": settings.get("v"),
        "device_name": device_name(device),
        "data_fingerprint": prepared.fingerprint,
    }


def _accuracy(accuracy: float | None, task: Task, prepared: Prepared) -> dict[str, Any]:
    """Give the accuracy with its error, where that is known: of a share of the images, as top-1 is."""
    fields: dict[str, Any] = {"accuracy": accuracy, "minival_images": prepared.minival}
    objective = make_objective(task.training)
    if accuracy is not None and objective.accuracy in objective.counted and 0 <= accuracy <= 1:
        fields["accuracy_se"] = accuracy_error(accuracy, prepared.minival)
    return fields


def _scores(fields: Mapping[str, Any], task: Task) -> dict[str, float]:
    name, settings = task.reward.name, task.reward.settings
    scored = {"reward": score(fields, name, settings)}
    error = score_error({**fields, **scored}, name, settings, confidence=task.step_time.confidence)
    return scored | {"reward_se": error}


def _training_fields(result: TrainResult) -> dict[str, Any]:
    return {
        "status": result.status,
        "error": result.error,
        "loss": result.loss,
        "curve": result.curve,
        "micro_batch": result.micro_batch,
        "precision": result.precision,
        "memory_format": result.memory_format,
        "data_wait_share": result.data_wait_s / result.seconds if result.seconds else None,
    }
