"""What this machine has for a search: places for trials, and so its hours; room on disk."""

from __future__ import annotations

from dataclasses import dataclass

from nas.cluster.share import Share, slots
from nas.config.search import Config
from nas.cpus import available_cpus


@dataclass(frozen=True)
class Places:
    """Where trials run."""

    at_once: int
    devices: int  # each with a lock of its own, by which a trial that is timed has it alone


def places_of(config: Config, gpus: int) -> Places:
    """Give the places that a search has on this machine.

    Args:
        gpus: of the machine.
    Raises: ValueError if not even one trial fits, or fewer than the configuration asks for.
    """
    share = Share(config.search.cpus_per_trial, config.search.gpus_per_trial)
    at_once = slots(share, config.search.workers, {"CPU": available_cpus(), "GPU": gpus}, elastic=False)
    return Places(at_once, max(1, gpus) if share.gpus else 1)


def search_hours(config: Config, places: Places, timing_s: float, training_s: float) -> float:
    """Give the hours of a search all of whose trials take so long alone, in seconds.

    Trainings on one device run beside each other, and wait while one of them times its step.
    """
    devices = min(places.devices, places.at_once)
    timing_s *= config.search.time_first
    beside = places.at_once / devices
    each = timing_s + training_s / beside if config.step_time.lock else (timing_s + training_s) / beside
    return config.search.trials * each / devices / 3600
