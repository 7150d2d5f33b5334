"""The traps of YAML 1.1, and errors that give the line."""

import math

import pytest

from search_space import yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-1.5e+3", -1500.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("3", 3),
        ("-3", -3),
        ("1_000_000", 1_000_000),
        ("0", 0),
        (".inf", math.inf),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("OFF", "OFF"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("1:30", "1:30"),
        ("1:30:00", "1:30:00"),
        ("010", "010"),
        ("e5", "e5"),
        ("1e", "1e"),
        ("'1e-4'", "1e-4"),
    ],
)
def test_scalars_are_what_they_look_like(text, value):
    """`lr: 1e-4` is a number, an op called `no` a word, a time limit of 1:30 not 90, 010 not 8."""
    loaded = yaml_text.load(f"key: {text}")["key"]
    assert loaded == value
    assert type(loaded) is type(value)


def test_nan_is_a_number():
    """`.nan` is YAML's word for it."""
    assert math.isnan(yaml_text.load(".nan"))


def test_a_key_twice_is_an_error_with_its_line():
    """YAML would silently take the last: half of an edit lost."""
    with pytest.raises(ValueError, match=r"key 'lr' is given twice \(line 4\)"):
        yaml_text.load("training:\n  lr: 1\n  epochs: 3\n  lr: 2\n")


def test_merge_keys_work_and_may_be_overridden():
    """Recipes share parts by anchor; a key of one's own beside `<<` is no double."""
    text = "base: &base {lr: 1e-2, epochs: 10}\nrun:\n  <<: *base\n  lr: 1e-3\n"
    assert yaml_text.load(text)["run"] == {"lr": 1e-3, "epochs": 10}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1,\nb: 2", "not YAML at line 2"),
        ("a: b: c", "not YAML at line 1: mapping values are not allowed here"),
        ("\ta: 1", "not YAML at line 1"),
        ("? [a]\n: b", "not YAML at line 1: found unhashable key"),
        ("a: !!python/object:os.system {}", "not YAML at line 1: could not determine a constructor"),
        ("a: \x00", "not YAML: unacceptable character"),
        ("a: 1\n---\nb: 2", "not YAML at line 2"),
    ],
)
def test_what_is_not_yaml_is_one_line_with_its_place(text, message):
    """No traceback, no code executed."""
    with pytest.raises(ValueError, match=message):
        yaml_text.load(text)


@pytest.mark.parametrize(
    "data",
    [{"b": 1, "a": [1, 2.5, None, True]}, {"lr": 1e-5, "word": "no", "number": "1e-4", "time": "1:30"}, [], "on", 3],
)
def test_what_is_written_is_read_back(data):
    """Order, types, and strings that look like something else survive."""
    again = yaml_text.load(yaml_text.dump(data))
    assert again == data
    if isinstance(data, dict):
        assert list(again) == list(data)
        assert [type(v) for v in again.values()] == [type(v) for v in data.values()]
