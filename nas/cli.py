"""The command `nas`: parses, calls, and turns errors a user can fix into one line and exit status 2."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence

from nas import plugins
from nas.commands import data, explain, export, profile, read, replay, scale, search, space, train
from nas.commands.arguments import Parser

EXAMPLES = """examples:
  nas search experiments/configs/digits.yaml           run a search, or go on with one that was stopped
  nas search CONFIG --trials 200                        extend it
  nas search CONFIG --dry-run                           say what it would do
  nas best runs/digits                                  the best trials, and the winner stage by stage
  nas trials runs/digits --format csv > trials.csv      every trial, one column per decision
  nas explain runs/digits                               which decisions mattered
  nas scale runs/digits --to m,l                        grow the winner
  nas profile efficientnetv2_s --image-size 224         params, MACs, step time, memory
  nas train ARCH experiments/configs/train/FILE.yaml    train it in full, or go on with it
  nas export runs/FOLDER --to timm,onnx --out DIR       for other tools

ARCH is a published name (efficientnetv2_s), a JSON file, block strings (r2_k3_s1_e1_i24_o24_c1,...) or a run folder
(its best)."""

# Each has `add`, which declares its arguments, and calls what answers them; in the order in which help lists them.
COMMANDS = (search, read, explain, replay, scale, profile, train, export, space, data)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit status: 0, 2 for what the user can fix, 128 + n for a signal n."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # as standard error does: any path and message can be printed
        sys.stdout.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        plugins.load(parsed.plugin, wanted_by="--plugin")
        return int(parsed.call(parsed))
    except ValueError as error:
        print(f"nas: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nas: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nas",
        description="Training-aware neural architecture search.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--verbose", action="store_true", help="log what happens inside")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for module in COMMANDS:
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
