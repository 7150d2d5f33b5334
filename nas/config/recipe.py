"""How a search's architectures are trained in full: all alike; without a recipe as in the search, but longer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from nas.config.search import Config
from nas.config.train import TrainConfig, parse_training
from search_space.architecture import Architecture

LONGER = 3  # times the search's epochs, where nothing says how many


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training's configuration whose architecture and seed are left open."""

    record: Mapping[str, Any]  # as a YAML file has it

    def config(self, architecture: Architecture, seed: int) -> TrainConfig:
        """Give the training of one architecture.

        Every architecture is trained and evaluated at the same image sizes: its own hints do not count.

        Raises: ValueError as `nas.config.train.parse_training` does.
        """
        record = {**self.record, "seed": seed}
        if "eval_image_size" not in record:
            size = parse_training({**record, "eval_image_size": 1}, architecture).image_size
            record["eval_image_size"] = size
        return parse_training(record, architecture)


def own_recipe(config: Config) -> dict[str, Any]:
    """Give what a training takes over from a search, as a YAML file of a training has it, with LONGER epochs."""
    record = config.to_dict()
    names = ("data", "augment", "training", "execution", "image_size", "device", "plugins")
    own = {name: record[name] for name in names}
    return {**own, "training": {**own["training"], "epochs": LONGER * config.training.epochs}}
