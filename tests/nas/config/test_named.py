"""Rewards in a configuration: registered or from outside, every setting written with its value."""

import math

import pytest

from nas.analysis import load
from nas.analysis.frame import rescore
from nas.config.search import differences, parse
from nas.trials.scoring import RewardSettings, score
from search_space import yaml_text

BASE = {"space": {"name": "small"}, "image_size": 32}


def test_every_setting_of_the_reward_is_written_with_its_value():
    """A later default cannot change what an old run was scored by; one that does not say them means the same."""
    config = parse(BASE | {"reward": {"name": "mnasnet_hard", "beta": -2}})
    assert config.to_dict()["reward"] == {"name": "mnasnet_hard", "target": 1.0, "beta": -2.0}
    again = parse(yaml_text.load(yaml_text.dump(config.to_dict())))
    assert not differences(config.to_dict(), again.to_dict())
    unsaid = parse(BASE | {"reward": {"name": "weighted_product"}})
    said = parse(BASE | {"reward": {"name": "weighted_product", "w": -0.07, "v": -0.05}})
    assert not differences(unsaid.to_dict(), said.to_dict())


def test_settings_given_as_objects_are_checked_as_well():
    """A record made in Python is no way around the check."""
    with pytest.raises(ValueError, match=r"reward\.w must be a finite number, got 'x'"):
        parse(BASE | {"reward": RewardSettings("weighted_product", {"w": "x"})})


@pytest.fixture
def outside(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_reward_module.py").write_text(
        "def fast(accuracy: float, inference_ms: float, *, weight: float = 0.1, strict: bool = False) -> float:\n"
        "    return accuracy - weight * inference_ms\n"
    )
    return "my_reward_module:fast"


def test_a_reward_from_outside_has_settings_of_its_own(outside):
    """`module:function` stands where a name does; its settings are keys, typed, and hinted at."""
    config = parse(BASE | {"reward": {"name": outside, "weight": 1}})
    assert config.to_dict()["reward"] == {"name": outside, "weight": 1.0, "strict": False}
    with pytest.raises(ValueError, match=r"unknown key 'reward\.wieght'; did you mean 'reward\.weight'\?"):
        parse(BASE | {"reward": {"name": outside, "wieght": 1}})
    with pytest.raises(ValueError, match=r"reward\.strict must be true or false, got 'no'"):
        parse(BASE | {"reward": {"name": outside, "strict": "no"}})


def test_a_metric_of_a_trial_reaches_the_reward(outside):
    """As a trial has it, and as a table has it, where each metric is a column."""
    assert score({"accuracy": 0.8, "metrics": {"inference_ms": 2.0}}, outside, {}) == pytest.approx(0.6)
    with pytest.raises(ValueError, match="needs inference_ms, which was not measured"):
        score({"accuracy": 0.8}, outside, {})


def test_a_table_is_scored_anew_by_a_metric(outside, run):
    """What was measured beside the trial's own fields counts when a finished run is ranked by another reward."""
    frame = load(run).assign(inference_ms=2.0)
    again = rescore(frame, outside, {"weight": 0.2})
    ok = frame["status"] == "ok"
    assert again.loc[ok, "reward"].tolist() == pytest.approx((frame.loc[ok, "accuracy"] - 0.4).tolist())
    assert all(map(math.isnan, again.loc[~ok, "reward"]))
