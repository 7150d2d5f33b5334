"""Padding as TensorFlow's: its published weights give its logits, at any image size."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from nas.export.metadata import model_metadata
from nas.export.names import export_weights, import_weights
from nas.export.timm import export_timm
from search_space.architecture import Architecture, Stage
from search_space.cost import count
from search_space.families import published
from search_space.layer_table import layer_table
from search_space.network import build_network
from search_space.ops.layers import SameConv2d

ARCHITECTURE = Architecture(
    16,
    (
        Stage("mbconv", 2, 3, 1, 16, 1, 0.25),
        Stage("fused_mbconv", 2, 3, 1, 24, 2),
        Stage("fused_mbconv", 2, 3, 4, 24, 2),
        Stage("mbconv", 2, 5, 4, 32, 2, 0.25),
    ),
    64,
)


def same_by_definition(images, weights, stride):
    """One channel, loops: out[i, j] sums over the window from i * stride - total // 2, as TensorFlow's notes say."""
    size, kernel = images.shape[0], weights.shape[0]
    outputs = -(-size // stride)
    before = max((outputs - 1) * stride + kernel - size, 0) // 2
    result = np.zeros((outputs, outputs))
    for i in range(outputs):
        for j in range(outputs):
            for k in range(kernel):
                for m in range(kernel):
                    y, x = i * stride + k - before, j * stride + m - before
                    if 0 <= y < size and 0 <= x < size:
                        result[i, j] += weights[k, m] * images[y, x]
    return result


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 12])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_tensorflows(kernel, size, stride):
    """Against loops over its definition, for sides even, odd and smaller than the kernel."""
    rng = np.random.default_rng(0)
    images, weights = rng.normal(size=(size, size)), rng.normal(size=(kernel, kernel))
    conv = SameConv2d(1, 1, kernel, stride, bias=False).double()
    conv.weight.data = torch.from_numpy(weights)[None, None]
    with torch.no_grad():
        ours = conv(torch.from_numpy(images)[None, None])[0, 0]
    np.testing.assert_allclose(ours.numpy(), same_by_definition(images, weights, stride), atol=1e-12)


def everywhere_same(conv, x):
    """Pad explicitly by the closed formula, whatever the stride, and convolve without padding."""
    pads = []
    for side, kernel, stride in zip(x.shape[:1:-1], conv.kernel_size[::-1], conv.stride[::-1], strict=True):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    padded = nn.functional.pad(x, pads)
    return nn.functional.conv2d(padded, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)


@pytest.mark.parametrize("size", [(32, 32), (33, 33), (30, 47)])
@pytest.mark.parametrize("architecture", [ARCHITECTURE, published("efficientnetv2_b0")])
def test_weights_from_tensorflow_give_its_logits(architecture, size, monkeypatch):
    """A state dict under timm's names, into a network padded `same`: the logits of SAME in every convolution."""
    torch.manual_seed(0)
    theirs = build_network(architecture, 5).double().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    state = {k: v for k, v in export_weights(theirs, "timm").items() if not k.endswith("num_batches_tracked")}
    ours = build_network(architecture, 5, padding="same").double().eval()
    import_weights(ours, state, "timm", padding="same")
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        symmetric, given = theirs(images), ours(images)
        monkeypatch.setattr(nn.Conv2d, "forward", everywhere_same)
        wanted = theirs(images)
    torch.testing.assert_close(given, wanted, rtol=1e-9, atol=1e-9)
    if size[0] % 2 == 0:
        assert (symmetric - wanted).norm() / wanted.norm() > 0.01, "as PyTorch pads, they are others"


def test_weights_of_another_padding_are_refused(caplog):
    """With the reason; where nobody said it, weights that look like TensorFlow's are warned of, others are not."""
    source, target = build_network(ARCHITECTURE, 5), build_network(ARCHITECTURE, 5)
    state = export_weights(source, "timm")
    with pytest.raises(ValueError, match=r"weights trained with padding 'same' are not for a network with 'symmetric'"):
        import_weights(target, state, "timm", padding="same")
    with pytest.raises(ValueError, match=r"build_network\(\.\.\., padding='symmetric'\)"):
        import_weights(build_network(ARCHITECTURE, 5, padding="same"), state, "timm", padding="symmetric")
    with caplog.at_level(logging.WARNING):
        import_weights(target, state, "timm")
        assert "have counted no batches, as those from TensorFlow" in caplog.text
        caplog.clear()
        import_weights(target, state, "timm", padding="symmetric")
        import_weights(build_network(ARCHITECTURE, 5, padding="same"), state, "timm")
        source(torch.randn(2, 3, 32, 32))  # in training mode: batches are counted
        import_weights(target, export_weights(source, "timm"), "timm")
        assert not caplog.text


def test_a_network_says_its_padding(tmp_path):
    """Other libraries are told of it, or cannot have it; costs are equal, and what is no padding is refused."""
    networks = [build_network(ARCHITECTURE, 5, padding=padding) for padding in ("symmetric", "same")]
    assert [network.padding for network in networks] == ["symmetric", "same"]
    for network, arguments in zip(networks, ({}, {"pad_type": "same"}), strict=True):
        export_timm(network, tmp_path / "n.pth", {})
        saved = torch.load(tmp_path / "n.pth", weights_only=True)["arguments"]
        assert {name: saved[name] for name in saved if name == "pad_type"} == arguments
        assert model_metadata(network, {}, {}, 32)["padding"] == network.padding
    with pytest.raises(ValueError, match="torchvision's EfficientNet has padding symmetric, the network same"):
        export_weights(build_network(published("efficientnet_b0"), padding="same"), "torchvision")
    with pytest.raises(ValueError, match="padding must be symmetric or same, got 'valid'"):
        build_network(ARCHITECTURE, padding="valid")
    macs = [layer_table(network, 32)[0].macs for network in networks]
    assert macs[0] == macs[1] == count(ARCHITECTURE, 32, 5).macs


def test_the_same_seed_draws_the_same_weights():
    """How it is padded moves no random number."""
    states = []
    for padding in ("symmetric", "same"):
        torch.manual_seed(0)
        states.append(build_network(ARCHITECTURE, 5, padding=padding).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_an_export_is_padded_by_the_size_it_is_given(tmp_path):
    """Traced at 32 pixels, it serves 33, too; and it can be exported to a graph, as for ONNX."""
    from nas.export.torchscript import export_torchscript

    network = build_network(ARCHITECTURE, 5, padding="same").eval()
    (path,) = export_torchscript(network, tmp_path / "n.pt", {"image_size": 32, "in_channels": 3})
    loaded = torch.jit.load(path)
    for size in (32, 33, 47):
        images = torch.randn(2, 3, size, size)
        with torch.no_grad():
            torch.testing.assert_close(loaded(images), network(images))
    images = torch.randn(2, 3, 32, 32)
    graph = torch.export.export(network, (images,)).module()
    torch.testing.assert_close(graph(images), network(images))


class Biasless(nn.Module):
    """Layers of an op from outside, none with the bias that the toolkit's own have."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        self.conv = nn.Conv2d(4, 4, 1, bias=False)
        self.norm = nn.GroupNorm(2, 4, affine=False)


def test_layers_without_bias_are_initialised():
    """An op may have a linear layer without bias; its weights keep PyTorch's default."""
    from search_space.network import _initialise

    torch.manual_seed(0)
    module = Biasless()
    before = module.linear.weight.clone()
    module.apply(_initialise)
    assert torch.equal(module.linear.weight, before)
