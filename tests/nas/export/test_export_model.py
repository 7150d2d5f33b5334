"""A checkpoint or an architecture exported from Python, as `nas export` does it."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from nas.architectures import find_architecture
from nas.export.export import export_model
from search_space.families import published

KEPT = Path(__file__).parents[2] / "data" / "9b0a34b" / "trained"


def test_a_trainings_folder_gives_its_weights(tmp_path, capsys):
    """The best checkpoint's weights, its recipe and where they come from; nothing is printed."""
    result = export_model(KEPT, ["json", "torchscript"], out=tmp_path, name="net")
    assert result.files == (tmp_path / "net.json", tmp_path / "net.torchscript.pt")
    assert (dict(result.failed), result.is_trained) == ({}, True)
    record = json.loads((tmp_path / "net.json").read_text())
    assert record["provenance"]["checkpoint"] == str(KEPT / "last.pt")
    assert record["image_size"] == record["recipe"]["eval_image_size"]
    assert capsys.readouterr() == ("", "")


def test_the_final_weights_are_exported_unless_the_best_are_asked_for(tmp_path):
    """Where a training kept both; a file that is named is itself, and what is not there is said."""
    for name in ("best.pt", "last.pt"):
        shutil.copy(KEPT / "last.pt", tmp_path / name)
    for weights, name in ((None, "last.pt"), ("final", "last.pt"), ("best", "best.pt")):
        (path,) = export_model(tmp_path, out=tmp_path / "out", weights=weights).files
        assert json.loads(path.read_text())["provenance"]["checkpoint"] == str(tmp_path / name)
    (path,) = export_model(tmp_path / "best.pt", out=tmp_path / "out").files
    assert json.loads(path.read_text())["provenance"]["checkpoint"] == str(tmp_path / "best.pt")
    with pytest.raises(ValueError, match=r"best\.pt is no folder of a training, of which final weights could be"):
        export_model(tmp_path / "best.pt", weights="final")
    (tmp_path / "last.pt").unlink()
    with pytest.raises(ValueError, match=r"has no last\.pt, but best\.pt: name that file"):
        export_model(tmp_path)
    with pytest.raises(ValueError, match="weights must be final or best, got 'last'"):
        export_model(tmp_path, weights="last")


def test_a_runs_winner_has_the_runs_classes_channels_and_size(run, tmp_path):
    """An untrained winner is the network that was searched, not one of 1000 classes and colour images."""
    (path,) = export_model(run, out=tmp_path / "out").files
    record = json.loads(path.read_text())
    assert (record["num_classes"], record["in_channels"], record["image_size"]) == (10, 1, 16)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit's of itself
def test_an_architecture_is_exported_untrained(tmp_path):
    """The same weights each time, whatever was drawn before; the caller's random numbers are left alone."""
    architecture = published("efficientnet_b0")
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    export_model(architecture, out=tmp_path)
    assert torch.rand(1) == expected
    first = export_model(architecture, ["torchscript"], out=tmp_path / "a", image_size=32, num_classes=10)
    second = export_model("efficientnet_b0", ["torchscript"], out=tmp_path / "b", image_size=32, num_classes=10)
    assert first.is_trained is second.is_trained is False
    a, b = (torch.jit.load(str(result.files[0])).state_dict() for result in (first, second))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert a["classifier.weight"].shape[0] == 10


def test_an_impossible_format_does_not_keep_the_others(tmp_path):
    """What a format cannot hold is named with the reason; the other files are written."""
    architecture = find_architecture(str(KEPT.parent / "arch.json"))
    assert architecture.stem_stride == 1, "which timm has not"
    result = export_model(architecture, ["timm", "json"], out=tmp_path)
    assert list(result.failed) == ["timm"]
    assert "stem_stride" in result.failed["timm"]
    assert result.files == (tmp_path / "model.json",)
    assert find_architecture(result.files[0]) == architecture


@pytest.mark.parametrize(
    ("what", "arguments", "message"),
    [
        (KEPT, {"to": ["keras"]}, "unknown export 'keras'"),
        (KEPT, {"num_classes": 3}, "a checkpoint has its own classes"),
        ("efficientnet_b9", {}, "no architecture 'efficientnet_b9'"),
    ],
)
def test_bad_arguments_are_value_errors(tmp_path, what, arguments, message):
    """What is wrong is said before anything is written."""
    with pytest.raises(ValueError, match=message):
        export_model(what, out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["x" * 300, "no/such/folder"])
@pytest.mark.parametrize("to", ["json", "hub-folder"])
def test_a_name_that_cannot_be_a_files_leaves_nothing(tmp_path, name, to):
    """Too long for the file system, or in a folder that is not there: no folder is left for it either."""
    if to == "hub-folder":
        pytest.importorskip("safetensors")
        name = name if "/" not in name else f"{name}/{'x' * 300}"
    with pytest.raises(OSError, match=r"too long|No such file"):
        export_model("r1_k3_s1_e1_i8_o8_c1", [to], out=tmp_path / "new" / "out", name=name)
    assert not (tmp_path / "new").exists()
