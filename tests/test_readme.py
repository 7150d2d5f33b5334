"""README's file list follows the tree."""

import re
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
    text = (ROOT / "README.md").read_text()
    folder = path.parent.relative_to(ROOT).as_posix()
    part = re.search(rf"^`{folder}/`: .*?(?=^`|\Z)", text, flags=re.M | re.S)
    assert part, f"README has no part for {folder}/"
    assert f"* `{path.name}` " in part[0]


def test_no_line_is_of_a_file_that_is_gone():
    """The list holds no ghosts."""
    listed = re.findall(r"^\* `(\w+\.py)` ", (ROOT / "README.md").read_text(), flags=re.M)
    names = {path.name for path in FILES} | {"__init__.py"}
    assert set(listed) <= names
