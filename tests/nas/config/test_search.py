"""Configurations: what is written is what runs, and what is wrong is named in one line."""

from pathlib import Path

import pytest

from nas.config.search import differences, load_config, parse, with_numbers
from search_space import yaml_text

CONFIGS = sorted((Path(__file__).parents[3] / "experiments" / "configs").glob("*.yaml"))
SMALL = {"space": {"name": "small"}, "image_size": 32}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_recipe_is_read_and_its_resolved_form_is_the_same_search(path):
    """A run's `config.yaml` is a configuration by itself: running it again is the same search."""
    config = load_config(path)
    again = parse(yaml_text.load(yaml_text.dump(config.to_dict())))
    assert again.to_dict() == config.to_dict()
    assert not differences(config.to_dict(), again.to_dict())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainig": {}}, "unknown key 'trainig'; did you mean 'training'?"),
        ({"training": {"epoch": 3}}, "unknown key 'training.epoch'; did you mean 'training.epochs'?"),
        ({"training": {"epochs": "ten"}}, "training.epochs: input should be a valid integer, got 'ten'"),
        ({"training": {"epochs": True}}, "training.epochs: input should be a valid integer, got True"),
        ({"training": {"epochs": 0}}, "training: epochs must be >= 1"),
        ({"training": 3}, "training must be a mapping, got 3"),
        ({"data": {"source": "imagenet"}}, "data: unknown source 'imagenet'; known: digits, hf, folder, idx, parquet"),
        ({"algorithm": "evolutoin"}, "unknown algorithm 'evolutoin'; did you mean 'evolution'?"),
        ({"algorithm": {"name": "evolution", "popluation": 3}}, "did you mean 'algorithm.population'?"),
        ({"reward": {"name": "weighted_product", "x": 1}}, "unknown key 'reward.x'"),
        ({"space": {"name": "smal"}}, "unknown space 'smal'; did you mean 'small'?"),
        ({"space": {"name": "small", "stem": 1}}, "unknown key 'stem' in space small"),
        ({"space": {"name": "efficientnetv2", "backbone": "resnet"}}, "unknown architecture 'resnet'"),
        ({"space": {"name": "small", "constraints": {"param_max": 1}}}, "unknown key 'param_max'"),
        ({"space": {"name": "small", "constraints": {"params_max": "1M"}}}, "params_max must be a whole number"),
        ({"reward": {"w": "-0.07"}}, "reward.w must be a finite number, got '-0.07'"),
        ({"reward": {"w": float("inf")}}, "reward.w must be a finite number, got inf"),
        ({"reward": {"w": True}}, "reward.w must be a finite number, got True"),
        ({"reward": 3}, "reward must be a name or a mapping, got 3"),
        ({"algorithm": {"name": "random", "seed": -1}}, "algorithm: seed must be >= 0, got -1"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"image_size": 0}, "image_size must be >= 1, got 0"),
        ({"search": {"workers": 0}}, "search: workers must be above 0, got 0"),
        ({"search": {"evaluator": "nothing"}}, "evaluator must be module:function, got 'nothing'"),
        ({"reference": "efficientnet_b9"}, "did you mean 'efficientnet_b"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(change, message):
    """A typing error costs seconds: one line gives the key, the value and the nearest known name."""
    with pytest.raises(ValueError) as error:
        parse(SMALL | change)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "given", "shape"),
    [
        ({}, {}, (10, 1)),
        ({"channels": 3}, {}, (10, 3)),
        ({"channels": 3}, {"num_classes": 7}, (7, 3)),
        ({"source": "hf", "path": "ILSVRC/imagenet-1k"}, {}, (1000, 3)),
        ({"source": "parquet", "path": "x"}, {}, (1000, 3)),
    ],
)
def test_costs_are_counted_for_the_data(data, given, shape):
    """A bound on params means the same in a dry run and in the search, wherever the data's classes are known."""
    constraints = parse(SMALL | {"data": data, "space": {"name": "small", "constraints": given}}).space.constraints
    assert (constraints.num_classes, constraints.in_channels) == shape


@pytest.mark.parametrize("missing", ["space", "image_size"])
def test_missing_sections_are_named(missing):
    """What has no sensible default must be said."""
    with pytest.raises(ValueError, match=f"missing key '{missing}'"):
        parse({key: value for key, value in SMALL.items() if key != missing})


def test_only_what_makes_trials_incomparable_counts_as_a_difference():
    """More trials, workers or another algorithm continue a search; another training does not."""
    old = parse(SMALL).to_dict()
    harmless = {"search": {"trials": 5, "workers": 1}, "algorithm": {"name": "random", "seed": 4}, "device": "cpu"}
    assert not differences(old, parse(SMALL | harmless).to_dict())
    harmful = {"training": {"epochs": 3}, "image_size": 16, "reward": {"name": "weighted_product", "w": -0.1}}
    changed = differences(old, parse(SMALL | harmful).to_dict())
    assert "training.epochs: 10 -> 3" in changed
    assert "image_size: 32 -> 16" in changed
    assert "reward.w: -0.07 -> -0.1" in changed


def test_how_an_earlier_version_proposed_need_not_be_readable():
    """A setting of its algorithm that is gone, or a tracker that is, leaves its trials as comparable as they are."""
    new = parse(SMALL).to_dict()
    old = new | {"algorithm": {"name": "predictor", "repeats": True}, "callbacks": ["gone"]}
    assert not differences(old, new)


@pytest.mark.parametrize("given", [{"trials": 0, "workers": None}, {"trials": None, "workers": 0}])
def test_no_trials_and_no_workers_are_refused(given):
    """`--trials 0` is a mistake, not a wish for the configuration's own number."""
    with pytest.raises(ValueError, match=r"must be (>= 1|above 0), got 0"):
        with_numbers(parse(SMALL), **given)


def test_constraints_are_counted_at_the_image_size_of_the_search():
    """A bound on MACs means the images that are trained on, unless it says otherwise."""
    space = {"name": "small", "constraints": {"macs_max": 10**7}}
    assert parse(SMALL | {"space": space}).space.constraints.image_size == 32
    space["constraints"]["image_size"] = 64
    assert parse(SMALL | {"space": space}).space.constraints.image_size == 64


def test_paths_of_data_mean_the_same_to_every_worker(tmp_path, monkeypatch):
    """A relative path is relative to where the command runs, and absolute from then on."""
    monkeypatch.chdir(tmp_path)
    text = "space: {name: small}\nimage_size: 32\ndata: {source: parquet, path: a/*.parquet}\n"
    (tmp_path / "c.yaml").write_text(text)
    data = load_config(tmp_path / "c.yaml").data
    assert (data.path, data.test_path) == (str(tmp_path / "a" / "*.parquet"), "")


def test_yaml_numbers_and_words_are_what_they_look_like(tmp_path):
    """`1e-5` is a number, and a file that is not YAML is said to be so, with its line."""
    file = tmp_path / "c.yaml"
    file.write_text("space: {name: small}\nimage_size: 32\ntraining: {weight_decay: 1e-5}\n")
    assert load_config(file).training.weight_decay == 1e-5
    file.write_text("space: {name: small\nimage_size: 32\n")
    with pytest.raises(ValueError, match=r"c\.yaml: not YAML at line"):
        load_config(file)
    with pytest.raises(ValueError, match="cannot read"):
        load_config(tmp_path / "none.yaml")
