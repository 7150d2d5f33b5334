"""Waits for the nodes of a cluster: `await_nodes.py HEAD:PORT COUNT [SECONDS]`, on one of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from nas.cluster.process import RayProcess
from nas.cluster.protocol import NoRay

_LOOK_S = 2.0
_USUAL_S = 300.0


def await_nodes(address: str, count: int, seconds: float, say: Callable[[str], None]) -> int:
    """Wait until so many nodes are there, or the time is up; give how many there are. Raises: NoRay if none is."""
    end = time.monotonic() + seconds
    cluster = RayProcess(address)
    try:
        while not cluster.running:
            try:
                cluster.start()
            except NoRay:
                if time.monotonic() > end:
                    raise
                time.sleep(_LOOK_S)
        there = 0
        while (now := cluster.call("nas.cluster.connection:count_nodes")) < count and time.monotonic() < end:
            if now != there:
                say(f"{now} of {count} nodes are there")
            there = now
            time.sleep(_LOOK_S)
        return int(now)
    finally:
        cluster.close()


def main(arguments: list[str]) -> int:
    """Say how many nodes came; 1 if none did. Fewer than wanted are enough to begin: nodes may join a search."""
    address, count, seconds = arguments[0], int(arguments[1]), float(arguments[2]) if len(arguments) > 2 else _USUAL_S
    try:
        there = await_nodes(address, count, seconds, print)
    except NoRay as error:
        print(error)
        return 1
    print(f"{there} of {count} nodes are there" + ("" if there >= count else f" after {seconds:g} s: on with these"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
