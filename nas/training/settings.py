"""The settings of one training, torch-free so that a command line can read them at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from nas.comparable import may_change
from nas.training.ranges import check_choice, check_named, check_range

# Share of the new batch in batch norm's running statistics (PyTorch's meaning; TensorFlow's momentum is one minus it).
# The paper states TensorFlow's 0.99 (section 5.1); the official code trains with 0.9, which is PyTorch's default too.
BN_MOMENTUM = {"paper": 0.01, "official": 0.1}


@dataclass(frozen=True)
class Optimizer:
    """One optimiser: what makes it (see nas/training/optimizers.py), and which of the settings it reads."""

    make: Any  # a function, or `module:function` where it is, for it needs torch
    settings: tuple[str, ...] = ("momentum", "betas", "eps")
    # Whether a step of it can be replayed as a CUDA graph: it reads its rate and counts its steps in tensors. One that
    # computes with numbers of the host would repeat those of the captured step for ever.
    capturable: bool = False


# Name in a configuration -> optimiser. A plug-in adds its own: OPTIMIZERS["lion"] = Optimizer(lion, ("betas",)).
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer("nas.training.optimizers:sgd", ("momentum",), capturable=True),
    "rmsprop": Optimizer("nas.training.optimizers:rmsprop", ("momentum", "eps"), capturable=True),
    "adamw": Optimizer("nas.training.optimizers:adamw", ("betas", "eps"), capturable=True),
}


def optimizer_of(name: str) -> Optimizer:
    """Give what is known of an optimiser; of a bare function, or `module:function`, only where it is."""
    found = OPTIMIZERS.get(name, name)
    return found if isinstance(found, Optimizer) else Optimizer(found)


# Name in a configuration -> the objective (see nas/training/objective.py), or `module:Name` where it is.
OBJECTIVES: dict[str, Any] = {"classification": "nas.training.objective:Classification"}


@dataclass(frozen=True)
class LrFactors:
    """What the learning rate is multiplied with in a part of the network; of a parameter in two of them, with both.

    Raises: ValueError that names a field out of range and what is allowed.
    """

    stem: float = 1.0  # the first convolution
    stages: float = 1.0  # the blocks
    head: float = 1.0  # the last convolution, before pooling
    classifier: float = 1.0  # the linear layer
    norms_and_biases: float = 1.0  # what does not decay, wherever it is

    def __post_init__(self) -> None:
        for field in fields(self):
            check_range(self, field.name, lowest=0, open_below=True)


LR_FACTORS = LrFactors()


@dataclass(frozen=True)
class TrainSettings:
    """What one network learns by. The defaults are a short, modern recipe for candidates of a search.

    Raises: ValueError that names a field out of range and what is allowed.
    """

    epochs: int = 10  # passes over the training images
    batch_size: int = 128  # images per update; the size of the batches that `train` is given
    objective: str = "classification"  # what is minimised and measured: a key of OBJECTIVES, or module:Name
    optimizer: str = "sgd"  # sgd (Nesterov), rmsprop (the paper's), adamw: a key of OPTIMIZERS, or module:function
    momentum: float | None = None  # sgd, rmsprop. None here and below: the optimiser's own; see optimizers.py
    betas: tuple[float, float] | None = None  # adamw
    eps: float | None = None  # rmsprop, adamw
    learning_rate: float = 0.2  # peak, per 256 images: the rate used is learning_rate * batch_size / 256
    warmup_epochs: float = 1.0  # linear, from 0; at most half of the training
    schedule: Literal["cosine", "exponential", "constant"] = "cosine"  # exponential: x0.97 every 2.4 epochs, in steps
    label_smoothing: float = 0.1  # share of a label's weight that is spread over all classes
    lr_factors: LrFactors = LR_FACTORS  # of the learning rate, by part of the network
    weight_decay: float = 1e-5  # L2 (AdamW: decoupled); never on norms and biases
    ema_decay: float | None = None  # of weights and batch norm statistics; the first updates average less
    clip_norm: float | None = None  # largest total norm of the gradients
    drop_path: float = 0.2  # of the last block
    dropout: float | None = None  # before the classifier; None = the architecture's
    bn_momentum: Literal["paper", "official"] = "official"  # a key of BN_MOMENTUM
    eval_every: int = 1  # epochs; the last epoch is always evaluated

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "eval_every"):
            check_range(self, name, lowest=1)
        for name in ("learning_rate", "clip_norm", "eps"):
            check_range(self, name, lowest=0, open_below=True)
        for name in ("warmup_epochs", "weight_decay"):
            check_range(self, name, lowest=0)
        for name in ("momentum", "label_smoothing", "ema_decay", "drop_path", "dropout"):
            check_range(self, name, lowest=0, below=1)
        check_choice(self, _CHOICES)
        check_named(self, "objective", OBJECTIVES)
        check_named(self, "optimizer", OPTIMIZERS)
        _check_optimizer(self)


_CHOICES = {
    "schedule": ("cosine", "exponential", "constant"),
    "bn_momentum": tuple(BN_MOMENTUM),
}


@dataclass(frozen=True)
class ExecutionSettings:
    """How a training is carried out on its device, whatever it learns.

    Precision, memory format and micro-batches change numbers, if little, so that a run keeps them; the others may
    change when it goes on.

    Raises: ValueError that names a field out of range and what is allowed.
    """

    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 autocast where a GPU has it, else fp32
    channels_last: bool = True  # memory format of images and weights; false: contiguous
    micro_batch: int | None = None  # at most so many images per forward; None = batch_size, halved if memory runs out
    time_limit_s: float | None = may_change(None)  # decides who may finish, but changes no number
    cuda_graph: Literal["auto", "on", "off"] = may_change("auto")  # auto: where the step can be captured, else eager
    threads: int | None = may_change(None)  # of the CPU; None = a trial's whole CPUs, otherwise one

    def __post_init__(self) -> None:
        for name in ("micro_batch", "threads"):
            check_range(self, name, lowest=1)
        check_range(self, "time_limit_s", lowest=0, open_below=True)
        check_choice(self, {"precision": ("auto", "fp32", "bf16"), "cuda_graph": ("auto", "on", "off")})


EXECUTION = ExecutionSettings()  # where nothing else is said


def check_images_at_once(settings: TrainSettings, execution: ExecutionSettings, workers: int = 1) -> None:
    """Refuse to train with one image at a time: batch norm, which every network here has, needs a batch to learn from.

    Args:
        workers: those that share a batch.
    Raises: ValueError that names the setting.
    """
    given = {"training.batch_size": settings.batch_size, "execution.micro_batch": execution.micro_batch}
    for name, images in given.items():
        if images == 1:
            raise ValueError(f"{name} must be at least 2, for batch norm learns nothing from one image, got 1")
    if settings.batch_size < 2 * workers:
        raise ValueError(
            f"training.batch_size must be at least {2 * workers} for {workers} workers, "
            f"for batch norm learns nothing from one image, got {settings.batch_size}"
        )


def split_training(record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the sections `training` and `execution` of a configuration of any version.

    There was one section once: what stands under `training` and is a field of ExecutionSettings belongs to `execution`.

    Args:
        record: a configuration as plain data, or nothing but these sections of it; it stays as it is.
    Raises: ValueError for a section that is no mapping, or a key that stands in both.
    """
    training, execution = (_mapping(name, record.get(name)) for name in ("training", "execution"))
    for key in (field.name for field in fields(ExecutionSettings)):
        if key in training and key in execution:
            raise ValueError(f"training.{key} and execution.{key} are the same setting: leave out training.{key}")
        if key in training:
            execution[key] = training.pop(key)
    return training, execution


