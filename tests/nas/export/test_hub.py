"""A folder for the Hugging Face Hub: the network comes back without pickle, and the card says what is known."""

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

import nas
from nas.export.card import model_card
from nas.export.export import export_network
from nas.export.metadata import model_metadata
from nas.full_training.folder import network_of
from search_space.architecture import Architecture, Stage
from search_space.network import build_network

KEPT = Path(__file__).parents[2] / "data" / "9b0a34b" / "trained"
ARCHITECTURE = Architecture(16, (Stage("fused_mbconv", 1, 3, 4, 16, 2),), 32, image_size=24)


@pytest.fixture
def safetensors():
    """Weights in the Hub's format."""
    return pytest.importorskip("safetensors", reason="the extra `hub` is not installed")


def test_a_training_comes_back_without_pickle(safetensors, tmp_path, monkeypatch):
    """Equal logits; nothing is unpickled, and the folder has what the Hub shows."""
    (config, weights, card) = nas.export_model(KEPT, ["hub-folder"], out=tmp_path, name="digits-small").files
    assert [path.name for path in (config, weights, card)] == ["config.json", "model.safetensors", "README.md"]
    expected, _, about = network_of(KEPT / "last.pt")
    monkeypatch.setattr(torch, "load", None)
    network = nas.load_model(tmp_path / "digits-small")
    assert not network.training
    images = torch.rand(2, about["in_channels"], 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(images), expected.eval()(images), rtol=0, atol=0)
    assert nas.find_architecture(config) == expected.architecture


def test_its_card_is_read_by_the_hubs_own_reader(tmp_path):
    """Metadata as YAML with the accuracies as results, and what a reader needs to use it; no licence is made up."""
    network, _, about = network_of(KEPT / "last.pt")
    about["provenance"] |= {"minival_accuracy": 0.91, "test_accuracy": 0.9, "data": about["data"]}
    card = ModelCard(model_card("digits-small", model_metadata(network, about["config"], about["provenance"], 16)))
    results = {result.dataset_split: result.metric_value for result in card.data.eval_results}
    assert results == {"test": 0.9, "minival": 0.91}
    assert (card.data.pipeline_tag, card.data.license) == ("image-classification", None)
    assert card.data.model_name == "digits-small"
    assert 'nas.load_model("digits-small")' in card.text
    assert network.architecture.arch_id in card.text
    assert "normalised with mean (" in card.text


def test_drawn_weights_say_so(tmp_path):
    """An architecture without training claims no result."""
    network = build_network(ARCHITECTURE, 5, 1)
    card = ModelCard(model_card("net", model_metadata(network, {}, {"weights": "untrained, seed 0"})))
    assert card.data.eval_results is None
    assert "weights: untrained, seed 0" in card.text


def test_what_is_no_hub_folder_is_one_line(safetensors, tmp_path):
    """Missing, of others, of another network, cut short."""
    network = build_network(ARCHITECTURE, 5, 1, padding="same")
    config, weights, _ = export_network(network, "hub-folder", tmp_path, name="net", recipe={}, provenance={})
    folder = tmp_path / "net"
    assert nas.load_model(folder).padding == "same"
    with pytest.raises(ValueError, match=r"none is no hub folder: config\.json: .*No such file"):
        nas.load_model(tmp_path / "none")
    record = json.loads(config.read_text())
    config.write_text(json.dumps(record | {"num_classes": 6}))
    with pytest.raises(ValueError, match=r"model\.safetensors is of another network than config\.json"):
        nas.load_model(folder)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cannot read .*model\.safetensors: "):
        nas.load_model(folder)
    config.write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="is not of this toolkit: architecture is missing"):
        nas.load_model(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file is a file, where a hub folder should be"):
        export_network(network, "hub-folder", tmp_path, name="file", recipe={}, provenance={})
