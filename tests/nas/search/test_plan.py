"""A dry run's arithmetic."""

import re

import numpy as np

from nas.config.search import parse
from nas.search.plan import describe
from search_space.cost import count, count_batch

CONFIG = {
    "space": {"name": "small"},
    "image_size": 32,
    "seed": 5,
    "data": {"source": "digits", "subset": 1000, "minival": 0.2},
    "training": {"epochs": 9, "batch_size": 50},
    "algorithm": {"name": "evolution", "population": 7, "sample_size": 3},
    "search": {"trials": 40, "workers": 3, "cpus_per_trial": 2, "gpus_per_trial": 0.5},
}
UNITS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


def numbers(text):
    """Those with a unit in a text, in order."""
    return [float(n) * UNITS[u] for n, u in re.findall(r"([\d.]+) ?([kMGTPE])\b", text)]


def test_the_compute_of_a_search_is_that_of_its_median_candidate():
    """Forward and twice that backward, two FLOPs a MAC: six for each MAC, image, epoch and trial."""
    config = parse(CONFIG)
    codes = config.space.sample_encodings(2000, np.random.default_rng(0))
    c = config.space.constraints
    macs = float(np.median(count_batch(config.space, codes, 32, c.num_classes, c.in_channels).macs))
    found = numbers(describe(config)["compute"])
    expected = [macs, 6 * macs * 1000 * 9, 6 * macs * 1000 * 9 * 40]
    np.testing.assert_allclose(found[:3], expected, rtol=0.06)


def test_a_search_that_takes_gpu_hours_says_how_many():
    """At a sustained 100 TFLOP/s; where it is less than a tenth of an hour nothing is said."""
    many = parse(CONFIG | {"search": {"trials": 400_000}})
    line = describe(many)["compute"]
    hours = float(re.search(r"([\d,.]+) GPU hours", line)[1].replace(",", ""))
    np.testing.assert_allclose(hours * 3600 * 1e14, numbers(line)[2], rtol=0.06)
    assert "GPU hours" not in describe(parse(CONFIG | {"search": {"trials": 1}}))["compute"]


def test_a_space_without_constraints_allows_all():
    """With one that half of it breaks, about what share is left."""
    assert describe(parse(CONFIG))["allowed"] == "all (no constraints)"
    space = parse(CONFIG).space
    codes = space.sample_encodings(400, np.random.default_rng(0))
    median = int(np.median(count_batch(space, codes, 32, 10, 1).macs))
    bound = {"space": {"name": "small", "constraints": {"macs_max": median}}}
    share = float(re.fullmatch(r"about ([\d.]+)% keep the constraints", describe(parse(CONFIG | bound))["allowed"])[1])
    assert 40 < share < 60


def test_a_dry_run_says_what_was_set():
    """Trials, workers and what each takes; the algorithm with its settings and seed; the reference and its cost."""
    config = parse(CONFIG)
    lines = describe(config)
    assert lines["trials"] == "40, 3 at once, each 2 CPU + 0.5 GPU"
    assert lines["a trial"] == "9 epochs at 32 px, batch 50"
    assert lines["algorithm"].startswith("evolution {")
    assert "'population': 7" in lines["algorithm"]
    assert lines["algorithm"].endswith("seed drawn from 5")
    plain = describe(parse(CONFIG | {"algorithm": {"name": "random", "seed": 8}, "search": {"trials": 3}}))
    assert plain["algorithm"] == "random (defaults), seed 8"
    assert plain["trials"].startswith("3, as many as fit at once")
    c = config.space.constraints
    cost = count(config.reference, 32, c.num_classes, c.in_channels)
    assert lines["reference"].startswith(config.reference.arch_id)
    np.testing.assert_allclose(numbers(lines["reference"]), [cost.params, cost.macs], rtol=0.06)
