"""What a study of proxies found: records of plain data, and how they are made of what was trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nas.claims.proxy_plan import Proxy, Series, why_not_whole
from nas.claims.proxy_scores import Judge, Measured, Ranking, Regret
from nas.claims.rank_agreement import Interval
from nas.claims.spread import Chosen
from nas.full_training.folder import METRICS
from nas.full_training.metrics import whole_lines
from nas.trackers.callback import TrainingEnd


@dataclass(frozen=True)
class Contender:
    """One architecture of the study."""

    arch_id: str
    architecture: dict[str, Any]  # its JSON
    params: int | None
    macs: int | None
    accuracy: float | None  # in the run it was chosen from, [0, 1]; None = there was none
    s_normalised: float | None  # there, step time over the reference's
    long_accuracy: tuple[float | None, ...]  # on minival after long training, with each seed, [0, 1]; None = failed


@dataclass(frozen=True)
class ProxyScore:
    """How well one proxy, after some epoch of its training, ranks the architectures as long training does."""

    name: str  # folder of its trainings: `long`, or such as `e10-px32-n4000`
    epochs: int  # after which it is judged
    of_epochs: int  # of the training that these are the first of
    whole: bool  # whether a training of `epochs` epochs gives the same; False: the schedule was for more
    asked: bool  # whether it is a proxy that was asked for; False: an epoch on the way
    image_size: int  # pixels, of training's last epoch
    images: int  # training images
    channels: int  # of the images: 3 = colour, 1 = grey
    device_hours: float | None  # measured, of training one architecture so far on its device; the mean
    architectures: int  # that have an accuracy here and by long training
    accuracy: tuple[float | None, ...]  # on minival, of each architecture in the study's order, [0, 1]; mean over seeds
    tau: Interval | None  # Kendall's tau-b against long training; None = fewer than 5 architectures, or all alike
    rho: Interval | None  # Spearman's
    regrets: tuple[Regret | None, ...]  # of looking at its best 1, 3, ... alone, as the study's `top` has them
    difference: Interval | None  # of tau, less that of the search's own proxy, on the same resamples; None = is that
    as_good: bool | None  # whether that reaches 0, and tau the interval of the search's own; None = not known


@dataclass(frozen=True)
class ProxyStudy:
    """What a study of proxies found; `proxy.json` has these fields by these names."""

    folder: str
    confidence: float  # of every interval, over resampled architectures
    top: tuple[int, ...]  # of the best so many, regrets are of
    seeds: int  # of long training
    own: str  # `name` of the trainings that the search's own proxy is read from
    own_epochs: int  # and its epochs
    long_epochs: int
    contenders: tuple[Contender, ...]
    scores: tuple[ProxyScore, ...]  # those of long training first, epoch by epoch
    ceiling: ProxyScore | None  # long training against itself under another seed; None with one seed
    cheapest: ProxyScore | None  # that is cheaper than the search's own and as good as it; None = there is none
    notes: tuple[str, ...]  # what the numbers do not say, a line each
    failed: tuple[str, ...]  # trainings that came to nothing, a line each

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @property
    def asked(self) -> list[ProxyScore]:
        """The scores of the proxies that were asked for, cheapest first."""
        return sorted((score for score in self.scores if score.asked), key=_cost)

    @property
    def own_score(self) -> ProxyScore:
        """The score of the search's own proxy."""
        return next(score for score in self.scores if (score.name, score.epochs) == (self.own, self.own_epochs))


@dataclass(frozen=True)
class Trained:
    """A series and what it came to."""

    series: Series
    measured: Measured
    images: int  # training images
    channels: int


def measured(ends: Sequence[TrainingEnd], architectures: int, series: Series) -> Measured:
    """Read what each training of a series came to, epoch by epoch; nothing of those that failed."""
    seeds, epochs = len(series.seeds), series.recipe.training.epochs
    accuracy, seconds = np.full((2, architectures * seeds, epochs), np.nan)
    for number, end in enumerate(ends):
        if end.status == "ok":
            for line in whole_lines(end.folder / METRICS):
                known = line["accuracy"]
                accuracy[number, line["epoch"]] = np.nan if known is None else known
                seconds[number, line["epoch"]] = line["seconds"]
    finished = np.isfinite(seconds).all(axis=1)
    hours = seconds[finished].cumsum(axis=1).mean(axis=0) / 3600 if finished.any() else np.full(epochs, np.nan)
    return Measured(accuracy.reshape(architectures, seeds, epochs).swapaxes(0, 1), hours)


