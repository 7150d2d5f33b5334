"""Which architectures a search trains again, and when; what is chosen then is better than what looked best."""

import random

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS
from nas.config.search import parse, with_numbers
from nas.config.settings import RepeatSettings
from nas.runs.events import asked
from nas.runs.folder import PROPOSALS, TRIALS
from nas.runs.log import read_lines
from nas.runs.ranking import best_seen
from nas.runs.repeats import REPEAT, is_repeat, posterior, posterior_of
from nas.runs.trial import Trial
from nas.search.ledger import Ledger
from nas.search.plan import describe
from nas.search.pruning import make_judge
from nas.search.repeats import most_telling, next_repeat
from search_space.families import published
from search_space.spaces import small

REPEATS, TRIALS_IN_ALL = RepeatSettings(top=3, seeds=3), 20
CONFIG = {"space": {"name": "small"}, "image_size": 32}


def open_ledger(folder, trials=TRIALS_IN_ALL, repeats=REPEATS, algorithm="evolution"):
    settings = {"population": 4, "sample_size": 2} if algorithm == "evolution" else {}
    algorithm = ALGORITHMS[algorithm](small(), 3, **settings)
    return Ledger(folder, algorithm, run_id="r", seed=100, trials=trials, max_attempts=2, repeats=repeats)


def work(ledger, rng, steps=10**6):
    """Run as an engine with three slots would; rewards follow from architecture and seed."""
    running = []
    while not ledger.done and steps:
        steps -= 1
        candidate = ledger.next_candidate() if len(running) < 3 else None
        if candidate is not None:
            running.append(candidate)
        elif running:
            one = running.pop(rng.randrange(len(running)))
            true = int(one.proposal.architecture.arch_id[:4], 16) / 16**4
            reward = true + 0.1 * np.random.default_rng(one.seed).normal()
            ledger.finish(one.trial_id, Trial(published("efficientnet_b0"), "ok", reward=reward, reward_se=0.1))
    return ledger


def test_the_last_trials_train_the_best_again(tmp_path):
    """Three architectures times two further seeds: six trials, each with a seed of its own, of the best so far."""
    ledger = work(open_ledger(tmp_path), random.Random(0))
    ledger.close()
    trials = sorted(ledger.trials, key=lambda trial: trial.trial_id)
    assert [is_repeat(trial) for trial in trials] == [False] * 14 + [True] * 6
    assert len({trial.seed for trial in trials}) == TRIALS_IN_ALL
    assert len({trial.arch_id for trial in trials}) == 14
    begun = {}
    for record in sorted(read_lines(tmp_path / TRIALS), key=lambda record: record["trial_id"]):
        place = begun[record["arch_id"]] = begun.get(record["arch_id"], -1) + 1
        assert record["proposal"].get("repeat", 0) == place, "the place among repeats is in the log"


