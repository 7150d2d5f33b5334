"""Pictures of replays and families, and what all pictures are made with: the only file that imports matplotlib."""

from __future__ import annotations

import html
import io
import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

# Where matplotlib may not write in a home folder it keeps its cache elsewhere, and says so in two long lines.
logging.getLogger("matplotlib").addFilter(
    lambda record: not str(record.msg).startswith(("mkdir -p failed", "Matplotlib created a temporary cache"))
)

from matplotlib import rc_context  # noqa: E402 - it warns while it is imported
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from nas.whole_files import folder_for  # noqa: E402

if TYPE_CHECKING:
    from search_space.architecture import Architecture

# Inches: a column of a paper, and of a telephone, so that no figure is scaled and its text is as large as the page's.
WIDTH, HEIGHT = 3.7, 2.7
FONT_PT = 10.5  # 14 pixels, as the page's
# Colours, told apart by whoever sees few colours (Okabe and Ito), and what the page, light or dark, makes of them.
INK, MUTED, LINE, FIRST, SECOND = "#1a1a1b", "#6e6e6f", "#d8d8d9", "#0072b2", "#d55e00"
SCALE = ("#b9d7f1", "#6fabdc", "#2a78b8", "#0b3d6b")  # from little to much
PAGE = {INK: "ink", MUTED: "muted", LINE: "line", FIRST: "first", SECOND: "second"} | {
    colour: f"scale{number}" for number, colour in enumerate(SCALE)
}

styled = rc_context(
    {
        "font.size": FONT_PT,
        "axes.labelsize": FONT_PT,
        "axes.titlesize": FONT_PT,
        "xtick.labelsize": FONT_PT,
        "ytick.labelsize": FONT_PT,
        "legend.fontsize": FONT_PT,
        "legend.frameon": False,
        "legend.handlelength": 1.2,
        "legend.borderpad": 0.1,
        "text.color": INK,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "lines.linewidth": 1.5,
    }
)


class Searches(Protocol):
    """What is drawn of one algorithm's searches: the best reward after each trial and each device hour, over seeds."""

    @property
    def algorithm(self) -> str:
        """Who searched."""

    @property
    def label(self) -> str:
        """The algorithm, and how it searched."""

    @property
    def mean_best(self) -> Sequence[float]:
        """The mean."""

    @property
    def low_best(self) -> Sequence[float]:
        """Where the mean's interval begins."""

    @property
    def high_best(self) -> Sequence[float]:
        """Where it ends."""

    @property
    def hours(self) -> Sequence[float]:
        """Device hours of the next three; empty where they are not known."""

    @property
    def mean_best_by_hours(self) -> Sequence[float]:
        """The mean then."""

    @property
    def low_best_by_hours(self) -> Sequence[float]:
        """Where the mean's interval begins."""

    @property
    def high_best_by_hours(self) -> Sequence[float]:
        """Where it ends."""


def replays(records: Sequence[Searches], best: float | None = None) -> Figure:
    """Mean best reward of each algorithm after each trial, and beside it after each device hour where that is known.

    Bands are 95 % intervals of the mean; `best`, the log's, is a line. Many are drawn in a row for each way of
    searching, an algorithm in one colour.
    """
    algorithms = list(dict.fromkeys(record.algorithm for record in records))
    rows: dict[str, list[Searches]] = {}
    for record in records:
        way = record.label.removeprefix(record.algorithm).removeprefix(", ")
        rows.setdefault(way if len(records) > _LINES and len(algorithms) > 1 else "", []).append(record)
    timed = all(record.hours for record in records)
    size = (10.4 if timed else 6.4, 4 if len(rows) == 1 else 1 + 2.6 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), 2 if timed else 1, squeeze=False, sharex="col", sharey=True)
    for each, (way, shown) in zip(grid, rows.items(), strict=True):
        for axes, unit in zip(each, ("trials", "device hours"), strict=False):
            _searched(axes, shown, unit, algorithms if len(rows) > 1 else None)
            if best is not None:
                axes.axhline(best, color="0.4", linestyle=":", linewidth=1, label="best of the log")
            axes.set(xlabel=unit)
            axes.label_outer()
        each[0].set(ylabel="best reward so far")
        if len(rows) > 1:
            each[0].set_title(way or "one worker, to the end", loc="left", fontsize="medium")
    if len(grid[0][0].get_lines()) > _LINES:
        figure.legend(*grid[0][0].get_legend_handles_labels(), frameon=False, loc="outside right upper")
    else:
        grid[0][0].legend(frameon=False)
    return figure


