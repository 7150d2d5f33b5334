"""Sections of the report on later studies of a run: the way to its winner trained, its proxy, the best trained anew."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Mapping
from typing import Any

from nas.report import confirmed, way
from nas.report.figures import Picture
from nas.report.markup import missing, paragraph, section, table
from nas.report.reading import Reading
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
    drawn = []
    for path, picture in ((ABLATION, way.picture), (CONFIRMATION, confirmed.picture)):
        record = reading.claim(*path)
        with contextlib.suppress(KeyError, IndexError, TypeError, ValueError):  # which the page says
            drawn += [] if record is None else [picture(record)]
    return drawn


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


ABLATION = ("ablation", "ablation.json")
CONFIRMATION = ("confirm", "confirm.json")
STUDIES = (
    (ABLATION, way.trained_way),
    (("proxy", "proxy.json"), _proxy),
    (CONFIRMATION, confirmed.trained_anew),
)
