"""Search algorithms behind ask and tell. No torch, no ray."""

from dataclasses import is_dataclass

from nas.algorithms.algorithm import Algorithm, Exhausted, Proposal, compatible, make_settings
from nas.algorithms.evolution import Evolution
from nas.algorithms.local import LocalSearch
from nas.algorithms.nsga2 import NSGA2
from nas.algorithms.predictor import Predictor
from nas.algorithms.random import RandomSearch
from nas.algorithms.reinforce import PPO, Reinforce
from nas.algorithms.tpe import TPE
from search_space.lookup import find

ALGORITHMS: dict[str, type[Algorithm]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "local": LocalSearch,
    "reinforce": Reinforce,
    "ppo": PPO,
    "tpe": TPE,
    "nsga2": NSGA2,
    "predictor": Predictor,
}


def find_algorithm(name: str) -> type[Algorithm]:
    """Give the algorithm of that name: a key of ALGORITHMS, or `module:Name` of a subclass of Algorithm.

    Raises: ValueError for an unknown name, what cannot be imported, or what is no algorithm.
    """
    found = find("algorithm", name, ALGORITHMS)
    if not (isinstance(found, type) and issubclass(found, Algorithm) and isinstance(getattr(found, "name", None), str)):
        raise ValueError(f"algorithm {name!r} must be a subclass of nas.algorithms.Algorithm that has a `name`")
    if not (isinstance(found.Settings, type) and is_dataclass(found.Settings)):
        raise ValueError(f"algorithm {name!r}: Settings must be a dataclass, got {found.Settings!r}")
    return found


__all__ = ["ALGORITHMS", "Algorithm", "Exhausted", "Proposal", "compatible", "find_algorithm", "make_settings"]
