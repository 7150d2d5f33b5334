"""One full training by several workers: Ray Train runs them, this process shows how far they are."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import torch

from nas.cluster.connection import connect, disconnect
from nas.cluster.trainer import run_workers
from nas.config.train import TrainConfig, largest_image_size, training_stages
from nas.data.prepare import Prepared, prepare
from nas.full_training.folder import METRICS, kept_state
from nas.full_training.record import TrainDisplay
from nas.full_training.run import conclude, train_in
from nas.runs.folder import locked, noise_to
from nas.training.result import TrainResult
from nas.training.workers import Workers

RESTARTS = 8  # of all workers after one died
_LOOK_S = 0.5  # between two looks at the metrics


def run_with_workers(
    folder: Path, config: TrainConfig, prepared: Prepared, test: bool, count: int, address: str | None
) -> int:
    """Train in a folder of which this process holds the lock; give the exit status.

    The batch is that of the configuration: each worker takes its share. On a cluster all nodes must see the folder and
    the data under the same path.

    Args:
        address: of a Ray cluster; None = workers on this machine.
    Raises: ValueError if the folder holds a training that `config` or the data would change, or there is no room for
        the workers.
    """
    kept = kept_state(folder, config, prepared)
    done = 0 if kept is None else len(kept[0].curve)
    del kept
    with TrainDisplay(folder, training_stages(config), prepared.train, done) as display:
        display.say("starting Ray" if address is None else f"connecting to Ray at {address}")
        with noise_to(folder / "ray.log"):
            resources = connect(address)
            try:
                gpu = config.device.startswith("cuda") or (config.device == "auto" and resources.get("GPU", 0) >= count)
                display.begin(f"{count} workers, each on {'a GPU' if gpu else 'CPU'}")
                threads = max(1, (os.cpu_count() or 1) // count) if address is None else 1
                work = functools.partial(_work, folder.resolve(), config, test)
                with _followed(folder / METRICS, display):
                    result = run_workers(work, count, use_gpu=gpu, threads=threads, restarts=RESTARTS)
                if result is None:
                    raise ValueError(f"the nodes do not all see {folder}; --out must be on storage that they share")
            except RuntimeError as error:
                display.say(f"ended: {error}. The checkpoints are in {folder}")
                return 1
            finally:
                disconnect()
        return conclude(folder, result, test, display)


def _work(folder: Path, config: TrainConfig, test: bool, workers: Workers, device: torch.device) -> TrainResult | None:
    """Train in one of the workers, from what the folder keeps; None if the workers do not all see the same folder."""
    prepared = prepare(config.data, largest_image_size(config))
    # Workers whose command was killed may live on for a moment: whoever writes waits for the one that wrote before.
    with locked(folder, name=".writer.lock", wait=True) if workers.rank == 0 else contextlib.nullcontext():
        workers.wait()
        kept = kept_state(folder, config, prepared) if folder.is_dir() else None
        seen = torch.tensor([0.0 if kept is None else len(kept[0].curve), folder.is_dir()], device=device)
        if not torch.equal(workers.sum(seen), seen * workers.count) or not seen[1]:
            return None
        return train_in(folder, config, prepared, test, device, kept, workers=workers)


@contextlib.contextmanager
def _followed(metrics: Path, display: TrainDisplay) -> Iterator[None]:
    """Show the epochs that the workers write down, from a thread."""
    over = threading.Event()

    def follow() -> None:
        while not over.wait(_LOOK_S):
            with contextlib.suppress(OSError):
                lines = metrics.read_text().splitlines(keepends=True)
                whole = [line for line in lines if line.endswith("\n")]
                if len(whole) != display.done and whole:
                    display.on_epoch(json.loads(whole[-1]))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
