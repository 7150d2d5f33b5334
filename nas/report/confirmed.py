"""The section of the report on the best of the search and baselines, trained anew, from what `nas confirm` left."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from nas.analysis.plots import FIRST, INK, MUTED, SECOND, figure, styled
from nas.report.figures import Picture
from nas.report.markup import figures, missing, paragraph, section, table
from nas.runs.text import short


def trained_anew(found: Mapping[str, Any]) -> str:
    """How the best of the search and baselines did with several seeds.

    Args:
        found: `confirm.json`.
    """
    each = found["architectures"]
    head = ["", "accuracy", f"{found['confidence']:.0%} interval", "rank", "in the search", "S", "params"]
    target = found["target_accuracy"]
    head += [] if target is None else [f"epochs to {target:g}"]
    spread = "" if missing(found["sd"]) else f" One training’s accuracy scatters by {found['sd']:.4f} over seeds."
    return section(
        "confirm",
        "Trained anew",
        paragraph(
            f"{len(each)} architectures, {len(found['seeds'])} seeds each, {found['epochs']} epochs; accuracy on "
            f"{found['images']:,} images of {found['metric']}.{spread}",
            _ties(found["ties"], each),
        ),
        figures([picture(found)]),
        table(head, [_row(one, target) for one in each]),
        paragraph(
            "±: standard error over seeds. Rank: between which ranks an architecture may be, all pairs compared over "
            f"the same seeds and corrected for their number, {found['confidence']:.0%}.",
        ),
    )


@styled
def picture(found: Mapping[str, Any]) -> Picture:
    """Accuracy of each architecture, the best first: of every seed, their mean, and its interval; S beside it."""
    known = [each for each in found["architectures"] if not missing(each["mean"])]
    drawn, axes = figure(f"accuracy on {found['metric']}", "", height=0.9 + 0.27 * max(1, len(known)))
    for role, (color, marker, label) in _LOOKS.items():
        rows = [(place, each) for place, each in enumerate(known) if each["role"] == role]
        for place, each in rows:
            seeds = [seed["accuracy"] for seed in each["seeds"] if not missing(seed["accuracy"])]
            axes.plot(seeds, [place] * len(seeds), "|", color=color, markersize=7, alpha=0.6)
            if not missing(each["low"]):
                axes.plot([each["low"], each["high"]], [place] * 2, "-", color=color, linewidth=1.5)
        if rows:
            places, means = zip(*((place, each["mean"]) for place, each in rows), strict=True)
            axes.plot(means, places, marker, color=color, markersize=6, label=label)
    axes.set_yticks(range(len(known)), [_named(each) for each in known])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(known) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x", color=MUTED, alpha=0.25, linewidth=0.6)
    if not known:
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, ha="center", color=INK)
    else:
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.0)
    return Picture(
        "confirmed",
        "Accuracy, trained anew",
        "; ".join(f"{_named(each)}: {each['mean']:.4f}" for each in known),
        f"Mean accuracy of {len(found['seeds'])} seeds and its {found['confidence']:.0%} interval; strokes: the seeds. "
        "S: step time over the reference network’s.",
        drawn,
    )


def _named(each: Mapping[str, Any]) -> str:
    return f"{each['name']}" if missing(each["s"]) else f"{each['name']}, S {each['s']:.2f}"


def _row(one: Mapping[str, Any], target: float | None) -> list[str]:
    mean, se, low, high = (one[name] for name in ("mean", "se", "low", "high"))
    first, last = one["rank_low"], one["rank_high"]
    name = html.escape(f"{one['name']}" + (" (baseline)" if one["role"] == "baseline" else ""))
    at_target = "–" if missing(one["epochs_to_target"]) else f"{one['epochs_to_target']:g}"
    row = [
        name,
        "–" if missing(mean) else f"{mean:.4f}" + ("" if missing(se) else f" ± {se:.4f}"),
        "–" if missing(low) or missing(high) else f"{low:.4f} to {high:.4f}",
        "–" if first is None or last is None else str(first) if first == last else f"{first} to {last}",
        "–" if one["search_rank"] is None else str(one["search_rank"]),
        "–" if missing(one["s"]) else f"{one['s']:.3f}",
        "–" if missing(one["params"]) else short(one["params"]),
    ]
    return row if target is None else [*row, at_target]


def _ties(ties: Sequence[Sequence[int]], each: Sequence[Mapping[str, Any]]) -> str:
    """Which are not told apart from each other, in words."""
    groups = [", ".join(str(each[place]["name"]) for place in group) for group in ties if len(group) > 1]
    if not groups:
        return "All are told apart." if len(each) > 1 else ""
    return f"Not told apart: {'; '.join(groups)}."


_LOOKS = {"found": (FIRST, "o", "of the search"), "baseline": (SECOND, "D", "baseline")}
