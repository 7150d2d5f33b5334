"""Ops from outside at the edges: costs that are no whole numbers, options that disagree, an op that is redefined."""

from dataclasses import replace

import numpy as np
import pytest

from search_space.choices import StageChoices
from search_space.cost import count, count_batch
from search_space.ops import OPS, Op, Option
from search_space.ops.mbconv import MBCONV
from search_space.space import SearchSpace


def scaled(option):
    def cost(b):
        return tuple(part * b.options["ratio"] for part in MBCONV.cost(b))

    return Op(module=MBCONV.module, cost=cost, options={"ratio": option})


def test_one_and_many_are_counted_alike_also_by_fractions(monkeypatch):
    """A cost that is cut to whole numbers is cut at the same place, or a bound would mean two things."""
    monkeypatch.setitem(OPS, "scaled", scaled(Option(1.0, least=0.1, most=9.0)))
    stage = StageChoices(("mbconv", "scaled"), (1, 2), (3, 5), (1, 4), (8,), (1,), options={"ratio": (0.37, 1.91)})
    space = SearchSpace(8, (stage, stage), 16)
    codes = space.sample_encodings(50, np.random.default_rng(0))
    counted = [count(space.decode(code), 16, 10) for code in codes]
    assert [c.params for c in counted] == count_batch(space, codes, 16, 10).params.tolist()
    assert [c.macs for c in counted] == count_batch(space, codes, 16, 10).macs.tolist()


def test_ops_of_a_stage_agree_on_an_options_type(monkeypatch):
    """An option that is a whole number in one op and a fraction in the other is refused with the space."""
    monkeypatch.setitem(OPS, "a", scaled(Option(1, least=1, most=9)))
    monkeypatch.setitem(OPS, "b", scaled(Option(1.0, least=1, most=9)))
    with pytest.raises(ValueError, match="option ratio is of another type in op b"):
        StageChoices(("mbconv", "a", "b"), (1,), (3,), (1,), (8,), (1,), options={"ratio": (1, 2)})


def test_an_op_that_is_defined_anew_is_counted_anew(monkeypatch):
    """In a notebook a cell is run again: what was remembered of the op before is not its cost."""
    monkeypatch.setitem(OPS, "mine", MBCONV)
    stage = StageChoices(("mine",), (1,), (3,), (4,), (8,), (1,))
    architecture = SearchSpace(8, (stage,), 16).decode([])
    before = count(architecture, 16, 10)
    monkeypatch.setitem(OPS, "mine", replace(MBCONV, cost=lambda b: tuple(2 * part for part in MBCONV.cost(b))))
    assert count(architecture, 16, 10).params > before.params
