"""By which network interface workers that train together talk: the one that their node has joined the cluster by."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

import ray

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


def interface_of(address: str) -> str | None:
    """Give the name of the interface that has an IPv4 address; None where there is none, or no Linux to ask."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has none
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
