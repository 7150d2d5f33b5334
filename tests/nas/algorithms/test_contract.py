"""Every entry of ALGORITHMS, and one that a user registers, passes one contract."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS, Exhausted, Proposal, compatible
from nas.algorithms.algorithm import Algorithm, check_settings
from nas.algorithms.known_reward import known_reward
from nas.runs.ranking import score
from nas.runs.trial import STATUSES, Trial
from search_space.choices import Constraints, StageChoices
from search_space.cost import count
from search_space.space import SearchSpace
from search_space.spaces import small

SPACE = small()
TIGHT = small(constraints={"params_min": 400_000, "params_max": 700_000})
STAGE = StageChoices(("mbconv",), (1, 2), (3, 5), (1,), (8,), (2,))
PAIRS = StageChoices(("mbconv",), (1, 2), (3, 5), (1, 4), (8,), (2,))
FEW = SearchSpace(8, (PAIRS, PAIRS), 16, image_size=32)
TINY = SearchSpace(8, (STAGE,), 16, image_size=32)


@dataclass(frozen=True)
class ClimberSettings:
    """Of a user's algorithm."""

    warm_up: int = 5

    def __post_init__(self):
        check_settings(warm_up=(self.warm_up, 1, 100))


class Climber(Algorithm):
    """A user's own algorithm: changes one decision of the best."""

    name = "climber"
    Settings = ClimberSettings

    def __init__(self, space, seed=0, **settings):
        super().__init__(space, seed, **settings)
        self.scored, self.best = 0, None

    def _propose(self, rng):
        if self.scored < self.settings.warm_up:
            return Proposal(self.space.sample(rng), self.name)
        return Proposal(self.space.mutate(self.best.architecture, rng), self.name, (self.best.arch_id,))

    def _learn(self, trial):
        if score(trial) is not None:
            self.scored += 1
            self.best = trial if self.best is None else max(self.best, trial, key=score)


@pytest.fixture(params=[*sorted(ALGORITHMS), "climber"])
def name(request, monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "climber", Climber)
    if request.param == "tpe":
        pytest.importorskip("optuna", reason="the extra `algorithms` is not installed")
    return request.param


def trial_of(algorithm: Algorithm, architecture, status="ok", sparse=False) -> Trial:
    """A deterministic result that any algorithm can learn from: capacity helps with diminishing returns."""
    proposal = algorithm.pending[architecture.arch_id]
    params = count(architecture, 32, 10).params
    step_time = sum(s.layers * s.expansion for s in architecture.stages) / 20
    accuracy = 0.9 - 30 / params**0.5 + 0.01 * sum(s.se_ratio for s in architecture.stages)
    reward = accuracy * step_time**-0.07 * (params / 80_000) ** -0.05
    ok = status == "ok"
    return Trial(
        architecture,
        status,
        proposed_by=proposal.proposed_by,
        parents=proposal.parents,
        proposal=proposal.notes,
        params=params,
        p_normalised=None if sparse else params / 80_000,
        s_normalised=None if sparse else step_time,
        accuracy=accuracy if ok and not sparse else None,
        reward=reward if ok else None,
        w=None if sparse else -0.07,
        v=None if sparse else -0.05,
    )


def run(algorithm: Algorithm, trials: int, *, in_flight: int = 3, seed: int = 5) -> list[Trial]:
    """Search with several candidates in flight whose results come back in any order, every status among them."""
    rng, log, flying = np.random.default_rng(seed), [], []
    while len(log) < trials:
        while len(flying) < in_flight:
            flying.append(algorithm.ask().architecture)
        architecture = flying.pop(rng.integers(len(flying)))
        status = "ok" if rng.random() < 0.8 else str(rng.choice(sorted(STATUSES)))
        log.append(trial_of(algorithm, architecture, status))
        algorithm.tell(log[-1])
    return log


@pytest.mark.parametrize("space", [SPACE, TIGHT], ids=["free", "constrained"])
def test_asks_are_distinct_and_allowed(name, space):
    """What is asked lies in the space, keeps its constraints, and never comes twice."""
    algorithm = ALGORITHMS[name](space, seed=1)
    log = run(algorithm, 40)
    asked = [t.architecture for t in log] + [p.architecture for p in algorithm.pending.values()]
    assert all(space.contains(a) for a in asked)
    assert len({a.arch_id for a in asked}) == len(asked) == 42
    assert all(t.proposed_by.split(".")[0] == name for t in log)


