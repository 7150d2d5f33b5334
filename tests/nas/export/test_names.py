"""Weights to and from timm's and torchvision's names, held against what these libraries really have."""

import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.export.names import DIALECTS, export_weights, import_weights, timm_names, torchvision_names
from search_space.architecture import Architecture, Stage
from search_space.families import published
from search_space.network import build_network
from search_space.ops.layers import BN_EPS

# Of timm 1.0.31 and torchvision 0.24: number of names, and hash of the sorted lines "name shape" of the state dict.
REAL = {
    ("timm", "efficientnet_b0"): (360, "9311fe3ac4384e5f"),
    ("timm", "efficientnet_b4"): (706, "5fbc7603ab03e57f"),
    ("timm", "efficientnetv2_b3"): (626, "5255cfdbef3e8f3b"),
    ("timm", "efficientnetv2_s"): (782, "9cd785b0606ea15b"),
    ("timm", "efficientnetv2_l"): (1548, "6f0622f9766c2522"),
    ("torchvision", "efficientnet_b0"): (360, "98a6d92c040c4bca"),
    ("torchvision", "efficientnet_b4"): (706, "f55c08c98724c959"),
    ("torchvision", "efficientnetv2_s"): (782, "127391ea25225fff"),
    ("torchvision", "efficientnetv2_l"): (1548, "ccac91fbf0d0cd8b"),
}
# One block of each kind: convolution and norm pairs in the order they act, ours beside theirs.
TIMM = {
    ("efficientnet_b0", "blocks.0.0"): "conv_dw=conv_dw bn2=bn1 se.conv_reduce=se.conv_reduce "
    "se.conv_expand=se.conv_expand conv_pwl=conv_pw bn3=bn2",
    ("efficientnet_b0", "blocks.1.0"): "conv_pw=conv_pw bn1=bn1 conv_dw=conv_dw bn2=bn2 se.conv_reduce=se.conv_reduce "
    "se.conv_expand=se.conv_expand conv_pwl=conv_pwl bn3=bn3",
    ("efficientnetv2_s", "blocks.0.1"): "conv=conv bn1=bn1",
    ("efficientnetv2_s", "blocks.1.0"): "conv_exp=conv_exp bn1=bn1 conv_pwl=conv_pwl bn2=bn2",
}
TORCHVISION = {
    ("efficientnet_b0", "blocks.0.0", "features.1.0.block"): "conv_dw=0.0 bn2=0.1 se.conv_reduce=1.fc1 "
    "se.conv_expand=1.fc2 conv_pwl=2.0 bn3=2.1",
    ("efficientnet_b0", "blocks.1.0", "features.2.0.block"): "conv_pw=0.0 bn1=0.1 conv_dw=1.0 bn2=1.1 "
    "se.conv_reduce=2.fc1 se.conv_expand=2.fc2 conv_pwl=3.0 bn3=3.1",
    ("efficientnetv2_s", "blocks.0.1", "features.1.1.block"): "conv=0.0 bn1=0.1",
    ("efficientnetv2_s", "blocks.1.0", "features.2.0.block"): "conv_exp=0.0 bn1=0.1 conv_pwl=1.0 bn2=1.1",
}
SMALL = Architecture(
    16,
    (
        Stage("mbconv", 2, 3, 1, 16, 1, 0.25),
        Stage("fused_mbconv", 2, 3, 1, 24, 2),
        Stage("fused_mbconv", 2, 3, 4, 24, 1),
        Stage("mbconv", 2, 5, 4, 32, 2, 0.25),
    ),
    64,
    image_size=32,
)


def network(architecture=SMALL, num_classes=5):
    """A network whose batch norms have statistics of their own."""
    torch.manual_seed(0)
    built = build_network(architecture, num_classes).eval()
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return built


@pytest.mark.parametrize(("dialect", "name"), REAL)
def test_names_and_shapes_are_those_of_the_real_library(dialect, name):
    """What is exported loads strictly: every name and shape is the library's own, none is missing."""
    with torch.device("meta"):
        state = export_weights(build_network(published(name)), dialect)
    lines = "\n".join(sorted(f"{key} {tuple(value.shape)}" for key, value in state.items()))
    assert (len(state), hashlib.sha256(lines.encode()).hexdigest()[:16]) == REAL[dialect, name]


@pytest.mark.parametrize(("key", "pairs"), TIMM.items())
def test_every_kind_of_block_as_timm_names_it(key, pairs):
    """Norms of equal shape must not change places: each stands behind its own convolution."""
    (name, block), names = key, timm_names(published(key[0]))
    for ours, theirs in (pair.split("=") for pair in pairs.split()):
        assert names[f"{block}.{ours}.weight"] == f"{block}.{theirs}.weight"
    assert len([n for n in names if n.startswith(f"{block}.") and n.endswith("weight")]) == len(pairs.split()), name


