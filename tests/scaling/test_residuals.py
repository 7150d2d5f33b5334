"""What does not fit is told, row by row."""

import pytest

from scaling.residuals import Residual, explain
from scaling.rule import UNIFORM
from search_space.families import published


def test_the_residuals_of_the_recovered_recipe_are_listed():
    """Every number of S, M and L that the recipe misses is a row; nothing else is, but params and MACs of each."""
    rows = explain(published("efficientnetv2_b0"), ["s", "m", "l"])
    assert [(row.size, row.name, row.ours, row.published) for row in rows if row.name not in ("params", "macs")] == [
        ("s", "train_image_size", 308, 300),
        ("s", "stage4_channels", 136, 128),
        ("s", "stage6_channels", 272, 256),
        ("m", "stage4_channels", 152, 160),
    ]
    params = {row.size: row.published for row in rows if row.name == "params"}
    assert params == {"s": 21458488, "m": 54139356, "l": 118515272}
    assert [row.ours for row in rows if row.size == "l"] == [row.published for row in rows if row.size == "l"]


def test_a_missing_stage_is_a_row():
    """Uniform scaling has no seventh stage: its fields stand beside nothing."""
    rows = {row.name: row for row in explain(published("efficientnetv2_s"), ["m"], UNIFORM)}
    assert rows["stage7_layers"] == Residual("m", "stage7_layers", None, 5)
    assert rows["stage7_layers"].share is None
    assert rows["stage4_layers"].share == pytest.approx(8 / 7 - 1)


def test_unknown_size():
    """Only the published sizes can be compared."""
    with pytest.raises(ValueError, match="unknown size 'b4'; known: s, m, l, xl"):
        explain(published("efficientnetv2_b0"), ["b4"])
