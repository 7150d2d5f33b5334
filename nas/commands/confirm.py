"""`nas confirm`: the best of a search, and baselines, trained again: longer, with fresh seeds, and compared."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, add_trainings, command, count
from nas.commands.terminal import Column, console, say, show, table
from nas.runs.text import duration, fixed, listed

if TYPE_CHECKING:
    from nas.claims.confirmation import Confirmation, Confirmed


def add(commands: Any) -> None:
    """Declare the arguments of `nas confirm`."""
    text = "train a search's best again, with fresh seeds and beside baselines; the same command again goes on with it"
    sub = command(commands, "confirm", text, run)
    sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
    sub.add_argument("--top", type=count, default=5, metavar="K", help="the K best architectures (default: 5)")
    sub.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="B",
        help="train this, too: reference, random:20, or an ARCH (see `nas --help`); again for several",
    )
    sub.add_argument(
        "--equal",
        choices=("step_time", "params", "macs", "none"),
        default="step_time",
        help="what of the winner's cost baselines are grown or shrunk to (default: step_time)",
    )
    sub.add_argument(
        "--target-accuracy", type=float, metavar="A", help="tell how long it takes to reach this, in (0, 1]"
    )
    add_trainings(sub, recipe="the search's training, three times as long", folder="confirm", seeds=3)
    add_format(sub)


def run(a: argparse.Namespace) -> int:
    """Confirm a run; give the exit status: 1 where a training came to nothing."""
    from nas.claims.confirm import confirm

    found = confirm(
        a.run,
        top=a.top,
        seeds=a.seeds,
        recipe=a.config,
        epochs=a.epochs,
        baselines=a.baseline,
        equal=None if a.equal == "none" else a.equal,
        target_accuracy=a.target_accuracy,
        test=a.test,
        out=a.out,
        parallel=a.parallel,
        address=a.address,
    )
    if a.format == "json":
        print(json.dumps(found.to_dict(), indent=2))
    elif a.format == "csv":
        show([_plain(each) for each in found.architectures], "csv", ())
    else:
        _show(found)
    return 0 if all(seed.status == "ok" for each in found.architectures for seed in each.seeds) else 1


def _show(found: Confirmation) -> None:
    rows = [_row(number, each) for number, each in enumerate(found.architectures, start=1)]
    split = "test" if found.metric == "test" else "minival"
    console().print(table(rows, _COLUMNS, f"Accuracy on {split}, {len(found.seeds)} seeds: {found.recipe}"))
    for line in said(found):
        say(line)


def said(found: Confirmation) -> Iterator[str]:
    """Say in sentences what a confirmation found."""
    for each in found.architectures:
        if each.note is not None:
            yield f"{each.name}: {each.note}"
    yield from _ties(found)
    yield from _baselines(found)
    if found.sd is not None:
        yield (
            f"±: standard error over seeds; {found.confidence:.0%} intervals; one training's deviation is "
            f"{found.sd:.4f}. Ties: Tukey's comparison of all pairs, paired over seeds, right in {found.confidence:.0%}"
        )
    if found.metric == "minival":
        yield "The search has chosen by these minival images, which favours what it found; --test compares on others"
    for each in found.architectures:
        for seed in each.seeds:
            if seed.status != "ok":
                yield f"{each.name}, seed {each.seeds.index(seed) + 1}: {seed.status}: {seed.error}"


def _ties(found: Confirmation) -> Iterator[str]:
    if len(found.seeds) < 2:
        yield "With one seed nothing can be told apart; --seeds 3 goes on from here"
        return
    several = [tie for tie in found.ties if len(tie) > 1]
    if not several:
        if len(found.architectures) > 1:
            yield "All are told apart"
        return
    names = "; ".join(listed(str(place + 1) for place in tie) for tie in several)
    yield f"Not told apart: {names}"


def _baselines(found: Confirmation) -> Iterator[str]:
    """Say of each baseline whether the best that was found is better."""
    places = [place for place, each in enumerate(found.architectures) if each.role == "found" and each.mean is not None]
    if not places:
        return
    best = places[0]
    winner = next((each for each in found.architectures if each.search_rank == 1), None)
    if winner is not None and winner is not found.architectures[best]:
        yield f"The search's winner, {winner.name}, is {found.architectures.index(winner) + 1}"
    for pair in found.pairs:
        if best in (pair.first, pair.second):
            other = found.architectures[pair.second if pair.first == best else pair.first]
            if other.role == "baseline":
                gain = pair.difference if pair.first == best else -pair.difference
                sure = "" if pair.apart else ", which may be chance"
                yield f"The best found, {found.architectures[best].name}, is {gain:+.4f} beside {other.name}{sure}"


def _row(number: int, each: Confirmed) -> dict[str, Any]:
    reached = each.reached is not None
    ranks = {each.rank_low, each.rank_high} - {None}
    return {
        "place": number,
        "name": each.name,
        "mean": each.mean,
        "se": each.se,
        "interval": None if each.low is None or each.high is None else f"{each.low:.4f}-{each.high:.4f}",
        "rank": "-".join(str(rank) for rank in sorted(rank for rank in ranks if rank)) or None,
        "s": each.s,
        "reached": f"{each.reached}/{len(each.seeds)}" if reached else None,
        "epochs_to_target": each.epochs_to_target,
        "seconds_to_target": each.seconds_to_target,
        "training_s": each.training_s,
        "params": each.params,
        "search_accuracy": each.search_accuracy,
    }


def _plain(each: Confirmed) -> dict[str, Any]:
    """Give a row without what has rows of its own."""
    record = {name: value for name, value in asdict(each).items() if name not in ("architecture", "seeds")}
    return record | {f"accuracy_{number}": seed.accuracy for number, seed in enumerate(each.seeds, start=1)}


_COLUMNS = (
    Column("place", ""),
    Column("name", "architecture"),
    Column("mean", "accuracy", fixed(4), "se"),
    Column("interval", "interval"),
    Column("rank", "rank"),
    Column("s", "S", fixed(3)),
    Column("reached", "reached"),
    Column("epochs_to_target", "in epochs", "{:g}".format),
    Column("seconds_to_target", "in time", duration),
    Column("training_s", "training", duration),
    Column("search_accuracy", "in search", fixed(4)),
)
