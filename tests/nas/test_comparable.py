"""Which settings may change between the parts of a run."""

import doctest

from nas import comparable
from nas.comparable import locating_fields, may_change_fields
from nas.data.settings import AugmentSettings, DataSettings
from nas.training.settings import ExecutionSettings, TrainSettings


def test_what_may_change_is_said_at_the_field():
    """Only what changes no number may; precision, memory format and micro-batches do, and everything that is learnt."""
    assert may_change_fields(ExecutionSettings) == {"time_limit_s", "cuda_graph", "threads"}
    assert may_change_fields(DataSettings) == {"cache_dir"}
    assert may_change_fields(TrainSettings) == may_change_fields(AugmentSettings) == frozenset()


def test_what_says_where_data_lie_is_said_at_the_field():
    """How they are split and what becomes of their pixels is no place; what they are kept as the fingerprint tells."""
    places = {"source", "path", "test_path", "image_column", "label_column", "train_split", "test_split", "options"}
    assert locating_fields(DataSettings) == places | {"storage", "jpeg_size", "jpeg_quality"}
    assert locating_fields(TrainSettings) == frozenset()


def test_a_field_that_may_change_keeps_its_default():
    """Declaring it costs nothing: the defaults are the values they were given."""
    assert (ExecutionSettings().cuda_graph, DataSettings().cache_dir) == ("auto", "")


def test_the_example_is_true():
    """What the docstring shows is what comes out."""
    assert doctest.testmod(comparable) == (0, 2)
