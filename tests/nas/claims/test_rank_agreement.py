"""Rank correlations, regret and their intervals, against scipy, arithmetic and simulations with known truth."""

import numpy as np
import pytest
from scipy import stats

from nas.claims.proxy_scores import Judge, Ranking
from nas.claims.rank_agreement import expected_regret, kendall, regret, resamples, spearman


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_are_scipys(ties):
    """Of the architectures as they are, and of resamples, in which architectures stand as often as they were drawn."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 12))
    if ties:
        x, y = np.round(x), np.round(2 * y)
    counts = np.concatenate([np.ones((1, 12)), resamples(12, 20, seed=0)])
    for ours, theirs in ((kendall, stats.kendalltau), (spearman, stats.spearmanr)):
        expected = [theirs(*(np.repeat(each, row.astype(int)) for each in (x, y))).statistic for row in counts]
        assert ours(x, y, counts) == pytest.approx(expected)


def test_what_is_all_alike_has_no_correlation():
    """Nothing is made up where a score says nothing."""
    for statistic in (kendall, spearman):
        assert np.isnan(statistic(np.ones(6), np.arange(6.0), np.ones((1, 6)))).all()


def test_regret_is_the_best_less_the_best_that_is_looked_at():
    """The proxy puts the best third and the second best first."""
    proxy, truth = np.array([5.0, 4.0, 3.0, 2.0]), np.array([0.80, 0.70, 0.90, 0.60])
    counts = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [0, 1, 1, 2]])
    assert regret(proxy, truth, counts, 1) == pytest.approx([0.1, 0.1, 0.2])
    assert regret(proxy, truth, counts, 2) == pytest.approx([0.1, 0.1, 0.0]), "two copies are two that are looked at"
    assert regret(proxy, truth, counts, 3) == pytest.approx([0, 0, 0])


def test_regret_of_equals_is_what_is_lost_on_average():
    """A proxy that cannot tell the best from the worst does not get the benefit of the order of the log."""
    lost = regret(np.zeros(2), np.array([1.0, 0.0]), np.ones((1, 2)), 1)[0]
    assert 0.2 < lost < 0.8


# ---- intervals, by simulation: architectures have a true quality, and each training errs by noise of its own

OF_LONG, OF_PROXY, OF_CHEAPER = 0.2, 0.7, 1.5  # deviations of their noise, that of true quality being 1
SEARCHES = 150


def correlation(one, other):
    """Of two scores of the same qualities."""
    return 1 / np.sqrt((1 + one**2) * (1 + other**2))


def true_tau(one, other):
    """Kendall's tau of jointly normal scores."""
    return 2 / np.pi * np.arcsin(correlation(one, other))


@pytest.fixture(scope="module", params=[10, 15])
def found(request):
    """What many studies say, each of other architectures: intervals by name."""
    count, rng, judge = request.param, np.random.default_rng(request.param), Judge(draws=500)
    intervals = {"tau": [], "rho": [], "difference": [], "regret 1": [], "regret 3": []}
    for _ in range(SEARCHES):
        quality = rng.normal(size=count)
        long, proxy, cheaper = (quality + each * rng.normal(size=count) for each in (OF_LONG, OF_PROXY, OF_CHEAPER))
        agreement = judge.agreement(Ranking(((proxy, long),)))
        intervals["tau"].append(agreement.tau)
        intervals["rho"].append(agreement.rho)
        intervals["difference"].append(judge.difference(Ranking(((cheaper, long),)), Ranking(((proxy, long),))))
        for top, lost in zip((1, 3), agreement.regrets, strict=True):
            intervals[f"regret {top}"].append(lost)
    return count, intervals


@pytest.fixture(scope="module")
def truth(found):
    """The same of all architectures that there may be."""
    count, rng = found[0], np.random.default_rng(1)
    quality = rng.normal(size=(20_000, count))
    long, proxy = (quality + each * rng.normal(size=quality.shape) for each in (OF_LONG, OF_PROXY))
    by_proxy = np.take_along_axis(long, np.argsort(-proxy, axis=1), axis=1)
    return {
        "tau": true_tau(OF_LONG, OF_PROXY),
        "rho": 6 / np.pi * np.arcsin(correlation(OF_LONG, OF_PROXY) / 2),
        "difference": true_tau(OF_LONG, OF_CHEAPER) - true_tau(OF_LONG, OF_PROXY),
        "regret 1": (long.max(axis=1) - by_proxy[:, 0]).mean(),
        "regret 3": (long.max(axis=1) - by_proxy[:, :3].max(axis=1)).mean(),
    }


