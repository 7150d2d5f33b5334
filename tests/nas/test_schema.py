"""The JSON schema of a configuration: it takes what the toolkit takes, and refuses what an editor can see is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import nas
from nas.cli import main
from search_space import yaml_text

CONFIGS = Path(__file__).parents[2] / "experiments"
SHIPPED = sorted((CONFIGS / "configs").rglob("*.yaml"))
VALID = {of: jsonschema.Draft202012Validator(nas.config_schema(of)) for of in ("search", "training")}
SMALL = {"space": {"name": "small"}, "image_size": 32}


def faults(given, of="search"):
    return [error.message for error in VALID[of].iter_errors(given)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid(path):
    """An editor marks nothing in what comes along."""
    of = "training" if path.parent.name == "train" else "search"
    assert faults(yaml_text.load(path.read_text()), of) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"traning": {}},
        {"training": {"epoch": 3}},
        {"training": {"epochs": 0}},
        {"training": {"epochs": "3"}},
        {"training": {"lr_factors": {"steam": 2}}},
        {"training": {"optimizer": "adam"}},
        {"data": {"source": "folders"}},
        {"augment": {"crop": "resize"}},
        {"step_time": {"interval": 1}},
        {"algorithm": "evolutio"},
        {"algorithm": {"name": "evolution", "populaton": 3}},
        {"algorithm": {"optimsm": 3}},
        {"algorithm": {"name": "evolution", "crossover": 2}},
        {"reward": {"name": "weighted_product", "beta": 1}},
        {"space": {"name": "small", "stem": 2}},
        {"reference": "efficientnet_b9"},
        {"seed": -1},
    ],
    ids=str,
)
def test_what_is_misspelt_or_out_of_range_is_refused_by_schema_and_toolkit_alike(wrong):
    """The schema says no where `nas search` would."""
    assert faults(SMALL) == []
    assert faults(SMALL | wrong)
    with pytest.raises(ValueError):
        nas.search_config(**SMALL | wrong)


@pytest.mark.parametrize("wrong", [{"callbacks": ["cvs"]}, {"measure": ["inferences"]}], ids=str)
def test_names_that_a_search_looks_up_when_it_begins_are_checked_at_once(wrong):
    """An editor says so before."""
    assert faults(SMALL | wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"algorithm": "ppo"},
        {"algorithm": {"name": "evolution", "population": 100, "sample_size": 25}},
        {"reward": {"w": -0.1}},
        {"training": None, "measure": "inference"},
        {"training": {"precision": "bf16", "betas": [0.9, 0.99], "optimizer": "adamw"}},
        {"callbacks": ["csv", {"mlflow": {"experiment": "x"}}]},
        {"reference": "efficientnetv2_s", "search": {"workers": None, "max_hours": 0.5}},
        {
            "space": {
                "stem_channels": 8,
                "head_channels": 32,
                "stages": [{"op": ["mbconv"], "layers": [1, 2], "kernel_size": 3, "expansion": 1, "channels": 8,
                            "stride": 1}],
            }
        },
    ],
    ids=str,
)  # fmt: skip
def test_what_the_toolkit_takes_is_valid(right):
    """The schema refuses nothing that a search would run with."""
    assert nas.search_config(**SMALL | right)
    assert faults(SMALL | right) == []


def test_a_resolved_configuration_is_valid():
    """What a run folder has can be edited with the schema, too."""
    assert faults(json.loads(json.dumps(nas.search_config(**SMALL).to_dict()))) == []


def test_the_command_prints_and_writes_it(tmp_path, capsys):
    """`nas schema` gives what the call gives, on the terminal or in a file."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == nas.config_schema()
    assert main(["schema", "training", "--out", str(tmp_path / "schema.json")]) == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == nas.config_schema("training")
    with pytest.raises(ValueError, match="search or training, got 'both'"):
        nas.config_schema("both")


def test_the_things_of_a_plug_in_are_in_it():
    """With `--plugin` an editor knows one's own names: the shipped plug-in's configuration is valid then alone."""
    folder = CONFIGS / "plugins"
    given = yaml_text.load((folder / "gratings.yaml").read_text())
    command = [sys.executable, "-m", "nas.cli", "schema", "--plugin", "mylab"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert list(jsonschema.Draft202012Validator(json.loads(done.stdout)).iter_errors(given)) == []
    assert faults(given)
