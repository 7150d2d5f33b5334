"""What runs in a worker process: one candidate, its reports and its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ray import tune

from nas.trials.answer import answer, hard_limit_s, killed_after


def run_candidate(
    config: Mapping[str, Any], task: Any, evaluator: str, time_limit_s: float | None, reports: bool
) -> None:
    """Evaluate one candidate in a worker process and report its answer, and after each epoch what it would be now."""

    def tell(**fields: Any) -> None:
        reward = fields.pop("reward", None)
        tune.report({"reward": float("nan") if reward is None else reward, **fields})

    def report(so_far: Mapping[str, Any]) -> bool:
        epoch = len(so_far["curve"])
        if reports and epoch < task.training.epochs:  # if Ray stops the trial here, this call does not return
            stopped = {"status": "pruned", "error": f"stopped after epoch {epoch}", "reward": None}
            tell(reward=so_far["reward"], epoch=epoch, partial=json.dumps({**so_far, **stopped}))
        return True

    candidate = config["candidate"]
    tell(epoch=0)  # this process is up: the time limit counts from here
    with killed_after(hard_limit_s(time_limit_s)):
        result = answer(candidate["architecture"], candidate["seed"], task, evaluator, report)
    tell(reward=result.get("reward"), answer=json.dumps(result), done=True)
