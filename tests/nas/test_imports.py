"""Imports without the garbage collector."""

import gc

import pytest

from nas.imports import uncollected


def test_the_collector_is_off_meanwhile_and_as_it_was_afterwards():
    """Also where an import fails, and for who had switched it off."""
    seen = [gc.isenabled()]

    def fail():
        with uncollected():
            seen.append(gc.isenabled())
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert [*seen, gc.isenabled()] == [True, False, True]
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
