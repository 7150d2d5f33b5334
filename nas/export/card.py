"""The model card of an exported network, after the Hugging Face Hub's: metadata as YAML, then text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_space import yaml_text
from search_space.architecture import Architecture
from search_space.block_strings import to_block_strings
from search_space.cost import count

PAPER = "2104.00298"


def model_card(name: str, metadata: Mapping[str, Any]) -> str:
    """Give the card's text. No licence is named: that of the weights is for whoever publishes them to say.

    Args:
        name: of the model.
        metadata: as `nas.export.metadata.model_metadata` gives it.
    """
    return f"---\n{yaml_text.dump(_front(name, metadata))}---\n\n" + "\n\n".join(_parts(name, metadata)) + "\n"


def _front(name: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    data = metadata["recipe"].get("data") or {}
    hosted = {"datasets": [data["path"]]} if data.get("source") == "hf" and data.get("path") else {}
    front = {
        "library_name": "training-aware-nas",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "neural-architecture-search", "efficientnetv2", "pytorch", f"arxiv:{PAPER}"],
        "metrics": ["accuracy"],
    }
    results = [_result(data, split, accuracy) for split, accuracy in _accuracies(metadata).items()]
    return front | hosted | ({"model-index": [{"name": name, "results": results}]} if results else {})


def _result(data: Mapping[str, Any], split: str, accuracy: float) -> dict[str, Any]:
    source = str(data.get("path") or data.get("source") or "images")
    label = source.rstrip("/").rsplit("/", 1)[-1] if data.get("source") != "hf" else source
    return {
        "task": {"type": "image-classification"},
        "dataset": {"name": label, "type": label, "split": split},
        "metrics": [{"type": "accuracy", "value": accuracy}],
    }


def _accuracies(metadata: Mapping[str, Any]) -> dict[str, float]:
    about = metadata["provenance"]
    found = {"test": about.get("test_accuracy"), "minival": about.get("minival_accuracy")}
    return {split: value for split, value in found.items() if value is not None}


def _parts(name: str, metadata: Mapping[str, Any]) -> Iterator[str]:
    architecture = Architecture.from_dict(metadata["architecture"])
    size, channels, classes = metadata["image_size"], metadata["in_channels"], metadata["num_classes"]
    cost = count(architecture, size, classes, channels)
    yield f"# {name}"
    yield (
        "An image classifier made with training-aware-nas, a toolkit for training-aware neural architecture search\n"
        f"(EfficientNetV2's, arXiv:{PAPER}): {cost.params:,} parameters, {cost.macs:,} multiply-accumulates\n"
        f"for an image of {channels} x {size} x {size}, {classes} classes. `{architecture.arch_id}`:"
    )
    yield "\n".join(
        [
            "```",
            f"stem {architecture.stem_channels}, stride {architecture.stem_stride}",
            *to_block_strings(architecture),
            f"head {architecture.head_channels}",
            "```",
        ]
    )
    yield from _results(metadata)
    yield from _training(metadata)
    yield _usage(name, metadata)


def _results(metadata: Mapping[str, Any]) -> Iterator[str]:
    told = {
        "test": "on the test split, which nothing was chosen by",
        "minival": "on minival, held out of the training split: an architecture or an epoch may be chosen by it",
    }
    rows = [f"* accuracy {value:.4f} {told[split]}" for split, value in _accuracies(metadata).items()]
    weights = metadata["provenance"].get("weights", "not known")
    yield "\n".join(["## Results", "", *rows, f"* weights: {weights}"])


def _training(metadata: Mapping[str, Any]) -> Iterator[str]:
    recipe, about = metadata["recipe"], metadata["provenance"]
    if not recipe:
        return
    data, training = recipe.get("data") or {}, recipe.get("training") or {}
    facts = {
        "data": f"{data.get('source', 'not known')} {data.get('path', '')}".strip(),
        "epochs": about.get("epochs", training.get("epochs")),
        "batch": training.get("batch_size"),
        "optimiser": training.get("optimizer"),
        "seed": recipe.get("seed"),
        "run": about.get("run_id"),
    }
    rows = [f"* {key}: {value}" for key, value in facts.items() if value is not None]
    yield "\n".join(["## Training", "", *rows, "", "The whole recipe and where it ran stand in `config.json`."])


def _usage(name: str, metadata: Mapping[str, Any]) -> str:
    data = metadata["provenance"].get("data") or {}
    norm = (
        f"normalised with mean {_short(data['mean'])} and deviation {_short(data['std'])}"
        if data.get("mean")
        else ("normalised as in training")
    )
    shape = f"(N, {metadata['in_channels']}, {metadata['image_size']}, {metadata['image_size']})"
    lines = [
        "## Use",
        "",
        "```python",
        "import nas  # pip install 'training-aware-nas[hub]'",
        "",
        f'network = nas.load_model("{name}")  # this folder; reads no pickle',
        f"logits = network(images)  # {shape}, values in [0, 1] {norm}",
        "```",
    ]
    if names := data.get("class_names"):
        lines += ["", "Classes, in the order of the logits: " + ", ".join(map(str, names)) + "."]
    return "\n".join(lines)


def _short(values: Any) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
