"""Pictures of a run and of a replay: the only file that imports matplotlib."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.analysis.frame import decision_columns, hypervolume_over_time, pareto

if TYPE_CHECKING:
    from search_space.architecture import Architecture


def progress(frame: pd.DataFrame) -> Figure:
    """Reward of each trial in the order they finished, with its standard error, and the best so far."""
    figure, axes = _figure("trial, in the order finished", "reward")
    ok = frame[frame["status"] == "ok"].reset_index(drop=True)
    _errors(axes, ok.index + 1, ok, "reward")
    axes.plot(ok.index + 1, ok["reward"], "o", color="tab:blue", markersize=4, alpha=0.6, label="trial")
    axes.step(ok.index + 1, ok["reward"].cummax(), where="post", color="tab:orange", label="best so far")
    axes.legend(frameon=False, loc=_place(ok))
    return figure


def trade_off(frame: pd.DataFrame) -> Figure:
    """Accuracy, with its standard error, over step time, parameters as colour; rings mark the front of the three."""
    figure, axes = _figure("training step time, reference = 1", "accuracy")
    ok = frame[frame["status"] == "ok"].dropna(subset=["accuracy", "s_normalised", "params"])
    if ok.empty:
        return _empty(figure, axes)
    _errors(axes, ok["s_normalised"], ok, "accuracy")
    points = axes.scatter(ok["s_normalised"], ok["accuracy"], c=ok["params"] / 1e6, s=24, cmap="viridis")
    front = pareto(frame)
    axes.scatter(
        front["s_normalised"], front["accuracy"], s=70, facecolors="none", edgecolors="tab:red", label="Pareto front"
    )
    low, high = ok["s_normalised"].min() * 0.9, ok["s_normalised"].max() * 1.1
    ticks = [t for t in (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20) if low <= t <= high]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(low, high)
    figure.colorbar(points, ax=axes, label="parameters, millions")
    axes.legend(frameon=False, loc=_place(ok))
    return figure


def front_growth(frame: pd.DataFrame) -> Figure:
    """Hypervolume of the Pareto front of accuracy, step time and parameters after each trial, over the last one's."""
    figure, axes = _figure("trials", "hypervolume, share of the last")
    growth = hypervolume_over_time(frame)
    axes.step(growth["trials"], growth["share"], where="post", color="tab:red")
    axes.set_ylim(0, 1.05)
    return figure


def effects(frame: pd.DataFrame) -> Figure:
    """Mean reward of the trials with each choice of each decision, against the mean of all, with its standard error."""
    ok = frame[frame["status"] == "ok"]
    names = decision_columns(ok)
    columns = min(5, max(1, len(names)))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2.4 * columns, 1.7 * max(1, rows)), layout="constrained")
    axes = figure.subplots(max(1, rows), columns, squeeze=False, sharey=True)
    for name, each in zip(names, axes.flat, strict=False):
        groups = ok.groupby(name)["reward"]
        means, errors = groups.mean() - ok["reward"].mean(), groups.sem().fillna(0)
        labels = [str(choice).replace("_mbconv", "") for choice in means.index]
        each.errorbar(labels, means, yerr=errors, fmt="o", markersize=4, capsize=2)
        each.axhline(0, color="0.7", linewidth=0.8)
        each.set_title(name, fontsize=8)
        each.tick_params(labelsize=7)
    for unused in axes.flat[len(names) :]:
        unused.set_axis_off()
    return figure


def curves(epochs: pd.DataFrame) -> Figure:
    """Accuracy over epochs of every trial; of more than can be told apart, of some that are spread evenly."""
    figure, axes = _figure("epoch", "accuracy")
    if epochs.empty:
        return _empty(figure, axes)
    known = epochs.dropna(subset="accuracy")
    trials = known.groupby(["run_id", "trial_id"]).ngroup()
    if (count := trials.nunique()) > _MOST_CURVES:
        shown = np.linspace(0, count - 1, _MOST_CURVES).astype(int)
        known, trials = known[trials.isin(shown)], trials[trials.isin(shown)]
        axes.set_title(f"{_MOST_CURVES:,} of {count:,} trials, evenly spread", fontsize=9)
    for _, one in known.groupby(trials):
        axes.plot(one["epoch"] + 1, one["accuracy"], color="tab:blue", alpha=0.35, linewidth=1)
    return figure


_MOST_CURVES, _MOST_ERRORS = 1000, 5000


class Searches(Protocol):
    """What is drawn of one algorithm's searches: the best reward after each trial, over seeds."""

    @property
    def algorithm(self) -> str:
        """Its name."""

    @property
    def mean_best(self) -> Sequence[float]:
        """The mean."""

    @property
    def low_best(self) -> Sequence[float]:
        """Where the mean's interval begins."""

    @property
    def high_best(self) -> Sequence[float]:
        """Where it ends."""


def replays(records: Sequence[Searches], best: float | None = None) -> Figure:
    """Mean best reward after each trial of each algorithm, with its 95 % band; `best`, the log's, as a line."""
    figure, axes = _figure("trials", "best reward so far")
    for record in records:
        trials = range(1, len(record.mean_best) + 1)
        (line,) = axes.plot(trials, record.mean_best, label=record.algorithm)
        axes.fill_between(trials, record.low_best, record.high_best, alpha=0.2, color=line.get_color(), linewidth=0)
    if best is not None:
        axes.axhline(best, color="0.4", linestyle=":", linewidth=1, label="best of the log")
    axes.legend(frameon=False)
    return figure


