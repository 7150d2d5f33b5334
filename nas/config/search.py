"""What a search is told: the composition of every part's own settings, from YAML or from Python objects. No torch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from nas import plugins
from nas.algorithms import find_algorithm, make_settings
from nas.comparable import locating_fields, may_change_fields
from nas.config.check import at_least, changes, check_keys, checked, load, section
from nas.config.examples import find_config
from nas.config.settings import EVALUATOR, AlgorithmSettings, SearchSettings
from nas.data.settings import AugmentSettings, DataSettings
from nas.measure.settings import StepTimeSettings
from nas.seeds import SEEDING, known_seeding
from nas.training.settings import ExecutionSettings, TrainSettings, split_training
from nas.trials.scoring import RewardSettings
from rewards import REWARDS, reward_settings
from search_space.architecture import Architecture
from search_space.choices import Constraints
from search_space.families import PUBLISHED, published
from search_space.lookup import find, with_hint
from search_space.space import SearchSpace
from search_space.spaces import backbone_of, space_from_config


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
    seed: int  # of what is proposed, and of everything random in a trial; not of the split, which is `data.seed`'s
    seeding: int = SEEDING  # how streams are drawn from it, see nas/seeds.py; a run keeps what it began with
    plugins: tuple[str, ...] = ()  # modules that are imported here and in every worker before anything is read
    callbacks: tuple[Any, ...] = ()  # names of TRACKERS, module:Name, or {name: its settings}
    measure: tuple[str, ...] = ()  # what else is measured of each candidate: keys of MEASURERS, or module:function
    constraints_given: tuple[str, ...] = ()  # what the file says of the images the constraints are counted for
    # Whether a reference is named, or left open: then a run that has begun keeps the one it began with.
    reference_given: bool = dataclasses.field(default=True, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `parse` gives an equal config back."""
        record: dict[str, Any] = {name: list(getattr(self, name)) for name in _LISTS}
        record |= {"space": self.space.to_dict(), "reference": self.reference.to_dict()}
        for name in _SECTIONS:
            record[name] = dataclasses.asdict(getattr(self, name))
        for name in _NAMED:
            del record[name]["settings"]
            record[name] |= _all_settings(name, getattr(self, name))
        return record | {name: getattr(self, name) for name in ("image_size", "device", "seed", "seeding")}


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
_NAMED = ("reward", "algorithm")
_LISTS = ("plugins", "callbacks", "measure")
_KEYS = (*_LISTS, "space", "reference", *_SECTIONS, "image_size", "device", "seed", "seeding")

# Sections and keys whose change makes earlier trials incomparable with later ones. Where, how many and in which order
# trials run does not.
COMPARABLE = (
    *("space", "reference", "data", "augment", "training", "execution", "step_time", "reward", "image_size", "seed"),
)
MAY_CHANGE = {f"{name}.{field}" for name, kind in _SECTIONS.items() for field in may_change_fields(kind)}
# What is learnt stays the same with these, but not the step time that a search measures.
_TIMED = {"execution.cuda_graph", "execution.threads"}
_MOVED = {"nas.search.evaluate:evaluate": EVALUATOR}  # names that older configurations have


def load_config(path: os.PathLike[str] | str) -> Config:
    """Read and check a YAML file; paths of data are made absolute, for workers may run in another folder.

    Args:
        path: of the file, or the name of a configuration that comes along, such as `digits`.
    Raises: ValueError: one line with the path of the key, its value and what is allowed.
    """
    return _absolute(load(find_config(path, "search"), parse))


def search_config(**sections: Any) -> Config:
    """Make a configuration in Python: keywords are the keys of the YAML file.

    Args:
        sections: plain data as in YAML, or objects: a SearchSpace, an Architecture, a record of settings such as
            TrainSettings. `space` and `image_size` have no default.
    Raises: ValueError as `load_config` does.

    >>> config = search_config(space={"name": "small"}, image_size=32, training={"epochs": 2})
    >>> config.training.epochs, config.algorithm.name
    (2, 'predictor')
    """
    return _absolute(parse(sections))


