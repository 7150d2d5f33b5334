"""What is refused before anything starts: it would fail every trial."""

from dataclasses import dataclass

import pytest

from nas.algorithms import Algorithm
from nas.algorithms.algorithm import NoSettings
from nas.config.search import search_config
from nas.data.prepare import prepare
from nas.search.checks import check_config, check_evaluator

SMALL = {"space": {"name": "small"}, "image_size": 32}


def test_what_an_algorithm_proposes_is_a_proposal():
    """An architecture alone is the first thing one writes: the error says whose method, and what it must give."""
    with pytest.raises(TypeError, match=r"Careless\._propose must return a Proposal, got Architecture"):
        Careless(search_config(**SMALL).space).ask()


def test_a_reward_of_what_nothing_measures_is_refused():
    """A misspelt number in one's reward costs a second; where something may add it, only the trials can tell."""
    with pytest.raises(ValueError, match="reward math:sqrt needs x, which nothing measures"):
        check_config(search_config(**SMALL, reward={"name": "math:sqrt"}))
    check_config(search_config(**SMALL, reward={"name": "math:sqrt"}, measure=["inference"]))


class Vague(Algorithm):
    """Its settings are no dataclass."""

    name = "vague"
    Settings = dict

    def _propose(self, rng):
        raise NotImplementedError

    def _learn(self, trial):
        pass


class Unclear(Vague):
    """Says of a setting that it is of a class which only the type checker sees."""

    @dataclass(frozen=True)
    class Settings:
        """Cannot be checked."""

        depth: "Nowhere" = 3  # noqa: F821


class Careless(Vague):
    """Proposes an architecture alone."""

    Settings = NoSettings

    def _propose(self, rng):
        return self.space.sample(rng)


@dataclass
class Unhashable:
    """A reward made of a class with an __eq__ of its own, and so without a hash."""

    power: float = 1.0

    def __call__(self, accuracy):
        return accuracy**self.power


REWARD = Unhashable()


def configured(**sections):
    return search_config(**SMALL, **sections)


@pytest.mark.parametrize("given", [{"training": {"batch_size": 1}}, {"execution": {"micro_batch": 1}}])
def test_one_image_at_a_time_is_refused(given):
    """Batch norm would learn from no batch: a search with such a setting does not begin."""
    (section,) = given
    with pytest.raises(ValueError, match=rf"{section}\.\w+ must be at least 2, .*batch norm.*, got 1"):
        check_config(search_config(**SMALL, **given))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: configured(algorithm={"name": f"{__name__}:Vague"}),
            r"algorithm '.*:Vague': Settings must be a dataclass, got <class 'dict'>",
        ),
        (
            lambda: configured(algorithm={"name": f"{__name__}:Unclear", "depth": 4}),
            "annotations of Unclear.Settings cannot be read: name 'Nowhere' is not defined",
        ),
        (
            lambda: configured(reward={"name": f"{__name__}:REWARD"}),
            "reward '.*:REWARD' must be a function",
        ),
        (
            lambda: check_evaluator(search_config(**SMALL, search={"evaluator": "os:sep"})),
            "search.evaluator 'os:sep' must be a function, got '/'",
        ),
        (lambda: check_config(search_config(**SMALL, measure=["os:curdir"])), "measurer '.' cannot|unknown measurer"),
        (
            lambda: prepare(search_config(**SMALL, data={"source": "os:path"}).data, 32),
            "data source 'os:path' is no reader: it has no identity and no read",
        ),
    ],
)
def test_what_is_named_but_is_no_such_thing_is_one_line(check, message):
    """`module:Name` may name anything; what cannot serve is said with its name."""
    with pytest.raises(ValueError, match=message) as error:
        check()
    assert "\n" not in str(error.value)


def test_an_objective_that_nothing_measures_is_refused():
    """Otherwise no trial would ever be on the front, and all proposals would be random."""
    nsga2 = {"name": "nsga2", "objectives": ["accuracy", "-step_tme_ms"]}
    with pytest.raises(ValueError, match="nothing measures step_tme_ms; did you mean step_time_ms"):
        check_config(search_config(**SMALL, algorithm=nsga2))
    check_config(search_config(**SMALL, algorithm=nsga2, measure=["inference"]))
    check_config(search_config(**SMALL, algorithm={"name": "nsga2", "objectives": ["accuracy", "-peak_memory_mb"]}))
