"""Profiles from Python, as `nas profile` makes them."""

import json

import pytest
import torch

from nas.cli import main
from nas.profiling import profile
from search_space.block_strings import from_block_strings
from search_space.cost import count

BLOCKS = "r1_k3_s1_e1_i8_o8_c1,r2_k3_s2_e4_i8_o16_se0.25"


def test_architectures_are_measured_beside_a_reference(capsys):
    """One record each, in order, told one by one; costs by arithmetic, and a row is plain JSON; nothing is printed."""
    torch.set_num_threads(1)
    architecture, said = from_block_strings(BLOCKS.split(","), image_size=16), []
    both = profile(architecture, BLOCKS, reference=BLOCKS, device="cpu", batch_size=2, image_size=16, say=said.append)
    assert [each.name for each in both] == [architecture.arch_id, BLOCKS]
    for each in both:
        assert each.costs.cost == count(architecture, 16)
        assert each.costs.step_time.ratio == pytest.approx(1, abs=0.5)
        row = json.loads(json.dumps(each.row()))
        assert (row["batch_size"], row["image_size"], row["params"]) == (2, 16, count(architecture, 16).params)
        assert [part["name"] for part in row["parts"]] == ["stem", "stage1", "stage2", "head", "update"]
    assert [text.startswith("measured ") for text in said] == [True, True]
    assert capsys.readouterr() == ("", "")


def test_a_profile_has_the_threads_it_is_told_and_gives_them_back(monkeypatch):
    """One by default; afterwards the process has as many as before."""
    import nas.measure.profile

    before, seen = torch.get_num_threads(), []

    def measured(architecture, **settings):
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(nas.measure.profile, "profile", measured)
    torch.set_num_threads(3)
    try:
        for given in ({}, {"threads": 2}):
            with pytest.raises(KeyboardInterrupt):
                profile(BLOCKS, device="cpu", image_size=16, **given)
        assert (seen, torch.get_num_threads()) == ([1, 2], 3)
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ValueError, match="threads must be >= 1, got 0"):
        profile(BLOCKS, device="cpu", image_size=16, threads=0)


def test_a_run_is_profiled_at_the_size_it_searched_at(run, monkeypatch):
    """Where winner and name say no image size the run does, else it is 224."""
    import nas.measure.profile

    sizes = []

    def measured(architecture, **settings):
        sizes.append(settings["image_size"])
        raise KeyboardInterrupt

    monkeypatch.setattr(nas.measure.profile, "profile", measured)
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in lines:
        record["architecture"]["image_size"] = None
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    for what in (run, BLOCKS, "efficientnetv2_s"):
        with pytest.raises(KeyboardInterrupt):
            profile(what, device="cpu")
    assert sizes == [16, 224, 300]


def test_a_run_is_profiled_with_its_classes_and_channels(run, monkeypatch):
    """A winner has those it was searched with; a name has ImageNet's; what is given goes before."""
    import nas.measure.profile

    shapes = []

    def measured(architecture, **settings):
        shapes.append((settings["num_classes"], settings["in_channels"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(nas.measure.profile, "profile", measured)
    for what, given in ((run, {}), (BLOCKS, {}), (run, {"num_classes": 7}), (BLOCKS, {"in_channels": 1})):
        with pytest.raises(KeyboardInterrupt):
            profile(what, device="cpu", image_size=16, **given)
    assert main(["profile", str(run), "--device", "cpu", "--num-classes", "5", "--in-channels", "3"]) == 130
    assert shapes == [(10, 1), (1000, 3), (7, 1), (1000, 1), (5, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"image_size": 0}, "image_size must be >= 1, got 0"),
        ({"num_classes": 0}, "num_classes must be >= 1, got 0"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"reference": "b0"}, "no architecture 'b0'"),
    ],
)
def test_bad_arguments_are_value_errors(arguments, message):
    """What is wrong is said before anything is measured."""
    with pytest.raises(ValueError, match=message):
        profile(BLOCKS, **arguments)
