"""`search.time_first`: k candidates are timed for each that is trained; none is lost or taken for a trial."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import nas
from nas.algorithms import ALGORITHMS
from nas.algorithms.known_reward import known_reward
from nas.config.search import parse
from nas.config.settings import RepeatSettings
from nas.runs.folder import PROPOSALS, TIMINGS, TRIALS, create
from nas.runs.log import read_lines
from nas.runs.timings import read_timings
from nas.runs.trial import Trial
from nas.search.checks import check_evaluator
from nas.search.continuation import open_run
from nas.search.ledger import Ledger
from nas.search.plan import describe
from rewards import reward
from rewards.measurement import Measurement
from search_space.families import published
from search_space.space import SearchSpace
from search_space.spaces import small

BUDGET, K = 14, 3
CONFIG = {"space": {"name": "small"}, "image_size": 32}


def open_ledger(folder, *, trials=BUDGET, algorithm="evolution", time_first=K, repeats=None, space=None, **settings):
    if algorithm == "evolution":
        settings = {"population": 4, "sample_size": 2, "warm_up": 4} | settings
    chosen = ALGORITHMS[algorithm](space or small(), 3, **settings)
    chosen.reward = known_reward("weighted_product", {})
    return Ledger(
        folder, chosen, run_id="r", seed=100, trials=trials, max_attempts=2, time_first=time_first, repeats=repeats
    )


def answer(candidate, status="ok"):
    """What a worker would say: of a candidate that was timed, with the step time that it was given."""
    number = int(candidate.proposal.architecture.arch_id[:6], 16)
    costs = {"s_normalised": 0.5 + number % 97 / 97, "p_normalised": 1.0, "device_name": "cpu", "w": -0.07, "v": -0.05}
    costs |= {"s_low": 0.99 * costs["s_normalised"], "s_high": 1.01 * costs["s_normalised"]}
    known = Trial(published("efficientnet_b0"), "timed", **costs)
    if candidate.timing_only:
        return replace(known, status="timed" if status == "ok" else status)
    if candidate.timed is not None:
        known = replace(known, **candidate.timed)
    else:  # measured again, S is another
        known = replace(known, s_normalised=known.s_normalised + 5)
    accuracy = 0.5 + number % 101 / 1000
    scored = reward("weighted_product", Measurement(accuracy, known.s_normalised, known.p_normalised), {})
    return replace(known, status="ok", accuracy=accuracy, reward=scored)


def work(ledger, rng, steps=10**6, slots=3, failing=lambda candidate: "ok"):
    """Run as an engine with some slots would, finishing in random order; give up after some steps."""
    running = {}
    while not ledger.done and steps:
        steps -= 1
        candidate = ledger.next_candidate() if len(running) < slots else None
        if candidate is not None:
            running[candidate.trial_id] = candidate
        else:
            assert running, "nothing runs, and nothing is to be started"
            candidate = running.pop(rng.choice([*running]))
            ledger.finish(candidate.trial_id, answer(candidate, failing(candidate)))
    return ledger


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("algorithm", ["random", "evolution", "predictor", "nsga2"])
def test_k_are_timed_for_each_that_is_trained(tmp_path, algorithm, slots):
    """The log of trials has what was trained alone, numbered as ever; that of timings k times as many, each once."""
    work(open_ledger(tmp_path, algorithm=algorithm), random.Random(0), slots=slots).close()
    trials, timings = read_lines(tmp_path / TRIALS), read_lines(tmp_path / TIMINGS)
    assert sorted(each["trial_id"] for each in trials) == list(range(BUDGET))
    assert sorted(-each["trial_id"] for each in timings) == list(range(1, K * BUDGET + 1))
    assert len({each["arch_id"] for each in timings}) == K * BUDGET
    assert {each["status"] for each in timings} == {"timed"}
    assert all(each["accuracy"] is each["reward"] is None for each in timings)
    measured = {each["arch_id"]: each["s_normalised"] for each in timings}
    assert all(each["s_normalised"] == measured[each["arch_id"]] for each in trials)


def test_of_those_as_accurate_the_one_that_costs_least_is_trained(tmp_path):
    """Evolution trains, once it knows an accuracy, the one of the k of the highest reward if all were as accurate."""
    work(open_ledger(tmp_path), random.Random(0), slots=1).close()
    times = [each["s_normalised"] for each in read_lines(tmp_path / TIMINGS)]
    trained = [each["s_normalised"] for each in read_lines(tmp_path / TRIALS)]
    assert trained[0] == times[0]
    assert trained[1:] == [min(times[at : at + K]) for at in range(K, K * BUDGET, K)]


@pytest.mark.parametrize("algorithm", ["evolution", "predictor"])
@pytest.mark.parametrize("seed", range(8))
def test_killed_between_or_inside_writes_nothing_is_lost_or_doubled(tmp_path, seed, algorithm):
    """Whenever the driver is killed, also half-way through a line, no timing is lost, made twice or chosen of twice."""
    rng = random.Random(seed)
    for _ in range(8):
        ledger = work(open_ledger(tmp_path, algorithm=algorithm), rng, steps=rng.randrange(1, 25))
        ledger.close()
        before = {name: (tmp_path / name).read_bytes() for name in (TRIALS, TIMINGS)}
        with (tmp_path / rng.choice([TRIALS, TIMINGS, PROPOSALS])).open("ab") as file:
            file.write(b'{"trial_id":0,"event":"pro'[: rng.randrange(26)])
    work(open_ledger(tmp_path, algorithm=algorithm), rng).close()
    for name, text in before.items():
        assert (tmp_path / name).read_bytes().startswith(text)
    trials, timings = read_lines(tmp_path / TRIALS), read_lines(tmp_path / TIMINGS)
    assert sorted(each["trial_id"] for each in trials) == list(range(BUDGET))
    assert sorted(-each["trial_id"] for each in timings) == list(range(1, K * BUDGET + 1))
    assert len({each["arch_id"] for each in timings}) == K * BUDGET
    assert len({each["arch_id"] for each in trials}) == BUDGET


@pytest.mark.parametrize("algorithm", ["evolution", "predictor"])
@pytest.mark.parametrize("steps", range(1, 90, 11))
def test_the_same_log_gives_the_same_next_candidate(tmp_path, steps, algorithm):
    """A resumed search first runs again what was in flight, then asks, or chooses, what the unstopped one would."""
    (tmp_path / "run").mkdir()
    settings = {"algorithm": algorithm} | ({"warm_up": 4} if algorithm == "predictor" else {})
    straight = work(open_ledger(tmp_path / "run", **settings), random.Random(1), steps=steps)
    running = list(straight.flights)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    resumed = open_ledger(tmp_path / "copy", **settings)
    again = [resumed.next_candidate() for _ in running]
    assert [each.trial_id for each in again] == running
    for _ in range(8):
        assert straight.next_candidate() == resumed.next_candidate()
        for number in running:
            candidate = straight.flights[number].candidate
            outcome = answer(
                candidate._replace(timed=straight.time_first.fields_of(candidate.proposal.architecture.arch_id))
            )
            straight.finish(number, outcome), resumed.finish(number, outcome)
        running = list(straight.flights)


def test_what_cannot_be_timed_is_not_trained_unless_nothing_can(tmp_path):
    """A failed timing is logged with its status and counts as no trial; where all k fail, one trial says so."""
    failing = {-1, -5, -7, -8, -9}

    def fails(candidate):
        return "oom" if candidate.trial_id in failing else "ok"

    work(open_ledger(tmp_path, trials=4), random.Random(0), slots=1, failing=fails).close()
    timings = {each["trial_id"]: each for each in read_lines(tmp_path / TIMINGS)}
    assert {number for number, each in timings.items() if each["status"] == "oom"} == failing
    trained = [each["arch_id"] for each in read_lines(tmp_path / TRIALS)]
    places = {each["arch_id"]: number for number, each in timings.items()}
    assert [places[each] in failing for each in trained] == [False, False, True, False]
    assert places[trained[2]] == -7


def test_a_timing_whose_process_dies_runs_again_then_fails(tmp_path):
    """As trials do; the search goes on without it."""
    ledger = open_ledger(tmp_path)
    first = ledger.next_candidate()
    assert first.timing_only
    assert ledger.died(first.trial_id, "segfault") is None
    again = ledger.next_candidate()
    assert (again.trial_id, again.attempt, again.proposal) == (first.trial_id, 2, first.proposal)
    assert ledger.died(first.trial_id, "segfault").status == "failed"
    assert [each.trial.status for each in read_timings(tmp_path)] == ["failed"]
    assert read_lines(tmp_path / TRIALS) == []


def test_a_training_is_no_timing(tmp_path):
    """An evaluator that trains what was to be timed is told so: its answer is not taken for a timing."""
    ledger = open_ledger(tmp_path)
    first = ledger.next_candidate()
    trial = ledger.finish(first.trial_id, Trial(published("efficientnet_b0"), "ok", accuracy=0.5, reward=0.5))
    assert (trial.status, trial.reward) == ("failed", None)
    assert "was to be timed" in trial.error


def test_a_space_that_is_all_timed_is_trained_to_its_end(tmp_path):
    """Where nothing new can be timed, what was passed over before is trained."""
    space = small()
    one = {name: getattr(space, name) for name in ("stem_channels", "head_channels", "image_size")}
    stage = replace(space.stages[0], **{k: v[:1] for k, v in vars(space.stages[0]).items() if isinstance(v, tuple)})
    tiny = SearchSpace(stages=(replace(stage, layers=(1, 2, 3, 4, 5)),), **one)
    assert tiny.size == 5
    ledger = work(open_ledger(tmp_path, algorithm="random", space=tiny), random.Random(0))
    assert ledger.exhausted
    assert len({each.arch_id for each in ledger.trials}) == 5
    assert len(read_timings(tmp_path)) == 5


def test_repeats_are_timed_with_their_training(tmp_path):
    """What is trained again is measured again, and no timing is made for it."""
    repeats = RepeatSettings(top=3, seeds=2)
    work(open_ledger(tmp_path, repeats=repeats), random.Random(0)).close()
    assert len(read_lines(tmp_path / TIMINGS)) == K * (BUDGET - 3)
    assert sum(each["proposed_by"] == "repeat" for each in read_lines(tmp_path / TRIALS)) == 3


@pytest.mark.parametrize("then", [1, 5])
def test_k_may_change_while_a_search_goes_on(tmp_path, then):
    """Timings that were made stay what they are; with 1 nothing more is timed."""
    work(open_ledger(tmp_path), random.Random(0), steps=41).close()
    made = len(read_timings(tmp_path))
    work(open_ledger(tmp_path, time_first=then), random.Random(0)).close()
    assert sorted(each["trial_id"] for each in read_lines(tmp_path / TRIALS)) == list(range(BUDGET))
    assert (len(read_timings(tmp_path)) > made + 3) == (then > 1)


def test_an_evaluator_must_say_that_it_times(tmp_path, monkeypatch):
    """Without it a search ends before it begins: every timing would be a training."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "evaluators")
    config = parse({**CONFIG, "search": {"time_first": 2, "evaluator": "misbehaving:evaluate"}})
    with pytest.raises(ValueError, match=r"misbehaving:evaluate.*evaluate\.times = True"):
        check_evaluator(config)


