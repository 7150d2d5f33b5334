"""What `nas scale --out` writes beside each size's architecture: a picture, and a training recipe for every size."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.data.settings import AugmentSettings, DataSettings
from nas.training.progressive import PRESETS
from nas.training.settings import ExecutionSettings, ProgressiveSettings, TrainSettings, split_training
from nas.whole_files import folder_for
from scaling.family import Member, member, write_family
from scaling.grow import at_dial
from scaling.rule import PLAIN, RULES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAPER = tuple(PRESETS[f"paper_{size}"] for size in "sml")  # at 0, 1 and 2 of every rule's dial
_SMALL, _LONGER = 96, 10  # pixels of a search below which the paper's training does not fit; times the search's epochs
_FIRST_SHARE = 128 / 300  # of S's training size: the image size that S, M and L all begin with
_TEMPLATE = """\
# Training recipe of size {size}, {params:,} parameters, grown from {start} by the rule {rule}.
# Run:      nas train {path}.json {path}.yaml
# Look:     nas train {path}.json {path}.yaml --dry-run
# Made by:  {command}
# Data:     {data_from}
# Training: {training_from}
# Images:   from {first} to this size's own.
# Strength: RandAugment, Mixup and dropout of the paper's S, M and L (presets paper_s, paper_m, paper_l),
#           interpolated by the rule's dial (s is 0, m is 1, l is 2, {beyond}); here it is {dial:.3g}{weaker}.

{plugins}data:
{data}
augment:
{augment}
training:
{training}
{execution}progressive:
{progressive}
eval_image_size: {eval_image_size}
device: auto
seed: 0
"""
_PAPERS_TRAINING = """\
  epochs: 350
  batch_size: {batch}
  optimizer: rmsprop
  learning_rate: 0.016          # per 256 images
  warmup_epochs: 5
  schedule: exponential         # x0.97 every 2.4 epochs
  weight_decay: 1.0e-5
  ema_decay: 0.9999
  label_smoothing: 0.1
  bn_momentum: paper"""
_PLACEHOLDER = """\
  source: folder                # or hf or parquet; put your own in place of these two paths
  path: PATH-OF-TRAINING-IMAGES
  test_path: PATH-OF-TEST-IMAGES"""


def write(
    folder: Path,
    members: Sequence[Member],
    start: Member,
    classes: tuple[int, int],
    config: Mapping[str, Any] | None,
    about: Mapping[str, Any],
) -> None:
    """Write the family, its picture, and a recipe for each size that has an image size.

    Args:
        start: what the family grew from, with the image size it trains at.
        classes: classes and image channels.
        config: of the run whose winner the start is; None = the start is from elsewhere.
        about: provenance, JSON, in it `from`, `rule` (a key of RULES) and `command`.
    """
    with folder_for(folder):
        write_family(folder, members, about)
        picture(members, start, about["rule"], classes).savefig(folder / "family.png", dpi=150)
        for one in members:
            if one.architecture.train_image_size is not None:
                (folder / f"{one.size}.yaml").write_text(recipe(folder, one, start, config, about))


def recipe(folder: Path, one: Member, start: Member, config: Mapping[str, Any] | None, about: Mapping[str, Any]) -> str:
    """Give a size's training recipe: YAML for `nas train`, with the search's data or a place for one's own."""
    pixels, first = one.architecture.train_image_size, start.architecture.train_image_size
    assert pixels is not None
    assert first is not None
    small = config is not None and config["image_size"] < _SMALL
    augment = _augment(config) | {"randaugment_policy": "increasing" if small else "official"}
    dial, paper = one.dial or 0.0, "the paper's (EfficientNetV2, arXiv:2104.00298, section 5.1)"
    look = {
        "training_from": paper + ("; the batch is the search's." if config else "."),
        "training": _PAPERS_TRAINING.format(batch=config["training"]["batch_size"] if config else 4096),
        "execution": "",
        "first": "128/300 of the start's training size, as the paper's S begins,",
        "weaker": "",
    }
    progressive = schedule(dial, (min(pixels, round(first * _FIRST_SHARE)), pixels))
    if config is not None and small:
        look = {
            "training_from": f"the search's own, {_LONGER} times as long: the paper's is for ImageNet.",
            "training": _lines(_searchs_training(config)),
            "execution": _execution(config),
            "first": "two thirds of this size's",
            # Less of the official policy is not weaker: near 0 it makes images black.
            "weaker": f",\n#           times {pixels}/300, for small images bear less; its policy is weaker at less",
        }
        progressive = replace(
            _weaker(progressive, pixels / 300),
            image_size=(round(pixels * 2 / 3), pixels),
            drop_path=(config["training"]["drop_path"],) * 2,
        )
    if config is not None and not small and "objective" in _searchs_training(config):
        look["training"] += f"\n  objective: {json.dumps(config['training']['objective'])}"
    names = (config or {}).get("plugins")
    return _TEMPLATE.format(
        plugins=f"plugins: {json.dumps(list(names))}\n" if names else "",
        size=one.size,
        params=one.params,
        start=about["from"],
        rule=about["rule"],
        path=shlex.quote(str(folder / one.size)),
        command=about["command"],
        data_from=_data_from(config),
        data=_data(config),
        augment=_lines(augment),
        dial=dial,
        beyond="below it stays S's" if dial < 0 else "above it stays L's",
        progressive=_lines(_changed(asdict(progressive), ProgressiveSettings, always=_SHOWN)),
        eval_image_size=one.architecture.image_size,
        **look,
    )


