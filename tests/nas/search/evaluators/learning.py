"""Candidates that learn epoch by epoch, each towards an accuracy of its own, and take no time."""

import time
import zlib


def evaluate(architecture, seed, task, report):
    accuracy = 0.5 + (zlib.crc32(architecture.arch_id.encode()) % 1000) / 2500
    fields = {"s_normalised": 1.0, "p_normalised": 1.0, "w": -0.07, "v": -0.05, "curve": []}
    for epoch in range(task.training.epochs):
        now = accuracy * (epoch + 1) / task.training.epochs
        fields |= {"accuracy": now, "reward": now}
        fields["curve"].append({"epoch": epoch, "accuracy": now})
        report(fields)
    return fields | {"status": "ok"}


evaluate.gives = ("s_normalised", "p_normalised", "w", "v")


def evaluate_without_step_time(architecture, seed, task, report):
    def without(fields):
        report({name: value for name, value in fields.items() if name != "s_normalised"})

    return evaluate(architecture, seed, task, without)


def claim_step_time(architecture, seed, task, report):
    return evaluate_without_step_time(architecture, seed, task, report)


claim_step_time.gives = evaluate.gives


def evaluate_past_the_deadline(architecture, seed, task, report):
    """The first epoch lasts until the search is out of time, a little longer for the poorer ones."""
    first = True

    def slowly(fields):
        nonlocal first
        if first:
            time.sleep(13 + 10 * (0.1 - fields["accuracy"]))
        first = False
        report(fields)

    return evaluate(architecture, seed, task, slowly)
