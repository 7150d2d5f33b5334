"""An op registered from outside, with hyperparameters of its own, works wherever ours do."""

import dataclasses
import json
import pickle
import runpy
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_space.architecture import STAGE_FIELDS, Architecture, Stage
from search_space.block_strings import from_block_strings, to_block_strings
from search_space.choices import Constraints, StageChoices
from search_space.cost import Cost, count, count_batch
from search_space.network import build_network
from search_space.ops import OPS, Op, Option, find_op
from search_space.ops.layers import conv_bn
from search_space.ops.option import Options
from search_space.space import SearchSpace

FILE = Path(__file__).with_name("ghost.py")
GHOST = runpy.run_path(str(FILE))["GHOST"]


def plain_cost(block):
    weights = block.kernel_size**2 * block.in_channels * block.channels
    return weights + 2 * block.channels, weights * block.out_pixels, block.channels * block.out_pixels


def plain_module(block, drop_path):
    return nn.Sequential(*conv_bn(block.in_channels, block.channels, block.kernel_size, block.stride))


PLAIN = Op(plain_module, plain_cost, ignores=("expansion", "se_ratio"))


@pytest.fixture(scope="module", autouse=True)
def registered():
    OPS.update(ghost=GHOST, plain=PLAIN)
    yield
    del OPS["ghost"], OPS["plain"]


OPTIONS = {
    "ratio": st.integers(1, 8),
    "projects": st.booleans(),
    "project_share": st.floats(0, 10),
    "gate": st.sampled_from(["none", "per_channel"]),
}
SHAPE = {
    "layers": st.integers(1, 3),
    "kernel_size": st.sampled_from([1, 3, 5]),
    "expansion": st.integers(1, 3),
    "channels": st.integers(1, 20),
    "stride": st.integers(1, 2),
    "se_ratio": st.sampled_from([0.0, 0.25]),
}
GHOSTS = st.builds(Stage, op=st.just("ghost"), **SHAPE, options=st.fixed_dictionaries({}, optional=OPTIONS))
OURS = st.builds(Stage, op=st.sampled_from(["mbconv", "fused_mbconv"]), **SHAPE)
ARCHITECTURES = st.builds(
    Architecture,
    stem_channels=st.integers(1, 16),
    stages=st.lists(GHOSTS | OURS, min_size=1, max_size=3).map(tuple),
    head_channels=st.integers(1, 16),
    stem_stride=st.integers(1, 2),
)


def several(values, most=2):
    return st.lists(values, min_size=1, max_size=most, unique=True).map(tuple)


def stage_choices(ops):
    ignored = PLAIN.ignores if set(ops) == {"plain"} else ()
    fields = {name: several(values, 1 if name in ignored else 2) for name, values in SHAPE.items()}
    has = {name: several(values, 3) for name, values in OPTIONS.items()} if "ghost" in ops else {}
    return st.builds(StageChoices, op=st.just(ops), **fields, options=st.fixed_dictionaries({}, optional=has))


SPACES = st.builds(
    SearchSpace,
    stem_channels=st.integers(1, 16),
    stages=several(st.sampled_from(["mbconv", "fused_mbconv", "ghost", "plain"]), 3)
    .flatmap(lambda ops: st.lists(stage_choices(ops), min_size=1, max_size=3))
    .map(tuple),
    head_channels=st.integers(1, 16),
)
GHOST_STAGE = Stage("ghost", 2, 3, 1, 8, 2, options={"ratio": 3})
# 2 * (1 + 3 + 6) * 2 = 40 architectures: mbconv has no option, ghost a ratio, and other the same and a width.
del OPS["ghost"]  # known only while the tests of this file run
OTHER = Op(GHOST.module, GHOST.cost, {**GHOST.options, "width": Option(1.0)})
SMALL = {
    "stem_channels": 4,
    "head_channels": 8,
    "stages": [
        {
            "op": ["mbconv", "ghost", "other"],
            "layers": [1, 2],
            "kernel_size": 3,
            "expansion": 1,
            "channels": 8,
            "stride": 2,
            "options": {"ratio": [1, 2, 5], "width": [1, 0.5]},
        },
        {"op": "ghost", "layers": 1, "kernel_size": [3, 5], "expansion": 1, "channels": 8, "stride": 1},
    ],
    "constraints": {"image_size": 16, "num_classes": 4},
}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(OPS, "other", OTHER)
    return SearchSpace.from_dict(SMALL)