def test_same_seed_same_search(name):
    """Equal seeds and equal results give equal proposals; another seed gives others."""
    first, second, other = (run(ALGORITHMS[name](SPACE, seed=s), 30) for s in (3, 3, 4))
    assert [t.arch_id for t in first] == [t.arch_id for t in second]
    assert [t.arch_id for t in first] != [t.arch_id for t in other]


# In the space of 64 the neighbourhoods are used up and a search has to leave them.
@pytest.mark.parametrize(
    ("space", "trials"), [(SPACE, 0), (SPACE, 7), (SPACE, 26), (SPACE, 45), (FEW, 30), (FEW, 39), (FEW, 48)]
)
def test_a_replayed_log_asks_the_same_next(name, space, trials):
    """A fresh instance, told the log in its order and given what was in flight, goes on as the first one did."""
    algorithm = ALGORITHMS[name](space, seed=2)
    log = run(algorithm, trials, in_flight=6)
    resumed = ALGORITHMS[name](space, seed=2)
    for trial in log:
        resumed.tell(Trial.from_dict(trial.to_dict()))
    for pending in algorithm.pending.values():
        resumed.assume(pending)
    for _ in range(3):
        expected = algorithm.ask()
        assert resumed.ask() == expected
        arch_id = expected.architecture.arch_id
        assert resumed.pending[arch_id] == algorithm.pending[arch_id]


def test_a_small_space_is_exhausted(name):
    """Every architecture of a tiny space is proposed once, and then the algorithm says that none is left."""
    algorithm = ALGORITHMS[name](TINY)
    asked = []
    for _ in range(TINY.size):
        asked.append(algorithm.ask().architecture)
        algorithm.tell(trial_of(algorithm, asked[-1]))
    assert {a.arch_id for a in asked} == {a.arch_id for a in TINY}
    with pytest.raises(Exhausted):
        algorithm.ask()


def test_the_last_architecture_is_found(name):
    """Where 63 of 64 were seen, draws hardly meet the one that is left: it is looked for."""
    for seed, last in enumerate(list(FEW)[::8]):
        algorithm = ALGORITHMS[name](FEW, seed)
        for architecture in FEW:
            if architecture != last:
                algorithm.assume(Proposal(architecture, name))
        proposal = algorithm.ask()
        assert proposal.architecture == last
        assert proposal.proposed_by.split(".")[0] == name


def test_the_seed_is_0_by_default(name):
    """As every configuration written without one has it."""
    assert ALGORITHMS[name](SPACE).ask() == ALGORITHMS[name](SPACE, 0).ask()


def test_a_space_of_one_is_exhausted_after_one(name):
    """Where nothing can be changed the second ask says that nothing is left, not that the space is impossible."""
    only = SearchSpace(8, (StageChoices(("mbconv",), (1,), (3,), (1, 4), (8,), (2,)),), 16, image_size=32)
    only = replace(only, constraints=Constraints(params_max=count(only.decode([0]), 32).params, image_size=32))
    algorithm = ALGORITHMS[name](only)
    algorithm.tell(trial_of(algorithm, algorithm.ask().architecture))
    with pytest.raises(Exhausted):
        algorithm.ask()


def test_trials_without_result_do_not_stop_it(name):
    """A search in which nothing ever succeeds goes on proposing what is new, at random: there is nothing to learn."""
    algorithm, bad = ALGORITHMS[name](SPACE), sorted(set(STATUSES) - {"ok"})
    asked = []
    for number in range(30):
        asked.append(algorithm.ask())
        algorithm.tell(trial_of(algorithm, asked[-1].architecture, bad[number % len(bad)]))
    assert len({proposal.architecture.arch_id for proposal in asked}) == 30
    codes = np.array([SPACE.encode(proposal.architecture) for proposal in asked])
    assert (np.ptp(codes, axis=0) == [len(decision.choices) - 1 for decision in SPACE.decisions]).all()


def test_only_the_reward_told_is_enough(name):
    """A log with rewards and nothing else (no accuracy, step time, exponents) can be learned from."""
    algorithm = ALGORITHMS[name](SPACE, seed=1)
    for _ in range(31):
        proposal = algorithm.ask()
        algorithm.tell(trial_of(algorithm, proposal.architecture, sparse=True))
    # Three objectives are not to be had from a reward: nsga2 warns, and stays random.
    assert (proposal.proposed_by in (f"{name}.random", "random")) == (name in ("nsga2", "random"))


