"""Importances on landscapes whose effects are known."""

import numpy as np
import pytest

from nas.claims.anova import analyse, shortest_interval

CHOICES = [2, 2, 3, 4, 3, 2, 4, 3]


class Landscape:
    """A sum of effects of decisions, some strong, most weak, of interactions, and of noise: 1 in all."""

    def __init__(self, rng, interactions=0.2, noise=0.2):
        strengths = rng.exponential(1, len(CHOICES)) ** 1.5
        self.effects = [centred(rng.normal(size=n)) * k for n, k in zip(CHOICES, strengths, strict=True)]
        variances = np.array([np.mean(each**2) for each in self.effects])
        scale = np.sqrt((1 - interactions - noise) / variances.sum())
        self.effects = [each * scale for each in self.effects]
        self.shares = variances * scale**2
        a, b = rng.choice(len(CHOICES), 2, replace=False)
        table = rng.normal(size=(CHOICES[a], CHOICES[b]))
        table -= table.mean(axis=0)
        table -= table.mean(axis=1, keepdims=True)
        self.pair, self.table, self.noise = (a, b), table * np.sqrt(interactions / np.mean(table**2)), noise

    def values(self, codes, rng):
        sums = sum(each[codes[:, d]] for d, each in enumerate(self.effects))
        a, b = self.pair
        return sums + self.table[codes[:, a], codes[:, b]] + rng.normal(0, np.sqrt(self.noise), len(codes))


def centred(values):
    return values - values.mean()


def drawn(rng, trials):
    return np.stack([rng.integers(n, size=trials) for n in CHOICES], axis=1)


@pytest.mark.parametrize("trials", [30, 150])
def test_intervals_of_importance_hold_the_truth(trials):
    """Of 160 intervals of 95 %, on 20 landscapes, at least 90 % hold the share that the decision has."""
    held = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        landscape, codes = Landscape(rng), drawn(rng, trials)
        found = analyse(codes, CHOICES, landscape.values(codes, rng), sweeps=600)
        low, high = shortest_interval(found.shares, 0.95)
        held.append((low <= landscape.shares) & (landscape.shares <= high))
    assert np.mean(held) >= 0.9


def test_of_noise_alone_nothing_is_important():
    """Where no decision does anything, at most one interval in twenty claims that one does."""
    claimed = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        codes = drawn(rng, 60)
        low, _ = shortest_interval(analyse(codes, CHOICES, rng.normal(size=60), sweeps=600).shares, 0.95)
        claimed.append(low > 0)
    assert np.mean(claimed) <= 0.05


def test_a_choice_that_goes_with_a_good_one_is_not_good_itself():
    """A search draws choices together; the means of trials would give an idle decision most of the other's effect."""
    rng = np.random.default_rng(0)
    codes = drawn(rng, 200)
    codes[:, 1] = np.where(rng.random(200) < 0.85, codes[:, 0], 1 - codes[:, 0])
    values = codes[:, 0] + rng.normal(0, 0.3, 200)
    naive = values[codes[:, 1] == 1].mean() - values[codes[:, 1] == 0].mean()
    effects = analyse(codes, CHOICES, values).effects
    assert naive > 0.5
    assert np.mean(effects[0][:, 1] - effects[0][:, 0]) == pytest.approx(1, abs=0.1)
    assert np.mean(effects[1][:, 1] - effects[1][:, 0]) == pytest.approx(0, abs=0.1)


def test_what_acts_through_a_covariate_alone_has_no_effect_beside_it():
    """Of two decisions one makes networks large, and only size makes them accurate: at equal size it does nothing."""
    rng = np.random.default_rng(0)
    codes = drawn(rng, 200)
    size = codes[:, 0] + rng.normal(0, 0.5, 200)
    values = size + 0.5 * codes[:, 1] + rng.normal(0, 0.1, 200)
    alone = analyse(codes, CHOICES, values).effects[0]
    beside = analyse(codes, CHOICES, values, covariates=size[:, None]).effects
    assert np.mean(alone[:, 1] - alone[:, 0]) > 0.8
    assert np.mean(beside[0][:, 1] - beside[0][:, 0]) == pytest.approx(0, abs=0.05)
    assert np.mean(beside[1][:, 1] - beside[1][:, 0]) == pytest.approx(0.5, abs=0.05)


def test_an_option_that_is_not_there_has_no_effect():
    """Of trials in which a decision is inactive, its code of 0 is no choice."""
    rng = np.random.default_rng(0)
    codes = drawn(rng, 200)
    active = np.ones(codes.shape, bool)
    active[:, 1] = codes[:, 0] == 1
    codes[:, 1] *= active[:, 1]
    values = np.where(active[:, 1], codes[:, 1] - 0.5, 3.0) + rng.normal(0, 0.1, 200)
    effects = analyse(codes, CHOICES, values, active=active).effects
    assert np.mean(effects[1][:, 1] - effects[1][:, 0]) == pytest.approx(1, abs=0.1)


def test_more_decisions_than_trials_leave_all_open():
    """Ten trials cannot tell what eight decisions do: the intervals say so, instead of explaining everything."""
    rng = np.random.default_rng(0)
    codes = drawn(rng, 10)
    found = analyse(codes, CHOICES, rng.normal(size=10))
    low, high = shortest_interval(found.shares, 0.95)
    assert (low == 0).all()
    assert np.mean(high) > 0.2
    assert found.rest_share.mean() > 0.05
