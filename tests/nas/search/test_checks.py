"""What is refused before anything starts: it would fail every trial."""

import pytest

from nas.config.search import search_config
from nas.data.prepare import prepare
from nas.search.checks import check_config, check_evaluator

SMALL = {"space": {"name": "small"}, "image_size": 32}


def test_a_reward_of_what_nothing_measures_is_refused():
    """A misspelt number in one's reward costs a second; where something may add it, only the trials can tell."""
    with pytest.raises(ValueError, match="reward math:sqrt needs x, which nothing measures"):
        check_config(search_config(**SMALL, reward={"name": "math:sqrt"}))
    check_config(search_config(**SMALL, reward={"name": "math:sqrt"}, measure=["inference"]))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_evaluator("os:sep"), "search.evaluator 'os:sep' must be a function, got '/'"),
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
