"""What was written and drawn before ops had options: ids, JSON, block strings and random streams stay for ever."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from search_space.architecture import ARCHITECTURE_FIELDS, STAGE_FIELDS, Architecture, Stage
from search_space.block_strings import from_block_strings, to_block_strings
from search_space.spaces import efficientnetv2, small

# Written by the code of commit 9b0a34b: family members, draws of both spaces, and two odd ones.
OLD = json.loads((Path(__file__).parent / "golden" / "architectures.json").read_text())
SPACES = {
    "small": small(),
    "efficientnetv2": efficientnetv2(se_ratio=[0, 0.25]),
    "bounded": small(constraints={"params_max": 100_000, "image_size": 32, "num_classes": 10}),
}
# Hashes of: to_dict, 200 encodings, 30 mutations in a row, 20 crossovers, the last mutant's neighbours.
DRAWS = {
    "small": "a59caec19a74c082 e4359be66de79f6e bfedb36766c97237 a56d75a4ddab6539 1eb037b1312485df",
    "efficientnetv2": "2cc9dea7170fba14 fa80ea165641590a 1acd03e1bdc6f7ea c8b5a65b33174d70 6c37bd57cc5c8093",
    "bounded": "bab8171ec15ced06 27199b25cfde660b 605d67f7fd7aa508 9c0fdaa21b9821d3 c16407ec56bb3bf7",
}


@pytest.mark.parametrize("old", OLD, ids=[old["arch_id"] for old in OLD])
def test_an_old_architecture_keeps_its_text_and_id(old):
    """Runs of years share a log: JSON, id and both dialects' block strings, to the letter."""
    architecture = Architecture.from_json(old["json"])
    assert architecture.to_json() == old["json"]
    assert architecture.arch_id == old["arch_id"]
    assert to_block_strings(architecture) == old["google"]
    again = from_block_strings(old["google"], stem_channels=architecture.stem_channels)
    assert again.stages == architecture.stages
    if isinstance(old["timm"], str):
        with pytest.raises(ValueError, match=old["timm"]):
            to_block_strings(architecture, "timm")
    else:
        assert to_block_strings(architecture, "timm") == old["timm"]


def digest(thing):
    return hashlib.sha256(json.dumps(thing).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", SPACES)
def test_an_old_space_draws_what_it_drew(name):
    """A search goes on from its log because the same seed proposes the same."""
    space, rng = SPACES[name], np.random.default_rng(3)
    codes = space.sample_encodings(200, rng)
    a, b = space.sample(rng), space.sample(rng)
    walk = []
    for _ in range(30):
        a = space.mutate(a, rng)
        walk.append(a.arch_id)
    mixed = [space.crossover(a, b, rng).arch_id for _ in range(20)]
    near = [x.arch_id for x in space.neighbours(a)]
    found = [digest(thing) for thing in (space.to_dict(), codes.tolist(), walk, mixed, near)]
    assert found == DRAWS[name].split()


@dataclass(frozen=True)
class LaterStage(Stage):
    added: int = 3


@dataclass(frozen=True)
class LaterArchitecture(Architecture):
    added: str = "a"


def test_a_field_added_later_stands_in_the_json_only_where_it_is_not_at_its_default():
    """What a later version adds to the records changes no id of what was written before it."""
    shape = ("mbconv", 1, 3, 1, 8, 1)
    plain = Architecture(4, (Stage(*shape),), 8)
    assert LaterArchitecture(4, (LaterStage(*shape),), 8).arch_id == plain.arch_id
    changed = LaterArchitecture(4, (LaterStage(*shape, added=4),), 8, added="b")
    assert changed.arch_id != plain.arch_id
    assert (changed.to_dict()["added"], changed.to_dict()["stages"][0]["added"]) == ("b", 4)
    assert LaterArchitecture.from_dict({**plain.to_dict(), "added": "b"}).added == "b"


def test_the_fields_that_were_there_from_the_first_always_stand_in_the_json():
    """Also at their default: leaving one out would change every id there is."""
    record = Architecture(4, (Stage("mbconv", 1, 3, 1, 8, 1),), 8).to_dict()
    assert tuple(record) == ARCHITECTURE_FIELDS
    assert tuple(record["stages"][0]) == STAGE_FIELDS
    assert {f.name for f in dataclasses.fields(Architecture)} == set(ARCHITECTURE_FIELDS)
