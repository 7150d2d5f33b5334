"""Search algorithms behind ask and tell. No torch, no ray."""

from nas.algorithms.algorithm import Algorithm, Exhausted, Proposal
from nas.algorithms.evolution import Evolution
from nas.algorithms.random import RandomSearch

ALGORITHMS: dict[str, type[Algorithm]] = {"random": RandomSearch, "evolution": Evolution}

__all__ = ["ALGORITHMS", "Algorithm", "Exhausted", "Proposal"]
