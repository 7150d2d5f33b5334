"""Candidates that cost nothing but time, and leave a line on the machine's own disk as they begin and end.

`/tmp/pace` on a machine: seconds that a candidate takes there (default 0.3). `/tmp/broken`: they fail there.
"""

import os
import socket
import time
import zlib
from pathlib import Path


def note(what, architecture):
    with Path("/tmp/ran").open("a") as file:
        file.write(f"{what} {architecture.arch_id} {os.getpid()} {time.time()}\n")


def evaluate(architecture, seed, task, report):
    note("begin", architecture)
    pace = Path("/tmp/pace")
    time.sleep(float(pace.read_text()) if pace.exists() else 0.3)
    if Path("/tmp/broken").exists():
        raise OSError("stale file handle")
    note("end", architecture)
    reward = (zlib.crc32(architecture.arch_id.encode()) % 1000) / 1000
    return {"status": "ok", "accuracy": 0.5, "reward": reward, "host": socket.gethostname()}