def contenders(chosen: Sequence[Chosen], long: Measured) -> tuple[Contender, ...]:
    """Give the architectures of a study with what long training made of them."""
    return tuple(
        Contender(
            each.architecture.arch_id,
            each.architecture.to_dict(),
            each.params,
            each.macs,
            each.accuracy,
            each.s_normalised,
            _plain(long.accuracy[:, number, -1]),
        )
        for number, each in enumerate(chosen)
    )


def scores_of(trained: Sequence[Trained], own: Proxy, judge: Judge) -> tuple[ProxyScore, ...]:
    """Judge every epoch of every series that was evaluated.

    Args:
        trained: that of the long recipe first.
        own: the search's own proxy, which a series serves.
    """
    long = trained[0].measured
    home = next(each for each in trained if own in each.series.serves)
    reference = Ranking.of(home.measured, own.epochs - 1, long)
    least = judge.agreement(reference).tau
    return tuple(
        score
        for each in trained
        if each.measured is not long or len(long.accuracy) > 1
        for score in _series_scores(each, long, reference, (home.series.name, own.epochs), least, judge)
    )


def cheapest_as_good(scores: Sequence[ProxyScore], own: ProxyScore) -> ProxyScore | None:
    """Give the cheapest proxy that is as good as the search's own within its interval, if that costs less.

    Trainings whose schedule was not finished are none that a search could be told to do.
    """
    cheaper = [each for each in scores if each.as_good and each.whole and _cost(each) < _cost(own)]
    return min(cheaper, key=_cost, default=None)


def _cost(score: ProxyScore) -> float:
    """Order by cost; what is not known costs most."""
    return math.inf if score.device_hours is None else score.device_hours


def _series_scores(
    trained: Trained,
    long: Measured,
    reference: Ranking,
    own: tuple[str, int],
    own_tau: Interval | None,
    judge: Judge,
) -> Iterator[ProxyScore]:
    series, measured = trained.series, trained.measured
    asked = {proxy.epochs for proxy in series.serves}
    for epoch in range(measured.accuracy.shape[2]):
        done = epoch + 1
        if not np.isfinite(measured.accuracy[:, :, epoch]).any() and done not in asked:
            continue  # was not evaluated
        ranking = Ranking.of(measured, epoch, long)
        agreement = judge.agreement(ranking)
        difference = None if (series.name, done) == own else judge.difference(ranking, reference)
        yield ProxyScore(
            name=series.name,
            epochs=done,
            of_epochs=series.recipe.training.epochs,
            whole=why_not_whole(series.recipe, done) is None,
            asked=done in asked,
            image_size=series.recipe.image_size,
            images=trained.images,
            channels=trained.channels,
            device_hours=_plain(measured.device_hours)[epoch],
            architectures=agreement.architectures,
            accuracy=_plain(_mean(measured.accuracy[:, :, epoch])),
            tau=agreement.tau,
            rho=agreement.rho,
            regrets=agreement.regrets,
            difference=difference,
            as_good=_as_good(agreement.tau, difference, own_tau),
        )


def _as_good(tau: Interval | None, difference: Interval | None, own: Interval | None) -> bool | None:
    """Whether a proxy is not told apart from the search's own, nor below all that its own may be."""
    if tau is None or difference is None or own is None:
        return None
    return difference.high >= 0 and tau.value >= own.low


def _mean(accuracy: Any) -> Any:
    """Mean over seeds, NaN where one is not known."""
    return accuracy.mean(axis=0)


def _plain(values: Any) -> tuple[float | None, ...]:
    return tuple(float(value) if math.isfinite(value) else None for value in values)
