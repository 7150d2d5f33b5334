"""Trials of earlier searches, told to the algorithm before a search begins: marked, and not counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nas.algorithms.algorithm import compatible
from nas.config.search import Config, differences
from nas.runs.folder import TRIALS, WARM_START, read_config, read_run, read_trials
from nas.runs.log import has_lines, read_lines
from nas.runs.trial import Trial
from nas.search.continuation import data_of
from nas.search.modules import version_changes
from nas.whole_files import write_whole
from search_space.space import SearchSpace


def earlier_trials(runs: Sequence[Path], config: Config, fingerprint: str | None = None) -> list[Trial]:
    """Read the trials of earlier runs that tell something about this search's space.

    The space may be another, if its architectures are all expressible in this one, and so may the seed; whatever else
    makes trials comparable must be the same. Trials outside the space are left out.

    Args:
        fingerprint: of the search's data, where it is known: theirs must be the same, wherever it lay.
    Raises: ValueError if a folder is no run, or its trials were trained, timed or scored otherwise: the message names
        the settings that differ.
    """
    trials: list[Trial] = []
    for run in runs:
        found = read_trials(run)
        known = data_of(found)
        comparable = None not in (known, fingerprint)
        changed = differences(read_config(run), config.to_dict(), but=("space", "seed"), places=not comparable)
        changed += version_changes(read_run(run), config)
        if comparable and known != fingerprint:
            changed.append(f"the images or their split: fingerprint {known} -> {fingerprint}")
        if changed:
            raise ValueError(f"trials of {run} are not comparable with this search: {'; '.join(changed[:5])}")
        trials += [trial for trial in found if compatible(config.space, trial.architecture)]
    return trials


def check_warm_start(folder: Path, trials: Sequence[Trial]) -> None:
    """Raise a ValueError if the run in `folder` has trials already, and was begun without these or with others."""
    if not trials or not has_lines(folder / TRIALS):
        return
    if not (folder / WARM_START).exists():
        raise ValueError(f"{folder} has trials already; a warm start is for a new run")
    known = {record["run_id"] for record in read_lines(folder / WARM_START)}
    if unknown := sorted({str(trial.run_id) for trial in trials} - known):
        raise ValueError(
            f"{folder} began with the trials of {', '.join(sorted(known))}; those of {', '.join(unknown)} cannot "
            "be added now: a warm start is for a new run"
        )


def remember(folder: Path, trials: Sequence[Trial]) -> None:
    """Keep warm-start trials in the run folder, so that every continuation is told the same ones first.

    They are written whole or not at all; until a trial is finished, every start writes them anew.

    Raises: ValueError as `check_warm_start` does.
    """
    check_warm_start(folder, trials)
    if trials and not has_lines(folder / TRIALS):
        write_whole(folder / WARM_START, "".join(trial.to_json() + "\n" for trial in trials))


def recall(folder: Path, space: SearchSpace) -> list[Trial]:
    """Read what `remember` kept; `proposed_by` says that a trial is a warm start, and of which run."""
    trials = read_trials(folder / WARM_START)
    marked = (replace(trial, proposed_by=f"warm_start:{trial.run_id}") for trial in trials)
    return [trial for trial in marked if compatible(space, trial.architecture)]
