"""What the hours of a search are reckoned from."""

from dataclasses import replace

import numpy as np
import pytest

from nas.config.search import parse
from nas.data.disk import free_bytes
from nas.measure.step_time import BLOCK_WARM_UP
from nas.search.machine import Places, places_of
from nas.search.timing import QUANTILES, REFERENCE, TimedCandidate, _summed, _timing_steps, _training_s, spread_out
from search_space.cost import count, count_batch

CONFIG = parse(
    {
        "space": {"name": "small", "image_size": 16, "constraints": {"num_classes": 7}},
        "image_size": 16,
        "training": {"epochs": 7, "batch_size": 30, "eval_every": 2},
        "step_time": {"warmup": 2, "min_pairs": 4, "max_pairs": 10, "block_pairs": 4},
        "search": {"trials": 36},
    }
)


def test_candidates_stand_for_their_share_of_the_space():
    """As many of the space's architectures as it says have fewer MACs than each."""
    space = CONFIG.space
    codes = space.sample_encodings(4000, np.random.default_rng(9))
    macs = count_batch(space, codes, 16, 7, 3).macs
    found = spread_out(space)
    below = [np.mean(macs < count(found[name], 16, 7, 3).macs) for name in QUANTILES]
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.05)


def test_the_hours_are_those_of_the_mean_candidate():
    """By Swanson's weights of its quantiles, of which the least and most are said, too; the reference is none."""
    architecture = CONFIG.reference
    seconds = {REFERENCE: 1e6, "10% of MACs": 100, "50% of MACs": 200, "90% of MACs": 400}
    timed = [TimedCandidate(name, architecture, 0.1, 9, 0.0, each) for name, each in seconds.items()]
    found = _summed(CONFIG, timed, Places(1, 1), "a device")
    assert (found.low, found.hours, found.high) == pytest.approx((1.0, 0.3 + 0.8 + 1.2, 4.0))
    assert ([one.name for one in found.candidates], found.device_name) == ([*seconds], "a device")


@pytest.mark.parametrize(
    ("steps", "times", "why"),
    [
        ((9, 9, 9), (0.1, 0.2, 0.3), None),
        ((9, 1, 9), (0.1, 0.2, 0.3), "of 50% of MACs 1 step was timed"),
        ((9, 9, 9), (0.3, 0.2, 0.1), "90% of MACs took less time than 10% of MACs: this machine is busy"),
    ],
)
def test_hours_that_are_rough_are_called_so(steps, times, why):
    """One step of a candidate, or a large network that is quicker than a small one: both came from a busy machine."""
    drawn = [
        TimedCandidate(name, CONFIG.reference, step_s, n, 0.0, 9.0)
        for name, step_s, n in zip(QUANTILES, times, steps, strict=True)
    ]
    reference = TimedCandidate(REFERENCE, CONFIG.reference, 0.2, 9, 0.0, 9.0)
    failed = replace(reference, step_s=float("nan"), steps=0, error="out of memory")
    for first in (reference, failed):
        assert _summed(CONFIG, [first, *drawn], Places(1, 1), "a device").why_rough == why


def test_a_trial_trains_whole_batches_and_evaluates_now_and_then():
    """Of 100 images three batches of 30 are full; seven epochs are evaluated four times, the last among them."""
    assert _training_s(CONFIG, (100, 50), 2.0, 0.1) == pytest.approx(7 * 3 * 2.0 + 4 * 50 * 0.1)


def test_timing_takes_its_warm_up_its_blocks_and_its_pairs():
    """Ten pairs in blocks of four are three blocks, each of which warms up; a pair takes some steps of each network."""
    own = CONFIG.step_time
    assert _timing_steps(CONFIG) == 2 + 3 * BLOCK_WARM_UP + 10 * own.turn


def test_places_are_those_of_the_scarcer_resource(monkeypatch):
    """Each GPU has a lock of its own; trials that need none share that of the processor."""
    monkeypatch.setattr("nas.search.machine.available_cpus", lambda: 8)

    def places(gpus, **settings):
        return places_of(replace(CONFIG, search=replace(CONFIG.search, **settings)), gpus)

    assert places(4, cpus_per_trial=2) == Places(4, 1)
    assert places(2, cpus_per_trial=1, gpus_per_trial=0.5) == Places(4, 2)
    assert places(4, cpus_per_trial=4, gpus_per_trial=1) == Places(2, 4)
    assert places(4, cpus_per_trial=2, workers=3) == Places(3, 1)


def test_the_room_on_a_disk_is_known_before_the_folder_is_there(tmp_path):
    """A cache that is yet to be made has the room of the disk it will be on."""
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(free_bytes(tmp_path), rel=0.1)