def _searchs_training(config: Mapping[str, Any]) -> dict[str, Any]:
    recipe, _ = split_training(config)
    longer = recipe | {"epochs": _LONGER * recipe["epochs"]}
    return _changed(longer, TrainSettings, always=("epochs", "batch_size", "optimizer", "learning_rate"))


def _execution(config: Mapping[str, Any]) -> str:
    changed = _changed(split_training(config)[1], ExecutionSettings)
    return f"execution:\n{_lines(changed)}\n" if changed else ""


def _weaker(progressive: ProgressiveSettings, share: float) -> ProgressiveSettings:
    """Give the same schedule with a share of the augmentation and dropout."""
    ramps = {name: getattr(progressive, name) for name in _STRENGTHS if name != "drop_path"}
    weaker = {name: (round(start * share, 3), round(end * share, 3)) for name, (start, end) in ramps.items()}
    return replace(progressive, **weaker)  # type: ignore[arg-type]


def schedule(dial: float, image_size: tuple[int, int]) -> ProgressiveSettings:
    """Give progressive learning for a setting of the dial: the paper's strengths of S, M and L, linear between.

    Below S they are S's, above L they are L's.

    Args:
        image_size: of the first and the last stage, pixels.
    """
    dial = min(max(dial, 0.0), len(_PAPER) - 1)
    low, high = _PAPER[int(dial)], _PAPER[min(int(dial) + 1, len(_PAPER) - 1)]
    share = dial - int(dial)

    def between(name: str) -> tuple[float, float]:
        (a, b), (c, d) = getattr(low, name), getattr(high, name)
        return round(a + (c - a) * share, 3), round(b + (d - b) * share, 3)

    return replace(low, image_size=image_size, **{name: between(name) for name in _STRENGTHS})  # type: ignore[arg-type]


def picture(members: Sequence[Member], start: Member, rule: str, classes: tuple[int, int]) -> Figure:
    """Draw the stages of the start and of the members, and their costs beside those of uniform compound scaling."""
    from nas.analysis.plots import family

    dials = [0.0, 2.0, *(one.dial for one in members if one.dial is not None)]
    begin, end = min(dials), max(dials)
    curves = {}
    for name, each in ((rule, RULES[rule]), ("uniform compound scaling", PLAIN[rule])):
        turned = (begin + (end - begin) * n / _POINTS for n in range(_POINTS + 1))
        curve = [member("any", at_dial(start.architecture, dial, each), *classes) for dial in turned]
        curves[name] = [(one.params, one.macs) for one in curve if one.macs is not None]
    same = any(one.architecture.stages == start.architecture.stages for one in members)
    shown = members if same else (start, *members)
    return family(
        {one.size: one.architecture for one in shown},
        {one.size: (one.params, one.macs) for one in shown if one.macs is not None},
        curves,
    )


_POINTS = 60  # of a curve
_STRENGTHS = ("randaugment_magnitude", "mixup_alpha", "cutmix_alpha", "dropout", "drop_path")
_SHOWN = ("stages", "image_size", "randaugment_magnitude", "mixup_alpha", "dropout", "drop_path")


def _data_from(config: Mapping[str, Any] | None) -> str:
    if config is None:
        return "to be filled in; with source folder, path holds one folder of images a class."
    subset = config["data"]["subset"]
    return f"the search's{f', of which it used {subset:,} images to train on; here all' if subset else ''}."


def _data(config: Mapping[str, Any] | None) -> str:
    """The search's data, whole: a subset is for quick trials."""
    return _PLACEHOLDER if config is None else _lines(_changed(config["data"] | {"subset": None}, DataSettings))


def _augment(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The search's augmentation without what the schedule sets; without a search, ImageNet's."""
    if config is None:
        return {"crop": "resized", "flip": True}
    scheduled = ("randaugment_magnitude", "mixup_alpha", "cutmix_alpha")
    given = {name: value for name, value in config["augment"].items() if name not in scheduled}
    return _changed(given, AugmentSettings, always=("crop",))


def _changed(given: Mapping[str, Any], settings: type[Any], always: Sequence[str] = ()) -> dict[str, Any]:
    """What differs from the defaults, and what is to be seen anyway; `source` is."""
    defaults = {
        f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
        for f in dataclasses.fields(settings)
    }
    return {
        name: value
        for name, value in given.items()
        if name in ("source", *always) or _plain(value) != _plain(defaults.get(name))
    }


def _plain(value: Any) -> Any:
    """As YAML has it: lists for tuples, mappings for settings, 5 for 5.0."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _lines(section: Mapping[str, Any]) -> str:
    """A section's lines; a JSON value is a YAML value."""
    return "\n".join(f"  {name}: {json.dumps(_plain(value), ensure_ascii=False)}" for name, value in section.items())
