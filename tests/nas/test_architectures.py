"""An architecture by any of its names."""

import json

import pytest
import torch

from nas.architectures import find_architecture
from nas.export.export import export_network
from scaling.family import family, write_family
from search_space.block_strings import from_block_strings
from search_space.families import published
from search_space.network import build_network

BLOCKS = "r1_k3_s1_e1_i8_o8_c1,r2_k3_s2_e4_i8_o16_se0.25"


def test_a_name_block_strings_and_a_file_mean_the_same(tmp_path):
    """A published name, its own JSON, and block strings are read as what they say."""
    (tmp_path / "s.json").write_text(json.dumps(published("efficientnetv2_s").to_dict()))
    assert find_architecture(str(tmp_path / "s.json")) == find_architecture("efficientnetv2_s")
    assert find_architecture(BLOCKS) == from_block_strings(BLOCKS.split(","))


def test_what_was_exported_is_an_architecture(tmp_path):
    """`nas export` writes model.json with the architecture among other things; every command takes it back."""
    torch.manual_seed(0)
    network = build_network(from_block_strings(BLOCKS.split(","), image_size=16), 10, 1)
    (path,) = export_network(network, "json", tmp_path, recipe={"epochs": 3}, provenance={"run_id": "x"})
    assert find_architecture(str(path)) == network.architecture


def test_a_familys_sizes_are_architectures_and_the_family_is_not(tmp_path):
    """m.json is M; of family.json, or its folder, the sizes to choose from are named."""
    members = family(published("efficientnetv2_s"), ["m", "l"])
    write_family(tmp_path, members)
    assert find_architecture(str(tmp_path / "m.json")) == members[0].architecture
    for path in (tmp_path, tmp_path / "family.json"):
        with pytest.raises(ValueError, match=r"several architectures; name one: \S+m\.json, \S+l\.json$"):
            find_architecture(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"stem_channels": 8', "not JSON at line 1, column 20"),
        (b"\xff\xfe\x00", "a.json: 'utf-8' codec can't decode"),
        (b"[1, 2]", "architecture must be a mapping, got list"),
        (b'{"architecture": [1]}', "architecture must be a mapping, got list"),
        (b'{"architecture": {"stem_channels": 8}}', "missing key 'stages' in architecture"),
        (b'{"recipe": {}}', "unknown key 'recipe' in architecture"),
        (b'{"members": [1]}', "no readable family"),
    ],
)
def test_a_file_that_is_no_architecture_is_named(tmp_path, content, message):
    """What is wrong with a file is one line that begins with its name."""
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"^\S*a\.json: ") as caught:
        find_architecture(str(tmp_path / "a.json"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