def rng(seed=0):
    return np.random.default_rng(seed)


# ---- one architecture


@given(architecture=ARCHITECTURES)
def test_json_and_block_strings_give_the_architecture_back(architecture):
    """Every option of every type survives a log, a pickle to a worker, and a line of block strings, exactly."""
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert (again.arch_id, hash(again)) == (architecture.arch_id, hash(architecture))
    assert pickle.loads(pickle.dumps(architecture)) == architecture
    assert json.loads(json.dumps(dataclasses.asdict(architecture)))["stages"]
    strings = to_block_strings(architecture)
    assert from_block_strings(strings, stem_channels=architecture.stem_channels).stages == architecture.stages


def test_options_at_their_default_leave_no_trace():
    """Said or not, a default gives one architecture, one JSON and one id, which has no word of options."""
    plain = Stage("ghost", 2, 3, 1, 8, 2)
    said = Stage("ghost", 2, 3, 1, 8, 2, options={"gate": "none", "ratio": np.int64(2), "project_share": 1})
    assert plain == said
    assert plain.options == {"gate": "none", "projects": False, "ratio": 2, "project_share": 1.0}
    assert set(plain.to_dict()) == set(STAGE_FIELDS)
    assert GHOST_STAGE.to_dict()["options"] == {"ratio": 3}
    assert Architecture(4, (plain,), 8).arch_id == Architecture(4, (said,), 8).arch_id
    assert to_block_strings(Architecture(4, (GHOST_STAGE, plain), 8)) == [
        "r2_k3_s2_e1_i4_o8_cghost_ratio=3",
        "r2_k3_s2_e1_i8_o8_cghost",
    ]
    assert GHOST_STAGE.label == "ghost (gate none, project_share 1.0, projects False, ratio 3)"


@pytest.mark.parametrize(
    ("op", "options", "message"),
    [
        ("mbconv", {"ratio": 2}, "op mbconv has no option 'ratio'; known: none"),
        ("ghost", {"ratoi": 2}, "op ghost has no option 'ratoi'; did you mean 'ratio'"),
        ("ghost", {"ratio": 9}, r"op ghost option ratio must be a whole number in \[1, 8\], got 9"),
        ("ghost", {"ratio": 2.0}, r"op ghost option ratio must be a whole number in \[1, 8\], got 2.0"),
        ("ghost", {"ratio": True}, r"op ghost option ratio must be a whole number in \[1, 8\], got True"),
        ("ghost", {"projects": 1}, "op ghost option projects must be true or false, got 1"),
        (
            "ghost",
            {"project_share": float("nan")},
            r"op ghost option project_share must be a number in \[0, 10\], got nan",
        ),
        ("ghost", {"project_share": "1"}, r"op ghost option project_share must be a number in \[0, 10\], got '1'"),
        ("ghost", {"gate": "both"}, "op ghost option gate must be one of none, per_channel, got 'both'"),
        ("ghost", ["ratio"], r"stage options must be a mapping, got \['ratio'\]"),
    ],
)
def test_a_bad_option_is_refused_by_op_and_name(op, options, message):
    """A user who mistypes an option is told which, what it was and what it may be."""
    with pytest.raises(ValueError, match=message):
        Stage(op, 1, 3, 1, 8, 1, options=options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Op(GHOST.module, GHOST.cost, {"kernel_size": Option(3)}), "an option called 'kernel_size'"),
        (lambda: Op(GHOST.module, GHOST.cost, {"a-b": Option(3)}), "an option called 'a-b'"),
        (lambda: Option(3, least=4), "option default must be a whole number >= 4, got 3"),
        (lambda: Option("a"), "an option of text needs `among`, its default is 'a'"),
        (lambda: Option("a", among=("a", "b-c")), "texts are made of letters, digits, _ and ."),
    ],
)
def test_an_op_that_could_not_be_written_is_refused_when_it_is_made(make, message):
    """A column, an encoding or a block string that means two things would be found out much later."""
    with pytest.raises(ValueError, match=message):
        make()


def test_options_cannot_be_changed():
    """A stage is a key of caches and logs."""
    with pytest.raises(TypeError, match=r"make a new stage with dataclasses.replace"):
        GHOST_STAGE.options["ratio"] = 4  # type: ignore[index]
    assert hash(Options({"a": 1, "b": 2})) == hash(Options({"b": 2, "a": 1}))
    assert dataclasses.replace(GHOST_STAGE, layers=3).options["ratio"] == 3


