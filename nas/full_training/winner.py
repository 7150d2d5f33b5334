"""How a run's winner is trained in full where no recipe is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.architectures import What, find
from nas.config.recipe import Recipe, own_recipe
from nas.config.search import parse
from nas.config.train import TrainConfig, with_changed


def training_of_run(run: What, changed: Mapping[str, Any] | None = None) -> TrainConfig:
    """Give the training of a run's winner by the run's own recipe, three times as long.

    Args:
        changed: keys of a training's configuration that are to be others; `epochs` goes into its section.
    Raises: ValueError for what is no run.
    """
    found = find(run)
    if found.config is None:
        raise ValueError(f"how is {found.name} to be trained? Give a training's configuration; only a run has one")
    config = parse(found.config)
    recipe = Recipe(with_changed(own_recipe(config), changed or {}))
    return recipe.config(found.architecture, config.seed)
