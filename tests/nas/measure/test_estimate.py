"""Estimates of what was not measured: laws that are known must be found, and errors must be those of the unseen."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from nas.measure.estimate import FEWEST, fit, named_costs, terms
from search_space.cost import count
from search_space.spaces import small

SPACE = small()
SHAPE = (32, 10, 3)  # pixels, classes, channels


def sample(n, seed=0):
    rng, found = np.random.default_rng(seed), {}
    while len(found) < n:
        one = SPACE.sample(rng)
        found[one.arch_id] = one
    return list(found.values())


def by_op(architecture, size=32):
    """A law: fused blocks cost by MACs, the others by activations and layers, the update by parameters."""
    costs = named_costs(architecture, size, 10, 3)
    return (
        costs["macs_fused_mbconv"] / 1e3
        + costs["activations_mbconv"] / 10
        + 300 * costs["layers_mbconv"]
        + costs["params"] / 1e3
    )


def test_a_law_by_op_is_found_and_holds_for_larger_networks_and_images():
    """Exact measurements of a sum over layers: what was not seen is predicted, also three times as deep, at 48 px."""
    architectures = sample(40)
    found = fit(architectures, [by_op(a) for a in architectures], *SHAPE)
    assert found.terms == "MACs, activations and layers by op, params"
    assert found.measured == 40
    assert found.error < 1e-6
    assert found.error_beyond < 1e-6
    for one in sample(5, seed=1):
        deeper = replace(one, stages=tuple(replace(stage, layers=3 * stage.layers) for stage in one.stages))
        assert found.predict(deeper, 48) == pytest.approx(by_op(deeper, 48), rel=1e-6)


def test_what_is_beyond_the_measured_is_known():
    """Within for what was measured; three times the layers of the deepest are three times the largest, if not more."""
    architectures = sample(20)
    found = fit(architectures, [by_op(a) for a in architectures], *SHAPE)
    assert all(found.beyond(a, 32) <= 1 for a in architectures)
    assert max(found.beyond(a, 32) for a in architectures) == 1
    deepest = max(architectures, key=lambda a: sum(s.layers for s in a.stages if s.op == "mbconv"))
    deeper = replace(deepest, stages=tuple(replace(stage, layers=3 * stage.layers) for stage in deepest.stages))
    assert found.beyond(deeper, 32) >= 3


def test_noise_is_averaged_and_told():
    """Measurements with 10 % noise give an error of about 10 %, and predictions nearer to the law than that."""
    architectures, rng = sample(60), random.Random(0)
    found = fit(architectures, [by_op(a) * math.exp(rng.gauss(0, 0.1)) for a in architectures], *SHAPE)
    assert 0.07 < found.error < 0.14
    off = [math.log(found.predict(a, 32) / by_op(a)) for a in sample(50, seed=2)]
    assert math.sqrt(np.mean(np.square(off))) < 0.07


def test_the_plainest_sum_that_predicts_is_taken():
    """Of step times that are MACs and noise the fit is MACs alone, though by chance a richer one does better."""
    architectures, rng = sample(24), random.Random(0)
    found = fit(architectures, [count(a, *SHAPE).macs * math.exp(rng.gauss(0, 0.1)) for a in architectures], *SHAPE)
    assert found.terms == "MACs"


def test_the_error_is_that_of_the_unseen():
    """What depends on nothing cannot be predicted: the error is the spread itself, or more, not the fit's residual."""
    architectures, rng = sample(12), random.Random(0)
    values = [math.exp(rng.gauss(0, 0.5)) for _ in architectures]
    found = fit(architectures, values, *SHAPE)
    inside = [math.log(found.predict(a, 32) / value) for a, value in zip(architectures, values, strict=True)]
    assert found.error > math.sqrt(sum(e * e for e in inside) / len(inside))
    assert found.error > 0.8 * np.std(np.log(values))


def test_what_larger_networks_do_otherwise_shows():
    """Small networks take as long as they have MACs, the largest third all the same: the first do not tell the last."""
    architectures = sorted(sample(30), key=lambda a: count(a, *SHAPE).macs)
    macs = [count(a, *SHAPE).macs for a in architectures]
    found = fit(architectures, [*macs[:20], *[macs[20]] * 10], *SHAPE)
    expected = math.sqrt(sum(math.log(each / macs[20]) ** 2 for each in macs[20:]) / 10)
    assert found.error_beyond == pytest.approx(expected, rel=0.1)


def test_weights_are_never_negative():
    """A larger network never has the shorter estimate, whatever noise says."""
    architectures, rng = sample(20), random.Random(1)
    found = fit(architectures, [math.exp(rng.gauss(0, 1)) for _ in architectures], *SHAPE)
    assert min(found.weights) >= 0
    assert len(found.weights) == 1 + len(terms(found.ops)[found.terms])


def test_of_one_measured_thrice_the_median_counts():
    """One wild measurement among three of the same architecture changes nothing, and the three count as one."""
    architectures = sample(10)
    values = [by_op(a) for a in architectures]
    plain = fit(architectures, values, *SHAPE)
    again = fit([*architectures, architectures[0], architectures[0]], [*values, values[0], 100 * values[0]], *SHAPE)
    assert again == plain


def test_too_few_or_not_a_time():
    """Seven architectures are no base for eight weights, and no step takes no time."""
    few = sample(FEWEST - 1)
    with pytest.raises(ValueError, match="an estimate needs 8 or more measured architectures, there are 7"):
        fit([*few, few[0]], [1.0] * FEWEST, *SHAPE)
    for wrong in (0.0, math.nan, -1.0):
        with pytest.raises(ValueError, match="measured values must be positive and finite"):
            fit(sample(8), [1.0] * 7 + [wrong], *SHAPE)
