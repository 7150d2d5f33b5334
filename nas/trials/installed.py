"""What of the toolkit and of the user's packages a host has, and whether it is what the search's driver has.

This file alone is sent whole to a host, which may have another toolkit or none: it imports nothing but the standard
library, and the toolkit only once that is known to be the driver's.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

TOOLKIT = ("nas", "rewards", "scaling", "search_space")


def packages_of(plugins: Iterable[str], named: Iterable[str]) -> tuple[str, ...]:
    """Give the user's packages that plug-ins and names are in; a name without a colon is one of ours, in no package."""
    modules = (*plugins, *(name for name in named if ":" in name))
    return tuple(sorted({name.partition(":")[0].partition(".")[0] for name in modules} - {*TOOLKIT}))


def installed(packages: Iterable[str]) -> dict[str, str | None]:
    """Give the version of torch, and digests of the toolkit's source and that of `packages`; None for what is missing.

    Args:
        packages: names without dots; those of modules that are no package, too.
    """
    versions = {name: source_digest(name) for name in (*TOOLKIT, *packages)}
    try:
        # 2.13.0+cpu and 2.13.0+cu126 are one version: the driver may have no GPU.
        return {**versions, "torch": importlib.metadata.version("torch").partition("+")[0]}
    except importlib.metadata.PackageNotFoundError:
        return {**versions, "torch": None}


def source_digest(package: str) -> str | None:
    """Give a digest of a package's Python files, or of a module's one; None if it is not to be found or has none."""
    here = str(Path.cwd())
    sys.path.insert(0, here)  # where plug-ins are looked for first
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # of a module that was made by hand
        return None
    finally:
        sys.path.remove(here)
    return None if spec is None else _digest(package, spec)


def shadowed(folder: Path) -> str | None:
    """Say of which of our packages a folder, where others look first, holds other source; None if of none."""
    for package in TOOLKIT:
        ours, theirs = importlib.util.find_spec(package), PathFinder.find_spec(package, [str(folder)])
        if ours is None or theirs is None or theirs.origin in (None, ours.origin):  # no origin: a folder, no package
            continue
        if _digest(package, theirs) != _digest(package, ours):
            return f"{package!r} than the toolkit's, {ours.origin}"
    return None


def _digest(package: str, spec: ModuleSpec) -> str | None:
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [(path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py")]
    if not folders and spec.origin and Path(spec.origin).is_file():
        files = [(package, Path(spec.origin))]
    digest = hashlib.blake2b(digest_size=8)
    for name, path in sorted(files):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest() if files else None


def arrive(
    wanted: dict[str, str | None], task: bytes, plugins: tuple[str, ...], evaluator: str, fingerprint: str | None
) -> str | None:
    """Prepare the host that this runs on for the trials of a search; say what is wrong with it, or give None.

    Args:
        wanted: what `installed` gave on the driver; what the driver itself has not is not compared.
        task, plugins, evaluator, fingerprint: see `nas.trials.readiness`, which is asked where all is as wanted.
    """
    found = installed(name for name in wanted if name not in (*TOOLKIT, "torch"))
    for name, version in wanted.items():
        if found[name] is None and (version is not None or name in TOOLKIT):
            return f"{name} is not installed there"
        if version not in (None, found[name]):
            what = "version" if name == "torch" else "source is another:"
            return f"{name}'s {what} {found[name]}, the search's driver has {version}"
    from nas.trials.readiness import fault_of_host

    return fault_of_host(task, plugins, evaluator, fingerprint)