def family(
    members: Mapping[str, Architecture],
    costs: Mapping[str, tuple[int, int]],
    curves: Mapping[str, Sequence[tuple[int, int]]],
) -> Figure:
    """Layers and channels of every stage of each member, and MACs over parameters of members and of whole rules.

    Args:
        costs: params and MACs by member.
        curves: params and MACs along a rule's dial, by name; the first is the members' own rule.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    layers, channels, cost = figure.subplots(1, 3)
    for size, architecture in members.items():
        stages = range(1, len(architecture.stages) + 1)
        layers.plot(stages, [stage.layers for stage in architecture.stages], "o-", markersize=4, label=size)
        channels.plot(stages, [stage.channels for stage in architecture.stages], "o-", markersize=4, label=size)
    for axes, what in ((layers, "layers"), (channels, "channels")):
        axes.set(xlabel="stage", ylabel=what, ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
    layers.legend(frameon=False)
    scale, unit = (1e9, "G") if max((macs for _, macs in costs.values()), default=0) >= 1e9 else (1e6, "M")
    for (name, curve), style in zip(curves.items(), ("-", "--"), strict=False):
        points = [(params / 1e6, macs / scale) for params, macs in curve]
        cost.plot(*zip(*points, strict=True), style, color="0.6", linewidth=1, label=name)
    for size, (params, macs) in costs.items():
        cost.plot(params / 1e6, macs / scale, "o", markersize=6)
        cost.annotate(size, (params / 1e6, macs / scale), xytext=(7, -9), textcoords="offset points", fontsize=8)
    cost.set(xlabel="parameters, M", ylabel=f"MACs at the evaluation size, {unit}")
    if costs:
        cost.legend(frameon=False, fontsize=8)
    for axes in (layers, channels, cost):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def proxies(scores: Sequence[Any], own: Any, ceiling: Any | None) -> Figure:
    """Kendall's tau of each proxy against long training, with its interval, over its cost; epochs on the way as lines.

    The band is the interval of long training against itself; dashed are epochs of schedules that were not finished.

    Args:
        scores: of a study, each a `nas.claims.proxy_study.ProxyScore`.
        own: that of the search's own proxy.
        ceiling: that of long training against itself.
    """
    figure, axes = _figure("device hours of training one architecture", "Kendall's tau against long training")
    figure.set_figwidth(8.5)
    known = [score for score in scores if score.tau is not None and score.device_hours]
    if not known:
        return _empty(figure, axes)
    if ceiling is not None and ceiling.tau is not None:
        axes.axhspan(ceiling.tau.low, ceiling.tau.high, color="0.92", zorder=0)
        axes.axhline(ceiling.tau.value, color="0.5", linewidth=1, label="long training, another seed")
    data = dict.fromkeys((score.image_size, score.images, score.channels) for score in known if score.name != "long")
    for color, each in zip(itertools.cycle(_COLORS), data, strict=False):
        of_data = (score for score in known if (score.image_size, score.images, score.channels) == each)
        _proxies_of(axes, [score for score in of_data if score.name != "long"], color)
    _proxies_of(axes, [score for score in known if score.name == "long"], "0.4")
    if own.tau is not None:
        axes.plot([own.device_hours], [own.tau.value], "o", markersize=11, markerfacecolor="none",
                  color="tab:red", label="the search's own", zorder=4)  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(None, 1.05)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


_COLORS = [f"tab:{name}" for name in ("blue", "orange", "green", "purple", "brown", "pink", "olive", "cyan")]


def _proxies_of(axes: Axes, scores: Sequence[Any], color: str) -> None:
    """Draw the trainings on the same images epoch by epoch, and the proxies that were asked for with intervals."""
    for name in dict.fromkeys(score.name for score in scores):
        curve = [score for score in scores if score.name == name]
        hours, taus = [score.device_hours for score in curve], [score.tau.value for score in curve]
        style = "-" if all(score.whole for score in curve) else "--"
        axes.plot(hours, taus, style, color=color, linewidth=1, alpha=0.6)
    asked = [score for score in scores if score.asked]
    if not asked:
        return
    values = np.array([[score.tau.value, score.tau.low, score.tau.high] for score in asked])
    ends = np.abs(values[:, 1:].T - values[:, 0])
    about = f"{asked[0].image_size} px, {asked[0].images:,} images" + ", grey" * (asked[0].channels == 1)
    axes.errorbar([score.device_hours for score in asked], values[:, 0], yerr=ends, fmt="o", markersize=5,
                  color=color, capsize=2, label=about, zorder=3)  # fmt: skip


def as_base64(figure: Figure) -> str:
    """A figure as a PNG in base64, for a page that holds all its pictures."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return base64.b64encode(buffer.getvalue()).decode()


def _errors(axes: Axes, x: Sequence[float] | pd.Series[float] | pd.Index[int], frame: pd.DataFrame, name: str) -> None:
    """Draw the standard errors of a column, where they are known; of more than can be seen, some that are spread."""
    error = frame.get(f"{name}_se")
    if error is not None and error.notna().any():
        some = np.unique(np.linspace(0, len(frame) - 1, min(len(frame), _MOST_ERRORS)).astype(int))
        y, yerr = frame[name].to_numpy(float)[some], error.to_numpy(float)[some]
        axes.errorbar(np.asarray(x)[some], y, yerr=yerr, fmt="none", ecolor="0.75", elinewidth=1, zorder=0)


def _place(frame: pd.DataFrame) -> Literal["best", "lower right"]:
    """Where a legend stands: where it hides least, unless there are so many points that to find it takes long."""
    return "best" if len(frame) <= _MOST_ERRORS else "lower right"


def _empty(figure: Figure, axes: Axes) -> Figure:
    axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, ha="center", color="0.5")
    return figure


def _figure(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
