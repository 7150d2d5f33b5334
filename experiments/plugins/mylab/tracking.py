"""A callback: says which trial took longest, at the end."""

from __future__ import annotations

from nas import Callback
from nas.trackers.callback import SearchInfo


class Slowest(Callback):
    """Prints one line when a search ends."""

    def on_search_end(self, search: SearchInfo) -> None:
        """Look through the trials."""
        timed = [trial for trial in search.trials if trial.wall_s is not None]
        if timed:
            slowest = max(timed, key=lambda trial: trial.wall_s)
            print(f"the slowest of {len(timed)} trials was {slowest.trial_id}: {slowest.wall_s:.1f} s")