def _searched(axes: Axes, records: Sequence[Searches], unit: str, algorithms: Sequence[str] | None) -> None:
    """Draw each one's mean and its interval by trials or device hours, in its algorithm's colour if these are given."""
    axes.spines[["top", "right"]].set_visible(False)
    for number, record in enumerate(records):
        at: Sequence[float] = range(1, len(record.mean_best) + 1)
        mean, low, high = record.mean_best, record.low_best, record.high_best
        if unit != "trials":
            at = record.hours
            mean, low, high = record.mean_best_by_hours, record.low_best_by_hours, record.high_best_by_hours
        color = f"C{number if algorithms is None else algorithms.index(record.algorithm)}"
        axes.plot(at, mean, color=color, label=record.label if algorithms is None else record.algorithm)
        axes.fill_between(at, low, high, alpha=0.2, color=color, linewidth=0)


_LINES = 6  # that are told apart, and named beside them, in one picture


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


@styled
def proxies(scores: Sequence[Any], own: Any, ceiling: Any | None) -> Figure:
    """Kendall's tau of each proxy against long training, with its interval, over its cost; epochs on the way as lines.

    The band is the interval of long training against itself; dashed are epochs of schedules that were not finished.

    Args:
        scores: of a study, each a `nas.claims.proxy_study.ProxyScore`.
        own: that of the search's own proxy.
        ceiling: that of long training against itself.
    """
    label = "device hours of training one architecture"
    drawn, axes = figure(label, "Kendall's tau against long training", width=2 * WIDTH, height=1.4 * HEIGHT)
    drawn.set_facecolor("white")
    known = [score for score in scores if score.tau is not None and score.device_hours]
    if not known:
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, ha="center", color=MUTED)
        return drawn
    if ceiling is not None and ceiling.tau is not None:
        axes.axhspan(ceiling.tau.low, ceiling.tau.high, color="0.92", zorder=0)
        axes.axhline(ceiling.tau.value, color="0.5", linewidth=1, label="long, another seed")
    data = dict.fromkeys((score.image_size, score.images, score.channels) for score in known if score.name != "long")
    for color, each in zip(itertools.cycle(_COLORS), data, strict=False):
        of_data = (score for score in known if (score.image_size, score.images, score.channels) == each)
        _proxies_of(axes, [score for score in of_data if score.name != "long"], color)
    _proxies_of(axes, [score for score in known if score.name == "long"], MUTED)
    if own.tau is not None:
        axes.plot([own.device_hours], [own.tau.value], "o", markersize=11, markerfacecolor="none",
                  color=INK, label="the search's own", zorder=4)  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(None, 1.05)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return drawn


# Of Okabe and Ito, after the two that every picture has.
_COLORS = (FIRST, SECOND, "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


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
    taus = [score.tau.value for score in asked]
    ends = [[score.tau.value - score.tau.low for score in asked], [score.tau.high - score.tau.value for score in asked]]
    about = f"{asked[0].image_size} px, {asked[0].images:,} images" + ", grey" * (asked[0].channels == 1)
    axes.errorbar([score.device_hours for score in asked], taus, yerr=ends, fmt="o", markersize=5,
                  color=color, capsize=2, label=about, zorder=3)  # fmt: skip


# ---- what every picture is made with


def figure(x: str, y: str, *, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """Give an empty figure of a column's width, and its axes. Draw within `styled`.

    Args:
        x, y: labels of the axes.
        width, height: inches.
    """
    drawn = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    axes = drawn.subplots()
    axes.set(xlabel=x, ylabel=y, facecolor="none")
    axes.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def as_svg(drawn: Figure, title: str, description: str, key: str) -> str:
    """Give a figure as an SVG element to stand in a page: its text is text, its colours are the page's.

    Args:
        title: what it shows, a few words.
        description: what is to be seen in it, for who does not see it.
        key: tells its parts from those of other figures of the page.
    """
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    inner = re.sub(r"<metadata>.*?</metadata>", "", text[text.index(">", text.index("<svg")) + 1 :], flags=re.S)
    inner = re.sub(r'<g id="[^"]*"', "<g", inner)  # which every figure has; what is referred to keeps its own
    inner = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", inner)
    inner = re.sub(r"font: [^;\"]*", f"font-size: {FONT_PT}px", inner)
    for colour, name in PAGE.items():
        inner = inner.replace(colour, f"var(--{name})")
    width, height = drawn.get_size_inches()
    box = f'width="{width * 96:.0f}" height="{height * 96:.0f}" viewBox="0 0 {width * 72:g} {height * 72:g}"'
    label = html.escape(f"{title}: {description}")
    return f'<svg role="img" aria-label="{label}" {box}><title>{html.escape(title)}</title>{inner.strip()}'


def save(drawn: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as SVG and PDF, vectors both, fonts included; give the files."""
    paths = [folder / f"{name}.svg", folder / f"{name}.pdf"]
    with folder_for(folder), rc_context({"svg.fonttype": "path", "pdf.fonttype": 42, "svg.hashsalt": name}):
        drawn.savefig(paths[0], metadata={"Date": None})
        drawn.savefig(paths[1], metadata={"CreationDate": None})
    return paths