def test_a_dry_run_says_it():
    """What is trained, and of how many."""
    described = describe(parse({**CONFIG, "search": {"trials": 3, "time_first": 2}}))
    assert "3, each the one worth most of 2 that are timed" in described["trials"]


def test_readers_of_trials_meet_no_timing(tmp_path):
    """Tables, `best` and `status` are of trials alone; timings have a table and a number of their own."""
    folder = tmp_path / "run"
    create(folder, parse(CONFIG).to_dict())
    work(open_ledger(folder), random.Random(0)).close()
    run = nas.open_run(folder)
    assert len(run.trials) == len(run.dataframe()) == BUDGET
    assert run.best(100)["trial_id"].min() == 0
    timings = run.timings()
    assert len(timings) == K * BUDGET
    assert set(timings["status"]) == {"timed"}
    assert timings[["accuracy", "reward"]].isna().all(axis=None)
    found = run.status()
    assert (found.trials, found.statuses, found.timings, found.in_flight) == (BUDGET, {"ok": BUDGET}, K * BUDGET, 0)
    assert found.state == "stopped"  # the configuration asks for 100 trials
    (folder / TIMINGS).unlink()
    assert run.timings().empty


def test_a_configuration_that_is_corrected_forgets_timings(tmp_path):
    """Before a trial is finished settings may change: what was timed under others is not what would be timed now."""
    folder = tmp_path / "run"
    create(folder, parse(CONFIG).to_dict())
    work(open_ledger(folder), random.Random(0), steps=4, slots=1).close()
    assert len(read_timings(folder)) == 2
    open_run(folder, parse(CONFIG))
    assert len(read_timings(folder)) == 2
    open_run(folder, parse(CONFIG | {"step_time": {"turn": 2}}))
    assert read_timings(folder) == []
