"""The section of the report on the trained way from reference to winner, from what `nas explain --train` left."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.analysis.plots import FIRST, MUTED, SECOND, figure, styled
from nas.report.figures import Picture, decision_label, label, short_label
from nas.report.markup import figures, missing, paragraph, section, table
from nas.runs.text import short


def trained_way(found: Mapping[str, Any]) -> str:
    """What was predicted of each change on the way, and what training it measured.

    Args:
        found: `ablation.json`.
    """
    name, start = short_label(found["column"]), found["networks"][0]
    first = ["reference", "", "", "", "", _with_error(start), *_cost(start)]
    head = ["change", "from", "to", "predicted gain", "measured gain", name, "S", "params"]
    rows = [first] + [_row(each) for each in found["networks"][1:]]
    return section(
        "ablation",
        "The way from reference to winner, trained",
        paragraph(_in_words(found)),
        figures([picture(found)]),
        table(head, rows, caption="One decision after the other, in the order of the predicted gains"),
        paragraph(
            f"±: standard error over seeds{' and of S' if found['column'] == 'reward' else ''}. Gains over the row "
            f"above, with {found['confidence']:.0%} intervals; those that are measured hold for all pairs of networks "
            "together. * greater or less than 0 for sure.",
            found["note"] and f"{found['note']}.",
        ),
    )


def _in_words(found: Mapping[str, Any]) -> str:
    whole, networks, seeds = found["whole"], found["networks"], len(found["seeds"])
    predicted = {"gain": networks[-1]["predicted"] - networks[0]["predicted"], "low": None, "high": None}
    sure = [each["step"] for each in networks[1:] if each["step"]["apart"]]
    better = sum(step["gain"] > 0 for step in sure)
    count = len(networks) - 1
    said = f"{count} change{'s lead' if count > 1 else ' leads'} from the reference network to "
    said += "the winner" if missing(found["winner"]) else f"trial {found['winner']}"
    said += (
        f"; the network after each was trained for {found['epochs']} epochs with {seeds} seed{'s' * (seeds > 1)}; "
        f"accuracy on {found['images']:,} images of {found['metric']}. Predicted of all together: "
        f"{_interval(predicted)}; measured: {_interval(whole)}."
    )
    if not missing(whole["low"]):
        said += f" For sure {better} of them made it better, {len(sure) - better} worse; the others may be chance."
    return said


def _row(each: Mapping[str, Any]) -> list[str]:
    predicted = {"gain": each["predicted_gain"], "low": each["predicted_low"], "high": each["predicted_high"]}
    return [
        html.escape(decision_label(each["decision"])),
        html.escape(str(each["before"])),
        html.escape(str(each["after"])),
        _interval(predicted),
        _interval(each["step"]) + (" *" if each["step"]["apart"] else ""),
        _with_error(each),
        *_cost(each),
    ]


def _with_error(each: Mapping[str, Any]) -> str:
    if missing(each["mean"]):
        return "–"
    return f"{each['mean']:.4f}" + ("" if missing(each["se"]) else f"&nbsp;±&nbsp;{each['se']:.4f}")


def _cost(each: Mapping[str, Any]) -> list[str]:
    s, params = each["s"], each["params"]
    return ["–" if missing(s) else f"{s:.3f}", "–" if missing(params) else short(params)]


def _interval(given: Mapping[str, Any]) -> str:
    gain, low, high = (given[name] for name in ("gain", "low", "high"))
    if missing(gain):
        return "–"
    around = "" if missing(low) or missing(high) else f" ({low:+.4f} to {high:+.4f})"
    return f"{gain:+.4f}{around}".replace("-", "−")


@styled
def picture(found: Mapping[str, Any]) -> Picture:
    """The predicted and the measured gain of each change, with their intervals, the first change on top."""
    changes = found["networks"][1:]
    drawn, axes = figure(f"gain in {label(found['column'])}", "", height=1.0 + 0.32 * len(changes))
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=":", zorder=0)
    predicted = [(each["predicted_gain"], each["predicted_low"], each["predicted_high"]) for each in changes]
    measured = [(each["step"]["gain"], each["step"]["low"], each["step"]["high"]) for each in changes]
    _gains(axes, predicted, 0.14, fmt="D", color=SECOND, fillstyle="none", markersize=4, label="predicted")
    _gains(axes, measured, -0.14, fmt="o", color=FIRST, markersize=4, label="measured")
    places = range(len(changes))
    axes.set_yticks(places, [decision_label(each["decision"]) for each in reversed(changes)])
    axes.set_ylim(-0.6, len(changes) - 0.4)
    axes.locator_params(axis="x", nbins=4)
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return Picture(
        "way",
        "Gains on the way from reference to winner",
        f"gain in {found['column']} of each of {len(changes)} changes, predicted and measured; {_in_words(found)}",
        f"Gain in {label(found['column'])} by each change, over the network before it.",
        drawn,
    )


def _gains(axes: Any, given: Sequence[tuple[float | None, ...]], above: float, **looks: Any) -> None:
    values = np.array([[np.nan if each is None else each for each in row] for row in given])[::-1]
    around = np.nan_to_num(np.abs(values[:, 1:] - values[:, :1])).T
    axes.errorbar(values[:, 0], np.arange(len(values)) + above, xerr=around, capsize=2, elinewidth=1, **looks)