def _mapping(name: str, section: Any) -> dict[str, Any]:
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise ValueError(f"{name} must be a mapping, got {section!r}")
    return dict(section)


def _check_optimizer(settings: TrainSettings) -> None:
    betas = settings.betas
    if betas is not None and not (len(betas) == 2 and all(0 <= beta < 1 for beta in betas)):
        raise ValueError(f"betas must be two numbers, each >= 0 and < 1, got {betas!r}")
    known = optimizer_of(settings.optimizer).settings
    for name in ("momentum", "betas", "eps"):
        if name not in known and getattr(settings, name) is not None:
            value = getattr(settings, name)
            raise ValueError(f"optimizer {settings.optimizer} has no {name}, got {value!r}; it has {', '.join(known)}")


@dataclass(frozen=True)
class ProgressiveSettings:
    """How image size and regularisation grow together: (first stage, last stage) of each, linear between.

    Raises: ValueError that names a field out of range and what is allowed.
    Source: EfficientNetV2, section 4, algorithm 1.
    """

    stages: int = 4  # parts of the training, equally long
    image_size: tuple[int, int] = (128, 300)  # pixels
    randaugment_magnitude: tuple[float, float] = (5.0, 15.0)  # see augment.randaugment_magnitude
    mixup_alpha: tuple[float, float] = (0.0, 0.0)  # see augment.mixup_alpha
    cutmix_alpha: tuple[float, float] = (0.0, 0.0)  # see augment.cutmix_alpha
    dropout: tuple[float, float] = (0.1, 0.3)  # before the classifier
    drop_path: tuple[float, float] = (0.2, 0.2)  # of the last block
    batch_growth: float = 1.0  # how many times the batch may grow while images are small; 1 = the same batch throughout

    def __post_init__(self) -> None:
        if self.stages < 1:
            raise ValueError(f"stages must be >= 1, got {self.stages!r}")
        for name, (lowest, below) in _RAMPS.items():
            ramp = getattr(self, name)
            if len(ramp) != 2 or not all(lowest <= value < below for value in ramp):
                upper = "finite" if below == math.inf else f"< {below:g}"
                raise ValueError(f"{name} must be two numbers, each >= {lowest:g} and {upper}, got {ramp!r}")
        if not 1 <= self.batch_growth < math.inf:
            raise ValueError(f"batch_growth must be >= 1 and finite, got {self.batch_growth!r}")


_RAMPS: dict[str, tuple[float, float]] = {
    "image_size": (1, math.inf),
    "randaugment_magnitude": (0, math.inf),
    "mixup_alpha": (0, math.inf),
    "cutmix_alpha": (0, math.inf),
    "dropout": (0, 1),
    "drop_path": (0, 1),
}
