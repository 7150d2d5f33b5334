"""What the tests of Ray's process call there."""

import os
import signal
import tempfile
import time

import ray


def address(ask):
    return ray.get_runtime_context().gcs_address


def own_pid(ask):
    return os.getpid()


def place(ask):
    return tempfile.gettempdir()


def die(ask):
    os.kill(os.getpid(), signal.SIGABRT)


def ask_twice(ask):
    assert ask("number", 1) == 2
    try:
        return ask("trouble")
    except Exception as error:
        return str(error)


def tell_thrice_and_ask(ask):
    """Tell two things, one more that makes trouble, and ask for what was told."""
    ask.tell("note", 1)
    ask.tell("note", 2)
    ask.tell("trouble")
    return ask("noted")


def start_workers(ask, count):
    """Have Ray start processes, and ask on and on meanwhile."""

    @ray.remote(num_cpus=0)
    def sleep():
        time.sleep(1000)

    tasks = [sleep.remote() for _ in range(count)]
    while tasks:
        try:
            ask("still")
        except OSError:
            ray.put(1)  # as Ray Tune would, which does not know yet
