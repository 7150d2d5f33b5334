"""`nas train`: one architecture, one recipe, one run folder with checkpoints, metrics and the result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.architectures import find_architecture
from nas.commands.terminal import Column, bars, console, fixed, table
from nas.config.search import load
from nas.config.train import Stage, TrainConfig, largest_image_size, load_training, read_progressive, training_stages
from nas.runs.folder import locked
from nas.training.progressive import PRESETS
from nas.training.schedules import learning_rate

if TYPE_CHECKING:
    from nas.data.prepare import Prepared

RUN = "train.json"  # what makes a folder a training's


def train_command(
    arch: str,
    path: Path,
    progressive: str | None,
    out: Path | None,
    epochs: int | None,
    start_from: Path | None,
    test: bool,
    dry_run: bool,
    workers: int = 1,
    address: str | None = None,
) -> int:
    """Train, or go on with a training that was stopped; give the exit status: 1 where it ended without a result.

    Args:
        progressive: a preset, `none` or a YAML file of ProgressiveSettings; None = what the configuration says.
        start_from: a checkpoint of ours to take the first weights from.
        test: evaluate the final weights on the test split, once.
        workers: processes that train together, each with its share of the batch.
        address: of a Ray cluster for several workers; None = this machine.
    Raises: ValueError for whatever the user can fix.
    """
    config = load_training(path, find_architecture(arch), _changed(progressive, epochs, start_from))
    if dry_run:
        return describe(config)
    folder = out or Path("runs") / f"{path.stem}-{config.architecture.arch_id}"
    _check_folder(folder)
    _check_workers(workers, config)
    from nas.data.prepare import prepare

    prepared = prepare(config.data, largest_image_size(config), progress=True)
    _check_data(prepared, config, test)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "training"):
        if workers == 1 and address is None:
            from nas.full_training.run import run

            return run(folder, config, prepared, test)
        from nas.full_training.workers import run_with_workers

        return run_with_workers(folder, config, prepared, test, workers, address)


def describe(config: TrainConfig) -> int:
    """Print the schedule of a training, without data, devices or torch."""
    training, last = config.training, config.training.epochs
    rows = [_stage_row(number, stage) for number, stage in enumerate(training_stages(config), start=1)]
    epochs = f"{last} epochs, {training.optimizer}, {training.schedule}, batch {training.batch_size}"
    ema = "no EMA" if training.ema_decay is None else f"EMA {training.ema_decay:g}"
    lines = {
        "architecture": config.architecture.arch_id,
        "data": f"{config.data.source} {config.data.path}".strip() + f", minival {config.data.minival:g}",
        "training": f"{epochs}, weight decay {training.weight_decay:g}, {ema}",
        "evaluation": f"{config.eval_image_size} px",
        "compute": _compute_line(config),
    }
    for name, text in lines.items():
        console().print(f"{name:<12}  {text}", soft_wrap=True)
    console().print(table(rows, _STAGES))
    console().print()
    for name, first, shape, final in _curves(config):
        console().print(f"{name:<12} {first:>8} {shape} {final}")
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
_FINE = 10_000  # steps an epoch, where the real number is not known: the rate is printed to three digits


def _stage_row(number: int, stage: Stage) -> dict[str, Any]:
    return {
        "stage": number,
        **asdict(stage.strengths),
        "epochs": f"{stage.first_epoch + 1} to {stage.first_epoch + stage.epochs}",
        "batch_size": stage.batch_size,
    }


def _curves(config: TrainConfig) -> Iterator[tuple[str, str, str, str]]:
    """Give each schedule that is not the same throughout: its name, first value, course over the training, last."""
    epochs, parts = config.training.epochs, training_stages(config)
    moments = [(column + 0.5) / _WIDTH * epochs for column in range(_WIDTH)]  # epochs
    at = [next(part for part in reversed(parts) if part.first_epoch <= moment) for moment in moments]
    for key, name in _CURVES.items():
        values = [{**asdict(part.strengths), "batch_size": part.batch_size}[key] for part in at]
        if len(set(values)) > 1:
            yield name, f"{values[0]:.4g}", bars(values), f"{values[-1]:.4g}"
    rates = [
        learning_rate(int(moment * _FINE), epochs * _FINE, _FINE, replace(config.training, batch_size=part.batch_size))
        for moment, part in zip(moments, at, strict=True)
    ]
    yield "lr", f"{rates[0]:.3g}", bars(rates), f"{rates[-1]:.3g}"


def _compute_line(config: TrainConfig) -> str:
    """What the schedule takes beside one that has the last stage's image size throughout."""
    parts = training_stages(config)
    pixels = sum(stage.epochs * stage.strengths.image_size**2 for stage in parts)
    full = config.training.epochs * parts[-1].strengths.image_size ** 2
    return f"{pixels / full:.0%} of the pixels of {parts[-1].strengths.image_size} px throughout"


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


def _check_folder(folder: Path) -> None:
    if folder.exists() and not (folder / RUN).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not a training's folder; choose another with --out")


def _check_workers(workers: int, config: TrainConfig) -> None:
    if workers < 1:
        raise ValueError(f"--workers must be >= 1, got {workers}")
    for stage in training_stages(config):
        if stage.batch_size % workers:
            raise ValueError(f"a batch of {stage.batch_size} cannot be shared evenly by {workers} workers")
    if workers > 1 and config.execution.time_limit_s is not None:
        raise ValueError("execution.time_limit_s is for one worker; several would not stop at the same step")


def _check_data(prepared: Prepared, config: TrainConfig, test: bool) -> None:
    largest = max(stage.batch_size for stage in training_stages(config))
    if prepared.train < largest:
        raise ValueError(f"a batch of {largest} is more than the {prepared.train} training images")
    if prepared.minival < 1:
        raise ValueError("data.minival leaves no image to measure accuracy on; give a larger one")
    if ":" in config.training.objective + config.training.optimizer:
        from nas.training.step import check_imports

        check_imports(config.training)
    if test and prepared.test < 1:
        raise ValueError("--test needs a test split, and the data has none")
