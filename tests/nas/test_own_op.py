"""An op registered from outside, with options that are decisions, through what stands on search_space."""

import csv
import dataclasses
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.algorithms import ALGORITHMS
from nas.algorithms.features import Features
from nas.analysis import load
from nas.analysis.frame import decision_columns
from nas.commands.trial_table import show_winner
from nas.export.export import export_network
from nas.export.names import DIALECTS
from nas.measure.estimate import fit, named_costs
from nas.replay.table import read_trials
from nas.runs.trial import Trial
from scaling.residuals import _fields
from search_space.architecture import Architecture, Stage
from search_space.cost import count
from search_space.network import build_network
from search_space.ops import OPS
from search_space.space import SearchSpace

FOLDER = Path(__file__).parents[1] / "search_space" / "ops"  # where ghost.py is
STAGE = {"layers": [1, 2], "kernel_size": 3, "expansion": 1, "channels": 8, "stride": 2}
OPTIONS = {"ratio": [1, 2, 5], "gate": ["none", "per_channel"]}


@pytest.fixture(autouse=True)
def ghost(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    op = importlib.import_module("ghost").GHOST
    OPS.pop("ghost", None)  # which importing it for the first time put there
    monkeypatch.setitem(OPS, "ghost", op)


@pytest.fixture
def space():
    """3 of its 5 decisions are of one stage: with mbconv two of them are none. 2 * (1 + 3 * 2) * 2 * 3 = 84."""
    stages = [
        {"op": ["mbconv", "ghost"], **STAGE, "options": OPTIONS},
        {"op": "ghost", **STAGE, "layers": 1, "kernel_size": [3, 5], "options": {"ratio": [1, 2, 5]}},
    ]
    record = {"stem_channels": 4, "head_channels": 8, "stages": stages, "image_size": 16}
    return SearchSpace.from_dict(record)


def test_a_number_is_ordered_and_a_word_is_not(space):
    """Near ratios are alike, gates are equally unlike; what is inactive has no effect at all."""
    features = Features(space, by_stage=False)
    tables = dict(zip([d.name for d in space.decisions], features.tables, strict=True))
    ratio = tables["stage2_ratio"] @ tables["stage2_ratio"].T
    assert ratio[0, 1] > ratio[0, 2]
    codes = np.array([space.encode(a) for a in space])
    assert len(codes) == space.size == 84
    effects = features.columns(codes)[0][:, features.decision_columns]
    columns = {block.name: block.columns for block in features.blocks if block.name in tables}
    without = codes[:, 0] == 0
    for name in ("stage1_ratio", "stage1_gate"):
        assert (effects[without][:, columns[name]] == 0).all()
        assert effects[~without][:, columns[name]].any(axis=1).all()
    totals = np.array([count(space.decode(code), 16) for code in codes])
    np.testing.assert_array_equal(features.costs.totals(codes), totals)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_searches_it(space, name):
    """Whatever is proposed has one encoding and is proposed once, over a third of the space."""
    if name == "tpe":
        pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")
    algorithm = ALGORITHMS[name](space, 1)
    seen = set()
    for number in range(28):
        architecture = algorithm.ask().architecture
        proposal = algorithm.pending[architecture.arch_id]
        seen.add(architecture.arch_id)
        assert space.decode(space.encode(architecture)) == architecture
        params = count(architecture, 16, 4).params
        algorithm.tell(
            Trial(
                architecture,
                "ok",
                trial_id=number,
                proposed_by=proposal.proposed_by,
                parents=proposal.parents,
                proposal=proposal.notes,
                params=params,
                p_normalised=params / 400,
                s_normalised=1.0,
                accuracy=0.5 + 0.1 * (architecture.stages[0].op == "ghost"),
                reward=0.5 + 0.1 * (architecture.stages[0].op == "ghost"),
                w=-0.07,
                v=-0.05,
            )
        )
    assert len(seen) == 28


def test_estimates_tell_the_op_apart(space):
    """A step time that is all ghost's MACs is fitted by op; an op that was not measured is beyond what is known."""
    architectures = list(space)
    costs = [named_costs(a, 16, 4, 3) for a in architectures]
    times = [each["macs_ghost"] + 20 * each["macs_mbconv"] for each in costs]
    found = fit(architectures, times, 16, 4, 3)
    assert set(found.ops) == {"mbconv", "ghost"}
    assert found.predict(architectures[-1], 16) == pytest.approx(times[-1], rel=0.05)
    other = Architecture(4, (Stage("fused_mbconv", 1, 3, 1, 8, 2),), 8)
    assert found.terms.startswith("MACs, activations and layers by op")
    assert found.beyond(other, 16) == np.inf


def trials_of(space):
    for number, architecture in enumerate(list(space)[::7]):
        yield Trial(architecture, "ok", trial_id=number, accuracy=0.5, s_normalised=1.0, p_normalised=1.0, reward=0.5)


def test_options_are_columns_of_the_trial_table(space, tmp_path):
    """`stage1_ratio` beside `stage1_layers`; missing where the op has no ratio. The table is read back as a log."""
    trials = list(trials_of(space))
    lines = [json.dumps(trial.to_dict()) for trial in trials]
    (tmp_path / "trials.jsonl").write_text("\n".join(lines) + "\n")
    frame = load(tmp_path / "trials.jsonl")
    assert {"stage1_ratio", "stage1_gate", "stage2_ratio"} <= set(decision_columns(frame))
    for (_, row), trial in zip(frame.iterrows(), trials, strict=True):
        first = trial.architecture.stages[0]
        assert row["stage1_ratio"] == first.options["ratio"] if first.options else np.isnan(row["stage1_ratio"])
        assert row["stage2_ratio"] == trial.architecture.stages[1].options["ratio"]
    table = frame[[*decision_columns(frame), "accuracy"]].assign(step_time=1.0, params=1.0)
    table.to_csv(tmp_path / "t.csv", index=False)
    assert [t.architecture for t in read_trials(tmp_path / "t.csv", space)] == [t.architecture for t in trials]
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    rows[-1]["stage1_ratio"] = ""
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[-1:])
    with pytest.raises(ValueError, match="line 2: stage1_ratio is empty"):
        read_trials(tmp_path / "t.csv", space)


