"""The public calls: what `import nas` gives, and the pieces below it. Their docstrings are put in by autodoc."""

from __future__ import annotations

import inspect

import nas

# Heading -> what stands under it, in order. A public name of `nas` that is in none of them
# comes last, under `More`.
GROUPS: dict[str, tuple[str, ...]] = {
    "Run a search": (
        "nas.load_config",
        "nas.search_config",
        "nas.Config",
        "nas.config_schema",
        "nas.example_configs",
        "nas.run_search",
        "nas.evaluate",
        "nas.describe",
        "nas.describe_space",
        "nas.prepare",
    ),
    "Read it": (
        "nas.open_run",
        "nas.Run",
        "nas.Trial",
        "nas.COLUMNS",
        "nas.Column",
        "nas.analysis.load",
        "nas.analysis.load_epochs",
        "nas.analysis.estimates",
        "nas.analysis.pareto",
        "nas.write_report",
        "nas.watch_report",
        "nas.explain",
        "nas.compare_distributions",
        "nas.compare_algorithms",
    ),
    "From search to claim": ("nas.study_proxies", "nas.confirm", "nas.baselines", "nas.train_seeds", "nas.ablate"),
    "Grow, train, export": (
        "nas.find_architecture",
        "nas.scale",
        "nas.equalise",
        "nas.profile",
        "nas.load_training",
        "nas.train",
        "nas.train_many",
        "nas.export_model",
        "nas.load_model",
        "nas.export_study",
        "nas.export_deepcave",
    ),
    "Callbacks": ("nas.Callback", "nas.trackers.callback.SearchInfo", "nas.trackers.callback.TrainingInfo"),
    "Architectures and spaces": (
        "search_space.architecture.Architecture",
        "search_space.architecture.Stage",
        "search_space.families.published",
        "search_space.network.build_network",
        "search_space.cost.count",
        "search_space.cost.count_batch",
        "search_space.space.SearchSpace",
        "search_space.choices.StageChoices",
        "search_space.choices.Constraints",
        "search_space.spaces.efficientnetv2",
        "search_space.spaces.small",
    ),
    "Ops": ("search_space.ops.Op", "search_space.ops.Option", "search_space.ops.Block"),
    "Algorithms": ("nas.algorithms.Algorithm", "nas.algorithms.Proposal"),
    "Rewards": (
        "rewards.weighted_product.weighted_product",
        "rewards.mnasnet.mnasnet_soft",
        "rewards.mnasnet.mnasnet_hard",
        "rewards.measurement.Measurement",
    ),
    "Progressive learning in a loop of your own": (
        "nas.training.progressive.at",
        "nas.training.progressive.Strengths",
        "nas.training.settings.ProgressiveSettings",
    ),
}


def calls() -> str:
    """Give a heading for each group and a directive of autodoc for each name."""
    listed = {name for names in GROUPS.values() for name in names}
    more = tuple(f"nas.{name}" for name in nas.__all__ if f"nas.{name}" not in listed)
    parts = []
    for heading, names in (GROUPS | ({"More": more} if more else {})).items():
        parts += [f"## {heading}\n", *(f"```{{eval-rst}}\n{_directive(name)}\n```\n" for name in names)]
    return "\n".join(parts)


def _directive(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    thing = getattr(__import__(module, fromlist=[attribute]), attribute)
    if inspect.isclass(thing):
        return f".. autoclass:: {name}\n   :members:\n   :member-order: bysource"
    if callable(thing):
        return f".. autofunction:: {name}"
    about = "A table: the keys are :ref:`the columns of the log <columns>`, the values are of :class:`nas.Column`."
    return f".. py:data:: {name}\n\n   {about}"
