"""What the code says of its settings: a comment for each, and the range that its own check has."""

import doctest
from dataclasses import dataclass

import pytest

from nas.algorithms import ALGORITHMS
from nas.config import declared
from nas.config.declared import MISSING, arguments_of, bounds, settings_of
from nas.config.search import _SECTIONS
from nas.training.settings import LrFactors, ProgressiveSettings
from rewards import REWARDS
from search_space.architecture import Architecture, Stage
from search_space.choices import Constraints
from search_space.space import SearchSpace
from search_space.spaces import SPACES

KINDS = [
    *_SECTIONS.values(),
    *(each.Settings for each in ALGORITHMS.values()),
    *(LrFactors, ProgressiveSettings, Architecture, Stage, Constraints, SearchSpace),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_setting_has_a_comment(kind):
    """The reference and an editor have something to say of each key."""
    assert [each.name for each in settings_of(kind) if not each.about and each.name != "settings"] == []


@pytest.mark.parametrize("function", [*REWARDS.values(), *SPACES.values()], ids=lambda each: each.__name__)
def test_every_argument_is_described(function):
    """So are the settings of rewards and of ready-made spaces."""
    found = arguments_of(function)
    assert found
    assert [each.name for each in found if not each.about] == []


@dataclass(frozen=True)
class Example:
    """Settings."""

    # Read first,
    # in two lines.
    low: int = 2  # and behind
    high: int = 5
    free: str = "x"  # in brackets
    share: float | None = None

    def __post_init__(self):
        if not 1 <= self.low <= 9:
            raise ValueError(f"low must be in [1, 9], got {self.low}")
        if not self.low <= self.high <= 9:
            raise ValueError(f"high must be in [{self.low}, 9], got {self.high}")
        if self.share is not None and not 0 < self.share < 1:
            raise ValueError(f"share must be in (0, 1), got {self.share}")


def test_comments_ranges_and_defaults_are_read_from_the_code():
    """Lines above and behind are one comment; a range that moves with another setting is said to."""
    low, high, free, share = settings_of(Example)
    assert (low.about, free.about, high.about) == ("Read first, in two lines. and behind", "in brackets", "")
    assert (low.default, low.allowed, share.allowed) == (2, "in [1, 9]", "in (0, 1)")
    assert high.allowed == "for the other settings' defaults in [2, 9]"
    assert bounds(high.allowed) == {}
    assert bounds(share.allowed) == {"exclusiveMinimum": 0, "exclusiveMaximum": 1}


def test_what_must_be_given_has_no_default():
    """A stage's op has none, its squeeze-and-excitation has."""
    defaults = {each.name: each.default for each in settings_of(Stage)}
    assert defaults["op"] is MISSING
    assert defaults["se_ratio"] == 0


def test_examples_hold():
    """The doctests."""
    result = doctest.testmod(declared)
    assert result.attempted
    assert not result.failed
