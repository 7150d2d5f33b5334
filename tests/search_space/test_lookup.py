"""Names of things: in a table, or `module:Name`."""

import pytest

from search_space.lookup import find


def test_a_name_of_the_table_or_of_any_module_is_found():
    """What is brought from outside is named as `module:Name`, without being registered."""
    assert find("number", "one", {"one": 1}) == 1
    assert find("path", "pathlib:Path.cwd", {}) is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("evolutoin", "unknown algorithm 'evolutoin'; did you mean 'evolution'?"),
        ("zzz", "unknown algorithm 'zzz'; known: evolution"),
        ("no_such_module:Thing", "algorithm 'no_such_module:Thing' cannot be imported: No module named"),
        ("pathlib:Paht", "algorithm 'pathlib:Paht' cannot be imported: module 'pathlib' has no attribute 'Paht'"),
        ("bad_module:Thing", "algorithm 'bad_module:Thing' cannot be imported: ZeroDivisionError: division by zero"),
        (":Thing", "unknown algorithm ':Thing'"),
    ],
)
def test_what_is_not_found_is_one_line(name, message, tmp_path, monkeypatch):
    """A misspelt name gives the nearest; a module that fails says how, in one line."""
    (tmp_path / "bad_module.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nonexistent"])
    with pytest.raises(ValueError) as error:
        find("algorithm", name, {"evolution": 1})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
