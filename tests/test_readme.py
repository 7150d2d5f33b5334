"""README's blocks run as they are written; the list of files, docs/files.md, follows the tree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for package in ("search_space", "rewards", "scaling", "nas", "experiments")
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_has_its_line(path):
    """Who looks for a thing finds the file that has it."""
    text = (ROOT / "docs" / "files.md").read_text()
    folder = path.parent.relative_to(ROOT).as_posix()
    part = re.search(rf"^`{folder}/`: .*?(?=^`|\Z)", text, flags=re.M | re.S)
    assert part, f"docs/files.md has no part for {folder}/; see docs/file_list.py"
    assert f"* `{path.name}` " in part[0]


def test_no_line_is_of_a_file_that_is_gone():
    """The list holds no ghosts."""
    listed = re.findall(r"^\* `(\w+\.py)` ", (ROOT / "docs" / "files.md").read_text(), flags=re.M)
    names = {path.name for path in FILES} | {"__init__.py"}
    assert set(listed) <= names


QUICK = """
space: {name: small, image_size: 16}
image_size: 16
data: {source: digits, minival: 0.2, subset: 128, cache_dir: cache}
training: {epochs: 1, batch_size: 64}
step_time: {min_pairs: 2, max_pairs: 2}
algorithm: random
search: {trials: 8, workers: 2}
device: cpu
"""


@pytest.mark.timeout(400)
def test_the_calls_from_python_work_as_written(tmp_path):
    """Both blocks, one after the other, with a shorter configuration in place of the digits' and fewer trials."""
    text = (ROOT / "README.md").read_text().split("## From Python")[1]
    calls, callback = re.findall(r"```python\n(.*?)```", text, flags=re.S)[:2]
    (tmp_path / "experiments" / "configs").mkdir(parents=True)
    (tmp_path / "experiments" / "configs" / "digits.yaml").write_text(QUICK)
    (tmp_path / "script.py").write_text(
        calls.replace("trials=32", "trials=9")
        + callback.replace("config,", "config, trials=2,")
        + "assert len(run.trials) == 9"
    )
    environment = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "script.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, timeout=390, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\d ok ", done.stdout, flags=re.M)) == 2
    assert (tmp_path / "exported" / "model.torchscript.pt").exists()
    assert (tmp_path / "runs" / "digits" / "report.html").exists()
