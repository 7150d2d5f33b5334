"""Exported files: they run elsewhere with equal logits, and say what they are."""

import importlib.util
import json

import pytest
import torch

from nas.export.export import EXPORTS, export_network
from search_space.architecture import Architecture, Stage
from search_space.block_strings import from_block_strings
from search_space.families import published
from search_space.network import build_network

ARCHITECTURE = Architecture(
    16, (Stage("fused_mbconv", 1, 3, 4, 16, 2), Stage("mbconv", 2, 3, 4, 24, 2, 0.25)), 32, image_size=24
)
RECIPE = {"epochs": 3, "lr": 0.1}
PROVENANCE = {"run": "runs/a", "accuracy": 0.5}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(ARCHITECTURE, 5, 1)


def export(network, to, folder, **arguments):
    return export_network(network, to, folder, recipe=RECIPE, provenance=PROVENANCE, **arguments)


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    """The network of `network` as ONNX: written once, for it takes seconds."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    torch.manual_seed(0)
    (path,) = export(build_network(ARCHITECTURE, 5, 1), "onnx", tmp_path_factory.mktemp("onnx"))
    return path


def metadata_of(to, path):
    """Read the metadata back by the format's own means."""
    if to in ("json", "hub-folder"):
        return json.loads(path.read_text())
    if to == "timm":
        return torch.load(path, weights_only=True)["metadata"]
    if to == "torchscript":
        files = {"metadata.json": ""}
        torch.jit.load(path, _extra_files=files)
        return json.loads(files["metadata.json"])
    onnx = pytest.importorskip("onnx")
    (entry,) = (p for p in onnx.load(path).metadata_props if p.key == "metadata")
    return json.loads(entry.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # loading what was exported
@pytest.mark.parametrize("to", EXPORTS)
def test_every_export_carries_recipe_and_provenance(to, network, tmp_path, request):
    """A file found a year later says what it is, how it was trained and where it comes from; training mode is kept."""
    if to == "hub-folder":
        pytest.importorskip("safetensors", reason="the extra `hub` is not installed")
    if to == "onnx":
        files = [request.getfixturevalue("onnx_file")]
    else:
        files = export(network, to, tmp_path / "new", name="winner")
        assert f"winner{EXPORTS[to][1]}" in files[0].relative_to(tmp_path).parts
    assert all(path.exists() for path in files)
    metadata = metadata_of(to, files[0])
    assert Architecture.from_dict(metadata["architecture"]) == ARCHITECTURE
    assert metadata["arch_id"] == ARCHITECTURE.arch_id
    assert (metadata["num_classes"], metadata["in_channels"], metadata["image_size"]) == (5, 1, 24)
    assert (metadata["recipe"], metadata["provenance"]) == (RECIPE, PROVENANCE)
    assert network.training


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # loading what was exported
def test_torchscript_gives_equal_logits_at_any_batch_and_size(network, tmp_path):
    """The file runs without this toolkit, also for other batches and image sizes than it was traced with."""
    (path,) = export(network, "torchscript", tmp_path)
    loaded = torch.jit.load(path)
    network.eval()
    for shape in ((2, 1, 24, 24), (5, 1, 24, 24), (1, 1, 31, 40)):
        images = torch.randn(shape)
        with torch.no_grad():
            torch.testing.assert_close(loaded(images), network(images))


def test_onnx_gives_equal_logits_at_any_batch_and_size(network, onnx_file):
    """onnxruntime's logits are ours, for another batch and size than was traced; a changed network is noticed."""
    import onnxruntime

    from nas.export.onnx import check_onnx

    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    network.eval()
    for shape in ((7, 1, 24, 24), (2, 1, 31, 40), (1, 1, 64, 5)):
        images = torch.randn(shape)
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(logits), network(images), rtol=1e-3, atol=1e-4)
    assert check_onnx(network, onnx_file) < 1e-4
    with torch.no_grad():
        network.classifier.bias += 0.1
    with pytest.raises(ValueError, match="onnxruntime's logits differ from ours by"):
        check_onnx(network, onnx_file)


