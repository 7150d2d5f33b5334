"""`nas search`: runs a search, goes on with it, extends it; or says what it would do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nas.commands.read import show_ranking, show_winner
from nas.commands.terminal import console
from nas.config.search import load_config, with_numbers
from nas.runs.ranking import ranked

STOPPED_BY_SIGNAL = 128


def search(
    path: Path,
    out: Path | None,
    trials: int | None,
    workers: int | None,
    address: str | None,
    dry_run: bool,
    warm_start: Sequence[Path] = (),
) -> int:
    """Run, resume or extend a search, and show what came out; give the exit status.

    Raises: ValueError for whatever the user can fix; nothing is written then.
    """
    if dry_run:
        return describe(path, trials, workers)
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
    )
    found, ended = run.trials, run.ended
    assert ended is not None
    if ended.state == "stopped":
        display.on_message(f"stopped; {len(found)} trials are in {folder}. The same command goes on from there")
        return STOPPED_BY_SIGNAL + (ended.signum or 0)
    if ended.state == "out of time":
        display.on_message(f"the time is up; {len(found)} trials are in {folder}. The same command goes on from there")
    show_ranking(found)
    if best := ranked(found)[:1]:
        show_winner(best[0])
        return 0
    return 1 if found else 0


def describe(path: Path, trials: int | None, workers: int | None) -> int:
    """Print what a search would do, without data, devices or Ray."""
    from nas.search.checks import check_config, make_algorithm
    from nas.search.plan import describe as lines_of

    config = with_numbers(load_config(path), trials, workers)
    check_config(config)
    make_algorithm(config)
    lines = lines_of(config)
    width = max(map(len, lines))
    for name, text in lines.items():
        console().print(f"{name:<{width}}  {text}", soft_wrap=True)
    return 0
