import pytest

from nas.measure.settings import StepTimeSettings


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("warmup", 0, "warmup must be >= 1, got 0"),
        ("min_pairs", 0, "min_pairs must be >= 1, got 0"),
        ("max_pairs", 9, "max_pairs must be >= min_pairs (10), got 9"),
        ("batch_size", 0, "batch_size must be >= 1, got 0"),
        ("retakes", -1, "retakes must be >= 0, got -1"),
        ("interval", 0.0, "interval must be in (0, 1), got 0.0"),
        ("confidence", 1.0, "confidence must be in (0, 1), got 1.0"),
        ("clock", "sundial", "unknown clock 'sundial'; known: auto, wall, cpu"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, said):
    """A setting out of range is an error that names it, its value and what is allowed."""
    with pytest.raises(ValueError) as error:
        StepTimeSettings(**{field: value})
    assert str(error.value) == said