def test_trials_nobody_asked_for_are_learned_from(name):
    """An earlier search's trials count as seen; a foreign architecture is an error that names the field."""
    earlier = ALGORITHMS["random"](SPACE, seed=9)
    algorithm = ALGORITHMS[name](SPACE, seed=1)
    log = run(earlier, 25)
    for trial in log:
        algorithm.tell(trial)
    assert not {t.arch_id for t in log} & {algorithm.ask().architecture.arch_id for _ in range(5)}
    foreign = next(iter(TINY))
    assert not compatible(SPACE, foreign)
    assert compatible(SPACE, log[0].architecture)
    with pytest.raises(ValueError, match="stem_channels"):
        algorithm.tell(Trial(foreign, "ok", reward=1.0))


BAD_SETTINGS = {
    "random": {},
    "evolution": {"population": 0, "sample_size": 99, "crossover": 1.5, "mutations": 0.5, "warm_up": 0},
    "local": {"warm_up": 0, "kick": 1},
    "reinforce": {"learning_rate": 0.0, "batch": 0, "memory": 4, "entropy": -1.0, "baseline_decay": 1.0},
    "ppo": {"learning_rate": -1.0, "epochs": 0, "clip": 0.0},
    "tpe": {"startup": 0, "candidates": 0},
    "nsga2": {"population": 1, "crossover": -0.1, "objectives": ("speed",)},
    "climber": {"warm_up": 0},
    "predictor": {"warm_up": 1, "explore": -1, "optimism": -1.0, "candidates": 0},
}


def test_settings_out_of_range_are_named(name):
    """A setting out of range is a ValueError that names it."""
    for setting, value in BAD_SETTINGS[name].items():
        expected = "objective" if setting == "objectives" else setting
        with pytest.raises(ValueError, match=expected):
            ALGORITHMS[name](SPACE, **{setting: value})


def test_an_assumed_proposal_is_not_asked_again(name):
    """What a resumed search hands back as running is not proposed a second time."""
    algorithm = ALGORITHMS[name](TINY)
    running = next(iter(TINY))
    algorithm.assume(Proposal(running, "earlier"))
    asked = {algorithm.ask().architecture.arch_id for _ in range(TINY.size - 1)}
    assert running.arch_id not in asked


def test_constraints_that_nothing_meets_are_an_error(name):
    """A space without allowed architectures says so instead of searching forever."""
    empty = SearchSpace(8, (STAGE,), 16, image_size=32, constraints=Constraints(params_max=10))
    with pytest.raises(ValueError, match="params"):
        ALGORITHMS[name](empty).ask()


def timed_first(algorithm: Algorithm, rounds: int, k: int = 3) -> list[Trial]:
    """Search as with `search.time_first`; everything that was told, in order."""
    told: list[Trial] = []
    for _ in range(rounds):
        timings = []
        for _ in range(k):
            whole = trial_of(algorithm, algorithm.ask().architecture)
            timings.append(replace(whole, status="timed", accuracy=None, reward=None))
            algorithm.tell_timing(timings[-1])
        assert not algorithm.pending
        chosen = algorithm.choose(timings)
        assert [*algorithm.pending.values()] == [chosen]
        told += [*timings, trial_of(algorithm, chosen.architecture)]
        algorithm.tell(told[-1])
    return told


def test_what_is_timed_is_proposed_once_and_one_of_it_chosen(name):
    """Timings are in flight no more; what is chosen was timed, not trained yet, and is in flight until it is told."""
    algorithm = ALGORITHMS[name](SPACE, seed=1)
    algorithm.reward = known_reward("weighted_product", {})
    told = timed_first(algorithm, 12)
    timed = [each.arch_id for each in told if each.status == "timed"]
    trained = [each.arch_id for each in told if each.status == "ok"]
    assert len(set(timed)) == 36
    assert len(set(trained)) == 12
    assert set(trained) <= set(timed)


def test_the_first_of_the_timed_is_chosen_before_anything_is_known(name):
    """No trial is scored: what was proposed first was what the algorithm wanted most."""
    algorithm = ALGORITHMS[name](SPACE, seed=1)
    timings = [
        replace(trial_of(algorithm, algorithm.ask().architecture), status="timed", reward=None) for _ in range(3)
    ]
    for timing in timings:
        algorithm.tell_timing(timing)
    assert algorithm.choose(timings).architecture == timings[0].architecture


@pytest.mark.parametrize("rounds", [3, 9])
def test_replayed_timings_and_trials_ask_and_choose_the_same_next(name, rounds):
    """A fresh instance, told both in their order, goes on as the first one did."""
    first, resumed = (ALGORITHMS[name](SPACE, seed=2) for _ in range(2))
    first.reward = resumed.reward = known_reward("weighted_product", {})
    for each in timed_first(first, rounds):
        again = Trial.from_dict(each.to_dict())
        (resumed.tell_timing if each.status == "timed" else resumed.tell)(again)
    assert timed_first(first, 2) == timed_first(resumed, 2)
