"""`nas proxy`: whether short trainings rank architectures as long ones do, and which is the cheapest that does."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, command, count, counts
from nas.commands.terminal import Column, console, say, show, table
from nas.runs.text import fixed, short, times

if TYPE_CHECKING:
    from nas.claims.proxy import Plan
    from nas.claims.proxy_scores import Regret
    from nas.claims.proxy_study import ProxyScore, ProxyStudy
    from nas.claims.rank_agreement import Interval


def add(commands: Any) -> None:
    """Declare the arguments of `nas proxy`."""
    text = "whether a search's short trainings rank architectures as long ones do; the same command again goes on"
    sub = command(commands, "proxy", text, run)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file of a search, or a run folder")
    sub.add_argument(
        "--long", type=Path, metavar="FILE", help="recipe of `nas train` (default: CONFIG's, 4 times as long)"
    )
    sub.add_argument("--long-epochs", type=count, metavar="N", help="epochs of long training")
    sub.add_argument("--epochs", type=counts, default=(), metavar="N,N", help="epochs of proxies")
    sub.add_argument("--image-size", type=counts, default=(), metavar="N,N", help="pixels of proxies")
    sub.add_argument("--subset", type=_subsets, default=(), metavar="N,N", help="training images, or `all`")
    sub.add_argument("--channels", type=counts, default=(), metavar="N,N", help="of the images: 3, or 1 for grey")
    sub.add_argument("--architectures", type=count, metavar="N", help="how many are trained (default: 12)")
    sub.add_argument("--seeds", type=count, default=2, metavar="N", help="of long training (default: 2)")
    sub.add_argument("--top", type=counts, metavar="N,N", help="regrets of taking so many (default: 1,3)")
    sub.add_argument("--seed", type=int, metavar="N", help="default: CONFIG's")
    sub.add_argument("--out", type=Path, metavar="DIR", help="default: runs/NAME-proxy, of a run its folder proxy")
    sub.add_argument("--parallel", type=count, metavar="N", help="trainings at once (default: as many as fit)")
    sub.add_argument("--address", metavar="A", help="Ray cluster (default: this machine)")
    sub.add_argument("--per-epoch", action="store_true", help="a line for every epoch, not the proxies alone")
    sub.add_argument("--dry-run", action="store_true", help="say what would be trained and do nothing")
    add_format(sub)


def _subsets(text: str) -> tuple[int | None, ...]:
    """Read numbers of images with commas between them; `all` is None."""
    return tuple(None if part == "all" else count(part) for part in text.split(","))


def run(a: argparse.Namespace) -> int:
    """Study proxies; give the exit status: 1 where a training came to nothing."""
    from nas.claims.proxy import plan_proxies, study_proxies
    from nas.claims.proxy_plan import Grid
    from nas.claims.proxy_scores import Judge

    about: dict[str, Any] = {
        "long": a.long,
        "long_epochs": a.long_epochs,
        "grid": Grid(a.epochs, a.image_size, a.subset, a.channels),
        "architectures": a.architectures,
        "seeds": a.seeds,
        "seed": a.seed,
        "folder": a.out,
    }
    if a.dry_run:
        return _describe(plan_proxies(a.config, **about), a.format)
    judge = Judge(top=a.top) if a.top else Judge()
    study = study_proxies(a.config, **about, judge=judge, parallel=a.parallel, address=a.address)
    scores = list(study.scores) if a.per_epoch else study.asked
    rows = [_row(score, study) for score in scores]
    if a.format != "table":
        show(rows, a.format, ())
        return int(bool(study.failed))
    if study.ceiling is not None:
        rows.append(_row(study.ceiling, study) | {"mark": "long"})
    console().print(table([row | _looks(row, study) for row in rows], _columns(study), _title(study)))
    for line in _below(study):
        say(line)
    return int(bool(study.failed))


# ---- before


def _describe(plan: Plan, form: str) -> int:
    rows = [
        {
            "series": series.name,
            "epochs": series.recipe.training.epochs,
            "image_size": series.recipe.image_size,
            "subset": series.recipe.data.subset or "all",
            "seeds": len(series.seeds),
            "serves": ", ".join(str(proxy.epochs) for proxy in series.serves) or None,
        }
        for series in plan.series
    ]
    each = f"{len(plan.chosen)} architectures, {len(plan.trainings)} trainings in {plan.folder}"
    show(rows, form, _SERIES, each)
    if form == "table":
        say("serves: the proxies, by their epochs, that are read from these trainings")
        if plan.note:
            say(plan.note)
    return 0


_SERIES = (
    Column("series", "trained"),
    Column("epochs", "epochs"),
    Column("image_size", "px"),
    Column("subset", "images"),
    Column("seeds", "seeds"),
    Column("serves", "serves"),
)


# ---- after


def _row(score: ProxyScore, study: ProxyStudy) -> dict[str, Any]:
    """One line of the table; every number of it in --format json and csv."""
    row: dict[str, Any] = {
        "name": score.name,
        "epochs": score.epochs,
        "of_epochs": score.of_epochs,
        "whole": score.whole,
        "image_size": score.image_size,
        "images": score.images,
        "channels": score.channels,
        "device_hours": score.device_hours,
        "architectures": score.architectures,
        **_parts("tau", score.tau),
        **_parts("rho", score.rho),
    }
    for top, lost in zip(study.top, score.regrets, strict=True):
        row |= _lost(f"regret_{top}", lost)
    row |= _parts("difference", score.difference)
    own = (score.name, score.epochs) == (study.own, study.own_epochs)
    return row | {"as_good": score.as_good, "own": own}


def _parts(name: str, interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _lost(name: str, regret: Regret | None) -> dict[str, float | None]:
    fields = ("seen", "expected", "low", "high")
    return {f"{name}_{field}": None if regret is None else getattr(regret, field) for field in fields}


def _looks(row: dict[str, Any], study: ProxyStudy) -> dict[str, Any]:
    """How the numbers of a line are shown."""
    mark = row.get("mark") or ("own" if row["own"] else {True: "≈", False: "-", None: ""}[row["as_good"]])
    epochs = str(row["epochs"]) if row["whole"] else f"{row['epochs']} of {row['of_epochs']}"
    looks = {"mark": mark, "epochs": epochs, "px": f"{row['image_size']}{_grey(row['channels'], study)}"}
    if row["tau"] is not None:
        tau, low, high = (f"{row[name]:.2f}".replace("0.", ".", 1) for name in ("tau", "tau_low", "tau_high"))
        looks["tau"] = f"{tau} ({low}, {high})"
    for name in (f"regret_{top}" for top in study.top):
        if row[f"{name}_seen"] is not None:
            looks[name] = f"{_points(row[f'{name}_seen'])} <{_points(row[f'{name}_high'])}"
    return looks


def _points(accuracy: float) -> str:
    """A difference of accuracies in points, with two digits or so."""
    return f"{100 * accuracy:.1f}" if accuracy < 0.0995 else f"{100 * accuracy:.0f}"


def _grey(channels: int, study: ProxyStudy) -> str:
    """Say that images are grey, where others are not."""
    return " grey" if channels == 1 and any(score.channels == 3 for score in study.scores) else ""


def _columns(study: ProxyStudy) -> list[Column]:
    regrets = [Column(f"regret_{top}", f"regret@{top}") for top in study.top]
    return [
        Column("mark", ""),
        Column("epochs", "epochs"),
        Column("px", "px"),
        Column("images", "images", short),
        Column("device_hours", "dev. h", "{:.2g}".format),
        Column("tau", "tau"),
        Column("rho", "rho", fixed(2)),
        *regrets,
    ]


def _title(study: ProxyStudy) -> str:
    return f"{len(study.contenders)} architectures, by proxies and by {study.long_epochs} epochs of long training"


def _below(study: ProxyStudy) -> Iterator[str]:
    yield f"tau, rho: Kendall's and Spearman's correlation with long training; (..): {study.confidence:.0%} interval"
    yield "regret@k: points of accuracy lost by looking at the proxy's best k alone; <: upper end of what to expect"
    yield "dev. h: hours on one device of training one architecture"
    yield "own: the search's; ≈: tau not told apart from it, or higher; -: lower; long: long training, another seed"
    for line in (_ceiling(study), _verdict(study), *study.notes):
        if line:
            yield line
    for line in study.failed[:_FAILURES]:
        yield f"failed: {line}"
    if len(study.failed) > _FAILURES:
        yield f"failed: {len(study.failed) - _FAILURES} more; the same command tries them again"
    yield f"all numbers: {study.folder}/proxy.json; picture: {study.folder}/proxy.png"


_FAILURES = 3


def _ceiling(study: ProxyStudy) -> str | None:
    own, ceiling = study.own_score.tau, None if study.ceiling is None else study.ceiling.tau
    if own is None or ceiling is None:
        return None
    return f"the search's own proxy: tau {own.value:.2f}, where long training itself reaches {ceiling.value:.2f}"


def _verdict(study: ProxyStudy) -> str | None:
    """Name the cheapest proxy that is as good as the search's own within its interval."""
    own, found = study.own_score, study.cheapest
    if own.tau is None:
        return "too few architectures were trained both ways to say anything"
    if found is None or found.difference is None or not found.device_hours or not own.device_hours:
        return "no cheaper proxy is as good as the search's own" if len(study.asked) > 1 else None
    epochs = f"{found.epochs} epoch{'s' if found.epochs > 1 else ''}"
    cost, d = times(found.device_hours / own.device_hours), found.difference
    data = f"{found.image_size} px, {found.images:,}{_grey(found.channels, study)} images"
    return (
        f"cheapest as good within its interval: {epochs}, {data}, at {cost} the cost; "
        f"its tau differs by {d.value:+.2f} ({d.low:+.2f} to {d.high:+.2f}; more architectures narrow that)"
    )
