"""What a study of proxies trains: the long recipe, the proxies, and which training serves which of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.config.search import Config
from nas.config.settings import EVALUATOR
from nas.config.train import TrainConfig
from search_space.architecture import Architecture

LONGER = 4  # times the search's epochs, where no long recipe is given


@dataclass(frozen=True)
class Grid:
    """Values that proxies are made of: every combination; none of a setting = the search's own value alone."""

    epochs: tuple[int, ...] = ()
    image_sizes: tuple[int, ...] = ()  # pixels, of training and evaluation
    subsets: tuple[int | None, ...] = ()  # training images; None = all
    channels: tuple[int, ...] = ()  # the width of the data: of images, 3 = colour, 1 = grey

    def __post_init__(self) -> None:
        for name in ("epochs", "image_sizes", "subsets"):
            if wrong := [value for value in getattr(self, name) if value is not None and value < 1]:
                raise ValueError(f"{name} of proxies must be >= 1, got {wrong[0]}")
        if wrong := [value for value in self.channels if value not in (1, 3)]:
            raise ValueError(f"channels of proxies must be 1 or 3, got {wrong[0]}")


@dataclass(frozen=True)
class Proxy:
    """A cheap training that is to rank architectures as a long one does."""

    epochs: int
    image_size: int
    subset: int | None
    channels: int | None  # None = as the images are

    @property
    def name(self) -> str:
        """Such as `e10-px32-n4000`."""
        return f"e{self.epochs}-{self._data}"

    @property
    def _data(self) -> str:
        images = "all" if self.subset is None else str(self.subset)
        return f"px{self.image_size}-n{images}" + ("" if self.channels is None else f"-c{self.channels}")


@dataclass(frozen=True)
class Series:
    """One recipe by which every architecture is trained, once or with several seeds."""

    name: str  # of its folder
    recipe: TrainConfig  # its architecture and seed are replaced
    seeds: tuple[int, ...]
    serves: tuple[Proxy, ...]  # by its epochs; the last one is its own but in the long recipe's series

    def configs(self, architecture: Architecture) -> list[TrainConfig]:
        """Give the training of an architecture with each seed."""
        return [replace(self.recipe, architecture=architecture, seed=seed) for seed in self.seeds]


def own_proxy(config: Config) -> Proxy:
    """Give the proxy that a search trains its candidates by."""
    return Proxy(config.training.epochs, config.image_size, config.data.subset, config.data.channels)


def proxies(config: Config, grid: Grid) -> list[Proxy]:
    """Give the search's own proxy, and every combination of the grid's values besides."""
    own = own_proxy(config)
    axes = (
        grid.epochs or (own.epochs,),
        grid.image_sizes or (own.image_size,),
        grid.subsets or (own.subset,),
        grid.channels or (own.channels,),
    )
    return list(dict.fromkeys([own, *itertools.starmap(Proxy, itertools.product(*axes))]))


def recipe_of(config: Config, proxy: Proxy, architecture: Architecture) -> TrainConfig:
    """Give the full training that is what a search does with a candidate, but for the proxy's settings.

    Raises: ValueError if the search has an evaluator of its own: what that does is not known.
    """
    if config.search.evaluator != EVALUATOR:
        raise ValueError(f"search.evaluator {config.search.evaluator!r} trains in a way of its own, which is not known")
    return TrainConfig(
        architecture=architecture,
        data=replace(config.data, subset=proxy.subset, channels=proxy.channels),  # type: ignore[arg-type]  # 1 or 3
        augment=config.augment,
        training=replace(config.training, epochs=proxy.epochs),
        execution=replace(config.execution, time_limit_s=None),
        progressive=None,
        image_size=proxy.image_size,
        eval_image_size=proxy.image_size,
        checkpoint_every=1,
        device=config.device,
        seed=config.seed,
        plugins=config.plugins,
    )


def why_not_whole(recipe: TrainConfig, epochs: int) -> str | None:
    """Say why epoch `epochs` of a training is not what a training of so many epochs gives; None if it is."""
    training = recipe.training
    if epochs == training.epochs:
        return None
    if recipe.progressive is not None:
        return "image size and regularisation grow over all of its epochs"
    if training.schedule == "cosine":
        return "its learning rate falls along a cosine over all of its epochs"
    if training.warmup_epochs > epochs / 2:
        return f"its warm-up of {training.warmup_epochs:g} epochs would be cut to {epochs / 2:g}"
    if epochs % training.eval_every:
        return f"it is evaluated every {training.eval_every} epochs"
    return None


def planned(
    long: TrainConfig, config: Config, asked: Sequence[Proxy], long_seeds: Sequence[int], seed: int
) -> list[Series]:
    """Say what is trained so that each proxy can be judged; the long recipe first.

    A training serves all shorter ones that it contains. Where the long recipe is a proxy's but for its epochs, it
    serves, too, if there are two seeds of it: a training is judged by one of another seed, for what luck they share
    would look like skill.

    Args:
        asked: the proxies.
        long_seeds: of the long recipe.
        seed: of the proxies' trainings.
    """
    recipes = {proxy: recipe_of(config, proxy, long.architecture) for proxy in asked}
    by_long = [
        proxy
        for proxy, recipe in recipes.items()
        if len(long_seeds) > 1 and _only_shorter(recipe, long) and why_not_whole(long, proxy.epochs) is None
    ]
    series = [Series("long", long, tuple(long_seeds), tuple(sorted(by_long, key=lambda proxy: proxy.epochs)))]
    left = sorted((proxy for proxy in asked if proxy not in by_long), key=lambda proxy: -proxy.epochs)
    while left:
        longest = left[0]
        served = [
            proxy
            for proxy in left
            if replace(proxy, epochs=longest.epochs) == longest
            and why_not_whole(recipes[longest], proxy.epochs) is None
        ]
        series.append(Series(longest.name, recipes[longest], (seed,), tuple(reversed(served))))
        left = [proxy for proxy in left if proxy not in served]
    return series


def unfinished(series: Sequence[Series]) -> str | None:
    """Say in a line why trainings that differ in epochs alone are all needed; None if one serves for them."""
    for each in series[1:]:
        proxy = each.serves[-1]
        for other in series[1:]:
            epochs = other.serves[-1].epochs
            if epochs < proxy.epochs and replace(other.serves[-1], epochs=proxy.epochs) == proxy:
                why = why_not_whole(each.recipe, epochs)
                return f"epoch {epochs} of {proxy.epochs} is no training of {epochs} epochs, for {why}: each is trained"
    return None


def _only_shorter(recipe: TrainConfig, long: TrainConfig) -> bool:
    """Whether a recipe is the long one but for its epochs, seed, and what no number depends on."""
    alike = replace(
        recipe,
        training=replace(recipe.training, epochs=long.training.epochs),
        seed=long.seed,
        checkpoint_every=long.checkpoint_every,
        callbacks=long.callbacks,
        plugins=long.plugins,
    )
    return alike == long and recipe.training.epochs < long.training.epochs