@pytest.mark.parametrize("steps", range(28, 40, 3))
def test_a_search_killed_while_it_repeats_goes_on_as_it_would_have(tmp_path, steps):
    """What was in flight runs again, with its seed; what is trained again next follows from the log."""
    straight = work(open_ledger(tmp_path, algorithm="predictor"), random.Random(1), steps=steps)
    assert any(map(is_repeat, straight.trials)) or any(map(straight.is_repeat, straight.flights))
    running = list(straight.flights)
    (tmp_path / "copy").mkdir()
    for name in ("trials.jsonl", "proposals.jsonl"):
        (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    resumed = open_ledger(tmp_path / "copy", algorithm="predictor")
    again = [resumed.next_candidate() for _ in running]
    assert [(one.trial_id, one.seed) for one in again] == [
        (number, straight.flights[number].candidate.seed) for number in running
    ]
    assert straight.next_candidate() == resumed.next_candidate()
    work(resumed, random.Random(2)).close()
    assert len(resumed.trials) <= TRIALS_IN_ALL


def test_a_search_that_is_extended_repeats_at_its_end_again(tmp_path):
    """More trials are new architectures first, then the best of all of them again."""
    work(open_ledger(tmp_path), random.Random(0)).close()
    ledger = work(open_ledger(tmp_path, trials=40), random.Random(0))
    trials = sorted(ledger.trials, key=lambda trial: trial.trial_id)
    assert [is_repeat(trial) for trial in trials[20:]] == [False] * 14 + [True] * 6


@pytest.mark.parametrize("steps", [10**6, 14, 18, 23])
def test_a_space_without_further_architectures_has_its_repeats(tmp_path, steps):
    """After the last of eight architectures the best are trained again, as often as was asked; then it is finished."""
    stage = {"op": ["mbconv"], "layers": [1, 2, 3, 4], "kernel_size": [3, 5], "expansion": [4], "channels": [16]}
    stage |= {"stride": [1]}
    space = parse(CONFIG | {"space": {"stem_channels": 8, "head_channels": 8, "stages": [stage]}}).space
    assert space.size == 8

    def opened():
        algorithm = ALGORITHMS["random"](space, 3)
        return Ledger(tmp_path, algorithm, run_id="r", seed=1, trials=99, max_attempts=2, repeats=REPEATS)

    work(opened(), random.Random(0), steps=steps).close()  # killed on the way, or not
    ledger = work(opened(), random.Random(1))
    assert ledger.done
    assert ledger.exhausted
    trials = sorted(ledger.trials, key=lambda trial: trial.trial_id)
    assert [is_repeat(trial) for trial in trials] == [False] * 8 + [True] * 6
    assert asked(tmp_path / PROPOSALS)[:2] == (14, True), "which makes the run finished"


def test_repeats_that_fail_do_not_come_for_ever(tmp_path):
    """A training that ends without a reward counts as one, so that others have their turn."""
    rewards = (0.5, 0.51, 0.52, 0.53, 0.5301, 0.5302)
    log = [Trial(a, "ok", reward=reward, reward_se=0.01) for a, reward in zip(_some(6), rewards, strict=True)]
    for _ in range(6):
        chosen = next_repeat(RepeatSettings(3, 3), log, {})
        log.append(Trial(chosen.architecture, "nan", proposed_by=REPEAT))
    assert {trial.arch_id for trial in log[6:]} == {trial.arch_id for trial in log[3:6]}


def _some(number):
    space = small()
    return [space.decode(code) for code in space.sample_encodings(number, np.random.default_rng(0))]


def test_another_training_goes_where_it_may_change_what_is_best():
    """Of three, one leads by far and one is behind by far: nothing is to be learned of the last; of equals, most."""
    close = posterior(list("abcd"), [0.7, 0.699, 0.5, 0.4], [0.01] * 4)
    assert most_telling(close, 4, np.zeros(4, int)) in (0, 1)
    assert most_telling(close, 4, np.array([1, 0, 0, 0])) == 1, "the first is in training"
    known = posterior(list("aaaaaaabcd"), [0.7] * 7 + [0.69, 0.5, 0.4], [0.01] * 10)
    assert most_telling(known, 4, np.zeros(4, int)) == 1, "of the first enough is known"
    apart = posterior(list("abcd"), [0.7, 0.6, 0.5, 0.4], [1e-9] * 4)
    assert most_telling(apart, 2, np.zeros(4, int)) in (0, 1), "also where no training could change anything"


def test_at_equal_budget_repeats_choose_better():
    """Of 150 trials of noisy architectures 16 are better spent on the best 8 again; tested over 40 searches."""
    rng, gains = np.random.default_rng(0), []
    architectures = _some(150)
    for _ in range(40):
        true = dict(zip(architectures, rng.normal(0.7, 0.01, 150), strict=True))

        def train(architecture, true=true):
            return Trial(architecture, "ok", reward=true[architecture] + 0.01 * rng.normal(), reward_se=0.01)

        log = [train(architecture) for architecture in architectures]
        without, log = best_seen(log), log[:-16]
        for _ in range(16):
            log.append(train(next_repeat(RepeatSettings(8, 3), log, {}).architecture))
        chosen = posterior_of(log).winner.arch_id
        found = next(each for each in architectures if each.arch_id == chosen)
        gains.append(true[found] - true[without.architecture])
    z = np.mean(gains) / (np.std(gains) / len(gains) ** 0.5)
    assert z > 2, f"gain {np.mean(gains):.5f}, {z:.1f} standard errors"


def test_repeats_are_not_stopped_early():
    """Of an architecture's trainings only the lucky ones would be left, and the mean would be wrong."""
    config = parse(CONFIG | {"search": {"prune": "asha"}, "training": {"epochs": 10}})
    judge = make_judge(config.search, 10, [], spared=lambda number: number == 9)
    rewards = {0: 0.9, 1: 0.8, 2: 0.7, 9: 0.0, 4: 0.1}
    verdicts = {n: judge(n, Trial(_some(1)[0], "ok", curve=({"reward": reward},))) for n, reward in rewards.items()}
    assert verdicts[9] is None
    assert verdicts[4] is not None
    assert "of the 4 that came" in verdicts[4], "nor compared with"


def test_settings_are_read_and_checked():
    """`search.repeats` is a section of its own; what is wrong with it is one line with its path."""
    config = parse(CONFIG | {"search": {"trials": 50, "repeats": {"seeds": 3}}})
    assert config.search.repeats == RepeatSettings(8, 3)
    assert parse(config.to_dict()).search == config.search
    assert parse(CONFIG).search.repeats is None
    assert "50, of which the last 16 train the best 8 again" in describe(config)["trials"]
    for given, message in [
        ({"sed": 3}, "unknown key 'search.repeats.sed'"),
        ({"seeds": 1}, "search.repeats: seeds must be >= 2, got 1"),
        ({"top": "8"}, "search.repeats.top: input should be a valid integer, got '8'"),
        (8, "search.repeats must be a mapping, got 8"),
        ({"top": 30}, "search: repeats: top * (seeds - 1) must be at most half of the trials, got 30 of 50"),
    ]:
        with pytest.raises(ValueError) as error:
            parse(CONFIG | {"search": {"trials": 50, "repeats": given}})
        assert message in str(error.value)
    with pytest.raises(ValueError, match=r"got 16 of 20"):
        with_numbers(config, 20, None)
