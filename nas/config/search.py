"""One YAML file -> checked, frozen settings: the composition of every part's own settings."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pydantic
from pydantic import TypeAdapter

from nas.algorithms import ALGORITHMS
from nas.comparable import may_change_fields
from nas.data.settings import AugmentSettings, DataSettings
from nas.measure.settings import StepTimeSettings
from nas.search.settings import AlgorithmSettings, RewardSettings, SearchSettings
from nas.training.settings import ExecutionSettings, TrainSettings, split_training
from rewards import REWARDS, is_finite_number
from search_space import yaml_text
from search_space.architecture import Architecture
from search_space.families import PUBLISHED, published
from search_space.lookup import with_hint
from search_space.space import SearchSpace
from search_space.spaces import backbone_of, space_from_config

Settings = TypeVar("Settings")


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything a search is told, resolved: defaults filled in, ready-made spaces written out."""

    space: SearchSpace
    reference: Architecture  # whose step time and params are the units of S and P
    data: DataSettings
    augment: AugmentSettings
    training: TrainSettings
    execution: ExecutionSettings
    step_time: StepTimeSettings
    reward: RewardSettings
    algorithm: AlgorithmSettings
    search: SearchSettings
    image_size: int  # pixels, height = width, of training and of the search's accuracy
    device: str  # auto, cpu, cuda or cuda:N
    seed: int  # of data order, initial weights and everything else random in a trial
    constraints_given: tuple[str, ...] = ()  # what the file says of the images the constraints are counted for

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `parse` gives an equal config back."""
        record: dict[str, Any] = {"space": self.space.to_dict(), "reference": self.reference.to_dict()}
        for name in _SECTIONS:
            record[name] = dataclasses.asdict(getattr(self, name))
        for name in ("reward", "algorithm"):
            record[name] |= record[name].pop("settings")
        return record | {"image_size": self.image_size, "device": self.device, "seed": self.seed}


_SECTIONS: dict[str, type[Any]] = {
    "data": DataSettings,
    "augment": AugmentSettings,
    "training": TrainSettings,
    "execution": ExecutionSettings,
    "step_time": StepTimeSettings,
    "reward": RewardSettings,
    "algorithm": AlgorithmSettings,
    "search": SearchSettings,
}
_NAMED: Mapping[str, Mapping[str, Any]] = {"reward": REWARDS, "algorithm": ALGORITHMS}
_KEYS = ("space", "reference", *_SECTIONS, "image_size", "device", "seed")

# Sections and keys whose change makes earlier trials incomparable with later ones. Where, how many and in which order
# trials run does not.
COMPARABLE = (
    *("space", "reference", "data", "augment", "training", "execution", "step_time", "reward", "image_size", "seed"),
)
MAY_CHANGE = {f"{name}.{field}" for name, kind in _SECTIONS.items() for field in may_change_fields(kind)}
# What is learnt stays the same with these, but not the step time that a search measures.
_TIMED = {"execution.cuda_graph", "execution.threads"}


def load_config(path: Path) -> Config:
    """Read and check a YAML file; paths of data are made absolute, for workers may run in another folder.

    Raises: ValueError: one line with the path of the key, its value and what is allowed.
    """
    config = load(path, parse)
    data = config.data
    if data.source not in ("folder", "parquet"):
        return config
    train, test = (str(Path(p).expanduser().absolute()) if p else "" for p in (data.path, data.test_path))
    return dataclasses.replace(config, data=dataclasses.replace(data, path=train, test_path=test))


def load(path: Path, read: Callable[[Any], Settings]) -> Settings:
    """Read a YAML file and check it with `read`. Raises ValueError that names the file, too."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    try:
        return read(yaml_text.load(text))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse(record: Any) -> Config:
    """Check plain data and fill in defaults. Raises ValueError as `load_config` does."""
    if not isinstance(record, Mapping):
        raise ValueError("a configuration must be a mapping of sections: " + ", ".join(_KEYS))
    for key in record:
        if key not in _KEYS:
            raise ValueError(f"unknown key {with_hint(str(key), _KEYS)}")
    for key in ("space", "image_size"):
        if key not in record:
            raise ValueError(f"missing key {key!r}")
    image_size = _at_least(1, "image_size", record["image_size"])
    given_space = record["space"]
    space = space_from_config(given_space)
    given = given_space.get("constraints") or {}
    training, execution = split_training(record)
    record = {**record, "training": training, "execution": execution}
    sections: dict[str, Any] = {name: section(name, _SECTIONS[name], record.get(name)) for name in _SECTIONS}
    shape, data = {"image_size": image_size}, sections["data"]
    if data.known is not None:
        shape |= {"num_classes": data.known.num_classes, "in_channels": data.channels or data.known.channels}
    fill = {name: value for name, value in shape.items() if name not in given}
    constraints = dataclasses.replace(space.constraints, **fill)
    return Config(
        space=dataclasses.replace(space, constraints=constraints),
        reference=_reference(record.get("reference", "backbone"), given_space, space),
        **sections,
        image_size=image_size,
        device=checked("device", str, record.get("device", "auto")),
        seed=_at_least(0, "seed", record.get("seed", 0)),
        constraints_given=tuple(name for name in ("num_classes", "in_channels") if name in given),
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say which comparable settings of two resolved configs differ: `training.epochs: 10 -> 5`, one string a key."""
    return changes({k: old.get(k) for k in COMPARABLE}, {k: new.get(k) for k in COMPARABLE}, MAY_CHANGE - _TIMED)


def changes(old: Mapping[str, Any], new: Mapping[str, Any], may_change: set[str]) -> list[str]:
    """Say where two records differ, as `differences` does; but for the keys, such as `data.cache_dir`, that may."""
    before, after = _flat(_of_today(old)), _flat(_of_today(new))
    return [
        f"{key}: {before.get(key, 'not set')!r} -> {after.get(key, 'not set')!r}"
        for key in sorted({**before, **after})
        if before.get(key) != after.get(key) and key not in may_change
    ]


def _of_today(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give a resolved config of any version in today's sections; what came later was then as is the default now."""
    training, execution = split_training(record)
    defaults = dataclasses.asdict(TrainSettings()), dataclasses.asdict(ExecutionSettings())
    return {**record, "training": defaults[0] | training, "execution": defaults[1] | execution}


def _reference(given: Any, given_space: Mapping[str, Any], space: SearchSpace) -> Architecture:
    if isinstance(given, Mapping):
        return Architecture.from_dict(given)
    if given == "backbone":
        return backbone_of(given_space, space)
    if given not in PUBLISHED:
        hint = with_hint(str(given), ("backbone", *PUBLISHED))
        raise ValueError(f"reference {hint} is neither `backbone`, a published name nor an architecture")
    return published(given)


def section(name: str, settings: type[Settings], given: Any) -> Settings:
    """Check one section and fill in its defaults. Raises ValueError as `load_config` does."""
    given = {} if given is None else given
    if name in _NAMED:
        given = _split_named(name, given)
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be a mapping, got {given!r}")
    known = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    for key in given:
        if key not in known:
            raise ValueError(f"unknown key {name}.{with_hint(str(key), known)}")
    return _settings(name, settings, given)


def _split_named(section: str, given: Any) -> dict[str, Any]:
    """Split `{name: x, seed: 0, a: 1}` into the fields of the settings and the thing's own settings, checked."""
    if not isinstance(given, str | Mapping):
        raise ValueError(f"{section} must be a name or a mapping, got {given!r}")
    record = {"name": given} if isinstance(given, str) else dict(given)
    own = [field.name for field in dataclasses.fields(_SECTIONS[section]) if field.name != "settings"]
    fields = {key: record.pop(key) for key in own if key in record}
    things = _NAMED[section]
    name = fields.get("name", _SECTIONS[section]().name)
    if name not in things:
        raise ValueError(f"unknown {section} {with_hint(str(name), tuple(things))}")
    known = [p.name for p in inspect.signature(things[name]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for key in record:
        if key not in known:
            raise ValueError(f"unknown key {section}.{with_hint(str(key), known)}")
        if section == "reward" and not is_finite_number(record[key]):
            raise ValueError(f"reward.{key} must be a finite number, got {record[key]!r}")
    return fields | {"settings": record}


def _at_least(low: int, name: str, value: Any) -> int:
    number: int = checked(name, int, value)
    if number < low:
        raise ValueError(f"{name} must be >= {low}, got {number}")
    return number


def _settings(name: str, kind: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Check each value against its field's type, then let the record check its ranges."""
    hints = get_type_hints(kind)
    fields = {key: _setting(f"{name}.{key}", hints[key], value) for key, value in given.items()}
    try:
        return kind(**fields)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _setting(path: str, kind: Any, value: Any) -> Any:
    is_settings = isinstance(kind, type) and dataclasses.is_dataclass(kind)
    return section(path, kind, value) if is_settings else checked(path, kind, value)


def checked(path: str, kind: Any, value: Any) -> Any:
    """Check one value, strictly but for lists, which YAML has for tuples."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(value, default=str), strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path}: {first['msg'][0].lower()}{first['msg'][1:]}, got {value!r}") from None


def _flat(record: Any, path: str = "") -> dict[str, Any]:
    if isinstance(record, Mapping):
        items = ((f"{path}.{key}" if path else str(key), value) for key, value in record.items())
        return {leaf: value for key, item in items for leaf, value in _flat(item, key).items()}
    if isinstance(record, list | tuple) and any(isinstance(item, Mapping) for item in record):
        items = ((f"{path}.{number}", item) for number, item in enumerate(record, start=1))
        return {leaf: value for key, item in items for leaf, value in _flat(item, key).items()}
    return {path: list(record) if isinstance(record, list | tuple) else record}
