"""Candidates that are timed, or trained, or do to a worker process what candidates do; which one, the arch_id says."""

import os
import time

from misbehaving import evaluate as misbehave
from misbehaving import kind


def evaluate(architecture, seed, task, report):
    """As the toolkit's own: what cannot be timed does its harm when it is timed."""
    assert kind(architecture.arch_id) == "ok" or task.timed is None
    fields = misbehave(architecture, seed, task, report)
    if not task.timing_only:
        return fields | {"s_normalised": (task.timed or {}).get("s_normalised"), "device_name": "cpu"}
    time.sleep(float(os.environ.get("TIMING_S", "0")))
    return {"status": "timed", "s_normalised": time.time() % 1000, "p_normalised": 1.0, "device_name": "cpu"}


evaluate.times = True