@settings(max_examples=40)
@given(architecture=ARCHITECTURES, image_size=st.integers(1, 40))
def test_costs_are_those_of_the_built_network(architecture, image_size):
    """Parameters and MACs of the closed form are what torch builds and counts."""
    with torch.device("meta"):
        network = build_network(architecture, 5).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, image_size, image_size))
    found = sum(p.numel() for p in network.parameters()), counter.get_total_flops() / 2
    assert found == count(architecture, image_size, 5)[:2]


def test_drop_path_of_our_blocks_counts_the_others_too():
    """Block i of n has i / n of the rate, though a user's block before it has no drop path at all."""
    from search_space.network import set_regularisation
    from search_space.ops.layers import DropPath

    network = build_network(Architecture(4, (GHOST_STAGE, Stage("mbconv", 2, 3, 1, 8, 1)), 8), 3, drop_path=0.4)
    rates = [[m.rate for m in network.modules() if isinstance(m, DropPath)]]
    set_regularisation(network, drop_path=0.8)
    rates.append([m.rate for m in network.modules() if isinstance(m, DropPath)])
    assert rates == [pytest.approx([0.2, 0.3]), pytest.approx([0.4, 0.6])]


def test_timm_is_told_that_it_has_no_such_block():
    """One line, not a network of another kind."""
    with pytest.raises(ValueError, match="stage 1: timm has no block for op 'ghost' with expansion 1"):
        to_block_strings(Architecture(4, (GHOST_STAGE,), 8), "timm")


def test_block_strings_that_could_mean_two_ops_are_not_written(monkeypatch):
    """A code that another op has, or a name with a space, could not be read again."""
    monkeypatch.setitem(OPS, "twin", dataclasses.replace(GHOST, google="c1"))
    monkeypatch.setitem(OPS, "my op", GHOST)
    for name, message in (("twin", "ops fused_mbconv and twin have the same"), ("my op", "could not be read again")):
        with pytest.raises(ValueError, match=message):
            to_block_strings(Architecture(4, (Stage(name, 1, 3, 1, 8, 1),), 8))
    with pytest.raises(ValueError, match=r"cghost_ratio=x': op ghost option ratio must be a whole number in \[1, 8\]"):
        from_block_strings(["r1_k3_s1_e1_i4_o8_cghost_ratio=x"])
    with pytest.raises(ValueError, match="op ghost has no option 'size'"):
        from_block_strings(["r1_k3_s1_e1_i4_o8_cghost_size=3"])


# ---- a space


@settings(max_examples=60)
@given(space=SPACES, seed=st.integers(0, 2**32))
def test_encodings_and_costs_of_any_space(space, seed):
    """Whatever is drawn has one encoding, survives it, YAML keeps the space, and a batch costs what each one does."""
    codes = space.sample_encodings(20, rng(seed))
    drawn = [space.decode(code) for code in codes]
    assert [space.encode(a).tolist() for a in drawn] == codes.tolist()
    assert all(space.contains(a) for a in drawn)
    assert SearchSpace.from_yaml(space.to_yaml()) == space
    batch = count_batch(space, codes, 24, 5)
    assert [Cost(*map(int, row)) for row in zip(*batch, strict=True)] == [count(a, 24, 5) for a in drawn]


@settings(max_examples=60)
@given(space=SPACES, seed=st.integers(0, 1000))
def test_whatever_is_changed_differs_and_stays_inside(space, seed):
    """Mutation never gives the parent back, neighbours are all different, and a child's options are a parent's."""
    if space.size == 1:
        return
    generator = rng(seed)
    a, b = space.sample(generator), space.sample(generator)
    mutant, child, near = space.mutate(a, generator), space.crossover(a, b, generator), space.neighbours(a)
    assert mutant != a
    assert mutant in near
    assert a not in near
    assert len(set(near)) == len(near)
    assert all(space.contains(x) for x in (mutant, child, *near))
    assert all(a in space.neighbours(x) for x in near[:5])
    for x, y, z in zip(a.stages, b.stages, child.stages, strict=True):
        known = (x.named().items(), y.named().items())
        assert all(pair in known[0] or pair in known[1] for pair in z.named().items())


