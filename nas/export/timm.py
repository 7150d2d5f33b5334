"""Export for timm: block strings, arguments and weights that timm's EfficientNet loads strictly. timm is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.export.names import export_weights, timm_names
from nas.training.checkpoint import write_torch
from nas.whole_files import write_whole
from search_space.architecture import Architecture
from search_space.block_strings import to_block_strings
from search_space.network import Network
from search_space.ops.layers import BN_EPS, DropPath

_LOADER = '''"""Load {name} into timm's EfficientNet. Needs timm >= 1.0."""

from functools import partial
from pathlib import Path

import torch
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import EfficientNet


def load():
    """Give the network with its weights, in evaluation mode."""
    saved = torch.load(Path(__file__).with_name({name!r}), map_location="cpu", weights_only=True)
    network = EfficientNet(
        decode_arch_def(saved["arch_def"]),
        act_layer=torch.nn.SiLU,
        norm_layer=partial(torch.nn.BatchNorm2d, eps=saved["bn_eps"]),
        round_chs_fn=int,  # channels are as given, not rounded to multiples of 8
        **saved["arguments"],
    )
    network.load_state_dict(saved["state_dict"])
    return network.eval()
'''


_MODELS = "timm_models.py"
_REGISTRY = '''"""The timm checkpoints of this folder, by name. Needs timm >= 1.0.

    import timm, timm_models  # this folder on sys.path
    timm.create_model("NAME", pretrained=True)  # NAME.pth; num_classes=10, features_only=True, ... as ever
"""

from functools import partial
from pathlib import Path

import torch
from timm.models import generate_default_cfgs, register_model
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import _create_effnet

FILES = {path.stem.replace(".", "_"): path for path in sorted(Path(__file__).parent.glob("*.pth"))}


def _read(path):
    """Give all but the weights, which are read when they are asked for."""
    saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return {key: value for key, value in saved.items() if key != "state_dict"}


def _cfg(path, saved):
    about, data = saved["metadata"], saved["metadata"]["provenance"].get("data") or {}
    norm = {key: tuple(data[key]) for key in ("mean", "std") if data.get(key)}
    size = (about["in_channels"], about["image_size"], about["image_size"])
    names = {"classifier": "classifier"}
    if about["in_channels"] == 3:  # from other images than colour ones timm cannot change the first convolution
        names["first_conv"] = "conv_stem"
    names |= {"file": str(path), "num_classes": about["num_classes"]}
    return {"input_size": size, "crop_pct": 1.0, **norm, **names}


def _register(name, saved):
    def create(pretrained=False, **kwargs):
        arguments = {
            "block_args": decode_arch_def(saved["arch_def"]),
            "act_layer": torch.nn.SiLU,
            "norm_layer": partial(torch.nn.BatchNorm2d, eps=saved["bn_eps"]),
            "round_chs_fn": int,  # channels are as given, not rounded to multiples of 8
            **saved["arguments"],
        }
        return _create_effnet(name, pretrained, **{**arguments, **kwargs})

    create.__name__ = name
    register_model(create)


_saved = {name: _read(path) for name, path in FILES.items()}
default_cfgs = generate_default_cfgs({name: _cfg(FILES[name], saved) for name, saved in _saved.items()})
for _name in FILES:
    _register(_name, _saved[_name])
'''


def timm_definition(architecture: Architecture) -> dict[str, Any]:
    """Give `arch_def`, the `arguments` of timm's EfficientNet and `bn_eps`: plain data.

    Raises: ValueError where timm's EfficientNet cannot be this architecture.
    """
    timm_names(architecture)  # refuses what timm would build differently
    stride = architecture.stem_stride
    for stage in architecture.stages:
        stride *= stage.stride
    return {
        "arch_def": [[text] for text in to_block_strings(architecture, "timm")],
        "arguments": {
            "stem_size": architecture.stem_channels,
            "num_features": architecture.head_channels,
            "drop_rate": architecture.dropout,
            "output_stride": max(32, stride),  # beyond it timm dilates instead of striding
        },
        "bn_eps": BN_EPS,
    }


def export_timm(network: Network, path: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """Write a checkpoint with `state_dict`, `arch_def`, `arguments` and `metadata`, and beside it a loader for timm.

    `timm_models.py`, which stands once in the folder, gives timm every checkpoint there by its name: a family's sizes.
    Raises: ValueError where timm's EfficientNet cannot be this architecture, or `path` does not end in .pt or .pth.
    """
    if path.suffix not in (".pt", ".pth"):
        raise ValueError(f"a timm checkpoint ends in .pt or .pth, got {path.name!r}")
    definition = timm_definition(network.architecture)
    definition["arguments"] |= {
        "num_classes": network.classifier.out_features,
        "in_chans": network.conv_stem.in_channels,
        "drop_path_rate": _drop_path(network),
        **({"pad_type": "same"} if network.padding == "same" else {}),
    }
    state = {name: value.detach().cpu().clone() for name, value in export_weights(network, "timm").items()}
    write_torch(path, {"state_dict": state, **definition, "metadata": dict(metadata)})
    loader = path.with_name(f"{path.stem}_timm.py")
    write_whole(loader, _LOADER.format(name=path.name))
    models = path.with_name(_MODELS)
    write_whole(models, _REGISTRY)
    return [path, loader, models]


def _drop_path(network: Network) -> float:
    """The rate that the blocks' rates grow towards: block i of n has rate * i / n."""
    rates = [module.rate for module in network.modules() if isinstance(module, DropPath)]
    return rates[-1] * len(rates) / (len(rates) - 1) if len(rates) > 1 else 0.0
