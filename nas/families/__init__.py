"""Families of sizes: grown, with what their steps cost and how to train them."""

from nas.families.equal import Equal, equalise
from nas.families.family import Family, scale
from nas.families.published import Compared, explain
from nas.families.step_cost import Measuring

__all__ = ["Compared", "Equal", "Family", "Measuring", "equalise", "explain", "scale"]
