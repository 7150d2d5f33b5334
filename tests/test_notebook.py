"""In Jupyter: a real kernel runs a search with a bar and reads it."""

import pytest

CELLS = [
    """
import nas
config = nas.search_config(
    space={"name": "small", "image_size": 8}, image_size=8, device="cpu",
    data={"minival": 0.2, "subset": 128, "cache_dir": "cache"}, training={"epochs": 2, "batch_size": 64},
    step_time={"min_pairs": 2, "max_pairs": 2}, algorithm="random", search={"trials": 2, "workers": 2})
run = nas.run_search(config, folder="run")
run.ended.state
""",
    "run.dataframe()[['trial_id', 'status', 'reward']]",
    "run.winner.arch_id == run.best_trial.arch_id",
]


@pytest.mark.timeout(300)
def test_a_notebook_searches_with_a_bar(tmp_path, monkeypatch):
    """The bar is in the notebook's output, the table is a table, and nothing is printed as an error."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client = nbclient.NotebookClient(
        notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [cell["outputs"] for cell in notebook.cells]
    shown = "".join(str(output.get("data", "")) for output in outputs[0])
    assert "2/2" in shown
    assert "'finished'" in shown
    assert not [output for each in outputs for output in each if output["output_type"] == "error"]
    assert "<table" in outputs[1][0]["data"]["text/html"]
    assert outputs[2][0]["data"]["text/plain"] == "True"
