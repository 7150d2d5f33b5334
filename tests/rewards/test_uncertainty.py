"""Standard errors against arithmetic and simulation; what is not told apart from the best, against a known truth."""

import doctest

import numpy as np
import pytest

from rewards import uncertainty
from rewards.uncertainty import accuracy_error, critical, images_needed, told_apart

SEARCHES = 1000
SLACK = 3 * (0.05 * 0.95 / SEARCHES) ** 0.5  # three standard errors of a share of 0.95


def errors(accuracies, images):
    """Give the standard error of each."""
    return np.array([accuracy_error(accuracy, images) for accuracy in accuracies])


def test_examples_hold():
    """What the docstrings show."""
    result = doctest.testmod(uncertainty)
    assert result.attempted
    assert not result.failed


def test_the_error_of_an_accuracy_is_the_binomials():
    """Far from 0 and 1 it is sqrt(p (1 - p) / n), and halves with four times the images."""
    assert accuracy_error(0.8, 10_000) == pytest.approx((0.8 * 0.2 / 10_000) ** 0.5, rel=1e-3)
    assert accuracy_error(0.8, 40_000) == pytest.approx(accuracy_error(0.8, 10_000) / 2, rel=1e-3)


def test_few_images_have_two_right_and_two_wrong_added():
    """Of 4 images 2 right: (2 + 2) of 8, so sqrt(0.5 * 0.5 / 8); of 96 all: 98 of 100."""
    assert accuracy_error(0.5, 4) == pytest.approx((0.25 / 8) ** 0.5)
    assert accuracy_error(1.0, 96) == pytest.approx((0.98 * 0.02 / 100) ** 0.5)


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_an_accuracy_of_all_or_nothing_is_not_certain(accuracy):
    """100 of 100 right may well be 97 %: the error is not 0, and the same at both ends."""
    assert 0.01 < accuracy_error(accuracy, 100) < 0.03


@pytest.mark.parametrize("truth", [0.5, 0.9, 0.98, 0.995])
@pytest.mark.parametrize("images", [100, 1000])
def test_two_errors_cover_the_truth(truth, images):
    """1.96 errors to both sides of the adjusted accuracy hold the truth in 95 % of measurements, also near 1."""
    right = np.random.default_rng(0).binomial(images, truth, SEARCHES)
    adjusted = (right + 2) / (images + 4)
    covered = np.abs(adjusted - truth) <= 1.96 * errors(right / images, images)
    assert covered.mean() >= 0.95 - SLACK


def test_what_is_no_accuracy_is_refused():
    """One line that names the value."""
    with pytest.raises(ValueError, match=r"accuracy must be in \[0, 1\], got 1.2"):
        accuracy_error(1.2, 10)
    with pytest.raises(ValueError, match="images must be >= 1, got 0"):
        accuracy_error(1.0, 0)


