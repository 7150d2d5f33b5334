"""Whether a search may begin in a folder, or go on in one: trials that cannot be compared never get into one log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from nas.config.search import Config, differences
from nas.runs.folder import (
    CONFIG,
    PROPOSALS,
    RUN,
    TIMINGS,
    TRIALS,
    WARM_START,
    config_if_run,
    create,
    each_trial,
    holds_something,
    read_config,
    read_run,
    write_config,
    write_run,
)
from nas.runs.log import has_lines
from nas.runs.trial import Trial
from nas.search.modules import module_versions, version_changes
from nas.seeds import known_seeding
from nas.whole_files import sync_folder
from search_space.architecture import Architecture

logger = logging.getLogger(__name__)


def as_begun(folder: Path, config: Config, earlier: Sequence[Path] = ()) -> Config:
    """Give the configuration as the trials in `folder` have it, if there are any, in what it leaves open.

    Their streams of random numbers go on; and where it names no reference, S and P stay in units of theirs, or of the
    trials that the algorithm is told first.

    Args:
        earlier: folders of the runs that a new search starts from.
    """
    begun = config_if_run(folder) if has_lines(folder / TRIALS) else None
    if begun is not None:
        config = replace(config, seeding=known_seeding(begun["seeding"]))
    told = begun or next(filter(None, map(config_if_run, earlier)), None)
    if config.reference_given or told is None:
        return config
    return replace(config, reference=Architecture.from_dict(told["reference"]))


def check_run(folder: Path, config: Config, fingerprint: str | None = None) -> None:
    """Check that a search with `config` may run in `folder`: a new one, or one whose trials it continues.

    Args:
        fingerprint: of the data as they are now, where that is known. Where the folder's trials have the same, the
            data may lie elsewhere than they did.
    Raises: ValueError if the folder holds something else, or trials that `config` or the data would make incomparable:
        the message names the settings that differ.
    """
    if not (folder / CONFIG).exists():
        if holds_something(folder) and not (folder / RUN).exists():
            raise ValueError(f"{folder} exists and is not a run folder; choose another with --out")
        return
    if not has_lines(folder / TRIALS):
        return
    trials = each_trial(folder)
    if (first := next(trials, None)) is None:
        return
    known = data_of(chain([first], trials))
    comparable = None not in (known, fingerprint)
    changed = differences(read_config(folder), config.to_dict(), places=not comparable)
    if changed := [*changed, *version_changes(read_run(folder), config)]:
        shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise ValueError(
            f"{folder} holds trials that would not be comparable: {shown}. Choose another --out or undo the change"
        )
    if comparable and known != fingerprint:
        raise ValueError(
            f"the data set is not what the trials in {folder} were trained on: fingerprint {fingerprint}, not {known}"
        )


def open_run(folder: Path, config: Config, fingerprint: str | None = None) -> str:
    """Create a run folder, or take up the one that is there; give its run id. Raises ValueError as `check_run` does.

    While no trial is finished, the configuration may still be corrected: candidates that were proposed under another
    one are forgotten, and so are trials of earlier runs that were told first.
    """
    check_run(folder, config, fingerprint)
    if not (folder / CONFIG).exists():
        return create(folder, config.to_dict(), module_versions(config))
    about = read_run(folder)
    known = about.get("modules") or {}
    if not has_lines(folder / TRIALS):
        known = {}
        if not _is_unchanged(folder, config):
            _forget(folder)
    if (modules := module_versions(config) | known) != about.get("modules"):
        write_run(folder, {**about, "modules": modules})
    write_config(folder, config.to_dict())
    return str(about["run_id"])


def _is_unchanged(folder: Path, config: Config) -> bool:
    """Whether what was proposed in a folder may be evaluated with a configuration."""
    try:
        return not differences(read_config(folder), config.to_dict())
    except ValueError:  # what is corrected may be why it cannot be read any more
        return False


def _forget(folder: Path) -> None:
    """Remove what a search without a finished trial has left."""
    for name in (PROPOSALS, TIMINGS, WARM_START):
        if (folder / name).exists():
            logger.warning("%s: no trial is finished and the configuration changed: it begins anew", folder / name)
            (folder / name).unlink()
    sync_folder(folder)


def data_of(trials: Iterable[Trial]) -> str | None:
    """Give the fingerprint of the data that trials were trained on; None if no trial says."""
    return next((trial.data_fingerprint for trial in trials if trial.status == "ok" and trial.data_fingerprint), None)