def test_timm_checkpoint_is_plain_data_that_rebuilds_the_network(network, tmp_path):
    """timm's strings, arguments and names: stages, stem, head, classes and rates are all in the file."""
    files = export(network, "timm", tmp_path)
    saved = torch.load(files[0], weights_only=True)
    strings = [text for (text,) in saved["arch_def"]]
    assert strings == ["er_r1_k3_s2_e4_c16", "ir_r2_k3_s2_e4_c24_se0.25"]
    assert from_block_strings(strings, stem_channels=saved["arguments"]["stem_size"]).stages == ARCHITECTURE.stages
    assert saved["arguments"] == {
        "stem_size": 16,
        "num_features": 32,
        "drop_rate": 0.2,
        "output_stride": 32,
        "num_classes": 5,
        "in_chans": 1,
        "drop_path_rate": pytest.approx(0.2),
    }
    assert saved["bn_eps"] == 1e-3
    assert torch.equal(saved["state_dict"]["blocks.1.0.bn3.bias"], network.blocks[1][0].bn3.bias)
    compile(files[1].read_text(), str(files[1]), "exec")


def test_timm_loads_it(network, tmp_path):
    """The loader beside the checkpoint, run with timm itself: equal logits."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    files = export(network.eval(), "timm", tmp_path)
    spec = importlib.util.spec_from_file_location("loader", files[1])
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    images = torch.randn(2, 1, 24, 24)
    with torch.no_grad():
        torch.testing.assert_close(loader.load()(images), network(images))


def test_timm_finds_a_family_by_name_in_its_folder(tmp_path, monkeypatch):
    """`timm.create_model` gives each size with its weights; another number of classes has a new classifier, as ever."""
    timm = pytest.importorskip("timm", reason="timm is not installed")
    sizes = {}
    for name, channels in (("digits_s", 16), ("digits_m", 24)):
        stages = (Stage("fused_mbconv", 1, 3, 4, channels, 2), Stage("mbconv", 2, 3, 4, 24, 2, 0.25))
        sizes[name] = build_network(Architecture(16, stages, 32, image_size=24), 5).eval()
        export(sizes[name], "timm", tmp_path, name=name)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("timm_models")
    images = torch.randn(2, 3, 24, 24)
    for name, ours in sizes.items():
        with torch.no_grad():
            torch.testing.assert_close(timm.create_model(name, pretrained=True).eval()(images), ours(images))
    theirs = timm.create_model("digits_m", pretrained=True, num_classes=7)
    assert theirs(images).shape == (2, 7)
    assert torch.equal(theirs.conv_stem.weight, sizes["digits_m"].conv_stem.weight)
    assert timm.data.resolve_model_data_config(theirs)["input_size"] == (3, 24, 24)
    assert len(timm.create_model("digits_m", features_only=True, out_indices=(0, 1))(images)) == 2


def test_a_deep_total_stride_is_told_to_timm(tmp_path):
    """Beyond a stride of 32 timm dilates, unless it is told."""
    stages = tuple(Stage("mbconv", 1, 3, 4, 16, 2) for _ in range(6))
    files = export(build_network(Architecture(16, stages, 32, image_size=64), 5), "timm", tmp_path)
    assert torch.load(files[0], weights_only=True)["arguments"]["output_stride"] == 128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "keras"}, "unknown export 'keras'; known: json, timm, onnx, torchscript"),
        ({"recipe": {"lr": float("nan")}}, "recipe and provenance must be JSON"),
        ({"provenance": {"folder": object()}}, "recipe and provenance must be JSON"),
    ],
)
def test_bad_exports_are_refused(arguments, message, network, tmp_path):
    """Named before anything is written."""
    arguments = {"to": "json", "recipe": RECIPE, "provenance": PROVENANCE} | arguments
    with pytest.raises(ValueError, match=message):
        export_network(network, arguments.pop("to"), tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_an_image_size_is_needed(tmp_path):
    """A model without one cannot be traced or described; one given goes before the architecture's."""
    bare = build_network(Architecture(16, ARCHITECTURE.stages, 32), 5)
    with pytest.raises(ValueError, match="the architecture says no image_size; give one"):
        export(bare, "json", tmp_path)
    (path,) = export(bare, "json", tmp_path, image_size=48)
    assert json.loads(path.read_text())["image_size"] == 48


def test_an_architecture_timm_cannot_hold_is_refused(tmp_path):
    """Not a file that loads into another network."""
    architecture = Architecture(16, ARCHITECTURE.stages, 32, stem_stride=1, image_size=24)
    with pytest.raises(ValueError, match="timm's EfficientNet has stem_stride 2"):
        export(build_network(architecture, 5), "timm", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_published_networks_can_be_exported_to_timm():
    """V2-S, with its one-convolution stage, gives timm's own strings."""
    from nas.export.timm import timm_definition

    definition = timm_definition(published("efficientnetv2_s"))
    assert definition["arch_def"][0] == ["cn_r2_k3_s1_e1_c24_skip"]
    assert definition["arguments"]["stem_size"] == 24
