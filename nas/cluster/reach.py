"""Whether there is a Ray cluster at an address, said in seconds and in one line."""

from __future__ import annotations

import contextlib
import re
import socket

from nas.cluster.protocol import NoRay

_PORT = 6379  # Ray's own
_TCP_S = 5.0
_HINT = "docs: guides/cluster"


def check_reachable(address: str) -> None:
    """Check that something listens at the address of a cluster. Raises: NoRay."""
    host, port = _parsed(address)
    if not host:
        return  # `auto` and the like: Ray looks itself
    try:
        with contextlib.closing(socket.create_connection((host, port), _TCP_S)):
            pass
    except TimeoutError:
        raise NoRay(f"no host answers at {host}:{port} within {_TCP_S:g} s; --address is that of Ray's head") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoRay(f"no Ray cluster at {host}:{port}: {reason.lower()}; --address is that of Ray's head") from None


def refusal(address: str | None, printed: str) -> str:
    """Give why a cluster refuses this process, from what Ray's C++ code has printed; empty if it does not."""
    if re.search(
        r"InvalidAuthToken|authentication token is (invalid|incorrect|missing)|UNAUTHENTICATED", printed, re.I
    ):
        return f"the Ray cluster at {address} has another token than this process; {_HINT}"
    return ""


def no_token(address: str | None) -> str:
    """Say that a cluster is to be joined by token, and that there is none here."""
    remedy = "copy ~/.ray/auth_token of its head here, or set RAY_AUTH_MODE=disabled if it has none"
    return f"no token for the Ray cluster at {address}: {remedy}; {_HINT}"


def _parsed(address: str) -> tuple[str, int]:
    """Split `host:port`; empty host for what is no such thing."""
    if address in ("auto", "local") or "://" in address:
        return "", _PORT
    host, _, port = address.rpartition(":") if ":" in address else (address, "", str(_PORT))
    return (host.strip("[]"), int(port)) if port.isdecimal() else ("", _PORT)
