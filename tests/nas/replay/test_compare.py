"""Algorithms compared on a run from Python, as `nas replay` does it."""

import json

import pytest

from nas.architectures import winner
from nas.cli import main
from nas.replay.compare import compare_algorithms
from nas.replay.replay import replay
from nas.replay.table import read_trials
from nas.runs.folder import read_config
from search_space.space import SearchSpace


def test_a_run_has_its_space_with_it(run, tmp_path, capsys):
    """A run folder needs nothing else; the records are those of `replay`; three files only when it is told to write."""
    compared = compare_algorithms(run, algorithms=["random", "evolution"], seeds=3, trials=5)
    space = SearchSpace.from_dict(read_config(run)["space"])
    assert list(compared.records) == replay(space, read_trials(run), ["random", "evolution"], 3, budget=5)
    assert compared.best_reward == winner(run).reward
    paths = compared.write(tmp_path / "out")
    assert [path.name for path in paths] == ["replay.json", "replay.csv", "replay.png"]
    assert [record["algorithm"] for record in json.loads(paths[0].read_text())] == ["random", "evolution"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr() == ("", "")


def test_the_command_tells_ways_apart_that_differ(run, capsys):
    """Workers and early stopping are columns where there are several; hours are bounded by a number above 0."""
    about = ["replay", str(run), "--algorithm", "random", "--seeds", "2"]
    assert main([*about, "--workers", "1,2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[:3] == ["algorithm", "workers", "got"]
    assert [line.split()[:2] for line in printed[3:5]] == [["random", "1"], ["random", "2"]]
    assert main(about) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["algorithm", "got"]
    assert main([*about, "--hours", "-1"]) == 2
    assert "hours must be above 0, got -1" in capsys.readouterr().err


def test_settings_reach_their_algorithm(run):
    """A setting of an algorithm goes to it alone; one that it refuses is an error."""
    with pytest.raises(ValueError, match="population"):
        compare_algorithms(run, algorithms=["random", "evolution"], seeds=1, settings={"evolution": {"population": -1}})


def test_a_file_needs_a_space(tmp_path):
    """Of a CSV nobody knows what its columns are decisions of."""
    (tmp_path / "t.csv").write_text("a,accuracy\n")
    with pytest.raises(ValueError, match=r"t\.csv is no run folder; give the space"):
        compare_algorithms(tmp_path / "t.csv")
