import threading
import time

import pytest
import torch

from nas.measure.clock import choose_clock

CPU = torch.device("cpu")


@pytest.fixture
def threads():
    return torch.set_num_threads  # put back by conftest


def test_one_cpu_thread_is_timed_in_its_own_time(threads):
    """Sleep, and work of another thread, do not count: a busy host or a worker's heartbeat leaves step times alone."""
    threads(1)
    name, clock = choose_clock("auto", CPU)
    start, other = clock(), threading.Thread(target=lambda: sum(range(3_000_000)))
    other.start()
    time.sleep(0.05)
    other.join()
    idle = clock() - start
    sum(range(3_000_000))
    assert name == "cpu"
    assert clock() - start - idle > 5 * idle


def test_several_threads_and_gpus_are_timed_in_wall_time(threads):
    """Where the work is done elsewhere than in the calling thread, its CPU time would be a quiet wrong number."""
    threads(2)
    assert choose_clock("auto", CPU)[0] == "wall"
    threads(1)
    assert choose_clock("auto", torch.device("cuda", 0))[0] == "wall"
    assert choose_clock("wall", CPU)[0] == "wall"


@pytest.mark.parametrize(("device", "n"), [("cpu", 2), ("cuda:0", 1)])
def test_cpu_clock_is_refused_where_it_would_lie(threads, device, n):
    """Asked for by name, it is an error, not a silent other clock."""
    threads(n)
    with pytest.raises(ValueError, match="clock 'cpu' needs device cpu with one thread, got"):
        choose_clock("cpu", torch.device(device))
