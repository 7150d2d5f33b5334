"""What is said of trainings that waited for their data."""

import doctest

from nas.runs import waiting
from nas.runs.waiting import about_waiting


def test_examples() -> None:
    """The doctests."""
    assert doctest.testmod(waiting).failed == 0


def test_what_was_not_measured_is_not_said() -> None:
    """Nothing is said without a measurement, or of a tenth; of one training it is said without a median."""
    assert about_waiting([]) is about_waiting([None]) is about_waiting([0.1, 0.1]) is None
    assert (
        about_waiting([None, 0.25]) == "the training waited for data 25 % of its time: what to change is in (docs: faq)"
    )
