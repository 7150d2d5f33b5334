"""Per-layer cost tables by fvcore, an independent count: the only file that imports fvcore."""

from __future__ import annotations

import copy
import logging
import warnings
from typing import NamedTuple

import torch
from torch import nn


class LayerCost(NamedTuple):
    """One module's share: `macs` and `activations` of its convolutions and linear layers, for one image."""

    name: str
    params: int
    macs: int
    activations: int


_OPERATORS = ("conv", "linear", "addmm", "matmul")


def layer_table(network: nn.Module, image_size: int, in_channels: int = 3, depth: int = 2) -> list[LayerCost]:
    """Count each module down to `depth` levels; the network itself is the first row, named "".

    fvcore's totals also count norms and pooling; here, as everywhere in this toolkit, MACs are those of convolutions
    and linear layers. The network is left as it was; one on the meta device is counted through an unfilled copy.
    """
    if any(parameter.is_meta for parameter in network.parameters()):
        network = copy.deepcopy(network).to_empty(device="cpu")  # fvcore's tracing needs real shapes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore traces with deprecated calls
        from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis, parameter_count

        device = next(network.parameters()).device
        image = torch.zeros(1, in_channels, image_size, image_size, device=device)
        was_training = network.training
        network.eval()
        logging.getLogger("fvcore").setLevel(logging.ERROR)
        flops = FlopCountAnalysis(network, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        acts = ActivationCountAnalysis(network, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        macs, activations = flops.by_module_and_operator(), acts.by_module()
        network.train(was_training)
    params = parameter_count(network)
    return [
        LayerCost(name, int(params[name]), int(sum(macs[name][op] for op in _OPERATORS)), int(activations[name]))
        for name, _ in network.named_modules()
        if not name or name.count(".") < depth
    ]
