"""Families from Python: what `nas scale` does, as one call that neither prints nor writes."""

import doctest
import json

import pytest

import nas.families.family
import nas.families.published
from nas.architectures import find, winner
from nas.families import Measuring, explain, scale
from scaling.family import read_family
from search_space.block_strings import from_block_strings
from search_space.cost import count
from search_space.families import published

BLOCKS = ("r1_k3_s1_e1_i8_o8_c1", "r2_k3_s2_e4_i8_o16_se0.25")


@pytest.fixture
def timed(run):
    """The run, with step times in proportion to MACs."""
    records = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in records:
        if record["status"] == "ok":
            record |= {"s_normalised": record["macs"] / 1e7, "step_time_ms": record["macs"] / 1e6}
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return run


@pytest.mark.parametrize("module", [nas.families.family, nas.families.published])
def test_the_examples_are_true(module):
    """What the docstrings print is what comes out."""
    assert doctest.testmod(module).failed == 0


def test_nothing_is_printed_or_written(timed, capsys, tmp_path, monkeypatch):
    """A call gives its result; the family goes to a folder only when it is told to, with the call as provenance."""
    monkeypatch.chdir(tmp_path / "..")
    before = sorted(tmp_path.rglob("*"))
    grown = scale(timed, to=["m"])
    assert capsys.readouterr() == ("", "")
    assert sorted(tmp_path.rglob("*")) == before
    grown.write(tmp_path / "family")
    assert capsys.readouterr() == ("", "")
    assert [one.params for one in read_family(tmp_path / "family")] == [grown.members[0].params]
    said = json.loads((tmp_path / "family" / "family.json").read_text())["provenance"]
    assert said["command"] == f"nas.scale({str(timed)!r}, to=['m'], rule='late_growth')"
    assert said["step_time"] == grown.step_times
    assert f"# Made by:  {said['command']}" in (tmp_path / "family" / "m.yaml").read_text()


def test_a_run_gives_winner_classes_and_step_times(timed):
    """Of a run folder: its winner is the start, counted with the run's classes, and step times come from its log."""
    grown = scale(timed, to=["m"])
    best = winner(timed)
    assert grown.found.run == timed
    assert grown.start.architecture.stages == best.architecture.stages
    assert grown.rows()[0]["arch_id"] == best.arch_id
    assert grown.start.params == count(best.architecture, 16, *grown.found.classes).params
    assert grown.start.step_time == pytest.approx(1)
    assert grown.start.is_estimate is True
    assert "estimated from 10 trials" in grown.step_times
    larger = scale(timed, step_time={"slow": 1.5, "slower": 40})
    assert set(larger.beyond) == {"slower"}, "what is larger than any trial is named, and by how much"
    assert larger.beyond["slower"] > 1


def test_an_opened_run_stands_for_its_folder(timed):
    """Whoever opened a run in Python need not spell its folder."""
    from nas.analysis.run import open_run

    assert find(open_run(timed)) == find(timed) == find(str(timed))


def test_an_architecture_has_no_log(tmp_path):
    """Of an Architecture there are members, but no step times, and the family says why; a needed one is an error."""
    grown = scale(published("efficientnetv2_s"))
    assert [one.size for one in grown.members] == ["m", "l"]
    assert grown.members[0].step_time is None
    assert grown.step_times.startswith("no step times: ")
    assert "no log to estimate" in grown.step_times
    with pytest.raises(ValueError, match="has no log to estimate step times from"):
        scale(published("efficientnetv2_s"), step_time=2.0)


def test_why_there_are_no_step_times_is_said(run):
    """A run of too few trials is told to whoever listens, and stands in the family."""
    (run / "trials.jsonl").write_text("".join((run / "trials.jsonl").read_text().splitlines(True)[:5]))
    said = []
    grown = scale(run, say=said.append)
    assert said == [grown.step_times]
    assert "too few timed trials" in said[0]


