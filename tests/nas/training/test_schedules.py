"""The learning rate's arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.training.schedules import learning_rate
from nas.training.settings import TrainSettings


def test_the_rate_is_stated_per_256_images() -> None:
    """A recipe keeps its stated rate when the batch size changes: the rate used is linear in the batch."""
    for batch_size, expected in ((256, 0.4), (64, 0.1), (4096, 6.4)):
        settings = TrainSettings(learning_rate=0.4, batch_size=batch_size, warmup_epochs=0, schedule="constant")
        assert learning_rate(7, 100, 10, settings) == pytest.approx(expected)


def test_warm_up_rises_linearly_and_starts_above_zero() -> None:
    """The first update already learns, and the peak is reached with the last warm-up step."""
    settings = TrainSettings(learning_rate=1.0, batch_size=256, warmup_epochs=2, schedule="constant")
    assert [learning_rate(step, 100, 5, settings) for step in (0, 1, 4, 9, 10, 99)] == pytest.approx(
        [0.1, 0.2, 0.5, 1, 1, 1]
    )


def test_a_training_shorter_than_its_warm_up_still_reaches_the_peak() -> None:
    """One epoch with five epochs of warm-up does not run at a fifth of the rate: warm-up takes at most half."""
    settings = TrainSettings(learning_rate=1.0, batch_size=256, warmup_epochs=5, schedule="constant")
    assert [learning_rate(step, 10, 10, settings) for step in (0, 4, 5, 9)] == pytest.approx([0.2, 1, 1, 1])


def test_cosine_ends_near_zero() -> None:
    """Cosine decay is half of the peak half-way and almost nothing at the last step."""
    settings = TrainSettings(learning_rate=1.0, batch_size=256, warmup_epochs=1, schedule="cosine")
    assert learning_rate(50, 100, 10, settings) == pytest.approx(0.5)
    assert learning_rate(99, 100, 10, settings) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))
    assert learning_rate(25, 100, 10, settings) == pytest.approx(0.5 * (1 + math.sqrt(0.5)))


def test_exponential_decays_in_steps_of_2_4_epochs() -> None:
    """The paper's decay: x0.97 every 2.4 epochs counted from the first step, warm-up or not."""
    settings = TrainSettings(learning_rate=0.016, batch_size=4096, warmup_epochs=5, schedule="exponential")
    steps_per_epoch = 10
    assert learning_rate(50, 3500, steps_per_epoch, settings) == pytest.approx(0.256 * 0.97**2)
    assert learning_rate(71, 3500, steps_per_epoch, settings) == pytest.approx(0.256 * 0.97**2)
    assert learning_rate(72, 3500, steps_per_epoch, settings) == pytest.approx(0.256 * 0.97**3)


@given(st.integers(0, 999), st.sampled_from(["cosine", "exponential", "constant"]), st.floats(0, 20))
def test_the_rate_is_never_above_its_peak_nor_below_zero(step: int, schedule: str, warmup_epochs: float) -> None:
    """No step of any schedule is negative, zero at the start, or larger than the stated rate."""
    settings = TrainSettings(learning_rate=1.0, batch_size=256, warmup_epochs=warmup_epochs, schedule=schedule)  # type: ignore[arg-type]
    assert 0 < learning_rate(step, 1000, 50, settings) <= 1


def test_batches_that_grow_keep_the_schedule() -> None:
    """Counted in epochs the schedule is the same whatever the number of steps an epoch has."""
    settings = TrainSettings(warmup_epochs=0)
    assert learning_rate(30, 100, 10, settings) == pytest.approx(learning_rate(60, 200, 20, settings))
