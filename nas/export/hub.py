"""A folder as the Hugging Face Hub takes it: card, config.json, weights without pickle. Alone imports safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas import plugins
from nas.export.card import model_card
from nas.whole_files import folder_for, write_whole
from search_space.architecture import Architecture
from search_space.network import Network, build_network

CARD, CONFIG, WEIGHTS = "README.md", "config.json", "model.safetensors"
_NEEDED = "pip install 'training-aware-nas[hub]'"


def export_hub(network: Network, path: Path, metadata: Mapping[str, Any]) -> list[Path]:
    """Write the folder `path`: `config.json`, which is the metadata, weights by our names, and the model card.

    `load_model` reads it back; `find_architecture` takes its config.json.
    Raises: ValueError if the extra `hub` is not installed, or `path` is a file.
    """
    try:
        from safetensors.torch import save
    except ImportError:
        raise ValueError(f"a hub folder needs safetensors: {_NEEDED}") from None
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file, where a hub folder should be: choose another name")
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    files = {
        WEIGHTS: save(state, metadata={"format": "pt"}),
        CONFIG: json.dumps(metadata, indent=2) + "\n",
        CARD: model_card(path.name, metadata),
    }
    with folder_for(path):
        for name, content in files.items():
            write_whole(path / name, content)
    return [path / name for name in (CONFIG, WEIGHTS, CARD)]


def load_model(folder: os.PathLike[str] | str) -> Network:
    """Build the network of a hub folder with its weights, in evaluation mode; nothing in it is unpickled.

    The network has, beside `architecture`, its `num_classes` (outputs) and takes images normalised with the `mean` and
    `std` that the card names.

    Args:
        folder: as `nas export --to hub-folder` writes it, or a copy of it from the Hub.
    Raises: ValueError if it is no such folder, the extra `hub` is not installed, or the weights are another network's.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError(f"a hub folder needs safetensors: {_NEEDED}") from None
    folder = Path(folder)
    record = _config(folder)
    plugins.load(record["recipe"].get("plugins", ()), wanted_by=str(folder))
    network = build_network(
        Architecture.from_dict(record["architecture"]),
        record["num_classes"],
        record["in_channels"],
        padding=record["padding"],
    )
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"cannot read {folder / WEIGHTS}: {error}") from None
    except RuntimeError as error:  # torch's, of names and shapes
        raise ValueError(f"{folder / WEIGHTS} is of another network than {CONFIG}: {error}") from None
    return network.eval()


def _config(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no hub folder: {CONFIG}: {error}") from None
    wanted = ("architecture", "num_classes", "in_channels", "padding", "recipe")
    if missing := [name for name in wanted if not isinstance(record, dict) or name not in record]:
        raise ValueError(f"{folder / CONFIG} is not of this toolkit: {missing[0]} is missing")
    return record
