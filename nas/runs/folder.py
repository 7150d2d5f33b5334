"""A run folder: the resolved configuration, where it came from, the logs, and a lock so that one search writes it."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nas.config.search import Config, differences
from nas.search.ledger import TRIALS
from search_space import yaml_text

CONFIG, RUN = "config.yaml", "run.json"


def check_run(folder: Path, config: Config) -> None:
    """Check that a search with `config` may run in `folder`: a new one, or one whose trials it continues.

    Raises: ValueError if the folder holds something else, or trials that `config` would make incomparable: the message
        names the settings that differ.
    """
    if not (folder / CONFIG).exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not (folder / RUN).exists():
            raise ValueError(f"{folder} exists and is not a run folder; choose another with --out")
        return
    changed = differences(read_config(folder), config.to_dict())
    if changed and (folder / TRIALS).exists() and (folder / TRIALS).stat().st_size:
        shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise ValueError(
            f"{folder} holds trials that would not be comparable: {shown}. Choose another --out or undo the change"
        )


def open_run(folder: Path, config: Config) -> str:
    """Create a run folder, or take up the one that is there; give its run id. Raises ValueError as `check_run` does."""
    check_run(folder, config)
    if not (folder / CONFIG).exists():
        return _create(folder, config)
    write_whole(folder / CONFIG, yaml_text.dump(config.to_dict()))
    return str(read_run(folder)["run_id"])


def config_if_run(folder: Path) -> dict[str, Any] | None:
    """Give what `config.yaml` says if `folder` is a run's, else None."""
    return read_config(folder) if (folder / CONFIG).exists() else None


def read_run(folder: Path) -> dict[str, Any]:
    """Give what `run.json` says. Raises ValueError if `folder` is no run folder."""
    try:
        record = json.loads((folder / RUN).read_text())
    except OSError:
        raise ValueError(f"{folder} is not a run folder: it has no {RUN}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / RUN} is not JSON: {error}") from None
    assert isinstance(record, dict)
    return record


def read_config(folder: Path) -> dict[str, Any]:
    """Give the resolved configuration of a run as plain data. Raises ValueError if `folder` is no run folder."""
    try:
        record = yaml_text.load((folder / CONFIG).read_text())
    except OSError:
        raise ValueError(f"{folder} is not a run folder: it has no {CONFIG}") from None
    assert isinstance(record, dict)
    return record


@contextlib.contextmanager
def locked(folder: Path, what: str = "search", *, name: str = ".lock", wait: bool = False) -> Iterator[None]:
    """Hold the run for writing; a killed process holds nothing.

    Args:
        what: runs there, for the message.
        name: of the lock, a file in `folder`.
        wait: for the process that holds it.
    Raises: ValueError if another process holds it, unless `wait`.
    """
    with (folder / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            raise ValueError(f"another {what} is running in {folder}") from None
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds the run, on this host or another that shares the folder."""
    if not (folder / ".lock").exists():
        return False
    try:
        with locked(folder):
            return False
    except ValueError:
        return True
    except OSError:  # may be read, not written
        return False


@contextlib.contextmanager
def noise_to(path: Path) -> Iterator[None]:
    """Send what Ray prints in this process to a file: the terminal belongs to the command."""
    with path.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield


def git_commit() -> str | None:
    """The commit of the source this runs from, with `+` if it was changed since; None outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _create(folder: Path, config: Config) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    record = provenance()
    write_whole(folder / RUN, json.dumps(record, indent=2) + "\n")
    write_whole(folder / CONFIG, yaml_text.dump(config.to_dict()))  # last: with it the run exists
    return str(record["run_id"])


def provenance() -> dict[str, Any]:
    """Say what runs here and now: a new run id, time, command, host, versions, commit."""
    return {
        "run_id": uuid.uuid4().hex[:8],
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("torch", "ray", "numpy", "training-aware-nas")},
        "git_commit": git_commit(),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def write_whole(path: Path, text: str) -> None:
    """Write a whole file or nothing, even if killed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
