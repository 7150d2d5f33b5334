"""Run the notebooks, one after the other in one folder, and keep what they show: `execute.py [FOLDER]`.

The first searches (about four minutes on two cores), the others read its run. In a FOLDER that has the run already, as
`runs/digits`, it goes on with it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbclient
import nbformat

HERE = Path(__file__).resolve().parent
NOTEBOOKS = ("search", "analysis", "family")  # in this order


def execute(folder: Path) -> None:
    """Run each in `folder`, and write it back with its outputs."""
    for name in NOTEBOOKS:
        path = HERE / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources).execute()
        for cell in notebook.cells:
            cell.metadata = {}  # when it ran
        nbformat.write(notebook, path)


if __name__ == "__main__" and sys.argv[1:]:
    execute(Path(sys.argv[1]))
elif __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        execute(Path(scratch))
