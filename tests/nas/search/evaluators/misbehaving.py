"""Candidates that do to a worker process whatever candidates do; which one does what follows from its arch_id."""

import ctypes
import os
import time
import zlib

KINDS = ("ok", "ok", "ok", "ok", "raise", "memory", "segfault", "hang", "ok", "ok")
EXPECTED = {"ok": "ok", "raise": "failed", "memory": "oom", "segfault": "failed", "hang": "timeout"}


def kind(arch_id):
    return KINDS[zlib.crc32(arch_id.encode()) % len(KINDS)]


def evaluate(architecture, seed, task, report):
    what = kind(architecture.arch_id)
    time.sleep(float(os.environ.get("MISBEHAVING_S", "0.3")))
    if what == "raise":
        raise ValueError("this candidate raises")
    if what == "memory":
        raise MemoryError("this candidate does not fit")
    if what == "segfault":
        ctypes.string_at(0)
    if what == "hang":
        ctypes.PyDLL(None).sleep(1000)  # in C, with the interpreter lock held: no Python timer would ever run
    return {"status": "ok", "accuracy": 0.5, "reward": (zlib.crc32(architecture.arch_id.encode()) % 1000) / 1000}
