"""Training-aware neural architecture search, from Python: every command of `nas` is one of these calls.

    config = nas.load_config("experiments/configs/digits.yaml")   # or nas.search_config(space=..., image_size=...)
    run = nas.run_search(config, folder="runs/digits")            # again: goes on; with more trials: extends
    run = nas.open_run("runs/digits")                             # trials, dataframe(), best(), winner, report(), ...
    trial = nas.evaluate(run.winner, config)                      # one architecture, as a trial would be
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
    from nas.config.search import Config, load_config, search_config
    from nas.runs.columns import COLUMNS, Column
    from nas.runs.trial import Trial
    from nas.search.evaluation import evaluate
    from nas.search.plan import describe
    from nas.search.run import run_search
    from nas.trackers.callback import Callback

_WHERE = {
    "COLUMNS": "nas.runs.columns",
    "Callback": "nas.trackers.callback",
    "Column": "nas.runs.columns",
    "Config": "nas.config.search",
    "Run": "nas.analysis.run",
    "Trial": "nas.runs.trial",
    "describe": "nas.search.plan",
    "evaluate": "nas.search.evaluation",
    "load_config": "nas.config.search",
    "open_run": "nas.analysis.run",
    "run_search": "nas.search.run",
    "search_config": "nas.config.search",
}

__all__ = [
    "COLUMNS",
    "Callback",
    "Column",
    "Config",
    "Run",
    "Trial",
    "describe",
    "evaluate",
    "load_config",
    "open_run",
    "run_search",
    "search_config",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'nas' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