def parse(record: Any) -> Config:
    """Check plain data and fill in defaults. Raises ValueError as `load_config` does."""
    if not isinstance(record, Mapping):
        raise ValueError("a configuration must be a mapping of sections: " + ", ".join(_KEYS))
    check_keys(record, _KEYS)
    lists = {name: name_list(name, record.get(name)) for name in _LISTS}
    plugins.load(lists["plugins"])  # first: whatever is named below may be theirs
    for key in ("space", "image_size"):
        if key not in record:
            raise ValueError(f"missing key {key!r}")
    image_size = at_least(1, "image_size", record["image_size"])
    record = with_execution(record)
    sections: dict[str, Any] = {name: _section(name, record.get(name)) for name in _SECTIONS}
    space, given = _space(record["space"], image_size, sections["data"])
    return Config(
        space=space,
        reference=_reference(record.get("reference", "backbone"), space),
        **sections,
        image_size=image_size,
        device=checked("device", str, record.get("device", "auto")),
        seed=at_least(0, "seed", record.get("seed", 0)),
        seeding=known_seeding(record.get("seeding", SEEDING)),
        constraints_given=tuple(name for name in ("num_classes", "in_channels") if name in given),
        reference_given="reference" in record,
        **lists,  # type: ignore[arg-type]  # of the three fields that are lists
    )


def with_plugins(config: Config, names: Iterable[str]) -> Config:
    """Give a configuration that has these plug-ins, too. Raises PluginError if one cannot be imported."""
    plugins.load(names := tuple(names))
    return dataclasses.replace(config, plugins=tuple(dict.fromkeys((*config.plugins, *names))))


def with_numbers(config: Config, trials: int | None, workers: int | None) -> Config:
    """Give a configuration with other numbers of trials and workers, where they are given."""
    own = config.search
    given = {name: value for name, value in (("trials", trials), ("workers", workers)) if value is not None}
    search = dataclasses.replace(own, **given)  # type: ignore[arg-type]  # both are numbers
    return dataclasses.replace(config, search=search)


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], *, but: Collection[str] = (), places: bool = True
) -> list[str]:
    """Say which comparable settings of two configs differ: `training.epochs: 10 -> 5`, one string a key.

    Args:
        old: resolved, by this version or an earlier one: what that did not write has its default.
        new: resolved by this version.
        but: sections that may differ.
        places: whether it counts where the data lie: not where their fingerprints are compared.
    """
    # How an earlier search proposed and was followed need not be readable any more to compare its trials.
    old = {name: section for name, section in old.items() if name not in ("algorithm", "callbacks")}
    before, after = (
        {name: each[name] for name in COMPARABLE if name not in but} | {"search.evaluator": each["search"]["evaluator"]}
        for each in (parse(old).to_dict(), new)
    )
    if not places:
        before, after = without_places(before), without_places(after)
    return changes(before, after, MAY_CHANGE - _TIMED)


