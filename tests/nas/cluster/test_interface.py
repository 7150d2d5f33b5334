"""Workers that train together try, before gloo does for half an hour, whether they reach each other."""

from dataclasses import replace

import pytest

from nas.cluster.interface import HINT, NotReached, check_reached, interface_of, open_door


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.delenv(variable, raising=False)


def execute(function, *arguments):
    """As if two workers were this process."""
    return [function(*arguments) for _ in range(2)]


@pytest.mark.parametrize(
    ("variable", "value", "there"),
    [
        ("GLOO_SOCKET_IFNAME", "{}", True),
        ("GLOO_SOCKET_IFNAME", "{},nosuch", False),
        ("NCCL_SOCKET_IFNAME", "={}", True),
        ("NCCL_SOCKET_IFNAME", "=nosuch,{}:1", True),
        ("NCCL_SOCKET_IFNAME", "nosuch", False),
        ("NCCL_SOCKET_IFNAME", "^nosuch", True),
        ("NCCL_SOCKET_IFNAME", "=", False),
    ],
)
def test_an_interface_that_is_not_there_is_named_at_once(monkeypatch, variable, value, there):
    """By gloo's rule and by NCCL's, with what is there and what to set; the loopback serves workers of one machine."""
    loopback = interface_of("127.0.0.1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", loopback)
    monkeypatch.setenv(variable, value := value.format(loopback))
    if there:
        check_reached(execute)
        return
    with pytest.raises(NotReached, match=rf"^{variable}={value} on .*, where there is .*{loopback}.*: set GLOO_SOC"):
        check_reached(execute)


def test_a_worker_that_the_others_do_not_reach_is_named(monkeypatch):
    """Nobody listens at its address, or another does, as where both name their loopback: one line says what to set."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", interface_of("127.0.0.1"))
    for change in ({"name": "another"}, {"address": "127.0.0.2"}):

        def others(function, *arguments, change=change):
            return (
                [replace(open_door(), host="node2", **change)] * 2
                if function is open_door
                else execute(function, *arguments)
            )

        with pytest.raises(NotReached, match=r"^the worker on .* does not reach the one on node2 at 127.*lo: set GLOO"):
            check_reached(others)
    assert "\n" not in HINT
