"""One contract for every op, and the layers they share."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_space.cost import squeeze_channels
from search_space.ops import OPS, Block
from search_space.ops.layers import BN_EPS, DropPath, SqueezeExcite


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def build(op, in_channels, channels, *, kernel_size, stride, expansion, se_ratio):
    squeeze = squeeze_channels(in_channels, se_ratio)
    return OPS[op].module(Block(in_channels, channels, kernel_size, expansion, squeeze, stride=stride), 0.0)


@pytest.mark.parametrize("op", OPS)
@settings(max_examples=40)
@given(
    in_channels=st.integers(1, 12),
    channels=st.integers(1, 12),
    kernel_size=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 2),
    expansion=st.integers(1, 6),
    se_ratio=st.sampled_from([0.0, 0.25, 0.6, 1.0]),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
)
def test_contract(op, in_channels, channels, kernel_size, stride, expansion, se_ratio, height, width):
    """Every op: the shape promised, the parameters of its formula, every weight trained, images apart in eval."""
    block = build(
        op, in_channels, channels, kernel_size=kernel_size, stride=stride, expansion=expansion, se_ratio=se_ratio
    )
    x = torch.randn(3, in_channels, height, width)
    y = block(x) if height * width > 4 else block.eval()(x)  # one pixel has no variance to normalise by
    assert y.shape == (3, channels, -(-height // stride), -(-width // stride))
    block.zero_grad()
    y.square().sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    squeeze = squeeze_channels(in_channels, se_ratio)
    formula = OPS[op].cost(Block(in_channels, channels, kernel_size, expansion, squeeze, 1, 1))
    assert parameters(block) == formula[0]
    block.eval()
    with torch.no_grad():
        torch.testing.assert_close(block(x)[1:2], block(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("channels", "stride", "residual"), [(8, 1, True), (8, 2, False), (12, 1, False)])
def test_the_input_is_added_where_the_shape_is_kept_and_nowhere_else(op, channels, stride, residual):
    """With the last norm's scale and shift at 0 the branch is silent: only the input is left, where it is added."""
    block = build(op, 8, channels, kernel_size=3, stride=stride, expansion=4, se_ratio=0.25).eval()
    last = block.bn3 if op == "mbconv" else block.bn2
    torch.nn.init.zeros_(last.weight)
    x = torch.randn(2, 8, 6, 6)
    y = block(x)
    assert torch.equal(y, x if residual else torch.zeros_like(y))


@pytest.mark.parametrize("op", OPS)
def test_the_input_is_not_overwritten(op):
    """Activations work in place on their own tensors; the caller's must stay."""
    block = build(op, 8, 8, kernel_size=3, stride=1, expansion=1, se_ratio=0.25)
    x = torch.randn(2, 8, 6, 6)
    kept = x.clone()
    block(x)
    assert torch.equal(x, kept)


def test_expansion_1_as_published():
    """MBConv then has no expanding convolution; Fused-MBConv is one convolution with its activation."""
    mb = build("mbconv", 8, 8, kernel_size=3, stride=1, expansion=1, se_ratio=0)
    assert [n for n, m in mb.named_modules() if isinstance(m, torch.nn.Conv2d)] == ["conv_dw", "conv_pwl"]
    fused = build("fused_mbconv", 8, 8, kernel_size=3, stride=1, expansion=1, se_ratio=0).eval()
    assert [n for n, m in fused.named_modules() if isinstance(m, torch.nn.Conv2d)] == ["conv"]
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(fused(x), x + torch.nn.functional.silu(fused.bn1(fused.conv(x))))


def test_squeeze_and_excitation_stands_between_depthwise_and_projection():
    """MBConv gates the expanded, depthwise-filtered channels: 4 * 8 of them, squeezed to a quarter of the input's 8."""
    block = build("mbconv", 8, 12, kernel_size=3, stride=2, expansion=4, se_ratio=0.25).eval()
    seen = []
    block.se.register_forward_hook(lambda module, args, out: seen.append((args[0].shape, out)))
    projected = []
    block.conv_pwl.register_forward_hook(lambda module, args, out: projected.append(args[0]))
    block(torch.randn(2, 8, 6, 6))
    assert seen[0][0] == (2, 32, 3, 3)
    assert torch.equal(seen[0][1], projected[0])
    assert block.se.conv_reduce.out_channels == 2


def test_squeeze_and_excitation_of_a_fused_block():
    """Behind the expansion's activation; of the one-convolution block, before the convolution."""
    wide = build("fused_mbconv", 8, 12, kernel_size=3, stride=2, expansion=4, se_ratio=0.25)
    single = build("fused_mbconv", 8, 12, kernel_size=3, stride=2, expansion=1, se_ratio=0.25)
    shapes = []
    for block in (wide, single):
        block.se.register_forward_hook(lambda module, args, out: shapes.append(tuple(args[0].shape)))
        block(torch.randn(2, 8, 6, 6))
    assert shapes == [(2, 32, 3, 3), (2, 8, 6, 6)]


def test_squeeze_and_excitation_is_a_gate_per_channel():
    """Each channel is scaled by one number in (0, 1) that follows the channels' means, not where a pixel is."""
    se = SqueezeExcite(6, 3)
    x = torch.rand(2, 6, 4, 4) + 0.1
    gate = se(x) / x
    torch.testing.assert_close(gate, gate[:, :, :1, :1].expand_as(gate))
    assert 0 < gate.min() < gate.max() < 1
    shuffled = x.flatten(2)[:, :, torch.randperm(16)].view_as(x)
    torch.testing.assert_close((se(shuffled) / shuffled)[:, :, 0, 0], gate[:, :, 0, 0])


def test_norms_use_the_published_epsilon():
    """1e-3, not PyTorch's 1e-5: published weights give other logits with another."""
    norms = [m for op in OPS for m in build(op, 4, 4, kernel_size=3, stride=1, expansion=2, se_ratio=0).modules()]
    assert {m.eps for m in norms if isinstance(m, torch.nn.BatchNorm2d)} == {BN_EPS} == {1e-3}


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    """Of 4,000 samples a share of `rate` is zero, the others are scaled by 1 / (1 - rate)."""
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 3, 3)
    y = DropPath(0.3)(x)
    values = y.flatten(1)
    assert torch.equal(values, values[:, :1].expand_as(values))
    dropped = (values[:, 0] == 0).float().mean().item()
    assert abs(dropped - 0.3) < 4 * (0.3 * 0.7 / 4000) ** 0.5
    torch.testing.assert_close(values[values[:, 0] > 0], torch.full_like(values[values[:, 0] > 0], 1 / 0.7))


def test_drop_path_does_nothing_in_eval_or_at_rate_0():
    """Evaluation is deterministic."""
    x = torch.randn(4, 2, 3, 3)
    assert torch.equal(DropPath(0.9).eval()(x), x)
    assert torch.equal(DropPath(0.0)(x), x)
