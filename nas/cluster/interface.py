"""By which network interface workers that train together talk: the one that their node has joined the cluster by."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray

_REACH_S = 10.0  # for one worker to reach another
_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface
HINT = "set GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME on every node to the interface by which nodes reach each other"


def name_interface() -> None:
    """Tell gloo and NCCL the interface of this node's address in the cluster, unless they were told.

    gloo takes that of the host's name, which on many hosts is the loopback; NCCL the first one that is up.
    """
    name = interface_of(ray.util.get_node_ip_address())
    if name is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={name}")  # NCCL would take it for a prefix


class NotReached(ValueError):
    """Workers would not find each other by the network interfaces that they were told."""


@dataclass(frozen=True)
class Door:
    """Where a worker is to be reached by the others, and who opens there."""

    host: str
    interface: str
    address: str
    port: int
    name: str  # nobody else's


def check_reached(execute: Callable[..., Sequence[Any]]) -> None:
    """Have each worker reach all others as gloo will, which would try for half an hour.

    Args:
        execute: runs a function in every worker and gives what they return, by their number.
    Raises: NotReached, with what to set.
    """
    doors = execute(open_door)
    faults = [each for each in doors if isinstance(each, str)] or [each for each in execute(knock, doors) if each]
    if faults:
        raise NotReached(f"{faults[0]}: {HINT}")


def open_door() -> Door | str | None:
    """Listen where gloo would, for as long as this process lives.

    Returns: where; a string if what the environment names is not there; None where the interface has no IPv4 address,
        so that it is left to gloo.
    """
    there = [name for _, name in socket.if_nameindex()]
    for variable, named in (("GLOO_SOCKET_IFNAME", _gloo), ("NCCL_SOCKET_IFNAME", _nccl)):
        if (value := os.environ.get(variable)) is not None and not named(value, there):
            return f"{variable}={value} on {socket.gethostname()}, where there is {', '.join(there)}"
    interface = next(iter(_gloo(os.environ.get("GLOO_SOCKET_IFNAME", ""), there)), None)
    if interface is None or (address := _address_of(interface)) is None:
        return None
    listener = socket.create_server((address, 0))
    door = Door(socket.gethostname(), interface, address, listener.getsockname()[1], uuid.uuid4().hex)
    threading.Thread(target=_answer, args=(listener, door.name), daemon=True).start()
    return door


def knock(doors: Sequence[Door | None]) -> str:
    """Say of the first door that cannot be reached from here that it cannot; empty if all can."""
    for door in filter(None, doors):
        heard = b""
        with contextlib.suppress(OSError), socket.create_connection((door.address, door.port), _REACH_S) as asked:
            heard = asked.makefile("rb").read()
        if heard != door.name.encode():  # such as one's own loopback
            here, there = socket.gethostname(), f"{door.host} at {door.address}, its interface {door.interface}"
            return f"the worker on {here} does not reach the one on {there}"
    return ""


def _answer(listener: socket.socket, name: str) -> None:
    while True:
        with contextlib.suppress(OSError), listener.accept()[0] as visitor:
            visitor.sendall(name.encode())


def _gloo(value: str, there: Sequence[str]) -> list[str]:
    """The interfaces that gloo would use: torch splits at commas and wants every one."""
    names = value.split(",")
    return names if set(names) <= set(there) else []


def _nccl(value: str, there: Sequence[str]) -> list[str]:
    """The interfaces that NCCL would use: names begin with one of those listed, after = are it, after ^ neither."""
    if value.startswith("^"):
        return [name for name in there if not _nccl(value[1:], [name])]
    listed = tuple(each.partition(":")[0] for each in value.removeprefix("=").split(","))
    return [name for name in there if (name in listed if value.startswith("=") else name.startswith(listed))]


def interface_of(address: str) -> str | None:
    """Give the name of the interface that has an IPv4 address; None where there is none, or no Linux to ask."""
    return next((name for _, name in socket.if_nameindex() if _address_of(name) == address), None)


def _address_of(interface: str) -> str | None:
    """The IPv4 address of an interface; None if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            answer = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return None
        return socket.inet_ntoa(answer[20:24])
