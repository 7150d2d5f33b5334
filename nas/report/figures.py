"""The figures of a report: each of a column's width, with the words that say what is to be seen in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.analysis.front import hypervolume_over_time
from nas.analysis.plots import FIRST, HEIGHT, INK, LINE, MUTED, SCALE, SECOND, WIDTH, figure, styled
from nas.runs.columns import column
from nas.runs.text import short
from rewards.pareto import pareto_front

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nas.claims.explain import DecisionImportance, Explanation

MOST_POINTS, MOST_CURVES, MOST_EPOCHS = 2000, 200, 10_000  # that are drawn of what a long run has


@dataclass(frozen=True)
class Picture:
    """A figure, and its words."""

    name: str  # of its files
    title: str
    description: str  # for who does not see it
    caption: str  # for who does
    drawn: Figure


@styled
def progress(frame: pd.DataFrame) -> Picture:
    """Reward of each trial in the order they finished, with its standard error, and the best so far."""
    drawn, axes = figure("trial, in the order finished", "reward")
    ok = frame[frame["status"] == "ok"].dropna(subset=["reward"]).reset_index(drop=True)
    some = ok.iloc[_spread(len(ok), MOST_POINTS)]
    _errors(axes, some.index.to_numpy() + 1, some, "reward")
    axes.plot(some.index + 1, some["reward"], "o", color=FIRST, markersize=4, alpha=0.6, label="trial")
    highest = ok["reward"].cummax()
    steps = highest[(highest.diff() != 0) | (highest.index == len(highest) - 1)]
    axes.step(steps.index + 1, steps, where="post", color=SECOND, label="best so far")
    axes.locator_params(axis="x", nbins=5, integer=True)
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    ends = f"from {ok['reward'].iloc[0]:.4f} to {highest.iloc[-1]:.4f}"
    return Picture(
        "progress",
        "Reward over trials",
        f"reward of {len(ok):,} scored trials in the order they finished; the best so far rises {ends}",
        f"Reward of each scored trial ± its standard error, and the best so far.{_said(len(some), len(ok), 'trials')}",
        drawn,
    )


@styled
def trade_off(
    frame: pd.DataFrame, columns: Sequence[str], *, winner: Any = None, reference: Any = None
) -> Picture | None:
    """The first objective over the second, the third as colour; the front of two as a line, that of all as rings.

    Args:
        columns: two signed columns or more, `+accuracy`; those after the third are not drawn.
        winner: trial_id of the one to be marked.
        reference: arch_id of the reference network.
    Returns: None if no trial has all.
    """
    y, x, *others = (name[1:] for name in columns)
    ok = frame[frame["status"] == "ok"].dropna(subset=[x, y, *others])
    if ok.empty:
        return None
    drawn, axes = figure(label(x), label(y), height=3.5)
    whole, two = _front(ok, columns), _front(ok, columns[:2])
    kept = ok.index.isin([*whole.index, *two.index])
    others_of = np.flatnonzero(~kept)
    some = ok.iloc[np.concatenate([others_of[_spread(len(others_of), MOST_POINTS)], np.flatnonzero(kept)])]
    _errors(axes, some[x].to_numpy(), some, y)
    _points(axes, some, x, y, others[0] if others else None)
    axes.step(
        *_stairs(two, x, y, columns), where="post", color=SECOND, linewidth=1.2, zorder=1, label="front of the two"
    )
    if others:
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": SECOND, "linewidths": 1.2}
        axes.scatter(whole[x], whole[y], s=60, zorder=4, label="front of all", **ring)
    _mark(axes, ok[ok["trial_id"] == winner], x, y, "*", "winner")
    _mark(axes, ok[ok["arch_id"] == reference], x, y, "D", "reference")
    if x == "s_normalised":
        axes.axvline(1, color=MUTED, linewidth=1, linestyle=":", zorder=0)
    _scale(axes, ok[x])
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.0)
    third = _third(others, len(whole), x, y)
    return Picture(
        "trade_off",
        f"{label(y)} over {label(x)}",
        f"{len(ok):,} trials; {len(two)} are on the front of the two, from {y} {two[y].min():.4g} at {x} "
        f"{two[x].min():.4g} to {two[y].max():.4g} at {two[x].max():.4g}",
        f"The line: no trial is better in both. {third}{_said(len(some), len(ok), 'trials')}",
        drawn,
    )


def _third(others: Sequence[str], whole: int, x: str, y: str) -> str:
    if not others:
        return ""
    rest = f" ({', '.join(map(short_label, others[1:]))}, further ones, are not drawn)" if others[1:] else ""
    return (
        f"Colour: {label(others[0])}, the third objective{rest}. Rings: the {whole} trials that none beats in all; one "
        f"off the line is beaten in {short_label(y)} and {short_label(x)}, but only by trials that are no better in "
        f"{short_label(others[0])}."
    )


@styled
def front_growth(frame: pd.DataFrame, columns: Sequence[str]) -> Picture:
    """Hypervolume of the Pareto front after each trial, over the last one's."""
    drawn, axes = figure("trials", "share of the final volume")
    growth = hypervolume_over_time(frame, columns)
    changed = growth[(growth["share"].diff() != 0) | (growth["trials"] == growth["trials"].max())]
    axes.step(changed["trials"], changed["share"], where="post", color=SECOND)
    axes.set_ylim(0, 1.05)
    late = growth[growth["share"] < 0.99]["trials"].max() if len(growth) else float("nan")
    reached = "" if np.isnan(late) else f"99 % of it was there after {late + 1:,.0f} trials. "
    return Picture(
        "front_growth",
        "Growth of the front",
        f"the volume that the front of {', '.join(short_label(name[1:]) for name in columns)} dominates. {reached}",
        f"The volume that the front dominates, seen from the worst value of the run in each objective. {reached}",
        drawn,
    )


