"""What a training's folder keeps: checkpoints, where they came from, the result."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from nas import plugins
from nas.config.train import TrainConfig, changed_settings
from nas.data.prepare import Prepared
from nas.runs.folder import holds_something, make
from nas.seeds import FIRST_SEEDING
from nas.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from nas.training.result import TrainResult
from nas.training.settings import TrainSettings
from nas.whole_files import linked_whole, write_whole
from search_space import yaml_text
from search_space.architecture import Architecture
from search_space.network import Network, build_network

RUN = "train.json"  # what makes a folder a training's: where it came from
CONFIG, METRICS, RESULT = "train.yaml", "metrics.jsonl", "result.json"
LAST, BEST = "last.pt", "best.pt"
Weights = Literal["final", "best"]
# Which weights are tested and exported: those after the last epoch, unless it is said otherwise. The best of many
# epochs was chosen by its accuracy on minival, and is partly lucky there.
CHECKPOINTS: dict[Weights, str] = {"final": LAST, "best": BEST}

About = dict[str, Any]  # what a checkpoint says beside the state: config, provenance, data, ...


def kept_state(folder: Path, config: TrainConfig, prepared: Prepared) -> tuple[TrainingState, About] | None:
    """Read what the folder's training would go on from; None if it has not come so far.

    What it goes on with says `config`: its data, and what it started from, may lie elsewhere than they did.

    Raises: ValueError if `config` or the data would change the training.
    """
    if not (folder / LAST).exists():
        return None
    state, about = load_checkpoint(folder / LAST)
    # Its streams go on as they began, whatever the configuration says of them now.
    resolved = _resolved(config) | {"seeding": about["config"].get("seeding", FIRST_SEEDING)}
    before = about["config"] | ({"start_from": config.start_from} if _same_start(about, config.start_from) else {})
    changed = changed_settings(before, resolved)
    if (fingerprint := about["data"]["fingerprint"]) != prepared.fingerprint:
        changed.append(f"the images or their split: fingerprint {fingerprint} -> {prepared.fingerprint}")
    if changed:
        shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise ValueError(
            f"{folder} holds a training that would not go on as it began: {shown}. "
            "Choose another --out or undo the change"
        )
    return state, about | {"config": resolved}


def _same_start(about: Mapping[str, Any], path: str) -> bool:
    """Whether a training's first weights are from the checkpoint that is now at `path`, wherever it was."""
    began = about.get("started_from")
    if not began or not path or not Path(path).is_file():
        return False
    state, other = load_checkpoint(Path(path))
    return (other["provenance"]["run_id"], len(state.curve)) == (began["run_id"], began["epochs"])


def check_folder(folder: Path) -> None:
    """Raise ValueError if a folder holds something else than a training."""
    if holds_something(folder) and not (folder / RUN).exists():
        raise ValueError(f"{folder} exists and is not a training's folder; choose another with --out")


def mark(folder: Path, origin: Mapping[str, Any]) -> None:
    """Make a folder a training's before anything else is written into it, such as by a callback.

    Without this, what is killed in between could not be gone on with.
    """
    make(folder)
    if not (folder / RUN).exists():
        _write_origin(folder, origin)


def begin(folder: Path, config: TrainConfig, prepared: Prepared, origin: Mapping[str, Any]) -> About:
    """Write down how a training begins; give what its checkpoints say beside the state.

    Args:
        origin: the provenance: run id, versions, `device_name`, ...
    """
    about = {
        "config": _resolved(config),
        "num_classes": prepared.num_classes,
        "in_channels": prepared.channels,
        "data": {
            "fingerprint": prepared.fingerprint,
            "class_names": prepared.class_names and list(prepared.class_names),
            "mean": list(prepared.mean),
            "std": list(prepared.std),
        },
        "provenance": dict(origin),
    }
    (folder / RESULT).unlink(missing_ok=True)  # of a training whose checkpoints were removed
    _write_origin(folder, origin)
    write_config(folder, about)
    return about


def _write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    write_whole(folder / RUN, json.dumps(dict(origin), indent=2) + "\n")


