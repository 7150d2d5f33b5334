"""`nas train`: one architecture, one recipe, one run folder with checkpoints, metrics and the result."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.architectures import find_architecture
from nas.commands.arguments import command, count
from nas.commands.terminal import Column, console, say, show_facts, table
from nas.config.check import load
from nas.config.train import (
    Stage,
    TrainConfig,
    clamped,
    frame_size,
    largest_image_size,
    load_training,
    read_progressive,
)
from nas.data.disk import disk_use
from nas.full_training.schedule import Schedule, schedule
from nas.full_training.winner import training_of_run
from nas.runs.text import bars, fixed
from nas.training.progressive import PRESETS

if TYPE_CHECKING:
    from nas.full_training.folder import Weights
    from nas.trackers.callback import TrainingEnd


def add(commands: Any) -> None:
    """Declare the arguments of `nas train`."""
    sub = command(commands, "train", "train one architecture in full; the same command again goes on with it", run)
    sub.add_argument("arch", metavar="ARCH", help="see `nas --help`")
    sub.add_argument(
        "config",
        type=Path,
        metavar="CONFIG",
        nargs="?",
        help="YAML file, or a name of `nas configs` (default, for a run: its own training, three times as long)",
    )
    sub.add_argument("--progressive", metavar="P", help="s, m, l, another preset, a YAML file, or none")
    sub.add_argument(
        "--out", type=Path, metavar="DIR", help="default: runs/NAME-arch_id, by the CONFIG file or the run"
    )
    sub.add_argument("--epochs", type=count, metavar="N", help="instead of the CONFIG's")
    sub.add_argument(
        "--from", type=Path, metavar="FILE", dest="start_from", help="checkpoint to start from (fine-tune)"
    )
    sub.add_argument("--test", action="store_true", help="evaluate the weights on the test split, once")
    sub.add_argument(
        "--weights",
        choices=("final", "best"),
        help="those to --test: after the last epoch (default) or best on minival",
    )
    sub.add_argument(
        "--seeds", type=count, metavar="N", help="so many trainings, a folder and a seed each, and their mean"
    )
    sub.add_argument("--parallel", type=count, metavar="N", help="of those at once (default: as many as fit)")
    sub.add_argument("--workers", type=count, default=1, metavar="N", help="train together with Ray Train (default: 1)")
    sub.add_argument("--address", metavar="A", help="Ray cluster of the workers (default: this machine)")
    sub.add_argument("--dry-run", action="store_true", help="print the schedule and do nothing")


def run(a: argparse.Namespace) -> int:
    """Train, or go on with a training; give the exit status."""
    return train_command(
        a.arch,
        a.config,
        progressive=a.progressive,
        out=a.out,
        epochs=a.epochs,
        start_from=a.start_from,
        test=a.test,
        weights=a.weights,
        dry_run=a.dry_run,
        workers=a.workers,
        address=a.address,
        plugins=a.plugin,
        seeds=a.seeds,
        parallel=a.parallel,
    )


def train_command(
    arch: str,
    path: Path | None,
    *,
    progressive: str | None,
    out: Path | None,
    epochs: int | None,
    start_from: Path | None,
    test: bool,
    dry_run: bool,
    workers: int = 1,
    address: str | None = None,
    plugins: Sequence[str] = (),
    weights: Weights | None = None,
    seeds: int | None = None,
    parallel: int | None = None,
) -> int:
    """Train, or go on with a training that was stopped; give the exit status: 1 where it ended without a result.

    Args:
        path: of the configuration; None = the run's own training.
        progressive: a preset, `none` or a YAML file of ProgressiveSettings; None = what the configuration says.
        start_from: a checkpoint of ours to take the first weights from.
        test: evaluate weights on the test split, once.
        workers: processes that train together, each with its share of the batch.
        address: of a Ray cluster for several workers; None = this machine.
        plugins: besides those of the configuration.
        weights: those to test; None = the final ones.
        seeds: so many trainings, in folders of `out`; None = one, in `out` itself.
        parallel: of these at once; None = as many as fit.
    Raises: ValueError for whatever the user can fix.
    """
    if weights is not None and not test:
        raise ValueError("--weights says which weights to test: add --test, or give it to `nas export`")
    changed = _changed(progressive, epochs, start_from)
    if path is None:
        config = training_of_run(arch, changed)
    else:
        config = load_training(path, find_architecture(arch), changed)
    if dry_run:
        return describe(config)
    name = Path(arch).resolve().name if path is None else path.stem
    out = out or Path("runs") / f"{name}-{config.architecture.arch_id}{'' if seeds is None else '-seeds'}"
    if seeds is not None:
        if workers > 1:
            raise ValueError("--seeds trains several side by side, --workers one by several: give one of them")
        return _train_seeds(
            config, out, seeds, test=test, weights=weights, parallel=parallel, address=address, plugins=plugins
        )
    if parallel is not None:
        raise ValueError("--parallel says how many of --seeds are trained at once")
    from nas.full_training.train import train
    from nas.trackers.display import Display

    display = Display()
    end = train(
        config.architecture,
        config,
        folder=out,
        workers=workers,
        address=address,
        test=test,
        weights=weights or "final",
        callbacks=[display],
        plugins=plugins,
        progress=False,  # the display is this command's
    )
    for line in _outcome(end, test):
        display.on_message(line)
    return 0 if end.status == "ok" else 1


def _train_seeds(config: TrainConfig, folder: Path, seeds: int, *, weights: Weights | None, **options: Any) -> int:
    """Train with several seeds; give the exit status."""
    from nas.claims.train_seeds import train_seeds

    found = train_seeds(config.architecture, config, folder=folder, seeds=seeds, weights=weights or "final", **options)
    rows = [
        {"seed": seed, "status": status, "accuracy": accuracy, "best": end.best_accuracy, "error": end.error}
        for seed, status, accuracy, end in zip(
            found.seeds, found.statuses, found.accuracies, found.trainings, strict=True
        )
    ]
    console().print(table(rows, _SEEDS))
    if found.mean is not None:
        error = "" if found.se is None else f" ±{found.se:.4f} ({found.low:.4f} to {found.high:.4f})"
        say(f"mean {found.metric} accuracy {found.mean:.4f}{error}, in {folder}")
    return 0 if all(status == "ok" for status in found.statuses) else 1


_SEEDS = (
    Column("seed", "seed"),
    Column("status", "status"),
    Column("accuracy", "accuracy", fixed(4)),
    Column("best", "best epoch", fixed(4)),
    Column("error", "error"),
)


def _outcome(end: TrainingEnd, test: bool) -> Iterator[str]:
    """Say what came out."""
    if end.status != "ok" or end.best_epoch is None:
        yield f"ended after {end.epochs_done} epochs: {end.error}. The checkpoints are in {end.folder}"
        return
    best = f"best {end.best_accuracy:.4f} after {end.best_epoch + 1}"
    yield f"minival accuracy {end.accuracy:.4f} after {end.epochs_done} epochs; {best}"
    if test and end.test:
        scores = f"test accuracy {end.test['accuracy']:.4f}, loss {end.test['loss']:.4f}"
        choice = end.test.get("choice", "final")
        yield f"{scores}, {end.test['images']} images: of the {choice} weights, once"


def describe(config: TrainConfig) -> int:
    """Print the schedule of a training, without data, devices or torch."""
    training, last = config.training, config.training.epochs
    planned = schedule(config, points=_WIDTH)
    rows = [_stage_row(number, stage) for number, stage in enumerate(planned.stages, start=1)]
    last_size = planned.stages[-1].strengths.image_size
    epochs = f"{last} epochs, {training.optimizer}, {training.schedule}, batch {training.batch_size}"
    ema = "no EMA" if training.ema_decay is None else f"EMA {training.ema_decay:g}"
    lines = {
        "architecture": config.architecture.arch_id,
        "data": f"{config.data.source} {config.data.path}".strip() + f", minival {config.data.minival:g}",
        "disk": disk_use(config.data, largest_image_size(config), frame_size(config)),
        "training": f"{epochs}, weight decay {training.weight_decay:g}, {ema}",
        "evaluation": f"{config.eval_image_size} px",
        "compute": f"{planned.compute_share:.0%} of the pixels of {last_size} px throughout",
    }
    if text := clamped(config):
        lines["RandAugment"] = text
    show_facts(lines)
    console().print(table(rows, _STAGES))
    console().print()
    for name, first, shape, final in _curves(planned):
        say(f"{name:<12} {first:>8} {shape} {final}")
    return 0


_STAGES = (
    Column("stage", "stage"),
    Column("epochs", "epochs"),
    Column("image_size", "px"),
    Column("randaugment_magnitude", "RandAug", fixed(1)),
    Column("mixup_alpha", "Mixup", fixed(2)),
    Column("cutmix_alpha", "CutMix", fixed(2)),
    Column("dropout", "dropout", fixed(3)),
    Column("drop_path", "path", fixed(2)),
    Column("batch_size", "batch"),
)
_WIDTH = 48  # of the curves, characters
_CURVES = {"image_size": "image px", "randaugment_magnitude": "RandAugment", "mixup_alpha": "Mixup"} | {
    "cutmix_alpha": "CutMix", "dropout": "dropout", "drop_path": "drop path", "batch_size": "batch"
}  # fmt: skip


def _stage_row(number: int, stage: Stage) -> dict[str, Any]:
    return {
        "stage": number,
        **asdict(stage.strengths),
        "epochs": f"{stage.first_epoch + 1} to {stage.first_epoch + stage.epochs}",
        "batch_size": stage.batch_size,
    }


def _curves(planned: Schedule) -> Iterator[tuple[str, str, str, str]]:
    """Give each schedule that is not the same throughout: its name, first value, course over the training, last."""
    for key, name in _CURVES.items():
        values = planned.courses[key]
        if len(set(values)) > 1:
            yield name, f"{values[0]:.4g}", bars(values), f"{values[-1]:.4g}"
    rates = planned.courses["learning_rate"]
    yield "lr", f"{rates[0]:.3g}", bars(rates), f"{rates[-1]:.3g}"


def _changed(progressive: str | None, epochs: int | None, start_from: Path | None) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if progressive is not None:
        changed["progressive"] = _progressive(progressive)
    if epochs is not None:
        changed["epochs"] = epochs
    if start_from is not None:
        changed["start_from"] = str(start_from)
    return changed


def _progressive(text: str) -> Any:
    """A preset's name or `none` as it is; a file's fields."""
    if text not in PRESETS and Path(text).is_file():
        settings = load(Path(text), read_progressive)
        return "none" if settings is None else asdict(settings)
    read_progressive(text)
    return text
