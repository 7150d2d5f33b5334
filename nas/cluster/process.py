"""Ray in a process of its own.

Ray's C++ code prints where it likes, and ends its process where it loses its head node. In a process of its own that is
a failure like others: what it prints goes to a file, and the search, which holds the log and the algorithm, starts it
again. The environment that Ray reads when it is imported is of that process alone, whatever was imported here before.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nas import faults
from nas.cluster.protocol import OUTPUT, NoRay, RayFailed, RayLate, Setup
from nas.cluster.reach import check_reachable, refusal
from nas.cluster.scratch import Scratch, scratch
from nas.trials.installed import shadowed
from search_space.lookup import describe

Answers = Mapping[str, Callable[..., Any]]

_START_S = 300.0  # for Ray to start here, on a machine that is busy
_STARTS = 3  # of Ray, while the machine is too busy for it
_CONNECT_S = 20.0  # for a cluster to answer
_END_S = 20.0  # for Ray to end
_LAST_BYTES = 20_000  # of what Ray printed, that are looked through for why it ended


class RayProcess:
    """The process that talks to Ray; it need not be started.

    Args:
        address: of a cluster, `auto` for one running on this machine, None to start Ray here.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.resources: dict[str, float] = {}  # of the cluster, such as {"CPU": 8, "GPU": 1}
        self._log: Path | None = None
        self._printed = Path(os.devnull)  # where what it prints goes
        self._process: subprocess.Popen[bytes] | None = None
        self._running = contextlib.ExitStack()

    @property
    def running(self) -> bool:
        """Whether it is started, and not stopped since."""
        return self._process is not None

    def start(self) -> None:
        """Start Ray, or connect to the cluster; where the machine is too busy to start it in time, again.

        Raises: NoRay, a ValueError, if it cannot be had.
        """
        _check_workers_find_us()
        if self.address is not None:
            check_reachable(self.address)
        for left in reversed(range(_STARTS)):
            try:
                self._start()
                break
            except RayLate:
                if not left:
                    raise

    def _start(self) -> None:
        with contextlib.ExitStack() as stack:
            place = stack.enter_context(scratch(sockets=self.address is None))
            process, self._connection = stack.enter_context(_started(self.address, place))
            self._printed = place.folder / OUTPUT
            self.resources = self._begun(process)
            self._process, self._running = process, stack.pop_all()
        if self._log is not None:
            self.log_to(self._log)

    def close(self) -> None:
        """End Ray, or leave the cluster; again is harmless."""
        self._process = None
        self._running.close()

    def log_to(self, path: Path) -> None:
        """Have what Ray prints in a file, and what it has printed."""
        self._log = path.absolute()
        self.call("nas.cluster.driver:print_to", str(self._log))
        self._printed = self._log

    def signal(self, signum: int) -> None:
        """Pass a signal on."""
        if self._process is not None:
            self._process.send_signal(signum)

    def kill(self) -> None:
        """End it, and what of Ray it started, at once."""
        if self._process is not None:
            _kill_group(self._process)

    def call(self, function: str, *arguments: Any, answers: Answers = MappingProxyType({})) -> Any:
        """Call a function in Ray's process, and answer here what it asks meanwhile.

        Args:
            function: `module:name`, imported there; its first argument is what it asks with: `ask("name", ...)`.
            arguments: pickled.
            answers: what can be asked for, or told.
        Raises: what the function raises, or the first thing that an answer did. RayFailed if the process ends.
        """
        assert self._process is not None, "it is not started"
        fault: Exception | None = None
        try:
            self._connection.send_bytes(pickle.dumps((function, arguments)))
            while True:
                kind, *content = pickle.loads(self._connection.recv_bytes())
                if kind == "value" and fault is None:
                    return content[0]
                if kind not in ("ask", "tell"):
                    raise fault or content[0]
                name, question = content
                try:
                    answer = (False, answers[name](*question))
                except Exception as error:  # is raised when the function has ended in good order
                    fault, answer = fault or error, (True, describe(error))
                if kind == "ask":
                    self._connection.send_bytes(pickle.dumps(answer))
        except (EOFError, ConnectionError):
            raise fault or RayFailed(_end(self._process, self._printed, self._log)) from None

    def _begun(self, process: subprocess.Popen[bytes]) -> dict[str, float]:
        end = time.monotonic() + (_START_S if self.address is None else _CONNECT_S)
        while not self._connection.poll(0.2):
            printed = self._printed.read_text(errors="replace")
            if reason := refusal(self.address, printed):
                raise NoRay(reason)
            if time.monotonic() > end:
                raise NoRay(_late(self.address))
        try:
            kind, content = pickle.loads(self._connection.recv_bytes())
        except EOFError:
            whither = "start Ray" if self.address is None else "connect to Ray"
            raise NoRay(f"cannot {whither}: {_end(process, self._printed)}") from None
        if kind == "raised":
            logs = (self._printed.parent / "ray").glob("session_*/logs/*.err")  # of Ray's own daemons
            why = next(filter(None, map(_why, logs)), None) if isinstance(content, NoRay) else None
            raise NoRay(f"cannot start Ray: {why}") if why else content
        resources: dict[str, float] = content
        return resources