def test_decisions_are_named_like_fields(small):
    """`stage1_ratio` is a column like `stage1_layers`, behind the stage's own fields; a stage without has none."""
    assert [d.name for d in small.decisions] == [
        "stage1_op",
        "stage1_layers",
        "stage1_ratio",
        "stage1_width",
        "stage2_kernel_size",
    ]
    assert small.to_dict()["stages"][0]["options"] == {"ratio": [1, 2, 5], "width": [1.0, 0.5]}
    assert "options" not in small.to_dict()["stages"][1]
    columns = small.columns(small.sample_encodings(50, rng()))
    assert set(columns[0]["ratio"].tolist()) == {1, 2, 5}
    assert set(columns[0]["width"].tolist()) == {1.0, 0.5}


def test_size_counts_distinct_architectures(small):
    """mbconv once, ghost three times, other six times; by two layers and two kernels: 40, listed once each."""
    assert small.size == 2 * (1 + 3 + 6) * 2
    listed = list(small)
    assert len(listed) == len(set(listed)) == small.size
    codes = [small.encode(a).tolist() for a in listed]
    assert codes == sorted(codes)
    expected = {
        (op, ratio, width)
        for op, ratio, width in product(("mbconv", "ghost", "other"), (None, 1, 2, 5), (None, 1.0, 0.5))
        if (ratio is not None) == (op != "mbconv") and (width is not None) == (op == "other")
    }
    found = {(a.stages[0].op, *(a.stages[0].options.get(name) for name in ("ratio", "width"))) for a in listed}
    assert found == expected


@pytest.mark.parametrize("bound", [None, 450])
def test_sampling_is_uniform(small, bound):
    """Over architectures, not over codes: mbconv is drawn a tenth of the time, though it is one op of three."""
    space = dataclasses.replace(small, constraints=Constraints(params_max=bound, image_size=16, num_classes=4))
    inside = list(space)
    assert 10 < len(inside) <= 40
    assert (len(inside) == 40) == (bound is None)
    drawn = Counter(space.decode(code) for code in space.sample_encodings(100 * len(inside), rng(3)))
    assert set(drawn) <= set(inside)
    freedom = len(inside) - 1
    square = sum((drawn[a] - 100) ** 2 / 100 for a in inside)
    assert abs(square - freedom) < 4 * (2 * freedom) ** 0.5


def test_what_is_inactive_is_no_second_encoding(small):
    """mbconv with a ratio's code would be the same network under another name."""
    code = np.array([0, 1, 2, 1, 1])
    with pytest.raises(ValueError, match="stage1_ratio must be 0 where stage1_op has no use for it"):
        small.decode(code)
    assert small.canonical(code[None]).tolist() == [[0, 1, 0, 0, 1]]
    assert small.active(np.array([[0, 1, 0, 0, 1], [1, 0, 2, 0, 0], [2, 0, 2, 1, 0]])).tolist() == [
        [True, True, False, False, True],
        [True, True, True, False, True],
        [True, True, True, True, True],
    ]


BESIDE = {"layers": 1, "kernel_size": [3, 5], "channels": 8, "stride": 1, "se_ratio": [0, 0.25]}
STAGE = {"op": ["plain", "mbconv"], "expansion": [4, 1, 6], **BESIDE}
MIXED = {"stem_channels": 4, "head_channels": 8, "stages": [STAGE]}


def test_what_an_op_ignores_is_no_decision_of_it():
    """A convolution of two kernels is two architectures, not twelve: the reward of each would be paid for six times."""
    space = SearchSpace.from_dict(MIXED)
    assert [decision.name for decision in space.decisions] == [
        "stage1_op", "stage1_kernel_size", "stage1_expansion", "stage1_se_ratio"
    ]  # fmt: skip
    assert space.size == len(set(space)) == 2 + 2 * 3 * 2
    plain = [a for a in space if a.stages[0].op == "plain"]
    assert {(a.stages[0].expansion, a.stages[0].se_ratio) for a in plain} == {(4, 0.0)}
    assert space.active(np.stack([space.encode(plain[0])])).tolist() == [[True, True, False, False]]
    assert len(space.neighbours(plain[0])) == 1 + 3 * 2, "the other kernel, and whatever mbconv brings with it"
    other = dataclasses.replace(plain[0], stages=(dataclasses.replace(plain[0].stages[0], expansion=1),))
    assert count(other, 16, 4) == count(plain[0], 16, 4)
    with pytest.raises(ValueError, match="stage1_expansion must be 4 in the space, for plain ignores it"):
        space.encode(other)


