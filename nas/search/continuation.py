"""Whether a search may begin in a folder, or go on in one: trials that cannot be compared never get into one log."""

from __future__ import annotations

from pathlib import Path

from nas.config.search import Config, differences
from nas.runs.folder import CONFIG, RUN, TRIALS, create, read_config, read_run, read_trials, write_config


def check_run(folder: Path, config: Config) -> None:
    """Check that a search with `config` may run in `folder`: a new one, or one whose trials it continues.

    Raises: ValueError if the folder holds something else, or trials that `config` would make incomparable: the message
        names the settings that differ.
    """
    if not (folder / CONFIG).exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not (folder / RUN).exists():
            raise ValueError(f"{folder} exists and is not a run folder; choose another with --out")
        return
    if not ((folder / TRIALS).exists() and (folder / TRIALS).stat().st_size):
        return
    if changed := differences(read_config(folder), config.to_dict()):
        shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise ValueError(
            f"{folder} holds trials that would not be comparable: {shown}. Choose another --out or undo the change"
        )


def open_run(folder: Path, config: Config) -> str:
    """Create a run folder, or take up the one that is there; give its run id. Raises ValueError as `check_run` does."""
    check_run(folder, config)
    if not (folder / CONFIG).exists():
        return create(folder, config.to_dict())
    write_config(folder, config.to_dict())
    return str(read_run(folder)["run_id"])


def check_same_data(folder: Path, fingerprint: str) -> None:
    """Refuse to go on with other images under the same path: no later trial could be compared with earlier ones."""
    trials = read_trials(folder)
    known = next((t.data_fingerprint for t in trials if t.status == "ok" and t.data_fingerprint), None)
    if known is not None and known != fingerprint:
        raise ValueError(
            f"the data set is not what the trials in {folder} were trained on: fingerprint {fingerprint}, not {known}"
        )
