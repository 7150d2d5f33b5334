"""One architecture at the cost of another: counted, and measured by real steps."""

import doctest
from dataclasses import replace

import pytest
import torch

import nas.families.equal
from nas.architectures import find, winner
from nas.families import Equal, Measuring, equalise
from nas.families.equal import unit
from search_space.block_strings import from_block_strings
from search_space.cost import count

SMALL = from_block_strings(["r1_k3_s1_e1_i8_o8_c1", "r2_k3_s2_e4_i8_o16_se0.25"], image_size=16)
LARGE = from_block_strings(["r3_k3_s1_e1_i24_o24_c1", "r4_k3_s2_e4_i24_o48_c1"], image_size=24, dropout=0.4)


def test_the_example_is_true():
    """What the docstring prints is what comes out."""
    assert doctest.testmod(nas.families.equal).failed == 0


def test_macs_are_equal_at_the_others_image_size(run):
    """Both are counted at the run's image size and classes; the one keeps its ops, and takes the other's hints."""
    made = equalise(LARGE, run, by="macs")
    best = winner(run).architecture
    classes = find(run).classes
    ratio = count(made.architecture, 16, *classes).macs / count(best, 16, *classes).macs
    assert (made.ratio, made.low, made.high) == (ratio, ratio, ratio)
    assert made.is_reached
    assert made.measurements == 0
    assert made.said == f"{ratio:.3f} times the MACs"
    for name in ("image_size", "train_image_size", "dropout"):
        assert getattr(made.architecture, name) == getattr(best, name)


def test_how_near_it_came_is_said():
    """Where nothing is within the tolerance, what is reached is said with what comes next."""
    made = Equal(SMALL, "step_time", 0.9, 0.88, 0.93, 0.03, 1.07, 4)
    assert not made.is_reached
    assert made.said == (
        "0.900 times the step time (interval 0.880 to 0.930), not within 3%: the next larger one has 1.070"
    )
    assert replace(made, ratio=1.1, other=None).said.endswith("not within 3%: nothing smaller was found")


def test_step_times_become_equal_by_real_measurements():
    """A network of many times the step time shrinks to about the other's; a busy machine may make that coarse."""
    torch.set_num_threads(1)
    said = []
    made = equalise(LARGE, SMALL, measure=Measuring("cpu", batch=4), tolerance=0.2, say=said.append)
    assert 1 <= made.measurements == len(said) <= 6
    assert all(text.startswith("measured ") for text in said)
    assert made.low <= made.ratio <= made.high
    assert abs(made.ratio - 1) < 0.5
    there = unit(find(SMALL), measure=Measuring("cpu", batch=4))
    before, after = (count(each, 16).macs for each in (LARGE, made.architecture))
    assert after < before
    assert there.architecture.train_image_size == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "speed"}, "equal must be one of step_time, params, macs, got 'speed'"),
        ({"by": "params", "tolerance": 0}, r"tolerance must be in \(0, 1\), got 0"),
        ({"measure": Measuring("cuda:99")}, "cuda:99"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message):
    """What is wrong is named."""
    with pytest.raises(ValueError, match=message):
        equalise(LARGE, SMALL, **arguments)
    with pytest.raises(ValueError, match="says no image size, on which macs depends: add --image-size"):
        equalise(LARGE, replace(SMALL, image_size=None), by="macs")
