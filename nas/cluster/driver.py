"""The process that talks to Ray: it starts Ray or joins a cluster, and calls what `nas.cluster.process` asks it to."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ray import cloudpickle

from nas.cluster.connection import connect, disconnect
from nas.cluster.protocol import OUTPUT, Ask, Setup
from nas.imports import uncollected
from nas.signals import STOPS, handled
from search_space.lookup import describe

_LAST = """
left=100
while kill -s 0 "$0" 2> /dev/null && [ $left -gt 0 ]; do left=$((left - 1)); sleep 0.1; done
kill -s KILL -- "-$0" 2> /dev/null
for pause in 0.2 0.2 0.5 1 2 4; do rm -rf -- "$1"; sleep $pause; done
rm -rf -- "$1"
"""


class AskedInVain(Exception):
    """What was asked for raised an error there, which is kept there."""


def serve(descriptor: int) -> None:
    """Be Ray's process until the other end of the connection is closed."""
    connection = Connection(descriptor)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    setup: Setup = pickle.loads(connection.recv_bytes())
    threading.Thread(target=_listen, args=(connection, inbox, setup), daemon=True).start()
    _become(setup)
    with handled(dict.fromkeys(STOPS, _later)):
        with contextlib.suppress(ConnectionError):
            _answer(connection, lambda: connect(setup.address, setup.folder / "ray"))  # Ray opens its own to everybody
            while True:
                message = inbox.get()
                _answer(connection, lambda: _called(message, connection, inbox))  # noqa: B023
        threading.Event().wait()  # for `_listen` to end this process: it has more to do before


def print_to(ask: Ask, path: str) -> None:
    """Append what this process prints to a file from now on, and what it has printed."""
    with Path(path).open("ab", buffering=0) as file:
        file.write((Path(tempfile.gettempdir()) / OUTPUT).read_bytes())
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)


def _become(setup: Setup) -> None:
    sys.path[:], sys.argv[:] = setup.path, setup.arguments
    if setup.main is not None:
        sys.modules["__main__"].__file__ = setup.main
    tempfile.tempdir = str(setup.folder)  # what Ray, and whoever else here, makes of temporary files goes with it


def _later(signum: int, frame: Any) -> None:
    """Take a signal again that came before, or after, what it is meant for."""
    again = threading.Timer(0.5, os.kill, (os.getpid(), signum))
    again.daemon = True
    again.start()


def _listen(connection: Connection, inbox: queue.SimpleQueue[Any], setup: Setup) -> None:
    """Pass messages on; when the other end closes, or its process dies, end Ray, what it wrote, and this process."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            inbox.put(pickle.loads(connection.recv_bytes()))
    _hand_over(setup.folder)
    with contextlib.suppress(Exception):
        disconnect()
    os._exit(1)


def _hand_over(folder: Path) -> None:
    """Have a shell end what is left of Ray when this process has ended, in 10 s at most, then remove what they wrote.

    In this order: a worker that is just starting, which Ray does not wait for, would make the folder again, on a busy
    machine seconds later. Beforehand: what is asked of Ray in the main thread while it is being shut down ends this
    process at once.
    """
    command = ["sh", "-c", _LAST, str(os.getpgrp()), str(folder)]
    with contextlib.suppress(OSError):
        subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)


class _Ask:
    """See `Ask`."""

    def __init__(self, connection: Connection, inbox: queue.SimpleQueue[Any]) -> None:
        self.connection, self.inbox = connection, inbox

    def __call__(self, what: str, *question: Any) -> Any:
        self.connection.send_bytes(cloudpickle.dumps(("ask", what, question)))
        raised, answer = self.inbox.get()
        if raised:
            raise AskedInVain(answer)
        return answer

    def tell(self, what: str, *content: Any) -> None:
        self.connection.send_bytes(cloudpickle.dumps(("tell", what, content)))


def _called(message: tuple[str, tuple[Any, ...]], connection: Connection, inbox: queue.SimpleQueue[Any]) -> Any:
    name, arguments = message
    module, _, function = name.partition(":")
    with uncollected():  # Ray Tune, for example
        called = getattr(import_module(module), function)
    return called(_Ask(connection, inbox), *arguments)


def _answer(connection: Connection, act: Callable[[], Any]) -> None:
    """Send what comes of it: a value, or what it raises."""
    try:
        message = cloudpickle.dumps(("value", act()))
    except BaseException as error:
        try:
            message = cloudpickle.dumps(("raised", error))
            pickle.loads(message)
        except Exception:  # an error that cannot travel
            message = cloudpickle.dumps(("raised", RuntimeError(describe(error))))
    connection.send_bytes(message)
