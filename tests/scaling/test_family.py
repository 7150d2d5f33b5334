"""A family on disk."""

import csv
import dataclasses
import json

import pytest

from scaling.family import Member, family, member, read_family, write_family
from scaling.rule import FROM_BASE
from search_space.architecture import Architecture
from search_space.cost import count
from search_space.families import published

S = published("efficientnetv2_s")


def test_a_family_knows_its_costs():
    """Params and MACs of every size, at its own image size and for the classes asked."""
    members = family(S, ["s", "l"], num_classes=10)
    assert [one.size for one in members] == ["s", "l"]
    for one in members:
        assert (one.params, one.macs) == count(one.architecture, one.architecture.image_size, 10)[:2]
    assert family(published("efficientnetv2_b0"), ["l"], FROM_BASE)[0].params == 118515272


def test_sizes_know_their_place_on_the_dial():
    """S, M, L and XL are 0, 1, 2 and 3, in whatever order they are asked for."""
    assert [one.dial for one in family(S, ["l", "s", "xl", "m"])] == [2, 0, 3, 1]


def test_macs_of_no_image_are_unknown():
    """Not 0, and not those of some other size."""
    assert member("s", dataclasses.replace(S, image_size=None)).macs is None


def test_a_family_folder_can_be_read_by_people_spreadsheets_and_the_toolkit(tmp_path):
    """One JSON per size that is an architecture, the table twice, and the whole with its provenance."""
    members = family(S, ["s", "m"])
    members[1] = dataclasses.replace(
        members[1], step_time=1.5, step_time_ms=12.5, is_estimate=True, notes={"target": 3}
    )
    folder = tmp_path / "new" / "family"
    write_family(folder, members, {"winner": S.arch_id})
    assert Architecture.from_json((folder / "m.json").read_text()) == members[1].architecture
    assert read_family(folder) == members
    assert json.loads((folder / "family.json").read_text())["provenance"] == {"winner": S.arch_id}
    with (folder / "family.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["params"] for row in rows] == ["21458488", str(members[1].params)]
    assert [row["step_time"] for row in rows] == ["", "1.5"]
    assert [row["step_time_ms"] for row in rows] == ["", "12.5"]
    assert [row["is_estimate"] for row in rows] == ["", "True"]
    assert [row["image_size"] for row in rows] == ["384", "480"]
    table = (folder / "family.md").read_text().splitlines()
    assert len(table) == 4
    assert "| s | " in table[2]
    assert "21,458,488" in table[2]
    assert "True" in table[3]
    assert "peak_memory_mb" not in table[0]  # nobody measured it


def test_writing_again_replaces(tmp_path):
    """The same command twice gives the same folder."""
    write_family(tmp_path, family(S, ["s", "m"]))
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    write_family(tmp_path, family(S, ["s", "m"]))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize("size", ["", "family", "../m", "50 M"])
def test_a_size_that_is_no_file_name_is_refused(size):
    """A size names a file, and must not overwrite the family's own or leave the folder."""
    with pytest.raises(ValueError, match="is no file name"):
        member(size, S)


def test_two_of_one_size_are_refused(tmp_path):
    """One would overwrite the other."""
    with pytest.raises(ValueError, match=r"a family needs one or more different sizes, got \['s', 's'\]"):
        write_family(tmp_path, family(S, ["s", "s"]))
    with pytest.raises(ValueError, match=r"a family needs one or more different sizes, got \[\]"):
        write_family(tmp_path, [])


def test_not_a_number_is_refused(tmp_path):
    """NaN is not JSON: a step time that was not measured is None."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_family(tmp_path, [Member("s", S, 1, 1, step_time_ms=float("nan"))])


def test_no_family_here(tmp_path):
    """A wrong folder is named."""
    with pytest.raises(ValueError, match="holds no family: there is no family"):
        read_family(tmp_path)
