"""What `experiments/benchmarks/gpu.sh` does on a machine that has torch, pytest and little else."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GPU_TESTS = ["tests/nas/measure/test_gpu.py", "tests/nas/training/test_step.py", "tests/nas/data/test_batches.py"]


def run_tests(*arguments, **environment):
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment or None)


def test_the_script_names_the_command_that_is_tested_here():
    """So that a change of one is a change of the other."""
    line = 'run 110 "tests" "$python" -m pytest -q -m gpu -p no:cacheprovider --continue-on-collection-errors'
    assert line in (ROOT / "experiments" / "benchmarks" / "gpu.sh").read_text()


def test_the_tests_are_found_without_pytest_timeout():
    """Its setting and its marks are no errors where it is missing."""
    done = run_tests("-p", "no:timeout", "--collect-only", *GPU_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_gpu.py::test_timing_leaves_no_memory_taken" in done.stdout


def test_missing_packages_cost_the_tests_that_need_them_alone(tmp_path):
    """The step timer's tests run with torch, numpy and pytest."""
    for package in ("hypothesis", "pydantic", "ray", "sklearn", "pandas", "fvcore", "threadpoolctl"):
        (tmp_path / f"{package}.py").write_text(f"raise ImportError('no {package}')")
    arguments = ("-p", "no:timeout", "-p", "no:hypothesispytest", "--continue-on-collection-errors", "--collect-only")
    done = run_tests(*arguments, *GPU_TESTS, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert "test_gpu.py::test_timing_leaves_no_memory_taken" in done.stdout, done.stdout + done.stderr
