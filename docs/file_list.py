"""Write docs/files.md: every file of the project in one line, the first sentence of its docstring.

python docs/file_list.py        # after a file was added, or its first sentence changed
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("search_space", "rewards", "scaling", "nas", "experiments")

# Every folder with Python files, in the order of the page, and what it is for. A new folder gets its line here.
FOLDERS = {
    "search_space": "what exists",
    "search_space/ops": "ops, one file each",
    "rewards": "what is good",
    "scaling": "how a winner grows",
    "nas": "the public calls, and what stands alone",
    "nas/commands": "the command's words",
    "nas/config": "YAML or Python objects -> typed records",
    "nas/runs": "what a run folder is",
    "nas/data": "any source -> arrays -> batches",
    "nas/data/sources": "readers",
    "nas/training": "one network",
    "nas/measure": "what a candidate costs",
    "nas/algorithms": "ask and tell",
    "nas/trials": "what a worker does with one candidate",
    "nas/cluster": "Ray",
    "nas/search": "Config -> finished run",
    "nas/trackers": "callbacks",
    "nas/full_training": "one architecture in full",
    "nas/claims": "what may be claimed",
    "nas/report": "a run as one page",
    "nas/families": "a winner's sizes",
    "nas/replay": "logs as benchmarks",
    "nas/analysis": "tables and pictures",
    "nas/export": "other tools",
    "experiments/plugins/mylab": "a plug-in package",
    "experiments/benchmarks": "figures of the toolkit itself",
    "experiments/cluster": "searches on a cluster",
}
WITH_INIT = ("nas", "experiments/plugins/mylab")  # folders whose __init__.py says more than what the folder is
BEGIN, END = "<!-- list: python docs/file_list.py writes it -->", "<!-- end of the list -->"


def first_sentence(path: Path) -> str:
    """Give the first sentence of a module's docstring, without its full stop."""
    opening = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return re.split(r"(?<=[a-z0-9)`])\. (?=[A-Z`])", opening.replace("\n", " "))[0].rstrip(".")


def file_list(root: Path) -> str:
    """Give the list of the tree below `root`, as Markdown. Raises ValueError for a folder that FOLDERS lacks."""
    files = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    folders = {path.parent.relative_to(root).as_posix() for path in files if path.name != "__init__.py"}
    if unknown := sorted(folders - set(FOLDERS)):
        raise ValueError(f"docs/file_list.py: FOLDERS has no line for {', '.join(unknown)}")
    parts = []
    for folder, about in FOLDERS.items():
        listed = [
            path
            for path in files
            if path.parent == root / folder and (path.name != "__init__.py" or folder in WITH_INIT)
        ]
        if listed:
            lines = "\n".join(f"* `{path.name}` {first_sentence(path)}" for path in listed)
            parts.append(f"`{folder}/`: {about}\n\n{lines}\n")
    return "\n".join(parts)


def write(root: Path = ROOT) -> None:
    """Bring the page up to date."""
    page = root / "docs" / "files.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{file_list(root)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write())
