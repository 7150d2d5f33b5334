"""The command `nas`: parses, calls, and turns errors a user can fix into one line and exit status 2."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from nas import faults, plugins
from nas.commands.arguments import Parser, Version
from nas.commands.pages import page_of
from nas.signals import interrupting
from search_space.lookup import with_hint

logger = logging.getLogger(__name__)

EXAMPLES = """examples:
  nas init DATA                                 write a CONFIG for a data set
  nas check CONFIG                              what would fail; hours it takes
  nas search digits                             search, or go on with one
  nas search CONFIG --trials 200                extend it
  nas search CONFIG --dry-run                   say what it would do
  nas best runs/digits                          the best trials, and the winner
  nas trials runs/digits --format csv > t.csv   every trial, every decision
  nas explain runs/digits                       which decisions mattered
  nas proxy CONFIG --epochs 5,10                do short trainings rank well?
  nas confirm runs/digits --baseline reference  is the best really best?
  nas baseline CONFIG                           is a network needed at all?
  nas scale runs/digits --to m,l                grow the winner
  nas profile efficientnetv2_s                  params, MACs, time, memory
  nas train ARCH CONFIG                         train it in full, or go on
  nas export runs/FOLDER --to timm --out DIR    for other tools
  nas export-study RUN --storage sqlite:///s.db for optuna-dashboard

CONFIG is a YAML file, or one that comes along: `nas configs` lists those.
ARCH is a published name (efficientnetv2_s), a JSON file, block strings
(r2_k3_s1_e1_i24_o24_c1,...) or a run folder (its best)."""

# Files of nas/commands/ as help lists them, and their commands. Each has `add`, which declares their
# arguments, and calls what answers them.
COMMANDS = {
    "init": ("init",),
    "search": ("search",),
    "check": ("check",),
    "read": ("status", "trials", "best", "pareto"),
    "report": ("report",),
    "explain": ("explain",),
    "proxy": ("proxy",),
    "confirm": ("confirm",),
    "baseline": ("baseline",),
    "replay": ("replay",),
    "scale": ("scale",),
    "profile": ("profile",),
    "train": ("train",),
    "export": ("export",),
    "export_study": ("export-study",),
    "space": ("space",),
    "data": ("data",),
    "schema": ("schema",),
    "configs": ("configs",),
    "completion": ("completion",),
}


def parser() -> argparse.ArgumentParser:
    """Give the parser of every command: for what is made of it, such as completion."""
    return _parser(())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit status: 0, 2 for what the user can fix, 128 + n for a signal n."""
    _open_streams()
    try:
        with interrupting():
            try:
                return _run(arguments)
            finally:
                sys.stdout.flush()  # here, where what is wrong with it can still be said
    except KeyboardInterrupt as error:
        return _ended(128 + getattr(error, "signum", signal.SIGINT), "stopped")
    except Exception as error:
        where = "what is printed" if isinstance(error, OSError) and _is_of_printing(error) else None
        if where and isinstance(error, BrokenPipeError):  # the reader, such as `head`, has enough
            return _ended(128 + signal.SIGPIPE)
        said = _with_page(error) if isinstance(error, ValueError) else faults.line(error, where)
        if said is None:
            raise
        logger.info("raised here", exc_info=error)
        return _ended(2, said)


def _run(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    parsed = _parser(arguments).parse_args(arguments)
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING, format="%(levelname)s: %(message)s")
    plugins.load(parsed.plugin, wanted_by="--plugin")
    return int(parsed.call(parsed))


def _with_page(error: ValueError) -> str:
    """Put the page of the documentation that helps behind what an error says."""
    page = page_of(error)
    said = str(error)
    return f"{said} (docs: {page})" if page and f"docs: {page}" not in said else said


def _open_streams() -> None:
    """Have streams that take anything: closed ones would be taken by files, which would be printed into."""
    if sys.stdout is None or sys.stderr is None:
        sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - for good
        sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # as standard error does: any path and message can be printed
        sys.stdout.reconfigure(errors="backslashreplace")


def _ended(status: int, said: str | None = None) -> int:
    """Say why the command ends, if it can be said, and leave nothing unwritten that would be written at exit."""
    for stream in (sys.stderr, sys.stdout):
        try:
            if said is not None and stream is sys.stderr:
                print(f"nas: {said}", file=stream)
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


def _is_of_printing(error: OSError) -> bool:
    """Whether what raised an error was printing, which has no place of its own: `print`, or rich's console."""
    places = [
        (str(frame.f_globals.get("__name__")), frame.f_code) for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    module, code = [place for place in places if place[0] != "csv"][-1]
    return error.filename is None and (module.startswith(("nas.commands.", "rich.")) or code is main.__code__)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="nas",
        description="Training-aware neural architecture search.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=Version, help="say which versions run here, and exit")
    parser.add_argument("--verbose", action="store_true", help="log what happens inside")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    wanted = [file for file, words in COMMANDS.items() if arguments[:1] and arguments[0] in words]
    known = [word for words in COMMANDS.values() for word in words]
    if arguments and not wanted and not arguments[0].startswith("-"):
        raise ValueError(f"unknown command {with_hint(arguments[0], known)}")
    for file in wanted or COMMANDS:  # what a command does not need takes as long to import as it takes to read a log
        import_module(f"nas.commands.{file}").add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
