"""Training-aware neural architecture search, from Python: every command of `nas` is one of these calls.

    config = nas.load_config("digits")                            # or nas.search_config(space=..., image_size=...)
    run = nas.run_search(config, folder="runs/digits")            # again: goes on; with more trials: extends
    run = nas.open_run("runs/digits")                             # trials, dataframe(), best(), winner, report(), ...
    trial = nas.evaluate(run.winner, config)                      # one architecture, as a trial would be
    found = nas.confirm(run, top=5, seeds=3, baselines=["reference"])
    family = nas.scale(run, to=("m", "l"))
    nas.train(family.members[0].architecture, "recipe.yaml", folder="runs/m")
    nas.export_model("runs/m", to=("torchscript",), out="exported")

Each is imported when it is first used, so that reading a log waits neither for torch nor for Ray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.analysis.run import Run, open_run
    from nas.architectures import find_architecture
    from nas.claims.ablate import ablate
    from nas.claims.baselines import baselines
    from nas.claims.classical import classical_baselines
    from nas.claims.confirm import confirm
    from nas.claims.distribution import compare_distributions
    from nas.claims.explain import explain
    from nas.claims.proxy import study_proxies
    from nas.claims.stopping import stop_advice
    from nas.claims.train_seeds import train_seeds
    from nas.config.examples import example_configs
    from nas.config.search import Config, load_config, search_config
    from nas.config.train import load_training
    from nas.data.description import describe_data
    from nas.data.prepare import prepare
    from nas.data_profile import profile_data, profile_training_data
    from nas.export.deepcave import export_deepcave
    from nas.export.export import export_model
    from nas.export.hub import load_model
    from nas.export.optuna import export_study
    from nas.families import equalise, scale
    from nas.full_training.many import train_many
    from nas.full_training.train import train
    from nas.preparation import prepare_data
    from nas.profiling import profile
    from nas.replay.compare import compare_algorithms
    from nas.report import watch_report, write_report
    from nas.runs.columns import COLUMNS, Column
    from nas.runs.trial import Trial
    from nas.schema import config_schema
    from nas.search.check import check
    from nas.search.evaluation import evaluate
    from nas.search.plan import describe
    from nas.search.run import run_search
    from nas.search.suggest import suggest
    from nas.trackers.callback import Callback
    from search_space.description import describe_space

_WHERE = {
    "COLUMNS": "nas.runs.columns",
    "Callback": "nas.trackers.callback",
    "Column": "nas.runs.columns",
    "Config": "nas.config.search",
    "Run": "nas.analysis.run",
    "Trial": "nas.runs.trial",
    "ablate": "nas.claims.ablate",
    "baselines": "nas.claims.baselines",
    "check": "nas.search.check",
    "classical_baselines": "nas.claims.classical",
    "compare_algorithms": "nas.replay.compare",
    "compare_distributions": "nas.claims.distribution",
    "config_schema": "nas.schema",
    "confirm": "nas.claims.confirm",
    "describe": "nas.search.plan",
    "describe_data": "nas.data.description",
    "describe_space": "search_space.description",
    "equalise": "nas.families",
    "evaluate": "nas.search.evaluation",
    "example_configs": "nas.config.examples",
    "explain": "nas.claims.explain",
    "export_deepcave": "nas.export.deepcave",
    "export_model": "nas.export.export",
    "export_study": "nas.export.optuna",
    "find_architecture": "nas.architectures",
    "load_config": "nas.config.search",
    "load_model": "nas.export.hub",
    "load_training": "nas.config.train",
    "open_run": "nas.analysis.run",
    "prepare": "nas.data.prepare",
    "prepare_data": "nas.preparation",
    "profile": "nas.profiling",
    "profile_data": "nas.data_profile",
    "profile_training_data": "nas.data_profile",
    "run_search": "nas.search.run",
    "scale": "nas.families",
    "search_config": "nas.config.search",
    "stop_advice": "nas.claims.stopping",
    "study_proxies": "nas.claims.proxy",
    "suggest": "nas.search.suggest",
    "train": "nas.full_training.train",
    "train_many": "nas.full_training.many",
    "train_seeds": "nas.claims.train_seeds",
    "watch_report": "nas.report",
    "write_report": "nas.report",
}

__all__ = [
    "COLUMNS",
    "Callback",
    "Column",
    "Config",
    "Run",
    "Trial",
    "ablate",
    "baselines",
    "check",
    "classical_baselines",
    "compare_algorithms",
    "compare_distributions",
    "config_schema",
    "confirm",
    "describe",
    "describe_data",
    "describe_space",
    "equalise",
    "evaluate",
    "example_configs",
    "explain",
    "export_deepcave",
    "export_model",
    "export_study",
    "find_architecture",
    "load_config",
    "load_model",
    "load_training",
    "open_run",
    "prepare",
    "prepare_data",
    "profile",
    "profile_data",
    "profile_training_data",
    "run_search",
    "scale",
    "search_config",
    "stop_advice",
    "study_proxies",
    "suggest",
    "train",
    "train_many",
    "train_seeds",
    "watch_report",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":  # of the installed distribution: pyproject.toml alone says it
        from nas.runs.folder import installed_version

        return installed_version("training-aware-nas") or "0+unknown"
    if name not in _WHERE:
        raise AttributeError(f"module 'nas' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
