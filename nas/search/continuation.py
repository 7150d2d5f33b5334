"""Whether a search may begin in a folder, or go on in one: trials that cannot be compared never get into one log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nas.config.search import Config, differences
from nas.runs.folder import (
    CONFIG,
    RUN,
    config_if_run,
    create,
    holds_something,
    read_config,
    read_run,
    read_trials,
    write_config,
)
from nas.runs.trial import Trial
from nas.seeds import known_seeding


def as_begun(folder: Path, config: Config) -> Config:
    """Give the configuration with the seeding of the run in `folder`, if there is one: its streams go on."""
    begun = config_if_run(folder)
    return config if begun is None else replace(config, seeding=known_seeding(begun["seeding"]))


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
    if not (trials := read_trials(folder)):
        return
    known = data_of(trials)
    comparable = None not in (known, fingerprint)
    if changed := differences(read_config(folder), config.to_dict(), places=not comparable):
        shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise ValueError(
            f"{folder} holds trials that would not be comparable: {shown}. Choose another --out or undo the change"
        )
    if comparable and known != fingerprint:
        raise ValueError(
            f"the data set is not what the trials in {folder} were trained on: fingerprint {fingerprint}, not {known}"
        )


def open_run(folder: Path, config: Config, fingerprint: str | None = None) -> str:
    """Create a run folder, or take up the one that is there; give its run id. Raises ValueError as `check_run` does."""
    check_run(folder, config, fingerprint)
    if not (folder / CONFIG).exists():
        return create(folder, config.to_dict())
    write_config(folder, config.to_dict())
    return str(read_run(folder)["run_id"])


def data_of(trials: Sequence[Trial]) -> str | None:
    """Give the fingerprint of the data that trials were trained on; None if no trial says."""
    return next((trial.data_fingerprint for trial in trials if trial.status == "ok" and trial.data_fingerprint), None)
