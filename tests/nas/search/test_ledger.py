"""The ledger loses and doubles nothing, wherever its process is killed."""

import dataclasses
import json
import random
import shutil

import pytest

from nas.algorithms import ALGORITHMS, Exhausted
from nas.config.search import parse
from nas.runs.folder import PROPOSALS, TRIALS, read_config, write_config
from nas.runs.log import read_lines
from nas.runs.status import status
from nas.runs.trial import Trial
from nas.search.ledger import MAX_KILLS, Ledger
from nas.seeds import seed_of
from search_space.families import published
from search_space.spaces import small

BUDGET = 14


def open_ledger(folder, *, trials=BUDGET, algorithm="evolution", **settings):
    if algorithm == "evolution":
        settings = {"population": 4, "sample_size": 2} | settings
    return Ledger(
        folder,
        ALGORITHMS[algorithm](small(), 3, **settings),
        run_id="r",
        seed=100,
        trials=trials,
        max_attempts=2,
    )


def answer(trial_id, **fields):
    """What a worker knows of a trial; which architecture it was, the ledger knows."""
    return Trial(published("efficientnet_b0"), "ok", accuracy=0.5, reward=(trial_id * 37 % 11) / 10, **fields)


def work(ledger, rng, steps=10**6):
    """Run as an engine with three slots would, finishing in random order; give up after some steps."""
    running = []
    while not ledger.done and steps:
        steps -= 1
        candidate = ledger.next_candidate() if len(running) < 3 else None
        if candidate is not None:
            running.append(candidate.trial_id)
        elif running:
            trial_id = running.pop(rng.randrange(len(running)))
            ledger.finish(trial_id, answer(trial_id))
    return ledger


