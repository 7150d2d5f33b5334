"""Which architecture is best where a model proposed: the one it takes for the best, not the luckiest."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.runs.chosen import WINNER, chosen
from nas.runs.ranking import best, best_seen
from nas.runs.summary import summary
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()
ARCHITECTURES = [SPACE.decode(code) for code in SPACE.sample_encodings(6, np.random.default_rng(0))]
IDS = [architecture.arch_id for architecture in ARCHITECTURES]


def notes(winner, after, mean=0.80, **predicted):
    """Of a proposal: what is best of those told until `after`, and what was predicted of it itself."""
    noted = {"arch_id": IDS[winner], "mean": mean, "std": 0.01, "noise": 0.02, "chance": 0.4, "after": IDS[after]}
    return {"predicted_reward": 0.7, "predicted_std": 0.01, **predicted, WINNER: noted}


def log(last_reward=0.85, **predicted):
    """Six trials; the luckiest is the second, and the model, told four of them, takes the third for the best."""
    rewards = [0.5, 0.9, 0.81, 0.6, 0.7, last_reward]
    said = [{}, {}, {}, {}, notes(2, after=3), notes(2, after=3, **predicted)]
    return [
        Trial(architecture, "ok", trial_id=n, reward=reward, proposal=proposal)
        for n, (architecture, reward, proposal) in enumerate(zip(ARCHITECTURES, rewards, said, strict=True))
    ]


def test_the_model_chooses():
    """The third, though the second looked better, and with the chance that it is best; without a note it looks best."""
    trials = log()
    assert best(trials).trial_id == 2
    assert best_seen(trials).trial_id == 1
    assert best(trials[:4]).trial_id == 1
    found = chosen(IDS, [t.reward for t in trials], [math.nan] * 6, [t.proposal for t in trials])
    assert (found.arch_id, found.mean, found.std, found.chance) == (IDS[2], 0.80, 0.01, 0.4)


def test_what_came_later_is_weighed_by_what_was_predicted_of_it():
    """Predicted 0.79 +- 0.01 where trainings err by 0.02, it is believed a fifth of the way to its 0.85: 0.802."""
    assert best(log(predicted_reward=0.78)).trial_id == 2  # 0.794
    trials = log(predicted_reward=0.79)
    assert best(trials).trial_id == 5
    found = chosen(IDS, [t.reward for t in trials], [math.nan] * 6, [t.proposal for t in trials])
    assert found.mean == pytest.approx(0.79 + 0.2 * 0.06)
    assert found.std == pytest.approx(math.sqrt(0.2) * 0.02)
    assert found.chance is None


def test_a_slow_trial_that_ends_last_brings_no_old_note():
    """Of several notes the one counts that knows most trials."""
    trials = log()
    trials[5] = replace(trials[5], proposal=notes(1, after=1, mean=0.99))
    assert best(trials).trial_id == 2


def test_what_lacks_a_note_is_weighed_by_the_usual():
    """Asked before there was a model, it may still be the best: 1.2 where rewards are 0.70 +- 0.18 and err by 0.02."""
    trials = log()
    trials[5] = replace(trials[5], proposal={}, reward=1.2)
    assert best(trials).trial_id == 5
    trials[5] = replace(trials[5], reward=0.80)
    assert best(trials).trial_id == 2


def test_repeats_say_more_than_a_model():
    """Where any was trained again, the posterior of trainings counts."""
    trials = [*log(), *(Trial(ARCHITECTURES[1], "ok", trial_id=10 + n, reward=0.9) for n in range(3))]
    assert best(trials).architecture == ARCHITECTURES[1]


def test_a_winner_of_an_earlier_search_is_none_of_this():
    """A search that starts from another's trials may note one that its own log has not."""
    trials = log()
    assert best([trials[0], trials[1], *trials[3:]]).trial_id == 1


def test_the_summary_of_a_log_has_the_same_best(tmp_path):
    """Read from lines, as commands do."""
    file = tmp_path / "trials.jsonl"
    file.write_text("".join(trial.to_json() + "\n" for trial in log()))
    found = summary(file)
    assert (found.best.trial_id, found.best_seen.trial_id) == (2, 1)
    assert found.estimate.chance == 0.4
