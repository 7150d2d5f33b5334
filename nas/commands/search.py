"""`nas search`: runs a search, goes on with it, extends it; or says what it would do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.commands.arguments import command, count
from nas.commands.read import show_result
from nas.commands.terminal import say
from nas.runs.folder import TRIALS
from nas.runs.summary import summary

STOPPED_BY_SIGNAL = 128


def add(commands: Any) -> None:
    """Declare the arguments of `nas search`."""
    sub = command(commands, "search", "run a search; the same command again goes on with it", run)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, or a name of `nas configs`")
    sub.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/NAME of the CONFIG file)")
    sub.add_argument("--trials", type=count, metavar="N", help="finished trials to reach; more than before extends")
    sub.add_argument("--workers", type=count, metavar="N", help="trials at once (default: as many as fit)")
    sub.add_argument("--address", metavar="A", help="Ray cluster, e.g. auto or 10.0.0.1:6379 (default: this machine)")
    sub.add_argument(
        "--warm-start", nargs="+", type=Path, default=[], metavar="RUN", help="tell the algorithm trials of these first"
    )
    sub.add_argument("--dry-run", action="store_true", help="say what it would do, for another machine, too: status 0")


def run(a: argparse.Namespace) -> int:
    """Run, resume or extend a search; give the exit status."""
    return search(
        a.config,
        out=a.out,
        trials=a.trials,
        workers=a.workers,
        address=a.address,
        dry_run=a.dry_run,
        warm_start=a.warm_start,
        plugins=a.plugin,
    )


def search(
    path: Path,
    *,
    out: Path | None,
    trials: int | None,
    workers: int | None,
    address: str | None,
    dry_run: bool,
    warm_start: Sequence[Path] = (),
    plugins: Sequence[str] = (),
) -> int:
    """Run, resume or extend a search, and show what came out; give the exit status.

    Raises: ValueError for whatever the user can fix; nothing is written then.
    """
    if dry_run:
        return describe(path, out, trials, workers)
    from nas.config.search import load_config
    from nas.search.run import run_search
    from nas.trackers.display import Display

    folder, display = out or Path("runs") / path.stem, Display()
    run = run_search(
        load_config(path),
        folder=folder,
        trials=trials,
        workers=workers,
        address=address,
        warm_start=warm_start,
        callbacks=[display],
        plugins=plugins,
        progress=False,  # the display is this command's, which has more to say
    )
    found, ended = summary(run.folder / TRIALS), run.ended
    assert ended is not None
    if ended.state == "stopped":
        display.on_message(f"stopped; {found.trials} trials are in {folder}. The same command goes on from there")
        return STOPPED_BY_SIGNAL + (ended.signum or 0)
    if ended.state == "out of time":
        display.on_message(
            f"the time is up; {found.trials} trials are in {folder}. The same command goes on from there"
        )
    show_result(run)
    return 1 if found.trials and found.best is None else 0


def describe(path: Path, out: Path | None, trials: int | None, workers: int | None) -> int:
    """Print what a search would do and what would fail here, without reading data, measuring or Ray."""
    from nas.commands.check import show_checked
    from nas.search.check import check

    folder = out or Path("runs") / path.stem
    show_checked(check(path, folder=folder, trials=trials, workers=workers, read=False))
    say(f"\nnas check {path} reads the data, and measures how long it takes here")
    return 0