def test_choices_that_nothing_reads_are_refused():
    """A search would try the same network again and again; and what says where a block stands cannot be ignored."""
    with pytest.raises(ValueError, match="stage 1: expansion has several choices, but no op of the stage reads it"):
        SearchSpace.from_dict({**MIXED, "stages": [{**STAGE, "op": "plain"}]})
    with pytest.raises(ValueError, match="an op can ignore kernel_size, expansion, se_ratio, not 'stride'"):
        Op(PLAIN.module, PLAIN.cost, ignores=("stride",))


def test_an_option_outside_the_space_is_refused_by_name(small):
    """Where the space says nothing of an option, only its default belongs to it."""
    inside = small.decode([1, 0, 0, 0, 0])
    for number, message in ((0, r"stage1_ratio 3 is not in the space; choices: \[1, 2, 5\]"), (1, r"choices: \[2\]")):
        stages = list(inside.stages)
        stages[number] = dataclasses.replace(stages[number], options={"ratio": 3})
        with pytest.raises(ValueError, match=message):
            small.encode(dataclasses.replace(inside, stages=tuple(stages)))


@settings(max_examples=60, deadline=None)
@given(space=SPACES)
def test_cost_range_is_that_of_the_whole_space(space):
    """Against every architecture of spaces of up to 300."""
    if space.size > 300:
        return
    space = dataclasses.replace(space, constraints=Constraints(image_size=20, num_classes=3))
    costs = [count(a, 20, 3) for a in space]
    assert space.cost_range() == tuple(Cost(*(f(column) for column in zip(*costs, strict=True))) for f in (min, max))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"depth": [1, 2]}}, "space stage 1: op mbconv has no option 'depth'"),
        ({"options": {"ratio": [1, 1]}}, r"space stage 1: ratio has a choice twice: \[1, 1\]"),
        ({"options": {"ratio": []}}, "space stage 1: ratio has no choices"),
        ({"options": {"ratio": [1, 99]}}, r"op ghost option ratio must be a whole number in \[1, 8\], got 99"),
        ({"options": [1]}, "space stage 1: options must be a mapping"),
        ({"op": "mbconv"}, "space stage 1: op mbconv has no option 'ratio'; known: none"),
    ],
)
def test_bad_choices_are_refused_by_stage_and_option(small, change, message):
    """The line that a user reads names the place."""
    record = {**SMALL, "stages": [{**SMALL["stages"][0], **change}]}
    with pytest.raises(ValueError, match=message):
        SearchSpace.from_dict(record)


# ---- named from a module


def test_an_op_can_be_named_by_its_module(tmp_path, monkeypatch):
    """`my_ops:GHOST` needs no registration: stage, JSON, block strings and costs take it, in a fresh process, too."""
    (tmp_path / "my_ops.py").write_text(FILE.read_text().replace('OPS["ghost"] = GHOST', ""))
    script = (
        "import sys\n"
        "from search_space.architecture import *\n"
        "from search_space.block_strings import *\n"
        "from search_space.cost import count\n"
        "a = Architecture.from_json(sys.argv[1])\n"
        "assert from_block_strings([sys.argv[2]], stem_channels=4, head_channels=8) == a\n"
        "assert to_block_strings(a) == [sys.argv[2]]\n"
        "assert count(a, 16).params > 0 and 'torch' not in sys.modules\n"
        "print(a.arch_id)"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        a = Architecture(4, (Stage("my_ops:GHOST", 1, 3, 1, 8, 1, options={"ratio": 3}),), 8)
        (text,) = to_block_strings(a)
        assert text == "r1_k3_s1_e1_i4_o8_cmy-ops:GHOST_ratio=3"
        command = [sys.executable, "-c", script, a.to_json(), text]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.stdout.strip() == a.arch_id, ran.stderr
        with pytest.raises(ValueError, match=r"op 'json:dumps' is no search_space.ops.Op"):
            find_op("json:dumps")
        with pytest.raises(ValueError, match=r"op 'my_ops:Missing' cannot be imported"):
            find_op("my_ops:Missing")
    finally:
        OPS.pop("my_ops:GHOST", None)
