"""Search spaces: their size, encodings, draws and changes, their constraints, and their YAML."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search_space.architecture import STAGE_FIELDS
from search_space.choices import Constraints, StageChoices
from search_space.cost import Cost, count
from search_space.space import Infeasible, SearchSpace

ONE = StageChoices(("mbconv", "fused_mbconv"), (1, 2, 3), 3, (1, 4), 8, 2)
TWO = StageChoices("mbconv", 1, (3, 5), 4, (16, 24), 1, (0, 0.25))
SPACE = SearchSpace(8, (ONE, TWO), 32, image_size=32)  # 2 * 3 * 2 * 2 * 2 * 2 = 96 architectures
ALL = list(SPACE)
COSTS = [count(a, 32, 10) for a in ALL]


def constrained(**bounds):
    return dataclasses.replace(SPACE, constraints=Constraints(image_size=32, num_classes=10, **bounds))


MIDDLE = sorted(cost.params for cost in COSTS)[40:60]
LOWEST_MACS = min(cost.macs for cost in COSTS)
NARROW = constrained(params_min=MIDDLE[0], params_max=MIDDLE[-1], macs_max=sorted(c.macs for c in COSTS)[50])
INSIDE = [
    a
    for a, cost in zip(ALL, COSTS, strict=True)
    if MIDDLE[0] <= cost.params <= MIDDLE[-1] and cost.macs <= sorted(c.macs for c in COSTS)[50]
]


def rng(seed=0):
    return np.random.default_rng(seed)


def differences(a, b):
    pairs = zip(a.stages, b.stages, strict=True)
    return sum(getattr(x, name) != getattr(y, name) for x, y in pairs for name in STAGE_FIELDS)


# ---- size, encodings


def test_decisions_are_the_fields_with_a_choice():
    """The columns of the trial table: one per real decision, named by stage and field."""
    assert [(d.name, d.choices) for d in SPACE.decisions] == [
        ("stage1_op", ("mbconv", "fused_mbconv")),
        ("stage1_layers", (1, 2, 3)),
        ("stage1_expansion", (1, 4)),
        ("stage2_kernel_size", (3, 5)),
        ("stage2_channels", (16, 24)),
        ("stage2_se_ratio", (0.0, 0.25)),
    ]


def test_size_is_what_enumeration_gives():
    """The size told is exact: 96 architectures, all different, all inside."""
    assert SPACE.size == 2 * 3 * 2 * 2 * 2 * 2 == len(set(ALL)) == len(ALL)
    assert all(SPACE.contains(a) for a in ALL)


def test_size_does_not_overflow():
    """The sizes of large spaces are exact integers, beyond what a float or an int64 holds."""
    stage = StageChoices("mbconv", tuple(range(1, 101)), (3, 5, 7), (1, 2, 4, 6), tuple(range(8, 808, 8)), (1, 2))
    assert SearchSpace(8, (stage,) * 7, 32).size == (100 * 3 * 4 * 100 * 2) ** 7


@given(space=..., seed=st.integers(0, 2**32))
def test_encodings_round_trip(space: SearchSpace, seed):
    """An architecture survives its encoding and an encoding its architecture, whichever fields are decisions."""
    code = space.sample_encodings(1, rng(seed))[0]
    architecture = space.decode(code)
    assert space.encode(architecture).tolist() == code.tolist()
    assert space.decode(space.encode(architecture)) == architecture
    assert space.contains(architecture)
    assert space.encode(architecture).dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem_channels": 16}, "stem_channels 16 is not the space's 8"),
        ({"head_channels": 64}, "head_channels 64 is not the space's 32"),
        ({"stem_stride": 1}, "stem_stride 1 is not the space's 2"),
        ({"image_size": 224}, "image_size 224 is not the space's 32"),
        ({"dropout": 0.5}, "dropout 0.5 is not the space's 0.2"),
        ({"stages": ALL[0].stages[:1]}, "the space has 2 stages, the architecture 1"),
        (
            {"stages": (ALL[0].stages[0], dataclasses.replace(ALL[0].stages[1], kernel_size=7))},
            r"stage2_kernel_size 7 is not in the space; choices: \[3, 5\]",
        ),
        (
            {"stages": (dataclasses.replace(ALL[0].stages[0], stride=1), ALL[0].stages[1])},
            r"stage1_stride 1 is not in the space; choices: \[2\]",
        ),
    ],
)
def test_an_architecture_of_another_space_is_refused_by_field(changes, message):
    """A fixed field counts as well: an architecture that differs in one is not of the space."""
    other = dataclasses.replace(ALL[0], **changes)
    assert not SPACE.contains(other)
    with pytest.raises(ValueError, match=message):
        SPACE.encode(other)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ([0, 0, 0, 0, 0], r"encodings must be \(N, 6\), got shape \(1, 5\)"),
        ([0, 3, 0, 0, 0, 0], r"stage1_layers must be an index in \[0, 2\]"),
        ([0, 0, 0, 0, 0, -1], r"stage2_se_ratio must be an index in \[0, 1\]"),
        ([0.0] * 6, "encodings must be integers, got float64"),
    ],
)
def test_a_bad_encoding_is_refused(code, message):
    """numpy would take -1 for the last choice and 0.5 for the first."""
    with pytest.raises(ValueError, match=message):
        SPACE.decode(code)


# ---- drawing and changing


@given(space=..., seed=st.integers(0, 1000))
def test_whatever_is_drawn_or_changed_stays_inside(space: SearchSpace, seed):
    """Random search and evolution can only propose what the user allowed."""
    assume(space.size > 1)
    generator = rng(seed)
    a, b = space.sample(generator), space.sample(generator)
    mutant, child = space.mutate(a, generator), space.crossover(a, b, generator)
    assert all(space.contains(x) for x in (a, b, mutant, child, *space.neighbours(a)))
    assert differences(a, mutant) == 1
    for x, y, z in zip(a.stages, b.stages, child.stages, strict=True):
        assert all(getattr(z, name) in (getattr(x, name), getattr(y, name)) for name in STAGE_FIELDS)


@given(st.integers(0, 200))
def test_constraints_are_honoured_before_anything_is_built(seed):
    """In a space whose bounds leave a few architectures, every way to get one keeps the bounds."""
    generator = rng(seed)
    a, b = NARROW.sample(generator), NARROW.sample(generator)
    mutant = NARROW.mutate(a, generator)
    assert mutant != a
    for architecture in (a, b, mutant, NARROW.crossover(a, b, generator), *NARROW.neighbours(a)):
        assert architecture in INSIDE


def test_contains_iteration_and_allowed_agree_on_the_constraints():
    """Listing, asking one by one and asking for many at once give the same set, with bounds inclusive."""
    assert 1 < len(INSIDE) < 20
    assert list(NARROW) == INSIDE == [a for a in ALL if NARROW.contains(a)]
    codes = np.array([SPACE.encode(a) for a in ALL])
    assert [a for a, kept in zip(ALL, NARROW.allowed(codes), strict=True) if kept] == INSIDE


def test_neighbours_are_all_that_differ_in_one_decision():
    """Local search sees the whole neighbourhood, once."""
    for space, inside in ((SPACE, ALL), (NARROW, INSIDE)):
        expected = {a for a in inside if differences(a, INSIDE[0]) == 1}
        assert len(space.neighbours(INSIDE[0])) == len(expected)
        assert set(space.neighbours(INSIDE[0])) == expected


def chi_square(counts, expected):
    return sum((n - expected) ** 2 / expected for n in counts)


@pytest.mark.parametrize(("space", "inside"), [(SPACE, ALL), (NARROW, INSIDE)])
def test_sampling_is_uniform(space, inside):
    """Random search is a fair baseline: chi-square of 100 draws per architecture within four deviations of its mean."""
    drawn = Counter(space.decode(code) for code in space.sample_encodings(100 * len(inside), rng(3)))
    assert set(drawn) <= set(inside)
    freedom = len(inside) - 1
    assert abs(chi_square([drawn[a] for a in inside], 100) - freedom) < 4 * (2 * freedom) ** 0.5


def test_mutation_changes_every_decision_as_often_as_any_other():
    """No decision is favoured, whatever its number of choices: 600 mutations over 6 decisions."""
    generator, parent = rng(5), ALL[0]
    changed = Counter(int(np.flatnonzero(SPACE.encode(SPACE.mutate(parent, generator)))[0]) for _ in range(600))
    assert sorted(changed) == list(range(6))
    assert abs(chi_square(changed.values(), 100) - 5) < 4 * 10**0.5


def test_crossover_takes_from_both():
    """A child of two that differ everywhere has on average half of each."""
    parents = SPACE.decode([0] * 6), SPACE.decode([1] * 6)
    generator = rng(7)
    taken = np.mean([SPACE.encode(SPACE.crossover(*parents, generator)) for _ in range(400)], axis=0)
    assert np.all(abs(taken - 0.5) < 4 * 0.5 / 400**0.5)


def test_the_same_seed_draws_the_same():
    """A search can be repeated."""
    for draw in (SPACE.sample, NARROW.sample, lambda r: SPACE.mutate(ALL[5], r), lambda r: NARROW.mutate(INSIDE[1], r)):
        assert [draw(rng(1)) for _ in range(3)] == [draw(rng(1))] * 3


def test_mutate_reaches_across_a_gap():
    """Where every single change breaks the bounds, more decisions change at once, and the result still differs."""
    pairs = {
        (a, b): abs(x.params - y.params)
        for a, x in zip(ALL, COSTS, strict=True)
        for b, y in zip(ALL, COSTS, strict=True)
    }
    a, b = min((pair for pair in pairs if differences(*pair) >= 3), key=lambda pair: pairs[pair])
    low, high = sorted(count(x, 32, 10).params for x in (a, b))
    gap = constrained(params_min=low, params_max=high)
    others = [x for x in gap if x != a]
    assert not gap.neighbours(a)
    assert gap.mutate(a, rng()) in others


def test_an_only_architecture_has_no_mutant():
    """`mutate` always differs; where nothing else is allowed it says so instead of giving the same back."""
    fixed = SearchSpace(8, (StageChoices("mbconv", 1, 3, 1, 8, 1),), 32)
    assert fixed.size == 1
    assert list(fixed) == [fixed.sample(rng())]
    assert fixed.neighbours(fixed.sample(rng())) == []
    with pytest.raises(Infeasible, match="no other architecture"):
        fixed.mutate(fixed.sample(rng()), rng())
    alone = constrained(params_max=min(cost.params for cost in COSTS))
    (only,) = alone
    with pytest.raises(Infeasible, match="no other architecture"):
        alone.mutate(only, rng())
    assert alone.crossover(only, only, rng()) == only


def test_crossover_never_leaves_the_constraints():
    """Of two parents only one of which keeps the bounds, where no mix does, that one is taken; of none, none."""
    alone = constrained(params_max=min(cost.params for cost in COSTS))
    (only,) = alone
    outside = ALL[-1]
    assert all(alone.crossover(outside, only, rng(seed)) == only for seed in range(5))
    with pytest.raises(Infeasible, match="no mix of the two"):
        alone.crossover(outside, outside, rng())


def test_crossover_gives_the_parent_inside_where_no_mix_is():
    """Of parents that differ in 24 decisions, only the smaller within the bounds, no mix is ever drawn: it is taken."""
    stage = StageChoices("mbconv", (1, 2), (3, 5), (1, 4), 16, 1)
    space = SearchSpace(16, (stage,) * 8, 64, image_size=32)
    smaller, larger = space.decode([0] * 24), space.decode([1] * 24)
    least = dataclasses.replace(space, constraints=Constraints(params_max=count(smaller, 224).params))
    assert all(least.crossover(*parents, rng()) == smaller for parents in ((smaller, larger), (larger, smaller)))


@pytest.mark.parametrize(
    "bounds", [{"params_max": 10}, {"params_min": 10**9}, {"macs_max": LOWEST_MACS - 1}, {"macs_min": 10**12}]
)
def test_an_infeasible_space_says_so_with_what_it_spans(bounds):
    """A user who sets a bound too tight is told what the space can do."""
    ((name, value),) = bounds.items()
    lowest, highest = min(c.params for c in COSTS), max(c.params for c in COSTS)
    message = (
        f"no architecture that meets the constraints .'{name}': {value}.; with 10 classes the space spans "
        f"params {lowest:,} to {highest:,}"
    )
    with pytest.raises(Infeasible, match=message):
        constrained(**bounds).sample(rng())


def test_a_needle_is_found_in_a_large_space():
    """One set of bounds in 10^9 architectures: too rare to be drawn, so draws are walked to it."""
    stage = StageChoices("mbconv", tuple(range(1, 11)), (3, 5), (1, 4, 6), 16, 1)
    space = SearchSpace(16, (stage,) * 5, 64, image_size=32)
    least, _ = space.cost_range()
    needle = dataclasses.replace(space, constraints=Constraints(params_max=least.params))
    assert space.size == 60**5
    assert count(needle.sample(rng()), 224).params == least.params
    hopeless = dataclasses.replace(space, constraints=Constraints(params_max=least.params - 1))
    with pytest.raises(Infeasible, match="found no architecture that meets"):
        hopeless.sample(rng())


def test_what_draws_miss_is_found_by_listing(monkeypatch):
    """Where draws hardly ever hit, a space small enough is listed: what is allowed is found, without a favourite."""
    monkeypatch.setattr("search_space.space._MOST_DRAWS", 0)  # give up drawing after the first sixteen
    rare = constrained(params_max=sorted(cost.params for cost in COSTS)[1])
    inside = set(rare)
    assert len(inside) == 2
    drawn = Counter(rare.sample(rng(seed)) for seed in range(200))
    assert set(drawn) == inside
    assert min(drawn.values()) > 60


# ---- cost range


@settings(max_examples=30)
@given(space=..., image_size=st.integers(1, 64))
def test_cost_range_is_what_enumeration_gives(space: SearchSpace, image_size):
    """The least and the greatest of a space are exact, though no search over the whole space is made."""
    assume(space.size <= 512)
    space = dataclasses.replace(space, constraints=Constraints(image_size=image_size, num_classes=7, in_channels=1))
    costs = [count(a, image_size, 7, 1) for a in space]
    columns = list(zip(*costs, strict=True))
    assert space.cost_range() == (Cost(*map(min, columns)), Cost(*map(max, columns)))
