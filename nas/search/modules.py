"""Versions of the user's modules that a search names: another version of an evaluator may measure something else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from nas.config.search import Config
from nas.runs.folder import installed_version
from nas.search.task import packages_of


def module_versions(config: Config) -> dict[str, str]:
    """Give the versions of the packages that plug-ins and `module:Name`s of a search are in, where they say one.

    A package says it as `__version__`, or is installed under its own name. The algorithm's does not count: how trials
    were proposed makes none incomparable.
    """
    versions = {package: _version(package) for package in packages_of(config)}
    return {package: version for package, version in versions.items() if version is not None}


def version_changes(about: Mapping[str, Any], config: Config) -> list[str]:
    """Say which of the user's modules have another version than when a run began: `version of mylab: 1.0 -> 1.1`.

    Args:
        about: what `run.json` of the run says; what an earlier version did not write down is not known to differ.
    """
    then = about.get("modules") or {}
    return [
        f"version of {package}: {then[package]} -> {version}"
        for package, version in module_versions(config).items()
        if then.get(package, version) != version
    ]


def _version(package: str) -> str | None:
    stated = getattr(sys.modules.get(package), "__version__", None)
    return stated if isinstance(stated, str) else installed_version(package)