def test_targets_are_numbers_under_names(timed):
    """A number, several, or names of one's own: each is a member that says what it was to reach and did."""
    one, several = scale("efficientnetv2_s", params=50e6), scale("efficientnetv2_s", params=[30e6, 50e6])
    assert [each.size for each in several.members] == ["params-30M", "params-50M"]
    assert one.members[0] == several.members[1]
    named = scale(timed, step_time={"slow": 3.0})
    assert named.members[0].size == "slow"
    assert named.members[0].notes["target"] == 3.0
    assert named.members[0].step_time == named.members[0].notes["reached"]
    assert [each.size for each in scale(timed, step_time=[1.5, 3]).members] == ["step-time-1.5x", "step-time-3x"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": ["m", "m"]}, "size 'm' is given twice"),
        ({"to": ["huge"]}, "'huge'"),
        ({"params": [5e7, 5e7]}, "size 'params-50M' is given twice"),
        ({"params": 5e7, "macs": 8e9}, "one kind of target at a time, got params and macs"),
        ({"params": "50M"}, "params takes numbers, got '50M'"),
        ({"params": -1.0}, "target params must be positive and finite"),
        ({"params": {"a/b": 5e7}}, "size 'a/b' is no file name"),
        ({"rule": "late"}, "unknown rule 'late'; known: late_growth, from_base, uniform"),
        ({"image_size": 0}, "image_size must be >= 1, got 0"),
    ],
)
def test_bad_arguments_are_value_errors(arguments, message):
    """What is wrong is one line that names it."""
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        scale("efficientnetv2_s", **arguments)
    assert message in str(caught.value)


def test_a_file_is_no_folder(tmp_path):
    """A file is never written over."""
    (tmp_path / "family").write_text("mine")
    with pytest.raises(ValueError, match="is no folder"):
        scale("efficientnetv2_s").write(tmp_path / "family")
    assert (tmp_path / "family").read_text() == "mine"


def test_step_times_can_be_measured():
    """Real steps of a start given as an Architecture, told one by one; the start's own is 1 within its noise."""
    import torch

    torch.set_num_threads(1)
    said = []
    start = from_block_strings(list(BLOCKS), image_size=20)
    grown = scale(start, to=["l"], measure=Measuring("cpu", batch=4), say=said.append)
    assert grown.start.is_estimate is False
    assert grown.start.step_time == pytest.approx(1, abs=0.3)
    assert grown.members[0].step_time > 1.2
    assert [text.startswith("measured ") for text in said] == [True, True]
    assert grown.beyond == {}


def test_explain_has_a_row_for_every_difference():
    """Params and MACs of each size, beside the published and beside plain compound scaling, as `--explain` prints."""
    rows = {(row.size, row.name): row for row in explain("efficientnetv2_s", to=["m", "l"])}
    m = rows["m", "params"]
    assert m.published == count(published("efficientnetv2_m"), 480).params
    assert m.share == pytest.approx(m.ours / m.published - 1)
    assert m.uniform_share == pytest.approx(m.uniform / m.published - 1)
    assert (rows["m", "stage7_channels"].published, rows["m", "stage7_channels"].uniform) == (512, None)
    with pytest.raises(ValueError, match="unknown rule"):
        explain("efficientnetv2_s", rule="late")


def test_what_is_measured_is_the_step_of_the_runs_own_recipe(run):
    """Batch and optimiser are the run's; without a run, plain SGD and 32 images."""
    lines = (run / "config.yaml").read_text().replace("batch_size: 128", "batch_size: 24")
    (run / "config.yaml").write_text(lines.replace("optimizer: sgd", "optimizer: rmsprop"))
    found = scale(run, to=("m",), measure=Measuring("cpu"))
    assert "batch 24, rmsprop" in found.step_times
    found = scale(from_block_strings(BLOCKS), to=("m",), measure=Measuring("cpu"), image_size=16)
    assert "batch 32, sgd" in found.step_times


def test_recipes_know_the_runs_plug_ins_and_objective(timed, tmp_path):
    """A size trains by what the search trained by; settings at their default are not written."""
    lines = (timed / "config.yaml").read_text().replace("plugins: []", "plugins: [json]")
    (timed / "config.yaml").write_text(lines)
    scale(timed, to=("m",)).write(tmp_path / "family")
    recipe = (tmp_path / "family" / "m.yaml").read_text()
    assert 'plugins: ["json"]\ndata:' in recipe
    assert "options" not in recipe