@styled
def importances(found: Explanation, most: int) -> Picture:
    """How much of the variance each decision explains, the most important on top, with its interval."""
    shown = found.decisions[:most][::-1]
    drawn, axes = figure("share of the variance", "", height=0.75 + 0.25 * len(shown))
    shares = np.array([each.importance for each in shown])
    around = np.abs(shares - np.array([[each.low for each in shown], [each.high for each in shown]]))
    axes.barh(range(len(shown)), shares, color=FIRST, alpha=0.55, height=0.7)
    axes.errorbar(shares, range(len(shown)), xerr=around, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    axes.set_yticks(range(len(shown)), [decision_label(each.decision) for each in shown])
    axes.set(xlim=(0, max(0.1, min(1.0, 1.05 * max(each.high for each in shown)))), ylim=(-0.6, len(shown) - 0.4))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.locator_params(axis="x", nbins=4)
    first = found.decisions[0]
    return Picture(
        "importance",
        f"Importance of decisions for {short_label(found.column)}",
        f"the most important is {decision_label(first.decision)} with {first.importance:.0%} "
        f"({first.low:.0%} to {first.high:.0%})",
        f"Share of the variance of {label(found.column)} that each decision explains by itself, with its "
        f"{found.confidence:.0%} interval"
        + (f"; the first {most} of {len(found.decisions)}" * (len(found.decisions) > most))
        + ".",
        drawn,
    )


@styled
def choices(each: DecisionImportance, name: str, extent: float) -> Picture:
    """What each choice of a decision does to the number, with its interval, and at equal cost.

    Args:
        name: of the number.
        extent: the largest effect that the axis has room for.
    """
    ordered = sorted(each.choices, key=lambda choice: (isinstance(choice.choice, str), choice.choice), reverse=True)
    drawn, axes = figure("", "", width=WIDTH / 2 - 0.05, height=0.75 + 0.27 * len(ordered))
    effects = np.array([choice.effect for choice in ordered])
    around = np.abs(effects - np.array([[choice.low for choice in ordered], [choice.high for choice in ordered]]))
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=":", zorder=0)
    axes.errorbar(effects, range(len(ordered)), xerr=around, fmt="o", color=FIRST, markersize=5, capsize=2)
    tick = float(f"{0.7 * extent:.0e}")  # one figure
    axes.set_xticks([-tick, tick], [f"−{tick:g}", f"+{tick:g}"])
    axes.set_xlim(-1.05 * extent, 1.05 * extent)
    equal = [(choice.effect_at_equal_cost, place - 0.25) for place, choice in enumerate(ordered)]
    if known := [(effect, place) for effect, place in equal if effect is not None]:
        axes.plot(*zip(*known, strict=True), "D", color=SECOND, markersize=4, fillstyle="none")
    axes.set_yticks(range(len(ordered)), [str(choice.choice).replace("_mbconv", "") for choice in ordered])
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_title(decision_label(each.decision))
    said = "; ".join(f"{choice.choice}: {choice.effect:+.4f}" for choice in ordered)
    return Picture(f"choices_{each.decision}", decision_label(each.decision), f"effect on {name}: {said}", "", drawn)


