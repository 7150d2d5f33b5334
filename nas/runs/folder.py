"""A run folder: the resolved configuration, where it came from, the logs, and a lock so that one search writes it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas import plugins
from nas.file_lock import exclusive
from nas.runs.log import LARGE, read_lines
from nas.runs.trial import Trial
from nas.seeds import FIRST_SEEDING
from nas.whole_files import remove_empty, sync_folder, write_whole
from search_space import yaml_text

if TYPE_CHECKING:
    from nas.runs.part import Part

CONFIG, RUN, TRIALS, PROPOSALS = "config.yaml", "run.json", "trials.jsonl", "proposals.jsonl"
TIMINGS = "timings.jsonl"  # of architectures that were timed before it was decided whether they are trained
WARM_START = "warm_start.jsonl"  # trials of earlier runs that the algorithm was told first
LOCK = ".lock"  # held by who writes into the folder


def create(folder: Path, config: Mapping[str, Any], modules: Mapping[str, str] | None = None) -> str:
    """Make a folder a run's; give the new run's id.

    Args:
        config: resolved, plain data.
        modules: versions of the user's modules that it names, such as plug-ins.
    """
    make(folder)
    record = provenance() | {"modules": dict(modules or {})}
    write_run(folder, record)
    write_config(folder, config)  # last: with it the run exists
    return str(record["run_id"])


def make(folder: Path) -> list[Path]:
    """Make a folder, and those that it is in, where they are not there: on disk, as what is written into it will be.

    Returns: those that were made, outermost first.
    """
    if folder.exists():
        return []
    made = make(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except OSError:  # such as too long a name
        remove_empty(reversed(made))
        raise
    sync_folder(folder.parent)
    return [*made, folder]


def holds_something(folder: Path) -> bool:
    """Whether there is more than nothing in a place: of hidden files, such as the lock of a start, none counts."""
    return folder.exists() and (not folder.is_dir() or any(each.name[0] != "." for each in folder.iterdir()))


def write_run(folder: Path, record: Mapping[str, Any]) -> None:
    """Write where a run comes from, in place of what is there."""
    write_whole(folder / RUN, json.dumps(record, indent=2) + "\n")


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the resolved configuration of a run, in place of the one that is there."""
    write_whole(folder / CONFIG, yaml_text.dump(dict(config)))


def config_if_run(folder: Path) -> dict[str, Any] | None:
    """Give what `config.yaml` says if `folder` is a run's, else None."""
    return read_config(folder) if (folder / CONFIG).exists() else None


def read_run(folder: Path) -> dict[str, Any]:
    """Give what `run.json` says. Raises ValueError if `folder` is no run folder."""
    try:
        record = json.loads((folder / RUN).read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{folder} is not a run folder: it has no {RUN}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / RUN} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"{folder / RUN} is no record of a run")
    if missing := [name for name in ("run_id", "created_at", "versions") if name not in record]:
        raise ValueError(f"{folder / RUN} is damaged: {missing[0]} is missing")
    return record


