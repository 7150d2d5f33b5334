"""Every algorithm notes which architecture its search would choose: the best by a model, not the luckiest reading."""

from dataclasses import replace

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.runs.chosen import WINNER
from nas.runs.ranking import best, best_seen
from nas.runs.trial import Trial
from search_space.spaces import small
from tests.nas.algorithms.test_contract import Climber
from tests.nas.algorithms.test_predictor import CHANNELS, trials_of

SPACE = small()
OTHERS = sorted(name for name in ALGORITHMS if name not in ("predictor", "random"))


@pytest.fixture(params=[*OTHERS, "climber"])
def algorithm(request):
    """One that does not propose by a model, a user's own among them."""
    if request.param == "tpe":
        pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")
    return Climber(SPACE) if request.param == "climber" else ALGORITHMS[request.param](SPACE)


def drawn(trials, seed=0, space=SPACE):
    codes = np.unique(space.sample_encodings(2 * trials, np.random.default_rng(seed)), axis=0)
    np.random.default_rng(seed + 1).shuffle(codes)
    return codes[:trials]


def noisy(codes, seed, error):
    """Trials whose accuracies err by `error`, relative, and the true reward of each."""
    rng = np.random.default_rng(seed)
    exact = list(trials_of(SPACE, codes))
    off = np.exp(error * rng.normal(size=len(exact)))
    told = [
        replace(trial, accuracy=float(trial.accuracy * x), reward=float(trial.reward * x), trial_id=n)
        for n, (trial, x) in enumerate(zip(exact, off, strict=True))
    ]
    return told, {trial.arch_id: trial.reward for trial in exact}


def test_a_winner_is_noted(algorithm):
    """From 20 trials on; it is one of those told, with what it is worth, how sure that is, and after which trial."""
    told, _ = noisy(drawn(24), 0, 0.01)
    for number, trial in enumerate(told):
        assert (WINNER in algorithm.ask().notes) == (number >= 20), number
        algorithm.tell(trial)
    proposal = algorithm.ask()
    noted = proposal.notes[WINNER]
    assert noted["arch_id"] in {trial.arch_id for trial in told}
    assert noted["after"] == told[-1].arch_id
    assert 0 < noted["chance"] <= 1
    assert noted["mean"] == pytest.approx(max(trial.reward for trial in told), rel=0.05)
    assert 0.5 < proposal.notes["predicted_reward"] / noted["mean"] < 1.2


def test_the_model_is_made_anew_when_a_twentieth_more_was_told():
    """After 45 trials it is of 44: what a note costs does not grow with the log."""
    algorithm = ALGORITHMS["evolution"](SPACE)
    told, _ = noisy(drawn(45), 0, 0.01)
    for trial in told:
        algorithm.tell(trial)
    assert algorithm.ask().notes[WINNER]["after"] == told[43].arch_id


@pytest.mark.parametrize("trials", [21, 47, 70])
def test_a_replayed_log_notes_the_same(trials):
    """Told at once it notes what one notes that was asked on the way: the log of a search that went on is the same."""
    told, _ = noisy(drawn(trials), 0, 0.01)
    asked, resumed = ALGORITHMS["evolution"](SPACE), ALGORITHMS["evolution"](SPACE)
    for trial in told:
        asked.ask()
        asked.tell(trial)
        resumed.tell(trial)
    for proposal in asked.pending.values():
        resumed.assume(proposal)
    assert asked.ask() == resumed.ask()


def test_the_noted_winner_is_better_than_what_looks_best():
    """Of 200 architectures with noisy accuracies, in ten searches: its true reward is higher at the mean."""
    gained = []
    for seed in range(10):
        algorithm = ALGORITHMS["evolution"](SPACE, seed)
        told, truth = noisy(drawn(200, seed), seed, 0.06)
        for trial in told:
            algorithm.tell(trial)
        told[-1] = replace(told[-1], proposal=algorithm.ask().notes)
        gained.append(truth[best(told).arch_id] - truth[best_seen(told).arch_id])
    assert np.mean(gained) > 2 * np.std(gained) / np.sqrt(len(gained))
    assert np.mean(gained) > 0.01


def test_without_results_nothing_is_noted():
    """Trials that failed, a space of one architecture, fewer than four scored: proposals are as they were."""
    algorithm = ALGORITHMS["evolution"](SPACE)
    told, _ = noisy(drawn(40), 0, 0.01)
    for number, trial in enumerate(told):
        algorithm.tell(trial if number in (1, 2, 3) else Trial(trial.architecture, "failed"))
    assert algorithm.ask().notes == {}


def test_random_search_names_the_highest_reading():
    """What others are compared with is as everywhere."""
    algorithm = ALGORITHMS["random"](SPACE)
    for trial in noisy(drawn(30), 0, 0.01)[0]:
        algorithm.tell(trial)
    assert algorithm.ask().notes == {}


def test_channels_and_strides_may_be_decisions():
    """A space whose stages do not add up is learned as well."""
    algorithm = ALGORITHMS["evolution"](CHANNELS)
    for trial in trials_of(CHANNELS, drawn(30, space=CHANNELS)):
        algorithm.tell(trial)
    assert WINNER in algorithm.ask().notes


def test_the_note_is_after_the_last_trial_that_is_ranked():
    """One that failed stands in no ranking: what came after it would be looked for in vain."""
    algorithm = ALGORITHMS["evolution"](SPACE)
    told, _ = noisy(drawn(24), 0, 0.01)
    for number, trial in enumerate(told):
        algorithm.tell(trial if number < 21 else Trial(trial.architecture, "failed"))
    assert algorithm.ask().notes[WINNER]["after"] == told[20].arch_id


class Own(Climber):
    """Has attributes of its own by names that are free, and notes of its own."""

    def __init__(self, space, seed=0, **settings):
        self.reward = None
        super().__init__(space, seed, **settings)
        self.learner, self._notes = [], {}

    def _propose(self, rng):
        return replace(super()._propose(rng), notes={"predicted_reward": None})

    def _learn(self, trial):
        super()._learn(trial)
        self.reward = trial.reward
        self.learner.append(trial)


def test_a_users_algorithm_keeps_its_own_names_and_notes():
    """Nothing of it is taken for ours, and what it notes comes back."""
    algorithm = Own(SPACE)
    for trial in noisy(drawn(24), 0, 0.01)[0]:
        algorithm.tell(trial)
    assert algorithm.ask().notes == {"predicted_reward": None}


def test_a_note_that_cannot_be_made_ends_no_search(monkeypatch, caplog):
    """It is said once; proposals go on without."""
    algorithm = ALGORITHMS["evolution"](SPACE)
    for trial in noisy(drawn(24), 0, 0.01)[0]:
        algorithm.tell(trial)
    monkeypatch.setattr(algorithm._reward_learner, "model", lambda count: 1 / 0)
    assert [algorithm.ask().notes for _ in range(3)] == [{}, {}, {}]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_where_0_is_the_best_reward_it_is_no_failure():
    """Of a reward that goes up to 0, trials that reach it are the best."""
    algorithm = ALGORITHMS["evolution"](SPACE)
    told, _ = noisy(drawn(60), 0, 0.0)
    middle = np.median([trial.accuracy for trial in told])
    told = [replace(trial, reward=min(0.0, float(trial.accuracy - middle)), w=None, v=None) for trial in told]
    for trial in told:
        algorithm.tell(trial)
    told[-1] = replace(told[-1], proposal=algorithm.ask().notes)
    assert WINNER in told[-1].proposal
    assert best(told).reward > -0.002