@styled
def curves(epochs: pd.DataFrame, winner: Any = None) -> Picture | None:
    """Accuracy over epochs of every trial; of more than can be told apart, of some that are spread evenly.

    Returns: None if there are no curves.
    """
    if epochs.empty or "accuracy" not in epochs or (known := epochs.dropna(subset=["accuracy"])).empty:
        return None
    drawn, axes = figure("epoch", "accuracy")
    numbers = known["trial_id"].unique()
    longest = int(known["epoch"].max()) + 1
    shown = set(numbers[_spread(len(numbers), max(2, min(MOST_CURVES, MOST_EPOCHS // longest)))])
    of_winner = known[known["trial_id"] == winner]
    some = known[known["trial_id"].isin(shown)]
    faint = max(0.12, min(0.4, 12 / len(shown)))
    for _, one in some.groupby("trial_id"):
        axes.plot(one["epoch"] + 1, one["accuracy"], color=FIRST, alpha=faint, linewidth=1)
    if len(of_winner):
        axes.plot(of_winner["epoch"] + 1, of_winner["accuracy"], color=SECOND, label="winner")
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside upper left")
    axes.locator_params(axis="x", nbins=5, integer=True)
    return Picture(
        "curves",
        "Training curves",
        f"accuracy on minival over up to {longest} epochs of {len(shown):,} trials",
        f"Accuracy on minival after each epoch.{_said(len(shown), len(numbers), 'trials')}",
        drawn,
    )


@styled
def distributions(own: Any, other: Any, name: str, names: tuple[str, str]) -> Picture:
    """Share of trials up to each value, of a run and of another."""
    drawn, axes = figure(label(name), "share of trials up to it", height=HEIGHT)
    for values, colour, style, whose in zip((own, other), (FIRST, SECOND), ("-", "--"), names, strict=True):
        ordered = np.sort(values)
        places = _spread(len(ordered), MOST_POINTS)
        axes.step(
            ordered[places], (places + 1) / len(ordered), where="post", color=colour, linestyle=style, label=whose
        )
    axes.set_ylim(0, 1.02)
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside upper left")
    return Picture(
        "distributions",
        f"Distribution of {label(name)}",
        f"median {np.median(own):.4g} of {names[0]}, {np.median(other):.4g} of {names[1]}",
        f"Empirical distribution of {label(name)}: of two curves the one further to the right has the greater values.",
        drawn,
    )


# ---- words of columns


def label(name: str) -> str:
    """A column with its unit, as an axis has it."""
    words = {
        "s_normalised": "training step time, reference = 1",
        "p_normalised": "parameters, reference = 1",
        "params": "parameters",
        "macs": "MACs",
    }
    line = column(name)
    return words.get(name) or name.replace("_", " ") + (f", {line.unit}" if line.unit else "")


def short_label(name: str) -> str:
    """A column without its unit."""
    return label(name).partition(",")[0]


def decision_label(name: str) -> str:
    """A decision as people say it: stage3_kernel_size is stage 3 kernel."""
    stage, _, field = name.partition("_")
    words = {"kernel_size": "kernel", "se_ratio": "SE"}
    return f"{stage.replace('stage', 'stage ')} {words.get(field, field.replace('_', ' '))}"


# ---- parts of figures


def _spread(count: int, most: int) -> Any:
    """Places of `most` of so many, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)) if count else np.arange(0)


def _said(shown: int, count: int, what: str) -> str:
    return "" if shown >= count else f" Drawn: {shown:,} of {count:,} {what}, evenly spread."


def _errors(axes: Axes, x: Any, frame: pd.DataFrame, name: str) -> None:
    """Draw the standard errors of a column, where they are known."""
    error = frame.get(f"{name}_se")
    if error is not None and error.notna().any():
        y = frame[name].to_numpy(float)
        axes.errorbar(x, y, yerr=error.to_numpy(float), fmt="none", ecolor=LINE, elinewidth=1, zorder=0)


def _points(axes: Axes, rows: pd.DataFrame, x: str, y: str, third: str | None) -> None:
    """Draw trials; the third column in as many classes as there are colours, each of as many trials."""
    if third is None:
        axes.scatter(rows[x], rows[y], s=22, color=FIRST, zorder=2, linewidths=0)
        return
    edges = np.unique(rows[third].quantile(np.linspace(0, 1, len(SCALE) + 1)[1:-1]))
    classes = np.searchsorted(edges, rows[third], side="right")
    name = {"params": "params"}.get(third, short_label(third))
    words = [f"{name} < {short(edges[0])}" if len(edges) else name]
    words += [f"{short(low)} to {short(high)}" for low, high in pairwise(edges)]
    words += [f"≥ {short(edges[-1])}"] if len(edges) else []
    for number, word in enumerate(words):
        some = rows[classes == number]
        axes.scatter(some[x], some[y], s=22, color=SCALE[number], zorder=2, linewidths=0, label=word)


def _front(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    names = [name[1:] for name in columns]
    return rows.iloc[pareto_front(rows[names].to_numpy(float), [name[0] == "+" for name in columns])]


def _stairs(front: pd.DataFrame, x: str, y: str, columns: Sequence[str]) -> tuple[Any, Any]:
    """Points of the border of what the front dominates, by x; the step is taken where the next one begins."""
    ordered = front.sort_values(x, ascending=columns[1][0] == "-")
    return ordered[x].to_numpy(float), ordered[y].to_numpy(float)


def _mark(axes: Axes, rows: pd.DataFrame, x: str, y: str, marker: str, name: str) -> None:
    if len(rows):
        size = 130 if marker == "*" else 55
        axes.scatter(rows[x][:1], rows[y][:1], s=size, marker=marker, color=INK, zorder=5, linewidths=0, label=name)


def _scale(axes: Axes, values: pd.Series[float]) -> None:
    """Make the x axis one of ratios, with ticks that are round, where all values are positive."""
    low, high = float(values.min()), float(values.max())
    if low <= 0 or high / low < 1.5:
        return
    ticks = [base * 10.0**power for power in range(-6, 12) for base in (1, 1.5, 2, 3, 5, 7)]
    ticks = [tick for tick in ticks if low * 0.95 <= tick <= high * 1.05]
    axes.set_xscale("log")
    axes.set_xticks(every := ticks[:: -(-len(ticks) // 6) or 1], [short(tick) for tick in every])
    axes.minorticks_off()
    axes.set_xlim(low / 1.1, high * 1.1)