def without_places(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give a resolved configuration without what says where its data lie."""
    places = locating_fields(DataSettings)
    return {**record, "data": {name: value for name, value in record["data"].items() if name not in places}}


def with_execution(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a configuration whose section `training` holds the recipe alone; there was one section once."""
    if any(isinstance(record.get(name), TrainSettings | ExecutionSettings) for name in ("training", "execution")):
        return record  # records of settings are apart already
    training, execution = split_training(record)
    return {**record, "training": training, "execution": execution}


def _absolute(config: Config) -> Config:
    return dataclasses.replace(config, data=absolute(config.data))


def absolute(data: DataSettings) -> DataSettings:
    """Give a data set's settings with absolute paths, for workers may run in another folder."""
    if data.source not in ("folder", "idx", "parquet"):  # what a path of another source is, its reader knows
        return data
    train, test = (str(Path(p).expanduser().absolute()) if p else "" for p in (data.path, data.test_path))
    return dataclasses.replace(data, path=train, test_path=test)


def name_list(name: str, given: Any) -> tuple[Any, ...]:
    """Check a list of names, of callbacks also mappings; one name alone is a list of it."""
    items = [given] if isinstance(given, str) else [] if given is None else given
    allowed = (str, Mapping) if name == "callbacks" else (str,)
    if not isinstance(items, list | tuple) or not all(isinstance(item, allowed) for item in items):
        raise ValueError(f"{name} must be a list of names, got {given!r}")
    return tuple(items)


def _space(given: Any, image_size: int, data: DataSettings) -> tuple[SearchSpace, Mapping[str, Any]]:
    """Give the space, its constraints counted for the search's images, and what was said of the constraints."""
    if isinstance(given, SearchSpace):
        space, unsaid = given, Constraints()
        said: Mapping[str, Any] = {k: v for k, v in vars(given.constraints).items() if v != getattr(unsaid, k)}
    else:
        space = space_from_config(given)
        said = given.get("constraints") or {}
    shape = {"image_size": image_size}
    if data.known is not None:
        shape |= {"num_classes": data.known.num_classes, "in_channels": data.channels or data.known.channels}
    fill = {name: value for name, value in shape.items() if name not in said}
    return dataclasses.replace(space, constraints=dataclasses.replace(space.constraints, **fill)), said


def _reference(given: Any, space: SearchSpace) -> Architecture:
    if isinstance(given, Architecture):
        return given
    if isinstance(given, Mapping):
        return Architecture.from_dict(given)
    if given == "backbone":
        return backbone_of(space)
    if given not in PUBLISHED:
        hint = with_hint(str(given), ("backbone", *PUBLISHED))
        raise ValueError(f"reference {hint} is neither `backbone`, a published name nor an architecture")
    return published(given)


def _section(name: str, given: Any) -> Any:
    settings = _SECTIONS[name]
    if name in _NAMED:
        made = given if isinstance(given, settings) else section(name, settings, _split_named(name, given))
        _all_settings(name, made)  # to refuse what is wrong with them
        return made
    if isinstance(given, settings):
        return given
    if name == "search" and isinstance(given, Mapping) and given.get("evaluator") in _MOVED:
        given = {**given, "evaluator": _MOVED[given["evaluator"]]}
    return section(name, settings, given)


def _split_named(section: str, given: Any) -> dict[str, Any]:
    """Split `{name: x, seed: 0, a: 1}` into the fields of the settings and the thing's own settings, checked."""
    given = {} if given is None else given
    if not isinstance(given, str | Mapping):
        raise ValueError(f"{section} must be a name or a mapping, got {given!r}")
    record = {"name": given} if isinstance(given, str) else dict(given)
    own = [field.name for field in dataclasses.fields(_SECTIONS[section]) if field.name != "settings"]
    fields = {key: record.pop(key) for key in own if key in record}
    name = str(fields.get("name", _SECTIONS[section]().name))
    if section == "algorithm":
        known = [field.name for field in dataclasses.fields(find_algorithm(name).Settings)]
        _drop_repeats(record, known)
    else:
        find(section, name, REWARDS)  # whose message has the nearest name
        known = list(reward_settings(name))
    check_keys(record, known, f"{section}.")
    return fields | {"settings": record}


def _drop_repeats(record: dict[str, Any], known: list[str]) -> None:
    """Take out what older configurations may say of an option that is gone; what it said by default still holds."""
    if "repeats" in record and "repeats" not in known and (given := record.pop("repeats")) is not False:
        raise ValueError(f"algorithm.repeats is gone, an architecture is proposed once: remove it, got {given!r}")


def _all_settings(section: str, chosen: AlgorithmSettings | RewardSettings) -> dict[str, Any]:
    """Give every setting of the algorithm or reward with its value, as plain data. Raises ValueError for a bad one."""
    if section == "reward":
        settings = reward_settings(chosen.name, chosen.settings, path="reward.{key}")
    else:
        try:
            settings = dataclasses.asdict(make_settings(find_algorithm(chosen.name), chosen.settings))
        except ValueError as error:
            raise ValueError(f"algorithm {chosen.name}: {error}") from None
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
