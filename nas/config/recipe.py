"""How a search's architectures are trained in full where no recipe is given: as the search does, but longer."""

from __future__ import annotations

from typing import Any

from nas.config.search import Config

LONGER = 3  # times the search's epochs, where nothing says how many


def own_recipe(config: Config) -> dict[str, Any]:
    """Give what a training takes over from a search, as a YAML file of a training has it, with LONGER epochs."""
    record = config.to_dict()
    names = ("data", "augment", "training", "execution", "image_size", "device", "plugins")
    own = {name: record[name] for name in names}
    return {**own, "training": {**own["training"], "epochs": LONGER * config.training.epochs}}
