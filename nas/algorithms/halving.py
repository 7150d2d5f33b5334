"""Asynchronous successive halving: after a ninth and a third of a training, or where told, the best third goes on.

Source: Li et al. 2018 (arXiv:1810.05934); who would wait there to be promoted is stopped here, for nothing is resumed.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from typing import Any

THIRD = 3  # of those that reach a rung, one in so many goes on


def rungs(epochs: int, eval_every: int = 1, at: Sequence[int] = ()) -> tuple[int, ...]:
    """Epochs, counted from 1, after which trainings are compared: 1 and 3 of 10, 2 and 6 of 20, 11 and 33 of 100.

    Those of `at`, ascending, if there are any. Else they are a ninth and a third of the training, rounded down, or the
    next that is evaluated; none lies in the second half. (Powers of three from a ninth on, as schedulers have them, end
    at 9 of 10: most of the survivors would be stopped there, with nearly all of their cost spent and no result.)

    Raises: ValueError if no epoch of the first half is evaluated, or one of `at` is in the second or not evaluated.
    """
    if wrong := [epoch for epoch in at if epoch > epochs // 2 or epoch % eval_every]:
        raise ValueError(
            f"prune_epochs must be of the first half of {epochs} epochs, evaluated (training.eval_every {eval_every}), "
            f"got {wrong[0]}"
        )
    if at:
        return tuple(at)
    wanted = [max(1, epochs // THIRD**2), max(1, epochs // THIRD)]
    evaluated = {-(-epoch // eval_every) * eval_every for epoch in wanted}
    found = tuple(sorted(epoch for epoch in evaluated if epoch <= epochs // 2))
    if not found:
        raise ValueError(
            f"no epoch of the first half of {epochs} is evaluated (training.eval_every {eval_every}), and later a "
            "training would be stopped after most of its cost"
        )
    return found


class Halving:
    """Who goes on, of trainings that come by in any order.

    Args:
        epochs, eval_every: of a training.
        at: epochs after which they are compared, see `rungs`.
    Raises: ValueError as `rungs` does.
    """

    def __init__(self, epochs: int, eval_every: int = 1, at: Sequence[int] = ()) -> None:
        self.latest = epochs // 2
        self.rewards: dict[int, list[float]] = {rung: [] for rung in rungs(epochs, eval_every, at)}  # ascending
        self.seen: dict[int, set[int]] = {rung: set() for rung in self.rewards}  # trial ids

    def tell(self, trial_id: int, curve: Sequence[Mapping[str, Any]]) -> int | None:
        """Note which rungs a training has reached; give the last one that is new, None if there is none.

        Args:
            curve: one mapping per finished epoch with `reward`, as `Trial.curve`.
        """
        new = None
        for rung, seen in self.seen.items():
            reward = self._reward(curve, rung)
            if reward is not None and trial_id not in seen:
                seen.add(trial_id)
                insort(self.rewards[rung], reward)
                new = rung
        return new

    def verdict(self, trial_id: int, curve: Sequence[Mapping[str, Any]]) -> str | None:
        """Say why a training is to be stopped now, or give None if it goes on. Arguments as of `tell`."""
        rung = self.tell(trial_id, curve)
        if rung is None:
            return None
        reward, rewards = self._reward(curve, rung), self.rewards[rung]
        assert reward is not None
        place, count = 1 + len(rewards) - bisect_right(rewards, reward), len(rewards)
        if place <= -(-count // THIRD):
            return None
        return (
            f"stopped after epoch {len(curve)}: reward {reward:.4f} is number {place} of the {count} that came so far"
        )

    def _reward(self, curve: Sequence[Mapping[str, Any]], rung: int) -> float | None:
        """The reward when the rung was reached; None if it was not, or later than there is something to save."""
        known = (epoch.get("reward") for epoch in curve[rung - 1 : self.latest])
        return next((float(reward) for reward in known if reward is not None), None)
