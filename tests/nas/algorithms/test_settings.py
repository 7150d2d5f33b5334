"""Settings of algorithms: typed to the leaf, written out in full, the same from Python and from YAML."""

import dataclasses

import pytest

from nas.algorithms import ALGORITHMS, find_algorithm
from nas.config.search import parse
from nas.search.checks import make_algorithm
from search_space import yaml_text
from search_space.spaces import small

SPACE = small()
BASE = {"space": {"name": "small"}, "image_size": 32}

WRONG = [
    ("reinforce", "batch", 2.5, "batch must be a whole number, got 2.5"),
    ("reinforce", "autoregressive", "no", "autoregressive must be true or false, got 'no'"),
    ("ppo", "autoregressive", 3, "autoregressive must be true or false, got 3"),
    ("evolution", "population", "8", "population must be a number, got '8'"),
    ("evolution", "population", True, "population must be a number, got True"),
    ("evolution", "population", -1, "population must be in [1, 1e+06], got -1"),
    ("evolution", "sample_size", 40, "sample_size must be in [1, 20], got 40"),
    ("evolution", "crossover", float("nan"), "crossover must be in [0, 1], got nan"),
    ("nsga2", "objectives", "accuracy", "objectives must be a list, got 'accuracy'"),
    ("nsga2", "objectives", ["accuracy", 3], "objectives[1] must be text, got 3"),
    ("nsga2", "objectives", [], "objectives must name at least one"),
]


@pytest.mark.parametrize(("name", "setting", "value", "message"), WRONG)
def test_a_value_of_another_type_is_refused_with_what_is_allowed(name, setting, value, message):
    """A misspelt value never runs as something else; Python and a configuration say the same."""
    with pytest.raises(ValueError) as error:
        ALGORITHMS[name](SPACE, **{setting: value})
    assert str(error.value) == message
    with pytest.raises(ValueError) as error:
        parse(BASE | {"algorithm": {"name": name, setting: value}})
    assert str(error.value) == f"algorithm {name}: {message}"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_settings_are_frozen_and_their_defaults_are_allowed(name):
    """Each default passes its own check and has the annotated type; nothing changes them under a running search."""
    kind = ALGORITHMS[name]
    settings = kind.Settings()
    assert kind.Settings.__dataclass_params__.frozen
    assert kind(SPACE, **dataclasses.asdict(settings)).settings == settings


def test_numbers_and_lists_are_read_as_what_is_meant():
    """A whole number does for a float, 20.0 for a whole number, a list of YAML for a tuple."""
    settings = ALGORITHMS["evolution"](SPACE, 0, population=20.0, mutations=2).settings
    assert (settings.population, settings.mutations) == (20, 2.0)
    assert (type(settings.population), type(settings.mutations)) == (int, float)
    assert ALGORITHMS["nsga2"](SPACE, objectives=["params"]).settings.objectives == ("params",)


def test_an_unknown_setting_has_a_hint():
    """Also from Python, where no configuration was read."""
    with pytest.raises(ValueError, match=r"unknown setting 'popluation'; did you mean 'population'\?"):
        ALGORITHMS["evolution"](SPACE, popluation=8)


def test_what_yaml_cannot_say_is_no_key_of_a_configuration():
    """The predictor's timer is a function: a keyword of the class alone."""
    with pytest.raises(ValueError, match=r"unknown key 'algorithm\.step_time'"):
        parse(BASE | {"algorithm": {"name": "predictor", "step_time": 3}})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_resolved_configuration_has_every_setting(name):
    """Whoever reads a run later sees what its algorithm was set to, and parsing it gives the same algorithm."""
    config = parse(BASE | {"algorithm": name})
    record = config.to_dict()
    expected = dataclasses.asdict(ALGORITHMS[name].Settings())
    assert {key: value for key, value in record["algorithm"].items() if key not in ("name", "seed")} == {
        key: list(value) if isinstance(value, tuple) else value for key, value in expected.items()
    }
    again = parse(yaml_text.load(yaml_text.dump(record)))
    assert again.to_dict() == record
    if name != "tpe":
        assert make_algorithm(again).settings == make_algorithm(config).settings


def test_what_older_configurations_say_of_repeats():
    """`repeats: false`, once the default, says nothing; `true` would now be ignored and is refused in one line."""
    assert parse(BASE | {"algorithm": {"name": "local", "repeats": False}}).algorithm.settings == {}
    with pytest.raises(ValueError, match=r"algorithm\.repeats is gone, an architecture is proposed once") as error:
        parse(BASE | {"algorithm": {"name": "local", "repeats": True}})
    assert "\n" not in str(error.value)


def test_an_algorithm_from_outside_has_settings_of_its_own(tmp_path, monkeypatch):
    """`module:Name` stands where a name does: its settings are keys, checked and written out; no class is an error."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_algorithm.py").write_text(
        "from dataclasses import dataclass\n"
        "from nas.algorithms.random import RandomSearch\n"
        "@dataclass(frozen=True)\n"
        "class Settings:\n"
        "    share: float = 0.5\n"
        "class Mine(RandomSearch):\n"
        "    name, Settings = 'mine', Settings\n"
        "def function(space, seed): ...\n"
    )
    config = parse(BASE | {"algorithm": {"name": "my_algorithm:Mine", "share": 1}})
    assert config.to_dict()["algorithm"] == {"name": "my_algorithm:Mine", "seed": None, "share": 1.0}
    assert make_algorithm(config).ask().proposed_by == "mine"
    with pytest.raises(ValueError, match="share must be a number, got 'x'"):
        parse(BASE | {"algorithm": {"name": "my_algorithm:Mine", "share": "x"}})
    with pytest.raises(ValueError, match=r"must be a subclass of nas\.algorithms\.Algorithm"):
        find_algorithm("my_algorithm:function")
