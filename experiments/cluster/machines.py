"""Several machines on one: Linux namespaces with a disk, a network card and processes of their own, and a switch.

    from experiments.cluster.machines import machines, why_not     # the repository's root must be on sys.path

    if reason := why_not():
        pytest.skip(reason)                                        # no root, no user namespaces, no `ip`
    with machines(3) as (head, first, second):
        head.start_head()                                          # Ray's daemons, real ones; no places for trials
        first.join(head), second.join(head, cpus=2)
        head.file("/tmp/config.yaml").write_text(...)              # /tmp, /dev/shm and the home folder are its own
        search = head.start("python", "-m", "nas.cli", "search", "/tmp/config.yaml", "--address", head.ray)
        second.cable(False)                                        # out: packets vanish, nobody is told
        second.power_off()                                         # all its processes are gone, its disk, too
        os.kill(child(search.pid), signal.SIGTERM)                 # `search` itself is only what waits for it out here
        search.communicate()

A machine sees the real one's files but for /tmp, /dev/shm, /proc and /etc/hosts; the repository and Python are shared
even if they lie in /tmp. `environment` of a machine is that of whatever is started there afterwards, so a node without
a plug-in is one whose PYTHONPATH lacks it; `first.run("mount", ...)` lays anything over anything, there alone. When the
process that made the machines ends, however it does, they are gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NEEDED = ("hostname", "ip", "mount", "nsenter", "setsid", "sh", "unshare")
_OWN = ("--net", "--mount", "--uts", "--pid")
_NEW = (*_OWN, "--fork", "--mount-proc")
# PID 1 of a machine: its children are reaped by the kernel, and it ends with whoever holds the other end of the pipe.
_SWITCH = """
set -e; trap '' CHLD
mount --make-rprivate /
ip link add switch type bridge
ip link set switch up
echo up; exec cat
"""
_MACHINE = """
set -e; trap '' CHLD; name=$1 disk=$2 size=$3; shift 3
mount --make-rprivate /
mount -t tmpfs -o size="$size" disk "$disk"
mkdir -p "$disk/home"
for kept; do mkdir -p "$disk${kept#/tmp}"; mount --rbind "$kept" "$disk${kept#/tmp}"; done
cp "$disk.hosts" "$disk/hosts"
mount --rbind "$disk" /tmp
mount -t tmpfs shm /dev/shm
mount --bind /tmp/hosts /etc/hosts
hostname "$name"
ip link set lo up
echo up; exec cat
"""


@dataclass
class Machine:
    """One of the machines."""

    name: str  # of the host
    address: str
    pid: int  # of its PID 1, as the real machine counts
    holder: subprocess.Popen[str] = field(repr=False)  # ends with the machine, which ends with its standard input
    switch: int  # the process that holds the switch
    environment: dict[str, str] = field(repr=False)

    @property
    def ray(self) -> str:
        """The address of the Ray cluster whose head this machine is."""
        return f"{self.address}:6379"

    def file(self, path: str) -> Path:
        """Give a path of the machine's as it is reached from outside, for reading and writing."""
        return Path(f"/proc/{self.pid}/root{path}")

    def command(self, *words: str) -> list[str]:
        """Give what starts a command in the machine when it is run here."""
        return [*_enter(self.pid, *_OWN), "sh", "-c", 'cd /tmp; exec "$@"', "sh", *words]

    def start(self, *words: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command, in a session of its own; what it prints, errors too, is to be read from `stdout`.

        Returns: what waits for it out here and ends as it does; signals go to its `child`, or that one's group.
        """
        return subprocess.Popen(
            self.command("setsid", *words), env=self.environment, stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *words: str, timeout: float = 60) -> str:
        """Run a command to its end and give its output. Raises: RuntimeError with the output if its status is not 0."""
        done = subprocess.run(
            self.command(*words), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(words)}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def start_head(self, cpus: int = 0) -> None:
        """Start a Ray cluster here."""
        self._start_ray("--head", "--port=6379", "--include-dashboard=false", "--no-monitor", f"--num-cpus={cpus}")

    def join(self, head: Machine, cpus: int = 1) -> None:
        """Join the Ray cluster of a head."""
        self._start_ray(f"--address={head.ray}", f"--num-cpus={cpus}")

    def _start_ray(self, *arguments: str) -> None:
        own = (f"--node-ip-address={self.address}", "--object-store-memory=80000000", "--disable-usage-stats")
        own += ("--include-log-monitor=false",)  # a process less: nobody wants to see what workers print
        self.run(str(Path(sys.executable).with_name("ray")), "start", *arguments, *own, timeout=200)

    def stop_ray(self, *parts: str) -> None:
        """End Ray's daemons and workers here at once, or only what has one of some texts in its command line."""
        for pid in self.processes(*(parts or ("ray::", "/ray/"))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self, *parts: str) -> list[int]:
        """Give the processes of the machine, as the real one counts, whose command line has one of some texts in it."""
        here, found = Path(f"/proc/{self.pid}/ns/pid").readlink(), []
        for path in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if path.name.isdigit() and (path / "ns" / "pid").readlink() == here:
                    line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if any(part in line for part in parts):
                        found.append(int(path.name))
        return found

    def cable(self, plugged: bool) -> None:
        """Pull the machine's network cable out, or plug it in again."""
        words = ("ip", "link", "set", f"port-{self.name}", "up" if plugged else "down")
        subprocess.run([*_enter(self.switch, "--net"), *words], check=True)

    def power_off(self) -> None:
        """Let the machine vanish: its cable first, so that no connection is closed."""
        if self.holder.poll() is None:
            self.cable(False)
            os.kill(self.pid, signal.SIGKILL)
            self.holder.wait()


@contextlib.contextmanager
def machines(count: int, *, disk_mb: int = 4000) -> Iterator[list[Machine]]:
    """Make machines `node0`, `node1`, ... with the addresses 10.77.0.1, 10.77.0.2, ...

    Args:
        disk_mb: size of each machine's /tmp; it is memory, and taken as it fills.
    Raises: RuntimeError if that cannot be done here; `why_not` says so before.
    """
    holders: list[subprocess.Popen[str]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="machines-") as folder:
            made = _made(count, disk_mb, Path(folder), holders)
        yield made
    finally:
        for holder in reversed(holders):
            holder.communicate(timeout=60)  # closes its standard input, with which it ends


def _made(count: int, disk_mb: int, folder: Path, holders: list[subprocess.Popen[str]]) -> list[Machine]:
    """Make the switch and the machines; `folder` is needed no more when they are up."""
    holders.append(_hold([*_unshare(), "sh", "-c", _SWITCH]))
    switch, made = child(holders[0].pid), []
    addresses = {f"node{number}": f"10.77.0.{number + 1}" for number in range(count)}
    hosts = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items())
    for name, address in addresses.items():
        disk = folder / name
        disk.mkdir()
        disk.with_suffix(".hosts").write_text(hosts)
        script = ["sh", "-c", _MACHINE, "sh", name, str(disk), f"{disk_mb}m", *_kept()]
        holders.append(_hold([*_enter(switch, "--mount", "--pid"), "unshare", *_NEW, *script]))
        # What enters a PID namespace forks, and what makes one forks again.
        pid = child(child(holders[-1].pid))
        made.append(Machine(name, address, pid, holders[-1], switch, _environment()))
        _plug_in(made[-1])
    return made


