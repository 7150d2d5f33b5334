"""Evaluators and a data source of a cluster's nodes, each of which has its own environment and so its own faults."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from nas.data.sources.records import Images, Source

NODE = os.environ.get("NODE", "0")  # 0 = of the driver
FLAGS = Path(os.environ.get("FLAGS", "/nowhere"))


def broken():
    return (FLAGS / f"broken-{NODE}").exists()


class Reader:
    """Forty random images; other ones, or decoded slowly, where the node's environment says so."""

    def identity(self, settings):
        if broken():
            raise ValueError(f"the disk of node {NODE} is gone")
        return {"images": os.environ.get("IMAGES", "1")}

    def read(self, settings, scratch, progress):
        time.sleep(float(os.environ.get("DECODE_S", "0")))
        pixels = np.random.default_rng(int(os.environ.get("IMAGES", "1"))).integers(0, 255, (40, 8, 8), np.uint8)
        labels = np.arange(40) % 2
        return Source(2, None, Images(labels, lambda start, stop: list(pixels[start:stop]), str), None)


READER = Reader()


def evaluate(architecture, seed, task, report):
    """Tell on which node it ran."""
    time.sleep(float(os.environ.get("TRIAL_S", "0.1")))
    if broken():
        raise OSError("stale file handle")
    return {"status": "ok", "accuracy": 0.5, "reward": 0.5, "metrics": {"node": float(NODE)}}


def is_first(architecture):
    """Whether a candidate is the one that began first; it is so each time it runs."""
    try:
        with (FLAGS / "first").open("x") as file:
            file.write(architecture.arch_id)
        return True
    except FileExistsError:
        return (FLAGS / "first").read_text() == architecture.arch_id


def evaluate_with_one_that_stops(architecture, seed, task, report):
    """One candidate's process is stopped as it stands: no watchdog of its own runs any more."""
    if is_first(architecture):
        os.kill(os.getpid(), signal.SIGSTOP)
    return {"status": "ok", "accuracy": 0.5, "reward": 0.5}


def evaluate_with_one_that_is_too_large(architecture, seed, task, report):
    """One candidate takes more memory than its container may have."""
    if is_first(architecture):
        return {"status": "ok", "accuracy": 0.5, "reward": float(len(bytearray(b"x") * 2**33))}
    return {"status": "ok", "accuracy": 0.5, "reward": 0.5}
