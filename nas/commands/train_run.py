"""One full training in its folder: begins or goes on, keeps checkpoints, ends with a result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nas.commands.train import RUN
from nas.commands.train_record import Record
from nas.data.batches import Batches
from nas.data.prepare import Prepared, SplitName
from nas.data.settings import AugmentSettings
from nas.search.run import provenance, write_whole
from nas.train_config import Stage, TrainConfig, changed_settings, training_stages
from nas.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from nas.training.device import device_name, resolve_device
from nas.training.evaluate import evaluate
from nas.training.progressive import Strengths, at
from nas.training.step import autocast_dtype
from nas.training.train import Progression, TrainResult, train
from search_space import yaml_text
from search_space.architecture import Architecture
from search_space.network import Network, build_network

CONFIG, METRICS, RESULT = "train.yaml", "metrics.jsonl", "result.json"
LAST, BEST = "last.pt", "best.pt"


def run(folder: Path, config: TrainConfig, prepared: Prepared, test: bool) -> int:
    """Train in a folder of which this process holds the lock; give the exit status.

    Raises: ValueError if the folder holds a training that `config` or the data would change, or a device is not there.
    """
    device = resolve_device(config.device)
    state, about = _begin(folder, config, prepared, device)
    torch.manual_seed(config.seed)
    network = _network(config, prepared)
    if state is None and config.start_from:
        about["started_from"] = start_from(network, Path(config.start_from))
    stages = training_stages(config)

    def on_state(state: TrainingState) -> None:
        keep(folder, state, about, config.checkpoint_every, config.training.epochs)

    with Record(folder, METRICS, stages, prepared.train, () if state is None else state.curve) as record:
        record.begin(device_name(device))
        result = train(
            network,
            _source(config, stages, prepared, device),
            _batches(config, prepared, "minival", device, config.training.batch_size, config.eval_image_size),
            config.training,
            device=device,
            seed=config.seed,
            on_epoch=record.on_epoch,
            between_steps=record.on_step,
            on_state=on_state,
            resume=state,
        )
    return _finish(folder, config, prepared, network, result, test, record)


def keep(folder: Path, state: TrainingState, about: Mapping[str, Any], every: int, epochs: int) -> None:
    """Write the checkpoints that are due after an epoch: the last one and, if no kept one was more accurate, the best.

    The best is written first: whoever is killed between the two repeats the epoch and writes it again.
    """
    done = len(state.curve)
    if done % every and done != epochs:
        return
    earlier = [e["accuracy"] for e in state.curve[:-1] if (e["epoch"] + 1) % every == 0 and e["accuracy"] is not None]
    accuracy = state.curve[-1]["accuracy"]
    if accuracy is not None and accuracy > max(earlier, default=-1.0):
        save_checkpoint(folder / BEST, state, about)
    save_checkpoint(folder / LAST, state, about)


def start_from(network: Network, path: Path) -> dict[str, Any]:
    """Load a checkpoint's weights (the averaged ones if it has them), but for the head where the classes differ.

    Returns: what the weights are, for the provenance.
    Raises: ValueError that names the first weight that is missing or has another shape.
    """
    state, about = load_checkpoint(path)
    own, given = network.state_dict(), dict(state.weights)
    if given.get("classifier.weight", own["classifier.weight"]).shape != own["classifier.weight"].shape:
        given |= {name: own[name] for name in ("classifier.weight", "classifier.bias")}
    for name in (*own, *given):
        if name not in own or name not in given or own[name].shape != given[name].shape:
            shapes = [tuple(weights[name].shape) if name in weights else "missing" for weights in (given, own)]
            raise ValueError(f"{path} is of another network: {name} is {shapes[0]} there, {shapes[1]} here")
    network.load_state_dict(given)
    return {
        "checkpoint": str(path),
        "epochs": len(state.curve),
        "accuracy": state.curve[-1]["accuracy"],
        "new_head": given["classifier.weight"] is own["classifier.weight"],
        "run_id": about["provenance"]["run_id"],
    }


def network_of(path: Path) -> tuple[Network, TrainingState, dict[str, Any]]:
    """Build the network of a checkpoint with its weights (the averaged ones if it has them), on the CPU.

    Returns: network, state, and what the checkpoint says beside it: `config`, `provenance`, `data`, ...
    Raises: ValueError as `load_checkpoint` does.
    """
    state, about = load_checkpoint(path)
    architecture = Architecture.from_dict(about["config"]["architecture"])
    drop_path = about["config"]["training"]["drop_path"]
    network = build_network(architecture, about["num_classes"], about["in_channels"], drop_path=drop_path)
    network.load_state_dict(state.weights)
    return network, state, about


def _begin(
    folder: Path, config: TrainConfig, prepared: Prepared, device: torch.device
) -> tuple[TrainingState | None, dict[str, Any]]:
    """Take up what the folder holds, or make it a training's; give the state and what checkpoints say beside it."""
    resolved = json.loads(json.dumps(config.to_dict()))  # tuples become lists, as they are when read
    if (folder / LAST).exists():
        state, about = load_checkpoint(folder / LAST)
        changed = changed_settings(about["config"], resolved)
        if about["data"]["fingerprint"] != prepared.fingerprint:
            changed.append("the images or their split")
        if changed:
            shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
            raise ValueError(
                f"{folder} holds a training that would not go on as it began: {shown}. "
                "Choose another --out or undo the change"
            )
        return state, about
    about = {
        "config": resolved,
        "num_classes": prepared.num_classes,
        "in_channels": prepared.channels,
        "data": {
            "fingerprint": prepared.fingerprint,
            "class_names": prepared.class_names and list(prepared.class_names),
            "mean": list(prepared.mean),
            "std": list(prepared.std),
        },
        "provenance": {**provenance(), "device_name": device_name(device)},
    }
    (folder / RESULT).unlink(missing_ok=True)  # of a training whose checkpoints were removed
    write_whole(folder / RUN, json.dumps(about["provenance"], indent=2) + "\n")
    write_whole(folder / CONFIG, yaml_text.dump(about["config"]))
    return None, about


