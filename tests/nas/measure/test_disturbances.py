import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from nas.measure import device_lock
from nas.measure.device_lock import lock_users
from nas.measure.disturbances import FOREIGN_PROCESS, THROTTLED, disturbances, watch

ME = os.getpid()


def nvml(pids, reasons):
    """The two questions asked of NVML, with given answers: no GPU can be made to overheat for a test."""
    return SimpleNamespace(
        nvmlDeviceGetComputeRunningProcesses=lambda _: [SimpleNamespace(pid=pid) for pid in pids],
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: reasons,
    )


@pytest.mark.parametrize(
    ("pids", "reasons", "expected"),
    [
        ([ME], 0, set()),
        ([ME, 11, 12], 0, set()),  # workers that use our lock
        ([ME, 11, 77], 0, {FOREIGN_PROCESS}),
        ([11, 77], 0, set()),  # numbers of another container: who is who cannot be known
        ([ME], 0x1 | 0x2 | 0x4, set()),  # idle, clocks set by the user, power cap: a normal life
        ([ME], 0x8, {THROTTLED}),  # slowdown by hardware
        ([ME], 0x20, {THROTTLED}),  # heat, by software
        ([ME], 0x40, {THROTTLED}),  # heat, by hardware
        ([ME], 0x80, {THROTTLED}),  # external power brake
        ([ME, 77], 0x40, {FOREIGN_PROCESS, THROTTLED}),
    ],
)
def test_strangers_and_slowdowns_are_noticed_and_nothing_else(pids, reasons, expected):
    """A process outside of the search, or lowered clocks, mark a pair; workers of the search and a power cap do not."""
    assert disturbances(nvml(pids, reasons), None, frozenset({11, 12})) == expected


def test_the_newer_name_of_the_question_goes_first():
    """NVML's older name for why clocks are low goes away with CUDA 14."""
    newer = SimpleNamespace(
        nvmlDeviceGetComputeRunningProcesses=lambda _: [], nvmlDeviceGetCurrentClocksEventReasons=lambda _: 0x40
    )
    assert disturbances(newer, None, frozenset()) == {THROTTLED}


def test_a_cpu_is_never_disturbed():
    """There is no NVML for a CPU; the timer goes on without."""
    assert watch(torch.device("cpu"))() == frozenset()


def test_only_living_users_of_the_lock_are_known(tmp_path, monkeypatch):
    """A worker that died long ago, and whose number another process may get, does not count as one of ours."""
    monkeypatch.setattr(device_lock, "lock_names", lambda _: ["gpu-x"])
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for number in (ME, gone.pid):
        (tmp_path / f"gpu-x.pid-{number}").touch()
    assert lock_users(torch.device("cuda", 0), tmp_path) == {ME}
    assert not (tmp_path / f"gpu-x.pid-{gone.pid}").exists()
