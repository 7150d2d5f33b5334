"""One YAML file -> checked, frozen settings of one full training. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas import plugins
from nas.config.check import at_least, changes, check_keys, checked, load, section
from nas.config.examples import find_config
from nas.config.search import MAY_CHANGE, name_list, with_execution, without_places
from nas.data.settings import AugmentSettings, DataSettings
from nas.seeds import SEEDING, known_seeding
from nas.training.progressive import PRESETS, Strengths, augmented, stage_batch_size, stages
from nas.training.settings import ExecutionSettings, ProgressiveSettings, TrainSettings
from search_space.architecture import Architecture
from search_space.lookup import with_hint

_SECTIONS: dict[str, type[Any]] = {
    "data": DataSettings,
    "augment": AugmentSettings,
    "training": TrainSettings,
    "execution": ExecutionSettings,
}
_NUMBERS = ("image_size", "eval_image_size", "checkpoint_every", "seed", "seeding")
_LISTS = ("plugins", "callbacks")
_KEYS = (*_SECTIONS, "progressive", *_NUMBERS, "device", *_LISTS, "architecture", "start_from")
# What a training that goes on may have otherwise than when it began: none of it changes what is learned.
_MAY_CHANGE = MAY_CHANGE | {"checkpoint_every", "device", "seeding"}


@dataclass(frozen=True)
class TrainConfig:
    """Everything a full training is told, resolved."""

    architecture: Architecture
    data: DataSettings
    augment: AugmentSettings
    training: TrainSettings
    execution: ExecutionSettings
    progressive: ProgressiveSettings | None  # None = one image size and regularisation throughout
    image_size: int  # pixels; of training, with progressive learning of its last stage
    eval_image_size: int  # pixels
    checkpoint_every: int  # epochs
    device: str  # auto, cpu, cuda or cuda:N
    seed: int  # of initial weights, data order, augmentation and dropout
    seeding: int = SEEDING  # how streams are drawn from it, see nas/seeds.py; a training keeps what it began with
    start_from: str = ""  # checkpoint that the first weights are from; empty = drawn
    plugins: tuple[str, ...] = ()  # modules that are imported here and in every worker before anything is read
    callbacks: tuple[Any, ...] = ()  # besides TensorBoard: keys of TRACKERS, module:Name, or {name: its settings}

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `parse_training` gives an equal config back."""
        record = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in _SECTIONS:
            record[name] = dataclasses.asdict(record[name])
        for name in _LISTS:
            record[name] = list(record[name])
        progressive = "none" if self.progressive is None else dataclasses.asdict(self.progressive)
        return record | {"architecture": self.architecture.to_dict(), "progressive": progressive}


@dataclass(frozen=True)
class Stage:
    """One stage of a training: consecutive epochs with the same image size and regularisation."""

    first_epoch: int
    epochs: int
    strengths: Strengths
    batch_size: int
    augment: AugmentSettings


def load_training(path: Path, architecture: Architecture, changed: Mapping[str, Any]) -> TrainConfig:
    """Read and check a YAML file.

    Args:
        path: of the file, or the name of a configuration that comes along, such as `train_digits`.
        architecture: to be trained; its image sizes are defaults.
        changed: what the command line says instead of the file; `epochs` goes into its section.
    Raises: ValueError: one line with the path of the key, its value, what is allowed.
    """

    def read(record: Any) -> TrainConfig:
        return parse_training(with_changed(record, changed) if isinstance(record, Mapping) else record, architecture)

    return load(find_config(path, "train"), read)