def _network(config: TrainConfig, prepared: Prepared) -> Network:
    return build_network(
        config.architecture, prepared.num_classes, prepared.channels, drop_path=config.training.drop_path
    )


def _source(
    config: TrainConfig, stages: list[Stage], prepared: Prepared, device: torch.device
) -> Batches | Progression:
    def batches(stage: Stage) -> Batches:
        size = stage.strengths.image_size
        return _batches(config, prepared, "train", device, stage.batch_size, size, stage.augment)

    progressive = config.progressive
    if progressive is None:
        return batches(stages[0])
    by_strengths = {stage.strengths: stage for stage in stages}

    def schedule(progress: float) -> Strengths:
        return at(progressive, progress)

    return Progression(schedule, lambda strengths: batches(by_strengths[strengths]))


def _batches(
    config: TrainConfig,
    prepared: Prepared,
    split: SplitName,
    device: torch.device,
    batch_size: int,
    image_size: int,
    augment: AugmentSettings | None = None,
) -> Batches:
    return Batches(
        prepared,
        split,
        batch_size=batch_size,
        device=device,
        augment=augment,
        image_size=image_size,
        seed=config.seed,
        channels_last=config.training.channels_last,
    )


def _finish(
    folder: Path,
    config: TrainConfig,
    prepared: Prepared,
    network: Network,
    result: TrainResult,
    test: bool,
    record: Record,
) -> int:
    """Say what came out and write it down; test the final weights if that was asked and not done before."""
    if result.status != "ok":
        record.say(f"ended after {result.epochs_done} epochs: {result.error}. The checkpoints are in {folder}")
        return 1
    best = max(result.curve, key=lambda epoch: epoch["accuracy"] or 0)
    record.say(
        f"minival accuracy {result.accuracy:.4f} after {result.epochs_done} epochs; "
        f"best {best['accuracy']:.4f} after {best['epoch'] + 1}"
    )
    path = folder / RESULT
    written = json.loads(path.read_text()) if path.exists() else {}
    summary = {key: value for key, value in asdict(result).items() if key != "curve"}
    written = {**summary, "best_accuracy": best["accuracy"], "best_epoch": best["epoch"], "test": written.get("test")}
    if test and written["test"] is None:
        written["test"] = _test(config, prepared, network)
    write_whole(path, json.dumps(written, indent=2) + "\n")
    if test:
        tested = written["test"]
        scores = f"test accuracy {tested['accuracy']:.4f}, loss {tested['loss']:.4f}"
        record.say(f"{scores}, {tested['images']} images: of the final weights, once")
    return 0


def _test(config: TrainConfig, prepared: Prepared, network: Network) -> dict[str, Any]:
    device = next(network.parameters()).device
    batches = _batches(config, prepared, "test", device, config.training.batch_size, config.eval_image_size)
    settings = config.training
    dtype = autocast_dtype(settings, device)
    evaluated = evaluate(network, batches.epoch(0), dtype=dtype, channels_last=settings.channels_last)
    return {**evaluated._asdict(), "image_size": config.eval_image_size, "weights": "final, after the last epoch"}
