"""The recipe by which all architectures of a claim are trained, a file's or the search's own, and with which seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.config.check import load
from nas.config.examples import find_config
from nas.config.recipe import Recipe, own_recipe
from nas.config.search import Config
from nas.config.train import with_changed
from nas.runs.folder import read_trials
from nas.seeds import seed_of


def recipe_of(config: Config, path: Path | None = None, epochs: int | None = None) -> Recipe:
    """Give the recipe of a claim about a search.

    Args:
        config: the search's.
        path: of a YAML file as `nas train` takes it, without `architecture`, or the name of one that comes along. Where
            it says nothing of the data, the image size, the device or plug-ins, the search's are taken. Its `seed`
            does not count: each training has its own.
        epochs: instead of the file's; without a file, of `own_recipe`'s.
    Raises: ValueError that names the file, for a key that may not be there; others come when it is used.
    """
    own = own_recipe(config)
    if path is None:
        return Recipe(with_changed(own, {} if epochs is None else {"epochs": epochs}))

    def read(record: Any) -> dict[str, Any]:
        if not isinstance(record, Mapping):
            raise ValueError("a recipe must be a mapping of a training's sections")
        for key in ("architecture", "start_from"):
            if key in record:
                raise ValueError(f"a recipe leaves {key!r} open: here it is another for each training")
        seedless = {key: value for key, value in record.items() if key != "seed"}
        given = with_changed(seedless, {} if epochs is None else {"epochs": epochs})
        sized = given.get("progressive", "none") != "none"  # then it has a size of its own
        shared = ("data", "device", "plugins", *(() if sized else ("image_size",)))
        return {name: own[name] for name in shared} | given

    path = find_config(path, "train")
    record = load(path, read)
    load(path, lambda _: Recipe(record).config(config.reference, 0))  # so that what is wrong names the file
    return Recipe(record)


def fresh_seeds(run: Path, config: Config, count: int) -> tuple[int, ...]:
    """Give seeds that no trial of a search has had; of more of them the first are the same."""
    used, found, number = {trial.seed for trial in read_trials(run)}, list[int](), 0
    while len(found) < count:
        number += 1
        if (seed := seed_of(config.seed, "confirmation", number)) not in used:
            found.append(seed)
    return tuple(found)