def write_config(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the resolved configuration of a training, in place of the one that is there."""
    write_whole(folder / CONFIG, yaml_text.dump(about["config"]))


def keep(folder: Path, state: TrainingState, about: Mapping[str, Any], every: int, epochs: int) -> None:
    """Write the checkpoints that are due after an epoch: the last one and, if no kept one was more accurate, the best.

    The best is written first: whoever is killed between the two repeats the epoch and writes it again. Where it is the
    last, too, it is one file of two names.
    """
    done = len(state.curve)
    if done % every and done != epochs:
        return
    earlier = [e["accuracy"] for e in state.curve[:-1] if (e["epoch"] + 1) % every == 0 and e["accuracy"] is not None]
    accuracy = state.curve[-1]["accuracy"]
    if accuracy is not None and accuracy > max(earlier, default=-math.inf):
        save_checkpoint(folder / BEST, state, about)
        if linked_whole(folder / BEST, folder / LAST):
            return
    save_checkpoint(folder / LAST, state, about)


def check_start(folder: Path, config: TrainConfig, prepared: Prepared) -> None:
    """Raise ValueError if a training that is to begin in a folder cannot take its first weights: before it is made."""
    if config.start_from and not (folder / LAST).exists():
        network = build_network(config.architecture, prepared.num_classes, prepared.channels)
        start_from(network, Path(config.start_from), prepared.class_names)


def start_from(network: Network, path: Path, class_names: Sequence[str] | None = None) -> dict[str, Any]:
    """Load a checkpoint's weights (the averaged ones if it has them), but for the head where the classes differ.

    Args:
        class_names: of the network's classes, if they have names: as many, but other classes need a head of their own,
            and the same ones in another order their own rows of it.
    Returns: what the weights are, for the provenance.
    Raises: ValueError that names the first weight that is missing or has another shape.
    """
    state, about = load_checkpoint(path)
    own, given = network.state_dict(), dict(state.weights)
    head = {name: weight for name, weight in own.items() if name in ("classifier.weight", "classifier.bias")}
    rows = _rows_of(about["data"].get("class_names"), class_names)
    new_head = rows is None or any(given[name].shape != weight.shape for name, weight in head.items() if name in given)
    if new_head:
        given |= head
    elif rows:
        given |= {name: given[name][rows] for name in head if name in given}
    for name in (*own, *given):
        if name not in own or name not in given or own[name].shape != given[name].shape:
            shapes = [tuple(weights[name].shape) if name in weights else "missing" for weights in (given, own)]
            raise ValueError(f"{path} is of another network: {name} is {shapes[0]} there, {shapes[1]} here")
    network.load_state_dict(given)
    return {
        "checkpoint": str(path),
        "epochs": len(state.curve),
        "accuracy": state.curve[-1]["accuracy"],
        "new_head": new_head,
        "run_id": about["provenance"]["run_id"],
    }


def _rows_of(theirs: Sequence[str] | None, ours: Sequence[str] | None) -> list[int] | None:
    """Say which of their classes each of ours is; None where they are other classes, nothing where they are in order.

    Classes without names are taken for the same: there is no telling.
    """
    if not theirs or not ours or list(theirs) == list(ours):
        return []
    if sorted(theirs) != sorted(ours):
        return None
    return [list(theirs).index(name) for name in ours]


def network_of(path: Path) -> tuple[Network, TrainingState, dict[str, Any]]:
    """Build the network of a checkpoint with its weights (the averaged ones if it has them), on the CPU.

    Returns: network, state, and what the checkpoint says beside it: `config`, `provenance`, `data`, ...
    Raises: ValueError as `load_checkpoint` does.
    """
    state, about = load_checkpoint(path)
    plugins.load(about["config"].get("plugins", ()), wanted_by=str(path))
    architecture = Architecture.from_dict(about["config"]["architecture"])
    drop_path = about["config"]["training"].get("drop_path", TrainSettings().drop_path)
    network = build_network(architecture, about["num_classes"], about["in_channels"], drop_path=drop_path)
    network.load_state_dict(state.weights)
    return network, state, about


def check_weights(weights: str) -> None:
    """Raise ValueError unless it says which weights of a training are meant."""
    if weights not in CHECKPOINTS:
        raise ValueError(f"weights must be {' or '.join(CHECKPOINTS)}, got {weights!r}")


def known_test(path: Path, epochs: int) -> dict[str, Any] | None:
    """Give how a checkpoint in a training's folder does on the test split; None if that was not asked.

    Args:
        epochs: after which the checkpoint was written: a result may be older.
    """
    result = read_result(path.parent)
    test: dict[str, Any] | None = result.get("test")
    if test is None or path.name != CHECKPOINTS[tested(test)]:
        return None
    return test if test.get("epochs", result["epochs_done"]) == epochs else None


def tested(test: Mapping[str, Any]) -> Weights:
    """Say which weights a test was of; there were only the final ones once."""
    choice: Weights = test.get("choice", "final")
    return choice


def read_result(folder: Path) -> dict[str, Any]:
    """Give what the result says; nothing if there is none."""
    path = folder / RESULT
    return json.loads(path.read_text()) if path.exists() else {}


def write_result(folder: Path, result: TrainResult, test: Mapping[str, Any] | None) -> None:
    """Write what came out.

    Args:
        test: how the weights that were asked for do on the test split, if any were.
    """
    best = best_epoch(result.curve)
    summary = {key: value for key, value in asdict(result).items() if key != "curve"}
    record = {**summary, "best_accuracy": best["accuracy"], "best_epoch": best["epoch"], "test": test}
    write_whole(folder / RESULT, json.dumps(record, indent=2) + "\n")


def best_epoch(curve: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Give the most accurate epoch, the first of equals."""
    return max(curve, key=lambda epoch: -math.inf if epoch["accuracy"] is None else epoch["accuracy"])


def _resolved(config: TrainConfig) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(json.dumps(config.to_dict()))  # tuples become lists, as they are when read
    return record