def test_the_stage_table_says_options(space, capsys):
    """A winner of which one cannot read the ratio could not be built again."""
    trial = next(t for t in trials_of(space) if t.architecture.stages[0].op == "ghost")
    show_winner(dataclasses.replace(trial, image_size=16))
    assert f"ratio {trial.architecture.stages[0].options['ratio']}" in "".join(capsys.readouterr().out.split("\n"))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("to", ["json", "torchscript", "onnx"])
def test_it_is_exported(to, tmp_path):
    """The files hold the op's own layers; logits are equal."""
    if to == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    architecture = Architecture(4, (Stage("ghost", 2, 3, 1, 8, 2, options={"ratio": 3, "projects": True}),), 8)
    network = build_network(dataclasses.replace(architecture, image_size=16), 3).eval()
    path = export_network(network, to, tmp_path, recipe={}, provenance={})[0]
    if to == "torchscript":
        x = torch.randn(2, 3, 16, 16)
        torch.testing.assert_close(torch.jit.load(path)(x), network(x))
    if to == "json":
        assert json.loads(path.read_text())["architecture"]["stages"][0]["options"] == {"projects": True, "ratio": 3}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_that_it_has_not_are_refused_in_a_line(dialect):
    """timm and torchvision have no such block."""
    with pytest.raises(ValueError, match=f"stage 1: {dialect} has no block for op 'ghost'"):
        DIALECTS[dialect](Architecture(4, (Stage("ghost", 1, 3, 1, 8, 2),), 8))


def test_residuals_name_options():
    """A family that differs in an option shows it."""
    ours, theirs = (Architecture(4, (Stage("ghost", 1, 3, 1, 8, 2, options={"ratio": n}),), 8) for n in (2, 3))
    (row,) = _fields("s", ours, theirs)
    assert (row.name, row.ours, row.published) == ("stage1_ratio", 2, 3)
