"""`nas export-study`: a run for the tools of others that look at studies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nas.commands.arguments import command
from nas.commands.terminal import console, say


def add(commands: Any) -> None:
    """Declare the arguments of `nas export-study`."""
    sub = command(commands, "export-study", "write a run for optuna-dashboard or DeepCAVE; again adds new trials", run)
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder")
    sub.add_argument("--storage", metavar="URL", help="of an Optuna study, such as sqlite:///study.db")
    sub.add_argument("--name", help="of the Optuna study (default: the run folder's)")
    sub.add_argument("--deepcave", type=Path, metavar="DIR", help="folder of tables that DeepCAVE reads")


def run(a: argparse.Namespace) -> int:
    """Write a run as an Optuna study, as tables for DeepCAVE, or both; say what was written."""
    from nas.export.deepcave import export_deepcave
    from nas.export.optuna import export_study

    if a.storage is None and a.deepcave is None:
        raise ValueError("give --storage URL for an Optuna study, --deepcave DIR for DeepCAVE, or both")
    if a.storage is None and a.name is not None:
        raise ValueError("--name is the Optuna study's: add --storage URL")
    if a.storage is not None:
        added = export_study(a.run, a.storage, name=a.name)
        say(f"{a.storage}: {added} trials added")
        say(f"look: optuna-dashboard {a.storage}")
    if a.deepcave is not None:
        for path in export_deepcave(a.run, a.deepcave):
            console().print(str(path), soft_wrap=True)
    return 0