def test_every_candidate_is_answered_once(tmp_path):
    """A search of N trials logs N trials with distinct numbers and distinct architectures."""
    work(open_ledger(tmp_path), random.Random(0)).close()
    trials = read_lines(tmp_path / TRIALS)
    assert sorted(t["trial_id"] for t in trials) == list(range(BUDGET))
    assert len({t["arch_id"] for t in trials}) == BUDGET
    assert [t["seed"] for t in sorted(trials, key=lambda t: t["trial_id"])] == [
        seed_of(100, "trial", i) for i in range(BUDGET)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_killed_between_or_inside_writes_nothing_is_lost_or_doubled(tmp_path, seed):
    """Whenever the driver is killed, also half-way through a line, the next one ends with one answer a candidate."""
    rng = random.Random(seed)
    folder = tmp_path / "run"
    folder.mkdir()
    for kill in range(6):
        ledger = work(open_ledger(folder), rng, steps=rng.randrange(1, 12))
        ledger.close()
        before = (folder / TRIALS).read_bytes()
        torn = rng.choice([TRIALS, PROPOSALS])
        with (folder / torn).open("ab") as file:
            file.write(b'{"trial_id":0,"event":"pro'[: rng.randrange(26)])
        finished = read_lines(folder / TRIALS)
        assert len(finished) == before.count(b"\n"), kill
    work(open_ledger(folder), rng).close()
    trials = read_lines(folder / TRIALS)
    assert sorted(t["trial_id"] for t in trials) == list(range(BUDGET))
    proposed = {e["trial_id"]: e["architecture"] for e in read_lines(folder / PROPOSALS) if e["event"] == "proposed"}
    assert all(proposed[t["trial_id"]] == t["architecture"] for t in trials)
    assert (folder / TRIALS).read_bytes().startswith(before)


@pytest.mark.parametrize("steps", range(1, 25, 3))
def test_the_same_log_gives_the_same_next_proposal(tmp_path, steps):
    """A resumed search first runs again what was in flight, then asks what the unstopped search would have asked."""
    (tmp_path / "run").mkdir()
    straight = work(open_ledger(tmp_path / "run"), random.Random(1), steps=steps)
    running = list(straight.flights)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    resumed = open_ledger(tmp_path / "copy")
    assert [resumed.next_candidate().trial_id for _ in running] == running
    for _ in range(3):
        one, other = straight.next_candidate(), resumed.next_candidate()
        assert one == other


def test_a_larger_budget_extends_and_a_smaller_one_ends(tmp_path):
    """The same command with more trials goes on; with fewer it has nothing to do."""
    work(open_ledger(tmp_path, trials=5), random.Random(0)).close()
    ledger = work(open_ledger(tmp_path, trials=9), random.Random(0))
    assert [t.trial_id for t in ledger.trials][:5] == [t["trial_id"] for t in read_lines(tmp_path / TRIALS)][:5]
    assert len(ledger.trials) == 9
    ledger.close()
    assert open_ledger(tmp_path, trials=3).done


def test_a_candidate_whose_process_dies_runs_again_then_fails(tmp_path):
    """A lost worker costs a candidate nothing; a candidate that kills every worker is answered `failed`."""
    ledger = open_ledger(tmp_path)
    first = ledger.next_candidate()
    assert ledger.died(first.trial_id, "segfault") is None
    again = ledger.next_candidate()
    assert (again.trial_id, again.attempt, again.proposal) == (first.trial_id, 2, first.proposal)
    trial = ledger.died(first.trial_id, "segfault")
    assert (trial.status, trial.attempt) == ("failed", 2)
    assert "died 2 times: segfault" in trial.error
    assert ledger.finish(first.trial_id, answer(0)) is None  # a late answer is not a second one


def test_a_lost_node_is_not_the_candidates_doing(tmp_path):
    """However often its node goes it runs again, also after a restart, until that is as often as drivers may go."""
    ledger = open_ledger(tmp_path)
    for _ in range(5):
        assert ledger.next_candidate().trial_id == 0
        assert ledger.died(0, "its node has died", lost=True) is None
    ledger.close()
    ledger = open_ledger(tmp_path)
    for number in range(MAX_KILLS - 5):
        assert ledger.next_candidate().trial_id == 0
        trial = ledger.died(0, "its node has died", lost=True)
        assert (trial is None) == (number < MAX_KILLS - 6)
    assert trial.status == "interrupted"


def test_a_candidate_past_its_time_is_answered_at_once(tmp_path):
    """A hang is not tried again: it would hang again."""
    ledger = open_ledger(tmp_path)
    candidate = ledger.next_candidate()
    assert ledger.died(candidate.trial_id, "killed", timed_out=True).status == "timeout"


def test_deaths_are_remembered_over_a_restart(tmp_path):
    """Restarting the search does not give a candidate that kills its process new lives."""
    ledger = open_ledger(tmp_path)
    ledger.next_candidate()
    ledger.died(0, "segfault")
    ledger.close()
    ledger = open_ledger(tmp_path)
    assert ledger.next_candidate().trial_id == 0
    assert ledger.died(0, "segfault").status == "failed"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_candidate_that_was_ended_for_memory_is_oom_in_the_end(tmp_path, restarted):
    """Once it may have been another's memory; also where the driver died before the answer was written."""
    ledger = open_ledger(tmp_path)
    ledger.next_candidate()
    assert ledger.died(0, "killed", out_of_memory=True) is None
    if restarted:
        ledger.close()
        ledger = open_ledger(tmp_path)
    assert ledger.next_candidate().trial_id == 0
    trial = ledger.died(0, "killed", out_of_memory=True)
    assert trial.status == "oom"
    assert "memory ran out" in trial.error


def test_a_candidate_that_brings_the_driver_down_is_given_up_in_the_end(tmp_path):
    """A candidate that kills the whole search each time does not stop it for ever; a clean stop does not count."""
    for _ in range(MAX_KILLS + 5):
        ledger = open_ledger(tmp_path)
        ledger.next_candidate()
        ledger.stop()
        ledger.close()
    assert not read_lines(tmp_path / TRIALS)
    for _ in range(MAX_KILLS):
        ledger = open_ledger(tmp_path)
        ledger.next_candidate()
        ledger.close()
    ledger = open_ledger(tmp_path)
    assert [(t.trial_id, t.status) for t in ledger.trials] == [(0, "interrupted")]


def test_what_a_stopped_engine_gives_back_is_started_again(tmp_path):
    """Ray may be started again over the same ledger: what ran then runs first, as one more attempt and no death."""
    ledger = open_ledger(tmp_path)
    for _ in range(MAX_KILLS + 1):
        candidates = [ledger.next_candidate() for _ in range(2)]
        assert [candidate.trial_id for candidate in candidates] == [0, 1]
        ledger.stop()
    assert candidates[1].attempt == MAX_KILLS + 1
    assert not ledger.trials


def test_a_space_smaller_than_the_budget_ends_the_search(tmp_path):
    """When every architecture was tried, the search is done rather than stuck."""
    from search_space.choices import StageChoices
    from search_space.space import SearchSpace

    stage = StageChoices(("mbconv",), (1, 2), (3, 5), (1,), (8,), (1,))
    ledger = Ledger(
        tmp_path, ALGORITHMS["random"](SearchSpace(8, (stage,), 16)), run_id="r", seed=0, trials=10, max_attempts=1
    )
    work(ledger, random.Random(0))
    assert ledger.done
    assert len(ledger.trials) == 4


def test_trials_trained_or_timed_unlike_the_others_are_refused(tmp_path, caplog):
    """Half precision on one machine and full on another never share a ranking; another device alone is only said."""
    ledger = open_ledger(tmp_path)
    for _ in range(4):
        ledger.next_candidate()
    assert ledger.finish(0, answer(0, precision="fp32", device_name="a")).status == "ok"
    unlike = ledger.finish(1, answer(0, precision="bf16", device_name="a"))
    assert (unlike.status, unlike.reward) == ("failed", None)
    assert "precision 'bf16' is not the run's 'fp32'" in unlike.error
    assert not caplog.text
    assert ledger.finish(2, answer(0, precision="fp32", device_name="b")).status == "ok"
    assert ledger.finish(3, answer(0, precision="fp32", device_name="b")).status == "ok"
    assert caplog.text.count("trials now come from b, too") == 1


def test_a_log_that_answers_twice_is_refused(tmp_path):
    """Two searches that wrote one log are noticed, not averaged."""
    work(open_ledger(tmp_path, trials=2), random.Random(0)).close()
    text = (tmp_path / TRIALS).read_text()
    (tmp_path / TRIALS).write_text(text + text)
    with pytest.raises(ValueError, match="answers a trial twice"):
        open_ledger(tmp_path)


def test_the_search_of_an_exhausted_space_is_finished(run):
    """Fewer trials than were asked for, and none will come: status says so, also while one is still awaited."""
    record = read_config(run)
    record["search"]["trials"] = 99
    write_config(run, record)
    assert status(run).state == "stopped"
    algorithm = ALGORITHMS["random"](parse(record).space, 0)
    ledger = Ledger(run, algorithm, run_id="r", seed=0, trials=99, max_attempts=1)
    candidate = ledger.next_candidate()

    def exhausted():
        raise Exhausted("all were proposed")

    algorithm.ask = exhausted
    assert ledger.next_candidate() is None
    assert status(run).state == "stopped"
    ledger.finish(candidate.trial_id, answer(12))
    assert status(run).state == "finished"
    ledger.close()
    again = Ledger(run, ALGORITHMS["random"](parse(record).space, 0), run_id="r", seed=0, trials=99, max_attempts=1)
    assert len(again.trials) == 13
    again.close()


@pytest.mark.parametrize("reach", [1, 100, 1 << 20])
def test_status_counts_what_is_in_flight(tmp_path, run, monkeypatch, reach):
    """However long ago its proposal was logged, and whatever was logged since, a candidate is awaited."""
    monkeypatch.setattr("nas.runs.events._REACH", reach)
    space = parse(read_config(run)).space
    ledger = Ledger(run, ALGORITHMS["random"](space, 1), run_id="r", seed=0, trials=99, max_attempts=9)
    assert status(run).in_flight == 0
    numbers = [ledger.next_candidate().trial_id for _ in range(3)]
    assert status(run).in_flight == 3
    ledger.finish(numbers[0], answer(numbers[0]))
    for _ in range(5):
        ledger.died(numbers[1], "killed")
        ledger.next_candidate()
    ledger.stop()
    with (run / PROPOSALS).open("a") as file:
        file.write('{"event":"propo')  # torn
    assert status(run).in_flight == 2
    ledger.close()
    with (run / PROPOSALS).open("a") as file:
        file.write("\n")
    assert status(run).in_flight == 2
    with (run / PROPOSALS).open("a") as file:
        file.write('{"event":"stopped","trial_ids":[]}\n')
    with pytest.raises(ValueError, match=r"proposals.jsonl: line \d+ is not a JSON object"):
        status(run)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_trial_has_what_its_proposal_said(tmp_path, restarted):
    """Notes and parents go to the log with the answer, also when another driver proposed: algorithms learn of them."""
    ledger = open_ledger(tmp_path, algorithm="predictor", warm_up=4)
    for trial_id in range(6):
        ledger.next_candidate()
        ledger.finish(trial_id, answer(trial_id))
    candidate = ledger.next_candidate()
    proposal = dataclasses.replace(candidate.proposal, parents=("abc", "def"))
    if restarted:
        ledger.close()
        event = read_lines(tmp_path / PROPOSALS)[-2]
        assert event["proposal"] == dict(candidate.proposal.notes)
        with (tmp_path / PROPOSALS).open("a") as file:
            event = event | {"trial_id": 7, "parents": ["abc", "def"]}
            file.write(json.dumps(event) + "\n")
        ledger = open_ledger(tmp_path, algorithm="predictor", warm_up=4)
        assert ledger.flights[7].candidate.proposal.parents == proposal.parents
    trial = ledger.finish(6, answer(6))
    assert trial.proposal == candidate.proposal.notes
    assert set(trial.proposal) == {"predicted_reward", "predicted_std", "winner_by_model"}
    assert (trial.proposed_by, trial.parents) == (candidate.proposal.proposed_by, candidate.proposal.parents)
    assert (trial.run_id, trial.trial_id, trial.seed) == ("r", 6, candidate.seed)
    ledger.close()