def read_config(folder: Path) -> dict[str, Any]:
    """Give the resolved configuration of a run, plain data; its plug-ins are imported: what is read next may be theirs.

    Raises: ValueError if `folder` is no run folder, its configuration is damaged, or a plug-in of it cannot be
        imported here.
    """
    try:
        record = yaml_text.load((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{folder} is not a run folder: it has no {CONFIG}") from None
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"{folder / CONFIG} is no configuration")
    if (folder / RUN).exists():  # else it may be one that nothing has resolved
        _check_whole(folder / CONFIG, record)
    names = record.get("plugins") or []
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError(f"{folder / CONFIG}: plugins must be a list of names, got {names!r}")
    plugins.load(names, wanted_by=str(folder))
    return {"seeding": FIRST_SEEDING} | record


def _check_whole(path: Path, record: Mapping[str, Any]) -> None:
    """Raise ValueError unless a resolved configuration has what those who read a run rely on."""
    if not isinstance(record.get("image_size"), int):
        raise ValueError(f"{path} is damaged: image_size is {record.get('image_size', 'missing')!r}")
    for section, names in _RELIED_ON.items():
        if not isinstance(record.get(section), dict):
            raise ValueError(f"{path} is damaged: section {section!r} is missing or no mapping")
        if missing := [name for name in names if name not in record[section]]:
            raise ValueError(f"{path} is damaged: {section}.{missing[0]} is missing")


# What every version has written, by section.
_RELIED_ON: dict[str, tuple[str, ...]] = {
    "space": ("stages", "constraints"),
    "reference": ("stages",),
    "data": ("source", "path", "subset"),
    "augment": (),
    "training": ("epochs", "batch_size", "drop_path"),
    "step_time": ("image_size", "batch_size"),
    "reward": ("name",),
    "algorithm": ("name",),
    "search": ("trials", "evaluator"),
}


def read_trials(run: Path) -> list[Trial]:
    """Read the finished trials of a run folder, or of a `trials.jsonl`; none where the log is not there yet.

    Raises: ValueError if a line is no trial, or a plug-in of the run cannot be imported here.
    """
    return list(each_trial(run))


def each_trial(run: Path) -> Iterator[Trial]:
    """Give the trials that `read_trials` reads one by one. Raises ValueError as that does, before the first."""
    log = run if run.suffix == ".jsonl" else run / TRIALS
    config_if_run(log.parent)
    if (parts := parts_of(log)) is None:
        return iter([Trial.from_dict(record) for record in read_lines(log)])
    from nas.runs.rebuilt import trials

    return trials(log, parts)


def parts_of(log: Path) -> list[Part] | None:
    """Give a large log as columns; None if its lines are to be read.

    Raises: ValueError as `nas.runs.log.read_lines` does.
    """
    if not log.exists() or log.stat().st_size < LARGE:
        return None
    from nas.runs.index import parts  # for these alone, which need pyarrow

    return parts(log)


def trial_log(run: Path) -> Path:
    """Give the path of a run's log of trials. Raises ValueError, naming the runs nearby, if there is none."""
    log = run if run.suffix == ".jsonl" else run / TRIALS
    if not log.exists():
        runs = sorted(str(each.parent) for each in [*run.glob(f"*/{TRIALS}"), *run.parent.glob(f"*/{TRIALS}")])
        what = "holds no trials" if run.exists() else "does not exist"
        raise ValueError(f"{run} {what}" + (f"; there are: {', '.join(runs[:8])}" if runs else ""))
    return log


@contextlib.contextmanager
def locked(folder: Path, what: str = "search", *, name: str = LOCK, wait: bool = False) -> Iterator[None]:
    """Hold the run for writing; a killed process holds nothing.

    Args:
        what: runs there, for the message.
        name: of the lock, a file in `folder`.
        wait: for the process that holds it.
    Raises: ValueError if another process holds it, unless `wait`.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / name, wait=wait))
        except BlockingIOError:
            raise ValueError(f"another {what} is running in {folder}") from None
        yield


@contextlib.contextmanager
def held(folder: Path, what: str = "search") -> Iterator[None]:
    """Hold a folder for writing as `locked` does; make it where it is not there.

    One that was made and in which nothing is but the lock when an error comes is taken away again.
    """
    made = make(folder)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, what))
        except OSError:  # there are no locks, so nobody else has it
            _take_away(folder, made)
            raise
        try:
            yield
        except BaseException:
            _take_away(folder, made)
            raise


def _take_away(folder: Path, made: list[Path]) -> None:
    """Remove a folder that was made here, with those made for it, if nothing but the lock is in it."""
    if made and not holds_something(folder):
        (folder / LOCK).unlink(missing_ok=True)
        remove_empty(reversed(made))


def is_locked(folder: Path) -> bool:
    """Whether a process holds the run, on this host or another that shares the folder."""
    if not (folder / LOCK).exists():
        return False
    try:
        with locked(folder):
            return False
    except ValueError:
        return True
    except OSError:  # may be read, not written
        return False


def git_commit() -> str | None:
    """The commit of the source this runs from, with `+` if it was changed since; None outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        length = next((n for n in range(12, len(commit)) if not _is_number(commit[:n])), len(commit))
        return commit[:length] + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _is_number(text: str) -> bool:
    """Whether who reads a table may take it for one, such as 123456789012 or 12e456789012."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def provenance() -> dict[str, Any]:
    """Say what runs here and now: a new run id, time, command, host, versions, commit."""
    return {
        "run_id": f"r{uuid.uuid4().hex[:8]}",  # a letter first: pandas would read 12e45678 as a number, infinity
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in ("torch", "ray", "numpy", "training-aware-nas")},
        "git_commit": git_commit(),
    }


def command_line() -> list[str]:
    """Give the command as it was typed: `nas` by its name, whose folder is no matter of who reads the run's report."""
    program, *arguments = sys.argv
    return ["nas" if Path(program).name == "nas" else program, *arguments]


def installed_version(name: str) -> str | None:
    """Give the version of an installed distribution, None where there is none of this name."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
