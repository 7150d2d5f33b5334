"""`nas report`: writes a run up as one HTML file, once or while its search runs; its figures as vector files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nas.commands.arguments import command
from nas.commands.terminal import say


def add(commands: Any) -> None:
    """Declare the arguments of `nas report`."""
    sub = command(commands, "report", "write a run up as one HTML file with pictures", run)
    sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
    sub.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in the run folder")
    sub.add_argument(
        "--against", type=Path, metavar="RUN", help="draw the distribution of another run beside this one's"
    )
    sub.add_argument("--figures", type=Path, metavar="FOLDER", help="write each figure there, too, as SVG and PDF")
    sub.add_argument("--watch", action="store_true", help="write it anew while the search runs; the page follows")


def run(a: argparse.Namespace) -> int:
    """Write the report; give the exit status."""
    from nas.report import watch_report, write_report

    if a.watch and a.figures:
        raise ValueError("--figures and --watch exclude each other: write the figures when the search is over")
    if a.watch:
        watch_report(a.run, a.out, against=a.against, told=_told)
        return 0
    say(f"written: {write_report(a.run, a.out, against=a.against, figures=a.figures)}")
    if a.figures:
        say(f"figures: {a.figures}")
    return 0


def _told(path: Path, state: str) -> None:
    say(f"written: {path} ({state})")