@pytest.mark.parametrize("name", ["tau", "rho", "difference", "regret 1", "regret 3"])
def test_intervals_hold_the_truth(found, truth, name):
    """95 % of them, and not all because they say nothing: half as wide as all that there can be, at most."""
    intervals = found[1][name]
    held = np.mean([each.low <= truth[name] <= each.high for each in intervals])
    assert held > 0.90, "0.95 less two and a half standard errors"
    if name in ("tau", "rho"):
        assert np.mean([each.high - each.low for each in intervals]) < 1


def test_a_proxy_that_is_much_worse_is_found_out():
    """Pure noise is not called as good as a proxy that ranks well, and one that is as good is."""
    rng, judge, verdicts = np.random.default_rng(0), Judge(draws=500), {"noise": [], "equal": []}
    for _ in range(60):
        quality = rng.normal(size=12)
        good = Ranking(((quality + 0.2 * rng.normal(size=12), quality),))
        for name, other in (("noise", rng.normal(size=12)), ("equal", quality + 0.2 * rng.normal(size=12))):
            verdicts[name].append(judge.difference(Ranking(((other, quality),)), good).high >= 0)
    assert np.mean(verdicts["noise"]) < 0.2
    assert np.mean(verdicts["equal"]) > 0.9


@pytest.mark.parametrize("count", [8, 12])
def test_a_perfect_order_may_be_luck(count):
    """Where all architectures are ordered alike so is every resample: the interval still leaves room.

    As much as is needed for a perfect order to come up by chance in 2.5 % of studies.
    """
    quality = np.arange(float(count))
    tau = Judge().agreement(Ranking(((quality, quality),))).tau
    assert (tau.value, tau.high) == (1, 1)
    assert 0.6 < tau.low < 0.95
    correlation, rng = np.sin(np.pi * tau.low / 2), np.random.default_rng(5)
    x, noise = rng.normal(size=(2, 20_000, count))
    y = correlation * x + np.sqrt(1 - correlation**2) * noise
    alike = (np.diff(np.take_along_axis(y, np.argsort(x, axis=1), axis=1), axis=1) > 0).all(axis=1).mean()
    assert alike == pytest.approx(0.025, abs=0.01)
    backwards = Judge().agreement(Ranking(((quality, -quality),))).tau
    assert (backwards.low, backwards.high) == (-1, -tau.low)


def test_expected_regret_is_what_many_studies_lose():
    """On the careful side: up to half as much again on average; it is steadier, and of a perfect proxy nothing."""
    rng, count, top = np.random.default_rng(0), 30, 2
    seen, expected = [], []
    for _ in range(300):
        quality = rng.normal(size=count)
        proxy = quality + OF_PROXY * rng.normal(size=count)
        seen.append(regret(proxy, quality, np.ones((1, count)), top)[0])
        expected.append(expected_regret(proxy, quality, np.ones((1, count)), top)[0])
    assert np.mean(seen) < np.mean(expected) < 1.6 * np.mean(seen)
    assert np.std(expected) < np.std(seen)
    assert expected_regret(quality, quality, np.ones((1, count)), top) == pytest.approx(0)


def test_an_architecture_that_failed_is_left_out():
    """What one of the trainings has no accuracy of says nothing of how they agree; fewer than five say nothing."""
    x, y = np.arange(8.0), np.array([0, 1, 2, 3, 4, 5, 6, np.nan])
    agreement = Judge().agreement(Ranking(((x, y), (x, np.arange(8.0)))))
    assert (agreement.architectures, agreement.tau.value) == (7, 1)
    few = Judge().agreement(Ranking(((np.where(x < 4, x, np.nan), y),)))
    assert (few.architectures, few.tau, few.regrets) == (4, None, (None, None))
    assert Judge().difference(Ranking(((x, y),)), Ranking(((np.where(x < 4, x, np.nan), y),))) is None
