"""Every stream of random numbers has a seed of its own, and the seed of the configuration moves them all."""

import itertools
import json

import numpy as np
import pytest
import torch

import nas.data.batches
from nas.config.search import search_config
from nas.config.train import parse_training
from nas.data.augment import augment
from nas.data.batches import Batches
from nas.data.prepare import prepare
from nas.data.settings import AugmentSettings, DataSettings
from nas.search.checks import make_algorithm
from nas.seeds import FIRST_SEEDING, SEEDING, seed_of
from nas.training.settings import TrainSettings
from nas.training.train import train
from search_space.block_strings import from_block_strings
from search_space.network import build_network

NUMBERS = {"weights": 0, "order": 1, "augmentation": 2, "regularisation": 2, "trial": 1, "algorithm": 0, "timing": 0}
SMALL = {"space": {"name": "small"}, "image_size": 16}


def streams(seeds, epochs, ranks):
    """The seeds of all streams, by name."""
    found = {}
    for seed, (purpose, count) in itertools.product(seeds, NUMBERS.items()):
        for numbers in itertools.product(range(epochs), range(ranks)):
            name = (seed, purpose, *numbers[:count])
            found[name] = seed_of(*name)
    return found


def test_no_two_streams_are_equal():
    """Over purposes, seeds, epochs and workers; nor are the numbers drawn, on a CPU, where 32 bits of a seed count."""
    found = streams([*range(40), 2**32, 2**40 + 1, 2**63], epochs=90, ranks=4)
    assert len(found) > 30_000
    assert len(set(found.values())) == len(found)
    assert all(0 <= seed < 2**53 for seed in found.values())
    few = streams(range(3), epochs=20, ranks=2).values()
    drawn = {tuple(torch.rand(4, generator=torch.Generator().manual_seed(seed)).tolist()) for seed in few}
    assert len(drawn) == len(few)


def test_other_numbers_are_other_streams():
    """Also more of them, larger ones, and zeros at the end: numpy alone takes (1, 0) for (1,), as it was taken once."""
    names = [(1,), (1, 0), (1, 0, 0), (0, 1), (10,), (2**32,), (0, 2**32), (1, 1)]
    assert len({seed_of(3, "augmentation", *numbers) for numbers in names}) == len(names)
    plain = [np.random.SeedSequence(numbers).generate_state(1)[0] for numbers in ((1,), (1, 0))]
    assert plain[0] == plain[1]


def test_the_streams_of_today_are_those_of_tomorrow():
    """Seeds that were written into logs and checkpoints: changing how they are drawn takes another seeding."""
    assert [seed_of(7, "trial", 3), seed_of(0, "weights"), seed_of(5, "regularisation", 2, 1)] == [
        7385908287058986,
        5532461935161068,
        2418641183034649,
    ]
    first = [seed_of(7, purpose, 3, seeding=FIRST_SEEDING) for purpose in ("trial", "order")]
    assert first == [10, int(np.random.SeedSequence((7, 3)).generate_state(1, np.uint64)[0])]


@pytest.mark.parametrize("seeding", [SEEDING, FIRST_SEEDING])
def test_a_training_draws_each_stream_from_a_seed_of_its_own(tmp_path, monkeypatch, seeding):
    """What a real training seeds its generators with: five epochs, two workers. It was one seed for all of an epoch."""
    seen = {"order": [], "augmentation": [], "regularisation": []}
    rng = np.random.default_rng

    def noted(*arguments):
        seen["augmentation"].append(arguments[3].initial_seed())
        return augment(*arguments)

    monkeypatch.setattr(nas.data.batches, "augment_batch", noted)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: (seen["order"].append(seed), rng(seed))[1])
    prepared = prepare(DataSettings(subset=128, cache_dir=str(tmp_path)), 8)
    network = build_network(from_block_strings(["r1_k3_s2_e1_i8_o8_c1"], image_size=8), 10, 1)
    seen["order"].clear()
    for rank in range(2):
        batches = [
            Batches(
                prepared,
                split,
                batch_size=128,
                device=torch.device("cpu"),
                augment=AugmentSettings(crop="pad") if split == "train" else None,
                seed=3,
                seeding=seeding,
                share=(rank, 2),
            )
            for split in ("train", "minival")
        ]
        for epoch in range(5):
            list(batches[0].epoch(epoch))
    training = train(
        network,
        batches[0],
        batches[1],
        TrainSettings(epochs=5, batch_size=128),
        seed=3,
        seeding=seeding,
        between_steps=lambda: seen["regularisation"].append(torch.initial_seed()),
    )
    assert training.status == "ok"
    orders, crops, dropouts = (set(seen[name]) for name in ("order", "augmentation", "regularisation"))
    assert (len(orders), len(crops), len(dropouts)) == (5, 10, 5)  # workers share an order
    equal = len(orders & crops) + len(orders & dropouts) + len(crops & dropouts)
    assert equal == (0 if seeding == SEEDING else 15)


def test_the_seed_moves_what_is_proposed():
    """A search of another seed proposes other candidates, unless the algorithm has a seed of its own."""

    def proposed(**given):
        algorithm = make_algorithm(search_config(**SMALL, **given))
        return [algorithm.ask().architecture.arch_id for _ in range(3)]

    for name in ("random", "evolution", "ppo", "predictor"):
        runs = [proposed(algorithm=name, seed=seed) for seed in (0, 1, 0)]
        assert runs[0] == runs[2]
        assert not set(runs[0]) & set(runs[1])
        own = {"name": name, "seed": 4}
        assert proposed(algorithm=own, seed=0) == proposed(algorithm=own, seed=1)


def test_neighbouring_searches_share_no_trial_seed():
    """Repeating a search with the next seed repeats no trial of it: they were all the same but one."""
    first, second = ({seed_of(seed, "trial", number) for number in range(1000)} for seed in (0, 1))
    assert len(first) == len(second) == 1000
    assert not first & second


def test_a_run_keeps_its_seeding():
    """The resolved configuration says it; what is no seeding is one line."""
    config = search_config(**SMALL)
    assert config.to_dict()["seeding"] == SEEDING
    assert config.to_dict()["algorithm"]["seed"] is None
    for given in (3, "2", True, None):
        with pytest.raises(ValueError, match=r"seeding must be 1 or 2, got"):
            search_config(**SMALL, seeding=given)
    record = {"image_size": 8, "seeding": 1}
    training = parse_training(record, from_block_strings(["r1_k3_s2_e1_i8_o8_c1"], image_size=8))
    assert json.loads(json.dumps(training.to_dict()))["seeding"] == 1