def with_changed(record: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Give a training's record with some keys changed; `epochs` goes into its section."""
    given = {**record, **{key: value for key, value in changed.items() if key != "epochs"}}
    if "epochs" in changed and isinstance(given.get("training") or {}, Mapping):
        given["training"] = {**(given.get("training") or {}), "epochs": changed["epochs"]}
    return given


def parse_training(record: Any, architecture: Architecture | None = None) -> TrainConfig:
    """Check plain data and fill in defaults.

    Args:
        architecture: to be trained, unless the record has it.
    Raises: ValueError as `load_training` does.
    """
    if not isinstance(record, Mapping):
        raise ValueError("a training configuration must be a mapping of: " + ", ".join(_KEYS))
    if "space" in record:
        raise ValueError("this is a search's configuration; `nas configs` lists those of trainings")
    check_keys(record, _KEYS)
    record = with_execution(record)
    lists: dict[str, Any] = {name: name_list(name, record.get(name)) for name in _LISTS}
    plugins.load(lists["plugins"])  # first: whatever is named below may be theirs
    architecture = _architecture(record, architecture)
    progressive = read_progressive(record.get("progressive", "none"))
    image_size = _train_size(record, progressive, architecture)
    config = TrainConfig(
        architecture=architecture,
        progressive=progressive,
        **{name: section(name, kind, record.get(name)) for name, kind in _SECTIONS.items()},
        image_size=image_size,
        eval_image_size=at_least(
            1, "eval_image_size", record.get("eval_image_size", architecture.image_size or image_size)
        ),
        checkpoint_every=at_least(1, "checkpoint_every", record.get("checkpoint_every", 1)),
        device=checked("device", str, record.get("device", "auto")),
        seed=at_least(0, "seed", record.get("seed", 0)),
        seeding=known_seeding(record.get("seeding", SEEDING)),
        start_from=checked("start_from", str, record.get("start_from", "")),
        **lists,
    )
    if config.data.minival == 0:
        raise ValueError("data.minival leaves no image to measure accuracy on; give a larger one")
    training_stages(config)  # a stage's augmentation may be out of range
    return config


def read_progressive(given: Any) -> ProgressiveSettings | None:
    """Turn the name of a preset, `none` or a mapping of fields into settings. Raises ValueError for anything else."""
    if given is None or given == "none":
        return None
    if isinstance(given, str):
        if given not in PRESETS:
            raise ValueError(f"unknown progressive {with_hint(given, ('none', *PRESETS))}")
        return PRESETS[given]
    return section("progressive", ProgressiveSettings, given)


def training_stages(config: TrainConfig) -> list[Stage]:
    """Give the stages of a training in order; without progressive learning it is one."""
    epochs, training = config.training.epochs, config.training
    if config.progressive is None:
        strengths = Strengths(
            image_size=config.image_size,
            randaugment_magnitude=config.augment.randaugment_magnitude,
            mixup_alpha=config.augment.mixup_alpha,
            cutmix_alpha=config.augment.cutmix_alpha,
            dropout=config.architecture.dropout if training.dropout is None else training.dropout,
            drop_path=training.drop_path,
            batch_factor=1.0,
        )
        return [Stage(0, epochs, strengths, training.batch_size, config.augment)]
    begun = stages(config.progressive, epochs)
    ends = [first for first, _ in begun[1:]] + [epochs]
    return [
        Stage(first, end - first, each, stage_batch_size(training.batch_size, each), augmented(config.augment, each))
        for (first, each), end in zip(begun, ends, strict=True)
    ]


def largest_image_size(config: TrainConfig) -> int:
    """Give the largest size that is wanted of images for a training and its evaluation, pixels."""
    return max([config.eval_image_size, *(stage.strengths.image_size for stage in training_stages(config))])


def frame_size(config: TrainConfig) -> int | None:
    """Give the size that whole images must be decoded at for a training's crops, pixels; None = centres will do."""
    return config.augment.frame_size(max(stage.strengths.image_size for stage in training_stages(config)))


def clamped(config: TrainConfig) -> str | None:
    """Say in one line if RandAugment's policy does not define how strong it is to become; None if it does."""
    strongest = max((stage.augment for stage in training_stages(config)), key=lambda each: each.randaugment_magnitude)
    return strongest.clamped


def changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say what of two resolved configurations keeps the one from going on with the other's training.

    Where the data lie does not: whether they are the same, their fingerprint tells, which every training has.

    Args:
        old: of any version: what an earlier one did not write has its default.
    """
    each = (parse_training(old).to_dict(), new)
    before, after = ({key: value for key, value in one.items() if key not in _LISTS} for one in each)
    return changes(without_places(before), without_places(after), _MAY_CHANGE)


def _architecture(record: Mapping[str, Any], asked: Architecture | None) -> Architecture:
    own = Architecture.from_dict(record["architecture"]) if "architecture" in record else asked
    if own is None:
        raise ValueError("missing key 'architecture'")
    if asked is not None and asked != own:
        raise ValueError(f"the configuration is for {own.arch_id}, not for {asked.arch_id}")
    return own


def _train_size(record: Mapping[str, Any], progressive: ProgressiveSettings | None, architecture: Architecture) -> int:
    if progressive is not None:
        return progressive.image_size[1]
    if "image_size" not in record and architecture.train_image_size is None:
        raise ValueError("missing key 'image_size'")
    return at_least(1, "image_size", record.get("image_size", architecture.train_image_size))
