"""README's blocks run as they are written; the list of files, docs/files.md, follows the tree."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli import main

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


# Commands that read, grow or export: quick enough to be run as a page has them, where what they need is there.
QUICK_WORDS = ("status", "best", "pareto", "trials", "explain", "report", "replay", "scale", "space", "export", "train")
LEFT_OUT = (
    "--watch",
    "--measure",
    "--figures",
    "--seeds 3",
    "--workers",
    "efficientnetv2_s ",
    "--to timm",
    "onnx",
    "hub-folder",
    "train_digits",
)


@pytest.mark.timeout(400)
def test_guides_work_as_written(tmp_path, monkeypatch, capsys):
    """The calls from Python, with a shorter configuration and fewer trials; then quick commands on what they left."""
    docs = ROOT / "docs"
    calls, callback = re.findall(r"```python\n(.*?)```", (docs / "guides" / "python.md").read_text(), flags=re.S)[:2]
    tables = re.findall(r"```python\n(.*?)```", (docs / "guides" / "logs.md").read_text(), flags=re.S)
    reading = re.findall(r"```python\n(.*?)```", (docs / "start.md").read_text(), flags=re.S)
    (tmp_path / "digits.yaml").write_text(QUICK)
    (tmp_path / "space.yaml").write_text(
        re.findall(r"```yaml\n(.*?)```", (docs / "guides" / "space.md").read_text(), re.S)[0]
    )
    assert 'load_config("digits")' in calls  # which would take minutes
    (tmp_path / "script.py").write_text(
        calls.replace("trials=32", "trials=10").replace('load_config("digits")', 'load_config("digits.yaml")')
        + callback.replace("config,", "config, trials=2,")
        + "assert len(run.trials) == 10\n"
        + "\n".join((*reading, *tables))
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
    monkeypatch.chdir(tmp_path)
    ran = [
        line
        for path in sorted((*docs.glob("*.md"), *docs.glob("[a-z]*/*.md")))
        for line in quick_commands(path)
        if is_there(line, tmp_path)
    ]
    assert len(ran) > 15
    for line in dict.fromkeys(ran):
        assert main(shlex.split(line, comments=True)[1:]) == 0, f"{line}: {capsys.readouterr().err}"


def quick_commands(path):
    """The lines of a page's blocks that are commands which start no Ray and measure nothing."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", path.read_text(), flags=re.S)).splitlines()
    return [
        line
        for line in lines
        if line.startswith(tuple(f"nas {word} " for word in QUICK_WORDS)) and not any(part in line for part in LEFT_OUT)
    ]


def is_there(line, folder):
    """Whether every file and folder that a command reads is there; what it writes comes after --out or --figures."""
    read = re.sub(r"--(?:out|figures|to) \S+", "", line)
    return all((folder / each).exists() for each in re.findall(r"\S+(?:/|\.yaml|\.json|\.pt)\S*", read))
