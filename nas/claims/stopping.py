"""May a search stop? What more trials are expected to gain, after each of a run's trials."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from nas.runs.advice import LEAST, StopAdvice, advise, why_not
from nas.runs.folder import TRIALS, read_config, read_run
from nas.runs.summary import Scores, summary


def stop_advice(run: str | os.PathLike[str]) -> StopAdvice:
    """Say what ten more trials of a run's search are expected to gain, and how well its best is known.

    Args:
        run: folder, or an opened run.
    Raises: ValueError for a search of several objectives, or one with fewer than 20 scored architectures.
    """
    folder = Path(run)
    read_run(folder)
    if reason := why_not(read_config(folder)):
        raise ValueError(f"{folder}: what more trials would gain is {reason}")
    scores = summary(folder / TRIALS).scores
    if (advice := advise(*scores)) is None:
        scored = {
            each for each, reward in zip(scores.architectures, scores.rewards, strict=True) if np.isfinite(reward)
        }
        raise ValueError(f"{folder}: an advice needs {LEAST} scored architectures, got {len(scored)}")
    return advice


def stop_advice_so_far(scores: Scores, most: int = 30) -> list[tuple[int, StopAdvice]]:
    """Give the advice after so many of a search's trials, for at most `most` numbers of them, the last among them."""
    if len(scores.rewards) < LEAST:
        return []
    counts = np.unique(np.linspace(LEAST, len(scores.rewards), most).astype(int)).tolist()
    known = ((n, advise(scores.architectures[:n], scores.rewards[:n], scores.errors[:n])) for n in counts)
    return [(number, advice) for number, advice in known if advice is not None]