def searches(truths, factors, images, rng, alike=0.0):
    """Give rewards and errors of simulated searches.

    Args:
        truths: accuracy of each candidate were there images without end.
        factors: what the reward multiplies it with.
        alike: how much the difficulty of an image is shared by all candidates; 0 = each image is drawn anew for each.
    """
    order = np.sort(rng.standard_normal(100_000))
    thresholds = order[(np.clip(truths, 0, 1 - 1e-5) * len(order)).astype(int)]
    for _ in range(SEARCHES if not alike else SEARCHES // 4):
        if alike:
            own = rng.standard_normal((len(truths), images))
            found = (alike**0.5 * rng.standard_normal(images) + (1 - alike) ** 0.5 * own < thresholds[:, None]).mean(1)
        else:
            found = rng.binomial(images, truths) / images
        yield found * factors, errors(found, images) * factors


@pytest.mark.parametrize(
    ("low", "high"), [(0.95, 0.95), (0.6, 0.6), (0.9, 0.99), (0.985, 0.999)], ids=["equal", "low", "apart", "near 1"]
)
@pytest.mark.parametrize("images", [144, 1000])
@pytest.mark.parametrize("alike", [0.0, 0.7])
def test_the_truly_best_is_among_those_not_told_apart(low, high, images, alike):
    """In 95 % of simulated searches or more, with the luckiest of 16 as the winner; on shared images, too."""
    rng = np.random.default_rng(1)
    truths, factors = np.linspace(low, high, 16), rng.permutation(np.linspace(0.97, 1.03, 16))
    if low == high:
        factors = np.ones(16)  # the hardest case: all are equally good, and one looks best by luck alone
    best = int(np.argmax(truths * factors))
    kept = [told_apart(rewards, spread)[best] == 0 for rewards, spread in searches(truths, factors, images, rng, alike)]
    assert np.mean(kept) >= 0.95 - 3 * (0.05 * 0.95 / len(kept)) ** 0.5, np.mean(kept)


def test_comparing_each_with_the_winner_at_two_errors_would_not_do():
    """Without the correction for many comparisons the truly best is dropped too often: the test above can fail."""
    rng = np.random.default_rng(1)
    truths, ones = np.full(100, 0.6), np.ones(100)
    kept = [
        rewards.max() - rewards[0] <= 1.645 * np.hypot(spread[0], spread[rewards.argmax()])
        for rewards, spread in searches(truths, ones, 1000, rng)
    ]
    assert np.mean(kept) < 0.9
    kept = [told_apart(*search)[0] == 0 for search in searches(truths, ones, 1000, rng)]
    assert np.mean(kept) >= 0.95 - SLACK


def test_large_differences_are_told_apart():
    """The set is not all: with twenty times the errors between neighbours it is the winner alone."""
    scores = np.array([0.5, 0.7, 0.9])
    assert told_apart(scores, np.full(3, 0.01)).tolist() == [1, 1, 0]
    assert told_apart(scores, np.full(3, 0.3)).tolist() == [0, 0, 0]


def test_more_trials_ask_for_a_larger_difference():
    """Looking at many finds something by chance: 1.64 errors of the difference for two, 2.71 for sixteen (tables)."""
    assert critical(2) == pytest.approx(1.645, abs=1e-3)
    assert critical(16) == pytest.approx(2.713, abs=1e-3)
    assert critical(2, 4.0) == pytest.approx(2.132, abs=1e-3), "Student's t"


def test_what_is_not_known_is_nan():
    """An error that is not known tells nothing apart, and nothing is told apart from a winner without one."""
    assert np.isnan(told_apart([0.9, 0.5], [0.01, np.nan])[1])
    assert np.isnan(told_apart([0.9, 0.5], [np.nan, 0.01])).all()
    assert told_apart([], []).tolist() == []
    assert told_apart([0.9], [0.01]).tolist() == [0]


def test_few_repetitions_ask_for_a_larger_difference():
    """An error that comes from two trainings may be far too small by luck: Student's t, not the normal's."""
    scores, spread = [0.9, 0.93], [0.01, 0.01]
    assert told_apart(scores, spread, freedom=np.inf).tolist() == [1, 0]
    assert told_apart(scores, spread, freedom=1).tolist() == [0, 0]


def test_how_many_images_would_tell_two_apart():
    """Four times the images halve the error; what else errs is not helped by images."""
    assert images_needed(0.01, 100, 0.01, 0.0, 2.0) == pytest.approx(400)
    assert images_needed(0.01, 100, 0.01, 0.003, 2.0) == pytest.approx(100 * 0.01**2 / (0.005**2 - 0.003**2))
    assert images_needed(0.01, 100, 0.01, 0.005, 2.0) == np.inf
    assert images_needed(0.0, 100, 0.01, 0.0, 2.0) == np.inf
    assert images_needed(0.1, 100, 0.01, 0.0, 2.0) == 100, "they are apart already"


def test_a_variance_that_a_few_repetitions_gave_claims_no_more_than_it_holds():
    """Of equally good scores none is told apart in more than 5 % of searches, whatever part of the error is estimated.

    One score was trained twice, the others once: the variance of trainings has one degree of freedom. Degrees of
    freedom for the sum of both variances gave 10 to 17 %.
    """
    rng = np.random.default_rng(0)
    for scores, known in ((2, 0.0), (2, 0.3), (8, 0.3), (8, 1.0)):
        wrong, searches, trainings = 0, 3000, np.array([2] + [1] * (scores - 1))
        for _ in range(searches):
            of_images, pair = rng.normal(0, known, scores), rng.normal(0, 1, 2)
            means = of_images + np.concatenate([[pair.mean()], rng.normal(0, 1, scores - 1)])
            estimated = np.sqrt(pair.var(ddof=1) / trainings)
            errors = np.sqrt(known**2 + estimated**2)
            wrong += int(told_apart(means, errors, of_repetitions=estimated, freedom=1)[0])
        allowed = 0.05 + 3 * np.sqrt(0.05 * 0.95 / searches)
        assert wrong / searches < allowed, (scores, known)


@pytest.mark.parametrize(("of_repetitions", "factor"), [(0.0, 1.6449), (0.01, 2.0150)])
def test_two_are_told_apart_by_the_errors_of_both(of_repetitions, factor):
    """One-sided at 95 %: 1.645 errors of the difference where these are known, 2.015 after six repetitions."""
    gap = factor * (0.01**2 + 0.01**2) ** 0.5
    for scores, apart in (([0.9, 0.9 - 0.999 * gap], 0.0), ([0.9 - 1.001 * gap, 0.9], 1.0)):
        found = told_apart(scores, [0.01, 0.01], of_repetitions=[of_repetitions] * 2, freedom=5)
        assert found[int(np.argmin(scores))] == apart
        assert found[int(np.argmax(scores))] == 0.0
