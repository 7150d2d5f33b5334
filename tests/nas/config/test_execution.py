"""What is learnt and how it is executed are two sections; files of before they were mean the same."""

import pytest

from nas.config.search import differences, parse
from nas.config.train import changed_settings, parse_training
from search_space.families import published

SMALL = {"space": {"name": "small"}, "image_size": 32}
EXECUTED = {
    "precision": "bf16",
    "channels_last": False,
    "micro_batch": 16,
    "time_limit_s": 60.0,
    "cuda_graph": "off",
}


def of_before(resolved):
    """A resolved configuration as it was written when there was one section, and fewer settings of training."""
    old = {key: value for key, value in resolved.items() if key != "execution"}
    later = {"objective", "momentum", "betas", "eps", "lr_factors"}
    training = {key: value for key, value in resolved["training"].items() if key not in later}
    execution = {key: value for key, value in resolved["execution"].items() if key != "threads"}
    return old | {"training": training | execution}


def read_search(**sections):
    return parse(SMALL | sections)


def read_training(**sections):
    return parse_training({"image_size": 32, **sections}, published("efficientnetv2_b0"))


@pytest.mark.parametrize("read", [read_search, read_training])
def test_a_file_of_before_means_the_same(read):
    """Keys of execution under `training` are read as if they stood in their own section."""
    old, new = read(training={"epochs": 3, **EXECUTED}), read(training={"epochs": 3}, execution=EXECUTED)
    assert old == new
    assert {name: new.to_dict()["execution"][name] for name in EXECUTED} == EXECUTED
    assert not set(new.to_dict()["training"]) & set(EXECUTED), "what is written from now on has both sections"


@pytest.mark.parametrize("read", [read_search, read_training])
def test_a_setting_in_both_sections_is_refused(read):
    """One line names both places, whichever configuration it stands in."""
    with pytest.raises(ValueError, match=r"training\.cuda_graph and execution\.cuda_graph are the same setting"):
        read(training={"cuda_graph": "on"}, execution={"cuda_graph": "off"})


def test_a_run_of_before_goes_on():
    """A run folder or checkpoint written before the split differs from its own configuration in nothing."""
    search, training = read_search(training=EXECUTED).to_dict(), read_training(training=EXECUTED).to_dict()
    assert differences(of_before(search), search) == []
    assert changed_settings(of_before(training), training) == []
    assert parse(of_before(search)).to_dict() == search
    assert parse_training(of_before(training)).to_dict() == training


def test_what_changes_numbers_still_counts():
    """Against a run of before, too, another precision or recipe is a difference, and is named by its new place."""
    old = of_before(read_search(training={"precision": "fp32"}).to_dict())
    changed = differences(old, read_search(execution={"precision": "bf16"}, training={"epochs": 3}).to_dict())
    assert changed == ["execution.precision: 'fp32' -> 'bf16'", "training.epochs: 10 -> 3"]


@pytest.mark.parametrize(("name", "value"), [("time_limit_s", 5.0), ("cuda_graph", "off"), ("threads", 2)])
def test_what_changes_nothing_learnt_may_change(name, value):
    """A training goes on with another limit, without graphs, on more threads; a search does where S is not touched."""
    searches = [read_search(execution=execution).to_dict() for execution in ({}, {name: value})]
    trainings = [read_training(execution=execution).to_dict() for execution in ({}, {name: value})]
    assert changed_settings(*trainings) == []
    assert [line.partition(":")[0] for line in differences(*searches)] == (
        [] if name == "time_limit_s" else [f"execution.{name}"]
    )


def test_a_factor_of_a_part_is_checked_to_the_leaf():
    """A misspelt part of the network is an error with its path and the nearest name, and what is given is resolved."""
    with pytest.raises(
        ValueError,
        match=r"unknown key 'training\.lr_factors\.clasifier'; did you mean 'training\.lr_factors\.classifier'\?",
    ):
        read_search(training={"lr_factors": {"clasifier": 10}})
    with pytest.raises(ValueError, match=r"training\.lr_factors: classifier must be > 0 and finite, got 0"):
        read_search(training={"lr_factors": {"classifier": 0}})
    config = read_search(training={"lr_factors": {"classifier": 10}, "optimizer": "adamw", "betas": [0.9, 0.95]})
    assert config.training.lr_factors.classifier == 10
    assert config.training.betas == (0.9, 0.95)
    assert parse(config.to_dict()).training == config.training
    assert differences(read_search(training={"optimizer": "adamw"}).to_dict(), config.to_dict()) == [
        "training.betas: None -> [0.9, 0.95]",
        "training.lr_factors.classifier: 1.0 -> 10.0",
    ]
