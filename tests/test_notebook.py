"""In Jupyter: the notebooks that come along run in a real kernel, and are committed with what they show."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"
NAMES = ("search", "analysis", "family")  # in this order: the later ones read the run of the first
QUICK = """
import nas
config = nas.search_config(
    space={"name": "small", "image_size": 8}, image_size=8, device="cpu",
    data={"minival": 0.2, "subset": 128, "cache_dir": "cache"}, training={"epochs": 2, "batch_size": 64},
    step_time={"min_pairs": 2, "max_pairs": 2}, algorithm="random", search={"trials": 10, "workers": 2})
nas.describe(config)
"""


def cells_of(name):
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells if cell["cell_type"] == "code"]


def pictures(outputs):
    return [output for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.timeout(300)
def test_the_notebooks_run_as_they_are(tmp_path, monkeypatch):
    """In one kernel, with a shorter search: the bar is shown, tables are tables, pictures are drawn, nothing fails."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    sources = [QUICK, *[cell["source"] for name in NAMES for cell in cells_of(name)][1:]]
    sources.append("run.winner.arch_id == run.best_trial.arch_id")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = nbclient.NotebookClient(
        notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [cell["outputs"] for cell in notebook.cells]
    shown = "".join(str(output.get("data", "")) for output in outputs[1])
    assert "10/10" in shown
    assert "'finished'" in shown
    assert not [output for each in outputs for output in each if output["output_type"] == "error"]
    assert "<table" in outputs[2][0]["data"]["text/html"]
    assert outputs[-1][0]["data"]["text/plain"] == "True"
    assert sum(len(pictures(each)) for each in outputs) == 3
    assert (tmp_path / "family" / "m.yaml").exists()


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_committed_with_what_they_show(name):
    """Who reads one in the repository sees its tables and pictures."""
    cells = cells_of(name)
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(cell["outputs"] for cell in cells if not cell["source"].startswith("import"))
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    drawn = sum("plt.show()" in cell["source"] for cell in cells)
    assert len(pictures(outputs)) == drawn
