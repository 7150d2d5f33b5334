"""What the large data set's benchmark says of a command is what the command did."""

import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HELD = 80  # MB


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_children_is_counted_and_a_kill_is_one(tmp_path: Path) -> None:
    """A child's memory is in the command's, and what is stopped ended by SIGKILL."""
    from experiments.benchmarks.large_dataset import watched

    rounds = iter([False, False, True])
    holds = f"b = bytearray(b'x') * ({HELD} << 20); import time; time.sleep(6)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holds!r}])"
    found = watched([sys.executable, "-c", parent], tmp_path / "log", lambda: next(rounds, True))
    assert found.status == -signal.SIGKILL
    assert HELD < found.peak_mb < HELD + 60
    assert HELD < max(found.resident_mb.values()) <= sum(found.resident_mb.values())
    assert len(found.resident_mb) >= 2
