"""One full training by several workers: Ray Train runs them, this process tells callbacks how far they are."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from nas.cluster.process import RayProcess
from nas.config.train import TrainConfig, parse_training
from nas.data.prepare import Prepared
from nas.full_training.data import prepare_for_training
from nas.full_training.folder import METRICS, Weights, kept_state, mark
from nas.full_training.metrics import Metrics, whole_lines
from nas.full_training.run import origin_of, threads_of, told, train_in, training_end, training_info
from nas.runs.folder import locked
from nas.trackers.callback import Callbacks, TrainingEnd
from nas.training.result import TrainResult
from nas.training.workers import Workers

RESTARTS = 8  # of all workers after one died
_LOOK_S = 0.5  # between two looks at the metrics


def train_together(
    folder: Path,
    config: TrainConfig,
    prepared: Prepared,
    test: Weights | None,
    listeners: Callbacks,
    count: int,
    address: str | None,
) -> TrainingEnd:
    """Train in a folder of which this process holds the lock.

    The batch is that of the configuration: each worker takes its share. On a cluster all nodes must see the folder and
    the data under the same path.

    Args:
        listeners: called in this process, from the epochs that the workers write down.
        address: of a Ray cluster; None = workers on this machine.
    Raises: ValueError if the folder holds a training that `config` or the data would change, there is no room for the
        workers, or they cannot see the folder or import a plug-in.
    """
    kept = kept_state(folder, config, prepared)
    origin = origin_of(kept)
    listeners.on_message("starting Ray" if address is None else f"connecting to Ray at {address}")
    ray = RayProcess(address)
    with contextlib.closing(ray):
        ray.start()
        mark(folder, origin)
        ray.log_to(folder / "ray.log")
        gpu = config.device.startswith("cuda") or (config.device == "auto" and ray.resources.get("GPU", 0) >= count)
        device = f"{count} workers, each on {'a GPU' if gpu else 'CPU'}"
        info = training_info(folder, config, prepared, kept, origin, device)
        del kept  # its tensors
        threads = threads_of(config, listeners, gpu=gpu, workers=count, here=address is None)
        work = functools.partial(_work, folder.resolve(), info.config, test, origin)

        def run() -> TrainingEnd:
            Metrics(folder / METRICS, info.curve).close()  # no epoch that is to be repeated is told
            with _followed(folder / METRICS, len(info.curve), listeners):
                try:
                    result = ray.call("nas.cluster.trainer:run_workers", work, count, gpu, threads, RESTARTS)
                except RuntimeError as error:
                    return training_end(folder, "failed", str(error), whole_lines(folder / METRICS))
            if isinstance(result, str):
                raise ValueError(result)
            return training_end(folder, result.status, result.error, result.curve)

        return told(listeners, info, run)


def _work(
    folder: Path,
    config: Mapping[str, Any],
    test: Weights | None,
    origin: Mapping[str, Any],
    workers: Workers,
    device: torch.device,
) -> TrainResult | str:
    """Train in one of the workers, from what the folder keeps; a string says why they cannot."""
    resolved, fault = _parsed(config)
    able = torch.tensor([resolved is not None], dtype=torch.float32, device=device)
    if workers.sum(able).item() < workers.count or resolved is None:
        return fault or "not every worker can import the plug-ins: " + ", ".join(config["plugins"])
    prepared = prepare_for_training(resolved)
    # Workers whose command was killed may live on for a moment: whoever writes waits for the one that wrote before.
    with locked(folder, name=".writer.lock", wait=True) if workers.rank == 0 else contextlib.nullcontext():
        workers.wait()
        kept = kept_state(folder, resolved, prepared) if folder.is_dir() else None
        seen = torch.tensor([0.0 if kept is None else len(kept[0].curve), folder.is_dir()], device=device)
        if not torch.equal(workers.sum(seen), seen * workers.count) or not seen[1]:
            return f"the nodes do not all see {folder}; it must be on storage that they share"
        return train_in(folder, resolved, prepared, test, device, kept, origin, workers=workers)


def _parsed(config: Mapping[str, Any]) -> tuple[TrainConfig | None, str]:
    """Read a resolved configuration, which imports its plug-ins; or say what of it is not to be had here."""
    try:
        return parse_training(config), ""
    except ValueError as error:  # such as a name that the calling script alone has registered
        return None, f"{error} (on {socket.gethostname()})"


@contextlib.contextmanager
def _followed(metrics: Path, told: int, listeners: Callbacks) -> Iterator[None]:
    """Tell of the epochs that the workers write down, each once, also where they repeat one; from a thread.

    Args:
        told: epochs that were told before.
    """
    over = threading.Event()

    def look() -> None:
        nonlocal told
        for epoch in whole_lines(metrics)[told:]:
            told += 1
            listeners.on_epoch(epoch)

    def follow() -> None:
        while not over.wait(_LOOK_S):
            look()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        look()