@pytest.mark.parametrize(("key", "pairs"), TORCHVISION.items())
def test_every_kind_of_block_as_torchvision_names_it(key, pairs):
    """The same for torchvision, which counts what acts in a block."""
    (name, block, theirs_block), names = key, torchvision_names(published(key[0]))
    for ours, theirs in (pair.split("=") for pair in pairs.split()):
        assert names[f"{block}.{ours}.weight"] == f"{theirs_block}.{theirs}.weight"
    assert names["bn2.running_var"] == f"features.{len(published(name).stages) + 1}.1.running_var"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_weights_survive_the_way_there_and_back(dialect):
    """Export, import into a fresh network: equal logits."""
    source, target = network(), network()
    torch.nn.init.normal_(target.conv_stem.weight)
    import_weights(target, export_weights(source, dialect), dialect)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(source(images), target(images))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_epsilon_gives_the_same_logits(dialect):
    """Weights trained with batch norms of epsilon 1e-5 keep their logits under our 1e-3, and on the way back."""
    theirs, ours = network().double(), build_network(SMALL, 5).double().eval()
    state = export_weights(theirs, dialect)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-5
    import_weights(ours, state, dialect, bn_eps=1e-5)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))
        assert not torch.allclose(network().double()(images), theirs(images), rtol=1e-6)
    back = export_weights(ours, dialect, bn_eps=1e-5)
    assert all(torch.allclose(back[name], value) for name, value in state.items())
    assert BN_EPS == 1e-3


def test_counters_of_batches_may_be_missing():
    """Checkpoints converted from TensorFlow have none."""
    state = {k: v for k, v in export_weights(network(), "timm").items() if not k.endswith("num_batches_tracked")}
    import_weights(network(), state, "timm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("conv_stem.weight"), r"lacks 'conv_stem.weight' \(1 missing, 0 superfluous\)"),
        (lambda s: s.update({"extra.weight": torch.ones(1)}), "has 'extra.weight', which the architecture has not"),
        (
            lambda s: s.update({"classifier.bias": torch.ones(1000)}),
            r"'classifier.bias' has shape \(1000,\), the architecture \(5,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(change, message):
    """Nothing is loaded in part."""
    state, target = export_weights(network(), "timm"), network()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        import_weights(target, state, "timm")
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize(
    ("dialect", "architecture", "message"),
    [
        ("keras", SMALL, "unknown dialect 'keras'; known: timm, torchvision"),
        ("timm", Architecture(16, SMALL.stages, 64, stem_stride=1), "timm's EfficientNet has stem_stride 2"),
        (
            "torchvision",
            Architecture(16, SMALL.stages, 64, stem_stride=1),
            "torchvision's EfficientNet has stem_stride 2",
        ),
        ("timm", Architecture(16, (Stage("fused_mbconv", 1, 3, 1, 16, 1, 0.25),), 64), "timm has no one-convolution"),
        (
            "timm",
            Architecture(24, (Stage("mbconv", 1, 3, 2, 16, 1, 0.0625),), 64),
            r"stage 1: timm rounds 24 \* se_ratio",
        ),
        ("timm", Architecture(12, (Stage("mbconv", 1, 3, 3, 16, 1),), 64), "stage 1: timm expands to multiples of 8"),
        ("torchvision", Architecture(16, (Stage("mbconv", 1, 3, 2, 16, 1),), 64), "torchvision's mbconv has 4 squeeze"),
        (
            "torchvision",
            Architecture(16, (Stage("fused_mbconv", 1, 3, 2, 16, 1, 0.25),), 64),
            "torchvision's fused_mbconv has 0 squeeze",
        ),
        (
            "torchvision",
            Architecture(16, (Stage("fused_mbconv", 2, 3, 1, 20, 1),), 64),
            "stage 1: torchvision expands to multiples of 8 channels only, not to 20",
        ),
    ],
)
def test_what_the_other_library_would_build_differently_is_refused(dialect, architecture, message):
    """A weight that loads into another network is worse than none."""
    with pytest.raises(ValueError, match=message):
        export_weights(build_network(architecture, 5), dialect)


@settings(max_examples=20)
@given(
    st.lists(
        st.builds(
            Stage,
            op=st.sampled_from(["mbconv", "fused_mbconv"]),
            layers=st.integers(1, 3),
            kernel_size=st.sampled_from([3, 5]),
            expansion=st.sampled_from([1, 2, 4]),
            channels=st.sampled_from([8, 16, 24]),
            stride=st.integers(1, 2),
            se_ratio=st.sampled_from([0.0, 0.25]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_every_weight_has_exactly_one_name(stages):
    """For any architecture a dialect can hold: all of our state, under different names."""
    architecture = Architecture(16, tuple(stages), 32)
    with torch.device("meta"):
        state = build_network(architecture, 5).state_dict()
    for names_of in DIALECTS.values():
        try:
            names = names_of(architecture)
        except ValueError:
            continue
        assert set(names) == set(state)
        assert len(set(names.values())) == len(names)