@cache
def why_not() -> str | None:
    """Say in a line why machines cannot be made here, or None."""
    if missing := [name for name in _NEEDED if not shutil.which(name)]:
        return f"no {', '.join(missing)} here"
    try:
        with machines(1):
            return None
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return f"the kernel lets us make no machines: {' '.join(str(error).split())[:200]}"


def child(pid: int) -> int:
    """Give the one child of a process: what runs inside of a machine, where the process is what entered it."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _unshare() -> list[str]:
    """The first command: who is not root becomes one among namespaces of their own."""
    return ["unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), *_NEW]


def _enter(pid: int, *namespaces: str) -> list[str]:
    user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
    return ["nsenter", f"--target={pid}", *user, *namespaces]


def _hold(command: Sequence[str]) -> subprocess.Popen[str]:
    """Start what is to be PID 1 of namespaces and wait until it says that it is up."""
    pipe = subprocess.PIPE
    holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    assert holder.stdout
    assert holder.stderr
    if holder.stdout.readline() != "up\n":
        raise RuntimeError(holder.stderr.read())
    return holder


def _plug_in(machine: Machine) -> None:
    """Connect a machine with the switch."""
    port = f"port-{machine.name}"
    outside = _enter(machine.switch, "--net")
    inside = _enter(machine.pid, "--net")
    for command in (
        [*outside, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(machine.pid)],
        [*outside, "ip", "link", "set", port, "master", "switch", "up"],
        [*inside, "ip", "address", "add", f"{machine.address}/24", "dev", "eth0"],
        [*inside, "ip", "link", "set", "eth0", "up"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


def _kept() -> list[str]:
    """What must be seen in a machine, though it lies where its own disk goes."""
    needed = {ROOT, Path(sys.prefix), Path(sys.base_prefix)}
    return sorted(str(path) for path in needed if path.is_relative_to("/tmp"))


def _environment() -> dict[str, str]:
    """What processes of a machine are started with: little, and nothing of the terminal's or of another Ray."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        "PATH": path,
        "HOME": "/tmp/home",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_raylet_start_wait_time_s": "150",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
