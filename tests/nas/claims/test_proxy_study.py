"""What is made of the accuracies of a study of proxies."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import nas
from nas.claims.proxy_plan import Grid, planned, proxies, recipe_of
from nas.claims.proxy_scores import Judge, Measured
from nas.claims.proxy_study import Trained, _as_good, cheapest_as_good, scores_of
from nas.claims.rank_agreement import Interval
from search_space.spaces import backbone_of

COUNT, JUDGE = 12, Judge(draws=300)
CONFIG = nas.search_config(
    space={"name": "small"}, image_size=16, data={"subset": 500}, training={"epochs": 4, "schedule": "cosine"}
)
ASKED = proxies(CONFIG, Grid(epochs=(2, 4), subsets=(500, 100)))
RNG = np.random.default_rng(0)
QUALITY = RNG.normal(size=COUNT)


def trained(noise):
    """Every series of a study; of each, what its last epoch errs by. Earlier epochs know nothing."""
    long = replace(recipe_of(CONFIG, ASKED[0], backbone_of(CONFIG.space)), seed=5)
    long = replace(long, training=replace(long.training, epochs=6), data=replace(long.data, subset=2000))
    made = []
    for series in planned(long, CONFIG, ASKED, (1, 2), 0):
        epochs, images = series.recipe.training.epochs, series.recipe.data.subset
        accuracy = RNG.random((len(series.seeds), COUNT, epochs))
        error = noise.get(series.name, 0.0) * RNG.normal(size=(len(series.seeds), COUNT))
        accuracy[:, :, -1] = 0.5 + 0.05 * (QUALITY + error)
        hours = np.arange(1, epochs + 1) * images / 1000.0
        made.append(Trained(series, Measured(accuracy, hours), images, 1))
    return made


def by_name(scores):
    return {(score.name, score.epochs): score for score in scores}


def test_long_training_is_judged_by_its_other_seed_alone():
    """Its last epoch agrees with itself as well as its seeds agree, not perfectly; earlier epochs as badly as noise."""
    made = trained({"long": 0.5})
    found = by_name(scores_of(made, ASKED[0], JUDGE))
    one, other = made[0].measured.accuracy[:, :, -1]
    assert found["long", 6].tau.value == pytest.approx(stats.kendalltau(one, other).statistic)
    assert found["long", 6].tau.value < 1
    early = made[0].measured.accuracy[:, :, 0]
    mixed = [stats.kendalltau(early[0], other).statistic, stats.kendalltau(early[1], one).statistic]
    assert found["long", 1].tau.value == pytest.approx(np.mean(mixed))
    assert not found["long", 1].whole


def test_the_cheapest_that_is_as_good_is_a_whole_training():
    """Not one whose ranks are noise, and none that would have to be stopped before its schedule ends."""
    made = trained({"e2-px16-n100": 30.0, "e2-px16-n500": 30.0, "e4-px16-n100": 0.3, "e4-px16-n500": 0.3})
    cheap = next(each for each in made if each.series.name == "e4-px16-n100")
    cheap.measured.accuracy[:, :, 0] = cheap.measured.accuracy[:, :, -1]
    scores = scores_of(made, ASKED[0], JUDGE)
    found = by_name(scores)
    assert found["e4-px16-n100", 1].as_good, "the first epoch of four ranks as well, but is no training of one"
    own = found["e4-px16-n500", 4]
    assert (own.difference, own.as_good) == (None, None)
    assert found["e2-px16-n100", 2].as_good is False
    assert found["e2-px16-n100", 2].difference.high < 0
    cheapest = cheapest_as_good(scores, own)
    assert (cheapest.name, cheapest.epochs) == ("e4-px16-n100", 4)
    assert cheapest.device_hours < own.device_hours
    assert cheapest.difference.low < 0 < cheapest.difference.high
    worse = scores_of(trained(dict.fromkeys(["e2-px16-n100", "e2-px16-n500", "e4-px16-n100"], 30.0)), ASKED[0], JUDGE)
    assert cheapest_as_good(worse, by_name(worse)["e4-px16-n500", 4]) is None


def test_nothing_is_said_of_a_proxy_at_which_all_failed():
    """It has its line, without numbers; and all can be written as JSON."""
    made = trained({})
    place = next(number for number, each in enumerate(made) if each.series.name == "e4-px16-n500")
    nothing = Measured(np.full((1, COUNT, 4), np.nan), np.full(4, np.nan))
    scores = scores_of([*made[:place], replace(made[place], measured=nothing), *made[place + 1 :]], ASKED[0], JUDGE)
    own = by_name(scores)["e4-px16-n500", 4]
    assert (own.tau, own.device_hours, own.architectures) == (None, None, 0)
    assert all(score.as_good is None for score in scores), "there is nothing to compare with"
    assert cheapest_as_good(scores, own) is None
    json.dumps([score.accuracy for score in scores], allow_nan=False)


def test_few_architectures_do_not_make_noise_as_good():
    """A wide interval of the difference is not enough: tau has to be one that the search's own proxy may have."""
    tau, own = Interval(0.1, -0.5, 0.7), Interval(0.6, 0.3, 0.9)
    wide = Interval(-0.5, -1.1, 0.1)
    assert _as_good(tau, wide, own) is False
    assert _as_good(Interval(0.4, -0.2, 0.8), wide, own) is True
    assert _as_good(Interval(0.4, -0.2, 0.8), Interval(-0.2, -0.3, -0.1), own) is False
    assert _as_good(tau, None, own) is None
