"""One seed, and a purpose for every stream of random numbers that is drawn from it. No torch.

Streams of equal seeds are equal: on a GPU every generator is the same Philox, so that an image's crop and a neuron's
dropout would be one and the same number. So nothing here is seeded with a bare seed.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Literal

import numpy as np

# What a stream is for; in brackets the numbers that go with it. A name stays as it is: another one is another stream.
Purpose = Literal[
    "weights",  # the first ones
    "order",  # of an epoch's images (epoch)
    "augmentation",  # of an epoch's images (epoch, worker)
    "regularisation",  # dropout and drop path in an epoch (epoch, worker)
    "trial",  # the seed of a search's trial, from which the four above are drawn (number of the trial)
    "confirmation",  # the seed of a confirmation's trainings, the same for each architecture (counted from 1)
    "algorithm",  # what a search proposes, unless the algorithm has a seed of its own
    "baselines",  # which architectures are drawn to be compared with a winner
    "timing",  # the batch of noise that is timed, and dropout then: the same for all candidates
]
# How streams are drawn. A run keeps what it began with; one that says nothing began with 1, where order, augmentation
# and dropout of an epoch had one seed, trials of neighbouring seeds were the same, and the algorithm's seed was 0.
SEEDING, FIRST_SEEDING = 2, 1


def seed_of(seed: int, purpose: Purpose, *numbers: int, seeding: int = SEEDING) -> int:
    """Give the seed of one stream: another for another purpose, number or seed.

    Args:
        seed: of a search or a training, as the configuration has it; of a trial. The streams of two are independent,
            also of neighbours.
        numbers: which of the purpose's streams.
        seeding: of the run; FIRST_SEEDING if it began with that.
    Returns: an integer in [0, 2**53), which every reader of JSON takes exactly.
    Raises: ValueError for an unknown seeding.
    """
    if known_seeding(seeding) == FIRST_SEEDING:
        return _first(seed, purpose, numbers)
    name = " ".join(map(str, (seed, purpose, *numbers)))  # numpy's SeedSequence takes (1, 0) for (1,)
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) >> 11


def known_seeding(given: Any) -> int:
    """Check a seeding. Raises ValueError."""
    if type(given) is not int or given not in (FIRST_SEEDING, SEEDING):
        raise ValueError(f"seeding must be {FIRST_SEEDING} or {SEEDING}, got {given!r}")
    return given


def _first(seed: int, purpose: Purpose, numbers: tuple[int, ...]) -> int:
    if purpose in ("algorithm", "timing"):
        return 0
    if purpose in ("weights", "trial"):
        return seed + sum(numbers)
    return int(np.random.SeedSequence((seed, *numbers)).generate_state(1, np.uint64)[0])
