"""An op of one's own whose formula is not what its module is: found, named, and no search is made with it."""

import re
from itertools import product

import numpy as np
import pytest
from torch import nn

from nas.cli import main
from search_space.op_check import op_faults
from search_space.ops import OPS, Block, Op, Option
from search_space.ops.layers import conv_bn


def module(block, drop_path, stride=None):
    conv, norm = conv_bn(block.in_channels, block.channels, block.kernel_size, stride or block.stride)
    return nn.Sequential(conv, norm)


def cost(block):
    weights = block.kernel_size**2 * block.in_channels * block.channels
    return weights + 2 * block.channels, weights * block.out_pixels, block.channels * block.out_pixels


def changed(**factors):
    """The formula with one of its numbers multiplied."""

    def wrong(block):
        numbers = zip(("params", "macs", "activations"), cost(block), strict=True)
        return tuple(number * factors.get(name, 1) for name, number in numbers)

    return wrong


RIGHT = Op(module, cost)
MORE_PARAMS = Op(module, changed(params=2))
MORE_MACS = Op(module, changed(macs=3))
MORE_ACTIVATIONS = Op(module, changed(activations=2))
NO_STRIDE = Op(lambda block, drop_path: module(block, drop_path, stride=1), cost)
MISSPELT = Op(module, lambda block: block.options["widht"], options={"width": Option(1)})
TWO_NUMBERS = Op(module, lambda block: cost(block)[:2])
SAYS_TOO_MUCH = Op(module, cost, ignores=("kernel_size", "expansion"))
BREAKS = Op(lambda block, drop_path: nn.Conv2d(block.in_channels, 0, -1), cost)
BLOCK = Block(4, 6, 3, 1, stride=2)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for name, op in globals().items():
        if isinstance(op, Op):
            monkeypatch.setitem(OPS, name.lower(), op)


def test_what_is_said_to_be_ignored_is():
    """The kernel makes its weights; the expansion does nothing, as it says."""
    (fault,) = op_faults("says_too_much", BLOCK)
    assert fault.what == "ignores"
    assert fault.text.endswith("its cost changes with kernel_size, which it says that it ignores")


@pytest.mark.parametrize("name", ["mbconv", "fused_mbconv"])
def test_ours_are_right(name):
    """At every shape, with and without squeeze-and-excitation."""
    for inputs, channels, kernel, expansion, squeeze, stride in product((4, 6), (4, 6), (3,), (1, 4), (0, 2), (1, 2)):
        assert op_faults(name, Block(inputs, channels, kernel, expansion, squeeze, stride=stride)) == []


@pytest.mark.parametrize(
    ("name", "what", "message"),
    [
        ("more_params", "params", "its cost says 456 params, its module has 228"),
        ("more_macs", "MACs", "its cost says 10,368 MACs at 8 px, its module has 3,456"),
        ("more_activations", "activations", "its cost says 192 activations at 8 px, its module has 96"),
        ("no_stride", "shape", "its module makes 4 x 8 x 8 into 6 x 8 x 8, not 6 x 4 x 4"),
        ("breaks", "module", "its module fails: "),
    ],
)
def test_what_differs_is_named(name, what, message):
    """With the op, the block it was seen at, and both numbers."""
    assert op_faults("right", BLOCK) == []
    [fault] = op_faults(name, BLOCK)
    assert fault.what == what
    assert fault.text.startswith(f"op {name}, a block of 4 to 6 channels (kernel 3, expansion 1, stride 2): ")
    assert message in fault.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("misspelt", r"op misspelt: its cost fails with KeyError\('widht'\) \(.*test_op_check.py, line \d+\)"),
        ("two_numbers", r"op two_numbers: its cost must give \(parameters, MACs, activations\), got \(228, 0\)"),
    ],
)
def test_a_formula_that_cannot_be_computed(name, message):
    """Is one line that names the op; in a batch of many architectures as for one."""
    for inputs in (4, np.array([4, 4])):
        with pytest.raises(ValueError, match=message if isinstance(inputs, int) else message.split(", got")[0]):
            OPS[name].counted(name, BLOCK._replace(in_channels=inputs, out_pixels=0, options={"width": 1}))


CONFIG = """
image_size: 8
data: {{source: digits, minival: 100, subset: 64}}
space:
  stem_channels: 4
  head_channels: 8
  stages:
  - {{op: [mbconv, {op}], layers: 1, kernel_size: 3, expansion: 1, channels: [4, 6], stride: 2}}
training: {{epochs: 1, batch_size: 32}}
search: {{trials: 2}}
"""


def test_a_search_with_a_wrong_size_is_refused(tmp_path, monkeypatch, capsys):
    """One line, status 2, and no run folder; `nas check` and a dry run say the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(CONFIG.format(op="more_params"))
    assert main(["search", "wrong.yaml"]) == 2
    assert "op more_params, a block of 4 to" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    for command, status in ((["check", "wrong.yaml", "--no-timing"], 1), (["search", "wrong.yaml", "--dry-run"], 0)):
        assert main(command) == status
        assert "would fail  op more_params" in capsys.readouterr().out


def test_a_check_notes_wrong_macs(tmp_path, monkeypatch, capsys):
    """They are no number that a reward reads, so a search may go on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(CONFIG.format(op="more_macs"))
    assert main(["check", "wrong.yaml", "--no-timing"]) == 0
    said = capsys.readouterr().out
    assert "op more_macs, a block of" in said
    assert re.search(r"^own ops +more_macs: shape, parameters, MACs", said, re.MULTILINE)
