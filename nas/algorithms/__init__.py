"""Search algorithms behind ask and tell. No torch, no ray."""

from nas.algorithms.algorithm import Algorithm, Exhausted, Proposal, compatible
from nas.algorithms.evolution import Evolution
from nas.algorithms.local import LocalSearch
from nas.algorithms.nsga2 import NSGA2
from nas.algorithms.predictor import Predictor
from nas.algorithms.random import RandomSearch
from nas.algorithms.reinforce import PPO, Reinforce
from nas.algorithms.tpe import TPE

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

__all__ = ["ALGORITHMS", "Algorithm", "Exhausted", "Proposal", "compatible"]
