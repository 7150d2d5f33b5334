"""Values against type hints: what is read as what, and what is refused in which words."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from search_space.typed import typed


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (float, 3, 3.0),
        (int, 3.0, 3),
        (bool, False, False),
        (str, "", ""),
        (int | None, None, None),
        (int | None, 3, 3),
        (float | str, "auto", "auto"),
        (Literal["a", 1], 1, 1),
        (tuple[float, ...], [1, 2.5], (1.0, 2.5)),
        (tuple[int, str], [1, "x"], (1, "x")),
        (tuple[tuple[int, ...], ...], [[1], []], ((1,), ())),
        (tuple, [1, "x"], (1, "x")),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (Any, Path(), Path()),
        (float, math.inf, math.inf),
    ],
)
def test_what_fits_is_given_in_the_hints_own_type(kind, given, expected):
    """YAML has no tuples and writes 3 for 3.0: both are what is meant."""
    read = typed("x", kind, given)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("kind", "given", "allowed"),
    [
        (float, "3", "a number, got '3'"),
        (float, True, "a number, got True"),
        (float, None, "a number, got None"),
        (int, "3", "a number, got '3'"),
        (int, 2.5, "a whole number, got 2.5"),
        (int, math.inf, "a whole number, got inf"),
        (bool, "no", "true or false, got 'no'"),
        (bool, 1, "true or false, got 1"),
        (str, 1, "text, got 1"),
        (int | None, "x", "a number, got 'x'"),
        (Literal["a", 1], True, "one of a, 1, got True"),
        (tuple[int, ...], "12", "a list, got '12'"),
        (tuple[int, int], [1], "a list of 2, got [1]"),
        (Mapping[str, int], [1], "a Mapping, got [1]"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_allowed(kind, given, allowed):
    """One line with name, value and what is allowed."""
    with pytest.raises(ValueError) as error:
        typed("x", kind, given)
    assert str(error.value) == f"x must be {allowed}"


def test_an_item_of_a_list_is_named_by_its_place():
    """In a list of lists, too."""
    with pytest.raises(ValueError, match=r"x\[1\]\[0\] must be a number, got 'a'"):
        typed("x", tuple[tuple[float, ...], ...], [[1], ["a"]])


@pytest.mark.parametrize("value", [math.inf, math.nan, 10**400])
def test_numbers_may_have_to_be_finite(value):
    """A setting of a reward that is infinite or not a number would score everything alike."""
    with pytest.raises(ValueError, match="x must be a finite number, got"):
        typed("x", float, value, finite=True)


def test_an_integer_beyond_all_floats_is_no_number_of_a_setting():
    """One line, not an overflow."""
    for kind in (int, float):
        with pytest.raises(ValueError, match="x must be a number"):
            typed("x", kind, 10**400)