def _late(address: str | None) -> str:
    if address is None:
        return f"Ray did not start here within {_START_S:g} s"
    return f"no Ray cluster answers at {address!r} within {_CONNECT_S:g} s"


def _end(process: subprocess.Popen[bytes], printed: Path, log: Path | None = None) -> str:
    """Say how a process ended, and why, if that is among the last that it printed; else which file may say it."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    status = process.returncode
    how = f"by {signal.Signals(-status).name}" if status is not None and status < 0 else f"with status {status}"
    why = _why(printed)
    return f"Ray's process ended {how}" + (f": {why}" if why else f"; {log.name} may say why" if log else "")


def _why(printed: Path) -> str | None:
    """Give the fault of the machine that is among the last that was printed; None if there is none."""
    with contextlib.suppress(OSError), printed.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
        return faults.in_text(file.read().decode(errors="replace"))
    return None


def _check_workers_find_us() -> None:
    """Ray's workers look for modules first in the folder that the command was started in.

    Raises: NoRay if there they would find other source under one of our packages' names.
    """
    if other := shadowed(here := Path.cwd()):
        raise NoRay(f"{here}, where Ray's workers look first, holds another {other}: start the command elsewhere")


@contextlib.contextmanager
def _started(address: str | None, place: Scratch) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """Start the process; at the end it ends Ray and itself, or is killed."""
    here, there = Pipe()
    code = f"import sys; sys.path[:] = {sys.path!r}; from nas.cluster.driver import serve; serve({there.fileno()})"
    with here, (place.folder / OUTPUT).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", code],
            env=environment(address),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(there.fileno(), place.lock),
            start_new_session=True,  # a Ctrl-C is for who waits for it
        )
        there.close()
        try:
            main = getattr(sys.modules["__main__"], "__file__", None)
            setup = Setup(address, place.folder, tuple(sys.path), tuple(sys.argv), main)
            with contextlib.suppress(BrokenPipeError):
                here.send_bytes(pickle.dumps(setup))
            yield process, here
        finally:
            here.close()  # it ends by that
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
            _kill_group(process)  # also what outlived it
            process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def environment(address: str | None) -> dict[str, str]:
    """The environment of Ray's process: tokens always; on one machine one that nobody else knows, and loopback only."""
    # Without this, what still runs there when Ray is ended, Ray Tune above all, would start another one.
    usual = {**os.environ, "RAY_ENABLE_AUTO_CONNECT": "0"}
    if address is not None:
        return {"RAY_AUTH_MODE": "token", **usual}
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
        usual.pop(name, None)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    # By the first Ray binds to 127.0.0.1 alone, on every system; by the second it starts no process for each CPU ahead,
    # which Tune's trials, with resources of their own, could not use.
    return usual | token | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_prestart_worker_first_driver": "0"}
