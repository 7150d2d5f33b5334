"""Sections of the report on later studies of a run: the way to its winner trained, its proxy, the best trained anew."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from nas.report.figures import Picture
from nas.report.markup import missing, paragraph, section, table
from nas.report.reading import Reading
from nas.report.way import picture, trained_way
from nas.runs.text import short

_MOST_PROXIES = 24  # rows


def studies(reading: Reading) -> str:
    """The sections of the studies that were made of the run, from what they wrote into its folder."""
    parts = []
    for path, section_of in STUDIES:
        record = reading.claim(*path)
        try:
            parts.append("" if record is None else section_of(record))
        except (KeyError, IndexError, TypeError, ValueError):  # a report does not fail for a file of another version
            parts.append(section(path[0], "/".join(path), paragraph("This file is of another version, or damaged.")))
    return "".join(parts)


def pictures(reading: Reading) -> list[Picture]:
    """The figures of these sections."""
    record = reading.claim(*ABLATION)
    try:
        return [] if record is None else [picture(record)]
    except (KeyError, IndexError, TypeError, ValueError):  # which the page says
        return []


def _proxy(study: Mapping[str, Any]) -> str:
    """How well short trainings rank architectures as long ones do."""
    asked = sorted((each for each in study["scores"] if each["asked"]), key=lambda each: each["device_hours"] or 0.0)
    head = ["proxy", "epochs", "px", "images", "device hours", "Kendall’s τ", "beside the search’s"]
    head += [f"regret of top {top}" for top in study["top"]]
    rows = [_proxy_row(each, study) for each in asked[:_MOST_PROXIES]]
    if study["ceiling"]:
        rows.append(["another seed", *_proxy_row(study["ceiling"], study)[1:]])
    return section(
        "proxy",
        "Was the proxy a fair judge",
        paragraph(_of_proxies(study)),
        table(head, rows, caption="Proxies, the cheapest first"),
        paragraph(
            f"{study['confidence']:.0%} intervals over resampled architectures. Bold: the search’s own. Regret: the "
            "accuracy that is lost by training its best alone. Another seed: long training with itself, the ceiling.",
            *study["notes"],
        ),
    )


def _of_proxies(study: Mapping[str, Any]) -> str:
    best, seeds = study["cheapest"], f", with {study['seeds']} seeds" if study["seeds"] > 1 else ""
    cheapest = (
        f"The cheapest that is as good as the search’s own within its interval: {best['name']} after {best['epochs']} "
        "epochs."
        if best
        else "None that is cheaper than the search’s own is as good within its interval."
    )
    return (
        f"{len(study['contenders'])} architectures were trained for {study['long_epochs']} epochs{seeds}, and ranked "
        f"by shorter or smaller trainings. {cheapest}"
    )


def _proxy_row(each: Mapping[str, Any], study: Mapping[str, Any]) -> list[str]:
    own = each["name"] == study["own"] and each["epochs"] == study["own_epochs"]
    name = html.escape(str(each["name"]))
    hours = each["device_hours"]
    return [
        f"<b>{name}</b>" if own else name,
        str(each["epochs"]) + ("" if each["whole"] else f" of {each['of_epochs']}"),
        str(each["image_size"]),
        short(each["images"]),
        "–" if missing(hours) else f"{hours:.3g}",
        _interval(each["tau"], ".2f"),
        _interval(each["difference"], "+.2f"),
        *("–" if regret is None else f"{regret['seen']:.4f}" for regret in each["regrets"]),
    ]


def _interval(given: Mapping[str, float] | None, form: str) -> str:
    if given is None:
        return "–"
    return f"{given['value']:{form}} ({given['low']:{form}} to {given['high']:{form}})".replace("-", "−")


def _confirmation(found: Mapping[str, Any]) -> str:
    """The best of the search, and baselines, trained anew with several seeds."""
    each = found["architectures"]
    head = ["", "accuracy", f"{found['confidence']:.0%} interval", "rank", "in the search", "S", "params"]
    target = found["target_accuracy"]
    head += [] if target is None else [f"epochs to {target:g}"]
    rows = [_confirmed_row(one, target) for one in each]
    spread = "" if missing(found["sd"]) else f" One training’s accuracy scatters by {found['sd']:.4f} over seeds."
    return section(
        "confirm",
        "Trained anew",
        paragraph(
            f"{len(each)} architectures, {len(found['seeds'])} seeds each, {found['epochs']} epochs; accuracy on "
            f"{found['images']:,} images of {found['metric']}.{spread}",
            _ties(found["ties"], each),
        ),
        table(head, rows),
        paragraph(
            "±: standard error over seeds. Rank: between which ranks an architecture may be, all pairs compared over "
            f"the same seeds and corrected for their number, {found['confidence']:.0%}.",
        ),
    )


def _confirmed_row(one: Mapping[str, Any], target: float | None) -> list[str]:
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


ABLATION = ("ablation", "ablation.json")
STUDIES = (
    (ABLATION, trained_way),
    (("proxy", "proxy.json"), _proxy),
    (("confirm", "confirm.json"), _confirmation),
)
