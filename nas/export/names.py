"""The names that timm's and torchvision's EfficientNet give to the weights of an architecture, and renaming by them.

Weights taken over from either give equal logits; where the other's batch norm has another epsilon than the published
1e-3, the running variance takes up the difference, which is exact in evaluation. Weights that come from TensorFlow
(timm's `tf_...`) are for a network of padding `same`: `build_network(published("efficientnetv2_s"), padding="same")`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from search_space.architecture import Architecture, Stage
from search_space.block_strings import timm_block, to_block_strings
from search_space.cost import squeeze_channels, stage_blocks
from search_space.families import round_channels
from search_space.network import Network
from search_space.ops import Block, find_op
from search_space.ops.layers import BN_EPS

logger = logging.getLogger(__name__)

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_BIASED = ("weight", "bias")


def timm_names(architecture: Architecture) -> dict[str, str]:
    """Give, for every weight and buffer of our network, its name in timm's EfficientNet.

    Raises: ValueError where timm's EfficientNet cannot be this architecture: its stem always strides, it has no
        one-convolution block with squeeze-and-excitation, its expanded channels are multiples of 8, and it rounds
        squeeze channels where we round down.
    """
    if architecture.stem_stride != 2:
        raise ValueError(f"timm's EfficientNet has stem_stride 2, the architecture {architecture.stem_stride}")
    to_block_strings(architecture, "timm")  # refuses what timm has no block for
    for number, stage, in_channels in _stage_inputs(architecture):
        expanded, ours = in_channels * stage.expansion, squeeze_channels(in_channels, stage.se_ratio)
        if ours and round(expanded * (stage.se_ratio / stage.expansion)) != ours:
            raise ValueError(f"stage {number}: timm rounds {in_channels} * se_ratio {stage.se_ratio:g} differently")
        if stage.expansion != 1 and expanded != round_channels(expanded, floor_at_90_percent=True):
            raise ValueError(f"stage {number}: timm expands to multiples of 8 channels only, not to {expanded}")
    names = _weights({name: name for name in ("conv_stem", "bn1", "conv_head", "bn2", "classifier")})
    for name, stage, block, _ in _blocks(architecture):
        theirs = timm_block(stage).renames
        for pair in _in_order(stage, block):
            names |= _pair_weights(name, pair, name, tuple(theirs.get(layer, layer) for layer in pair))
    return names


def torchvision_names(architecture: Architecture) -> dict[str, str]:
    """Give, for every weight and buffer of our network, its name in torchvision's EfficientNet.

    Raises: ValueError where torchvision's EfficientNet cannot be this architecture: its stem strides and has the first
        stage's input channels, every mbconv squeezes to a quarter of its input, no fused_mbconv does, and expanded
        channels are multiples of 8.
    """
    if architecture.stem_stride != 2:
        raise ValueError(f"torchvision's EfficientNet has stem_stride 2, the architecture {architecture.stem_stride}")
    for number, stage, in_channels in _stage_inputs(architecture):
        squeeze = find_op(stage.op).torchvision_squeeze
        if squeeze is None or stage.changed_options():
            raise ValueError(f"stage {number}: torchvision has no block for op {stage.op!r} with its options")
        wanted = squeeze(in_channels)
        if squeeze_channels(in_channels, stage.se_ratio) != wanted:
            raise ValueError(f"stage {number}: torchvision's {stage.op} has {wanted} squeeze channels here")
        expanded = in_channels * stage.expansion
        if expanded != round_channels(expanded, floor_at_90_percent=True):
            raise ValueError(f"stage {number}: torchvision expands to multiples of 8 channels only, not to {expanded}")
    last = len(architecture.stages) + 1
    modules = {"conv_stem": "features.0.0", "bn1": "features.0.1", "classifier": "classifier.1"}
    modules |= {"conv_head": f"features.{last}.0", "bn2": f"features.{last}.1"}
    names = _weights(modules)
    for name, stage, block, (number, layer) in _blocks(architecture):
        for position, pair in enumerate(_in_order(stage, block)):
            prefix = f"features.{number + 1}.{layer}.block.{position}"
            names |= _pair_weights(name, pair, prefix, ("fc1", "fc2") if _squeezes(pair) else ("0", "1"))
    return names


DIALECTS: dict[str, Callable[[Architecture], dict[str, str]]] = {"timm": timm_names, "torchvision": torchvision_names}


def export_weights(network: Network, dialect: str, *, bn_eps: float = BN_EPS) -> dict[str, Tensor]:
    """Give the network's weights and buffers under the other's names.

    Args:
        bn_eps: epsilon of the batch norms that will load them; see `import_weights`.
    Raises: ValueError where the dialect cannot be the network's architecture, or its padding.
    """
    if dialect == "torchvision" and network.padding != "symmetric":
        raise ValueError(f"torchvision's EfficientNet has padding symmetric, the network {network.padding}")
    state = network.state_dict()
    return {theirs: _shifted(ours, state[ours], BN_EPS - bn_eps) for ours, theirs in _names(network, dialect).items()}


def import_weights(
    network: Network,
    state: Mapping[str, Tensor],
    dialect: str,
    *,
    bn_eps: float = BN_EPS,
    padding: str | None = None,
) -> None:
    """Load weights that carry the other's names, strictly.

    Args:
        state: the other's state dict. Counters of batches may be missing.
        dialect: `timm` or `torchvision`.
        bn_eps: epsilon of the batch norms the weights were trained with: 1e-3 for every EfficientNetV2 and what comes
            from TensorFlow; 1e-5 for torchvision's B0 to B4 and for what timm trained itself.
        padding: of the convolutions the weights were trained with: same for what comes from TensorFlow, symmetric for
            what PyTorch trained; None = not known. The weights themselves do not say it, but those from TensorFlow have
            counted no batches: there is a warning where such go into a network with symmetric padding, for their logits
            would be off by some 6 %.
    Raises: ValueError that names a weight missing, superfluous or of another shape, for an unknown dialect, or for
        weights of another padding than the network's.
    """
    _check_padding(network, state, padding)
    names, own = _names(network, dialect), network.state_dict()
    counters = {theirs for theirs in names.values() if theirs.endswith("num_batches_tracked")}
    missing = [theirs for theirs in names.values() if theirs not in state and theirs not in counters]
    superfluous = [name for name in state if name not in set(names.values())]
    if missing or superfluous:
        which = f"lacks {missing[0]!r}" if missing else f"has {superfluous[0]!r}, which the architecture has not"
        raise ValueError(f"the {dialect} state {which} ({len(missing)} missing, {len(superfluous)} superfluous)")
    loaded = {}
    for ours, theirs in names.items():
        value = state.get(theirs, own[ours])
        if value.shape != own[ours].shape:
            raise ValueError(f"{theirs!r} has shape {tuple(value.shape)}, the architecture {tuple(own[ours].shape)}")
        loaded[ours] = _shifted(ours, value, bn_eps - BN_EPS)
    network.load_state_dict(loaded)


def _check_padding(network: Network, state: Mapping[str, Tensor], padding: str | None) -> None:
    own = network.padding
    if padding is not None and padding != own:
        raise ValueError(
            f"weights trained with padding {padding!r} are not for a network with {own!r}, which would be off by some "
            f"6 %: build_network(..., padding={padding!r})"
        )
    counters = [value for name, value in state.items() if name.endswith("num_batches_tracked")]
    if padding is None and own == "symmetric" and not any(bool(value.any()) for value in counters):
        logger.warning(
            "the weights have counted no batches, as those from TensorFlow have not, which need a network with padding "
            "'same': say padding='same' or 'symmetric'"
        )


def _shifted(name: str, value: Tensor, difference: float) -> Tensor:
    return value + difference if name.endswith("running_var") and difference else value


def _names(network: Network, dialect: str) -> dict[str, str]:
    if dialect not in DIALECTS:
        raise ValueError(f"unknown dialect {dialect!r}; known: {', '.join(DIALECTS)}")
    return DIALECTS[dialect](network.architecture)


def _stage_inputs(architecture: Architecture) -> Iterator[tuple[int, Stage, int]]:
    """Number, stage and channels that enter a block, for the first block of each stage and for the others."""
    in_channels = architecture.stem_channels
    for number, stage in enumerate(architecture.stages, start=1):
        yield number, stage, in_channels
        if stage.layers > 1:
            yield number, stage, stage.channels
        in_channels = stage.channels


def _blocks(architecture: Architecture) -> Iterator[tuple[str, Stage, Block, tuple[int, int]]]:
    """Name of each block, its stage, its arguments, and the indices of the stage and of the block in it."""
    in_channels = architecture.stem_channels
    for number, stage in enumerate(architecture.stages):
        first, rest = stage_blocks(stage, in_channels)
        for layer in range(stage.layers):
            yield f"blocks.{number}.{layer}", stage, rest if layer else first, (number, layer)
        in_channels = stage.channels


def _in_order(stage: Stage, block: Block) -> list[tuple[str, str]]:
    layers = find_op(stage.op).layers
    if layers is None:
        raise ValueError(f"op {stage.op!r} does not name its layers, so that its weights cannot be exchanged")
    return layers(block)


def _squeezes(pair: tuple[str, str]) -> bool:
    return pair[0].startswith("se.")


def _pair_weights(ours: str, pair: tuple[str, str], theirs: str, their_pair: tuple[str, ...]) -> dict[str, str]:
    """Names of the weights of a pair of layers: a convolution and its norm, or the two convolutions that squeeze."""
    leaves = (_BIASED, _BIASED) if _squeezes(pair) else (("weight",), _NORM)
    triples = zip(pair, their_pair, leaves, strict=True)
    return {f"{ours}.{a}.{leaf}": f"{theirs}.{b}.{leaf}" for a, b, both in triples for leaf in both}


def _weights(modules: Mapping[str, str]) -> dict[str, str]:
    """Names of the layers around the blocks to names of their weights and buffers."""
    names: dict[str, str] = {}
    for ours, theirs in modules.items():
        leaves = _NORM if ours.startswith("bn") else _BIASED if ours == "classifier" else ("weight",)
        names |= {f"{ours}.{leaf}": f"{theirs}.{leaf}" for leaf in leaves}
    return names
