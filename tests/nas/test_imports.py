"""Imports without the garbage collector."""

import gc

import pytest

from nas.imports import uncollected


def test_the_collector_is_off_meanwhile_and_as_it_was_afterwards():
    """Also where an import fails, and for who had switched it off."""
    assert gc.isenabled()
    with pytest.raises(ImportError), uncollected():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
