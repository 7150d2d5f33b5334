"""The command `nas`: parses, calls, and turns errors a user can fix into one line and exit status 2."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

EXAMPLES = """examples:
  nas search experiments/configs/digits.yaml           run a search, or go on with one that was stopped
  nas search CONFIG --trials 200                        extend it
  nas search CONFIG --dry-run                           say what it would do
  nas best runs/digits                                  the best trials, and the winner stage by stage
  nas trials runs/digits --format csv > trials.csv      every trial, one column per decision
  nas scale runs/digits --to m,l                        grow the winner
  nas profile efficientnetv2_s --image-size 224         params, MACs, step time, memory
  nas train ARCH experiments/configs/train/FILE.yaml    train it in full, or go on with it
  nas export runs/FOLDER --to timm,onnx --out DIR       for other tools

ARCH is a published name (efficientnetv2_s), a JSON file, block strings (r2_k3_s1_e1_i24_o24_c1,...) or a run folder
(its best)."""


class _Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit status: 0, 2 for what the user can fix, 128 + n for a signal n."""
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING, format="%(levelname)s: %(message)s")
    try:
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
    parser = _Parser(
        prog="nas",
        description="Training-aware neural architecture search.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--verbose", action="store_true", help="log what happens inside")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _search_parser(commands)
    _reading_parsers(commands)
    _report_parser(commands)
    _replay_parser(commands)
    _architecture_parsers(commands)
    _training_parsers(commands)
    _preparing_parsers(commands)
    return parser


def _search_parser(commands: Any) -> None:
    sub = _command(commands, "search", "run a search; the same command again goes on with it", _search)
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, see experiments/configs")
    sub.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/NAME of the CONFIG file)")
    sub.add_argument("--trials", type=_count, metavar="N", help="finished trials to reach; more than before extends")
    sub.add_argument("--workers", type=_count, metavar="N", help="trials at once (default: as many as fit)")
    sub.add_argument("--address", metavar="A", help="Ray cluster, e.g. auto or 10.0.0.1:6379 (default: this machine)")
    sub.add_argument(
        "--warm-start", nargs="+", type=Path, default=[], metavar="RUN", help="tell the algorithm trials of these first"
    )
    sub.add_argument("--dry-run", action="store_true", help="say what the search would do, and do nothing")


def _reading_parsers(commands: Any) -> None:
    for name, text, call in (
        ("status", "how far a run is", _status),
        ("trials", "every trial of a run", _trials),
        ("best", "the best trials of a run, and the winner stage by stage", _best),
        ("pareto", "the trials of a run that no other beats in everything", _pareto),
    ):
        sub = _command(commands, name, text, call)
        sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
        sub.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")
        if name == "trials":
            sub.add_argument("--sort", default="trial_id", metavar="COLUMN", help="default: trial_id")
            sub.add_argument("--descending", action="store_true", help="the greatest first")
            sub.add_argument("--limit", type=_count, metavar="N", help="the first N alone")
            sub.add_argument("--out", type=Path, metavar="FILE", help="write a .csv, .parquet or .jsonl file instead")
        elif name == "best":
            sub.add_argument("-n", type=_count, default=10, help="how many (default: 10)")
            sub.add_argument("--reward", metavar="NAME", help="score anew by another reward, such as mnasnet_hard")
            sub.add_argument("--w", type=float, help="score anew with another exponent of the step time")
            sub.add_argument("--v", type=float, help="score anew with another exponent of the parameters")
            sub.add_argument(
                "--set", type=_setting, action="append", default=[], metavar="NAME=NUMBER", help="another setting of it"
            )
        elif name == "pareto":
            sub.add_argument(
                "--columns",
                default="accuracy,s_normalised,params",
                help="what counts; `-name`: less is better, `+name`: more (default: %(default)s)",
            )
            sub.add_argument(
                "--hypervolume",
                action="store_true",
                help="how the volume that the front dominates grew, trial by trial",
            )
            sub.add_argument(
                "--reference",
                type=_numbers,
                metavar="X,Y,...",
                help="a worthless value for each of --columns, to compare runs by (default: the worst of the run)",
            )


def _report_parser(commands: Any) -> None:
    sub = _command(commands, "report", "write a run up as one HTML file with pictures", _report)
    sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
    sub.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in the run folder")


def _replay_parser(commands: Any) -> None:
    sub = _command(commands, "replay", "compare algorithms on a finished log, without training anything", _replay)
    sub.add_argument("run", type=Path, metavar="RUN", help="run folder, or a CSV: a column a decision, accuracy, ...")
    sub.add_argument("--config", type=Path, metavar="CONFIG", help="whose space a CSV's columns are decisions of")
    sub.add_argument("--algorithm", default="random,evolution,predictor", metavar="A,B", help="default: %(default)s")
    sub.add_argument("--seeds", type=_count, default=20, help="searches per algorithm (default: 20)")
    sub.add_argument("--trials", type=_count, metavar="N", help="length of a search (default: the log's)")
    sub.add_argument("--out", type=Path, metavar="DIR", help="write replay.csv, replay.json and replay.png there")
    sub.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")


def _architecture_parsers(commands: Any) -> None:
    sub = _command(commands, "scale", "grow an architecture into a family", _scale)
    sub.add_argument("arch", metavar="ARCH", help="see below: `nas --help`")
    sub.add_argument("--to", default="m,l", metavar="SIZES", help="comma-separated, of s, m, l, xl (default: m,l)")
    sub.add_argument("--params", metavar="N,...", help="grow to these parameters instead, such as 50M,120M")
    sub.add_argument("--macs", metavar="N,...", help="grow to these MACs instead, such as 8G")
    sub.add_argument(
        "--step-time", metavar="N,...", help="grow to these multiples of its own training step time: 2x,4x"
    )
    sub.add_argument(
        "--measure", action="store_true", help="measure step times and memory (default: estimate from a log)"
    )
    sub.add_argument("--device", help="to measure on: auto, cpu, cuda or cuda:N (default: auto)")
    sub.add_argument("--batch", type=_count, metavar="N", help="images per measured step (default: the run's, or 32)")
    sub.add_argument("--image-size", type=_count, metavar="PX", help="that ARCH is evaluated at (default: its own)")
    sub.add_argument("--rule", default="late_growth", help="late_growth, from_base or uniform (default: %(default)s)")
    sub.add_argument("--explain", action="store_true", help="what the rule misses of the published family")
    sub.add_argument("--out", type=Path, metavar="DIR", help="write there: architectures, table, picture, recipes")
    sub.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")

    sub = _command(commands, "profile", "params, MACs, measured step time and memory of architectures", _profile)
    sub.add_argument("arch", nargs="+", metavar="ARCH", help="see `nas --help`")
    sub.add_argument("--reference", default="efficientnet_b0", metavar="ARCH", help="S = 1 (default: %(default)s)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    sub.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="default: auto")
    sub.add_argument("--batch", type=_count, default=32, metavar="N", help="images per step (default: 32)")
    sub.add_argument("--image-size", type=_count, metavar="PX", help="default: the architecture's, or 224")
    sub.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")


def _training_parsers(commands: Any) -> None:
    sub = _command(commands, "train", "train one architecture in full; the same command again goes on with it", _train)
    sub.add_argument("arch", metavar="ARCH", help="see `nas --help`")
    sub.add_argument("config", type=Path, metavar="CONFIG", help="YAML file, see experiments/configs/train")
    sub.add_argument("--progressive", metavar="P", help="s, m, l, another preset, a YAML file, or none")
    sub.add_argument("--out", type=Path, metavar="DIR", help="default: runs/NAME of the CONFIG file-arch_id")
    sub.add_argument("--epochs", type=_count, metavar="N", help="instead of the CONFIG's")
    sub.add_argument(
        "--from", type=Path, metavar="FILE", dest="start_from", help="checkpoint to start from (fine-tune)"
    )
    sub.add_argument("--test", action="store_true", help="evaluate the final weights on the test split, once")
    sub.add_argument(
        "--workers", type=_count, default=1, metavar="N", help="train together with Ray Train (default: 1)"
    )
    sub.add_argument("--address", metavar="A", help="Ray cluster of the workers (default: this machine)")
    sub.add_argument("--dry-run", action="store_true", help="print the schedule and do nothing")

    sub = _command(commands, "export", "write a trained network for other tools", _export)
    sub.add_argument("what", metavar="CHECKPOINT", help="file, folder of a training (its best), or ARCH (untrained)")
    sub.add_argument("--to", default="json", metavar="A,B", help="of json, timm, onnx, torchscript (default: json)")
    sub.add_argument("--out", type=Path, default=Path("exports"), metavar="DIR", help="default: exports")
    sub.add_argument("--name", default="model", help="of the files, without ending (default: model)")
    sub.add_argument("--image-size", type=_count, metavar="PX", help="default: what it was evaluated at")
    sub.add_argument("--num-classes", type=_count, metavar="N", help="of an ARCH (default: 1000)")
    sub.add_argument("--in-channels", type=_count, metavar="N", help="of an ARCH (default: 3)")


def _preparing_parsers(commands: Any) -> None:
    space = commands.add_parser("space", help="look at a search space").add_subparsers(required=True, metavar="VERB")
    sub = _command(space, "size", "number of architectures, decisions and range of costs", _space_size)
    sub.add_argument("config", type=Path, metavar="CONFIG")
    sub = _command(space, "sample", "draw architectures", _space_sample)
    sub.add_argument("config", type=Path, metavar="CONFIG")
    sub.add_argument("-n", type=_count, default=5, help="how many (default: 5)")
    sub.add_argument("--seed", type=int, default=0, help="default: 0")
    sub.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")
    data = commands.add_parser("data", help="prepare a data set").add_subparsers(required=True, metavar="VERB")
    sub = _command(data, "prepare", "decode and resize a data set once, into the cache", _data_prepare)
    sub.add_argument("config", type=Path, metavar="CONFIG")


def _command(commands: Any, name: str, text: str, call: Any) -> argparse.ArgumentParser:
    sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    sub.set_defaults(call=call)
    assert isinstance(sub, argparse.ArgumentParser)
    return sub


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return value


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers with commas between them, got {text!r}") from None


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be NAME=NUMBER, got {text!r}") from None


# Each command imports what it needs when it runs, so that reading a log never waits for torch or ray.


def _search(a: argparse.Namespace) -> int:
    from nas.commands.search import search

    return search(a.config, a.out, a.trials, a.workers, a.address, a.dry_run, a.warm_start)


def _status(a: argparse.Namespace) -> int:
    from nas.commands import read

    return read.status(a.run, a.format)


def _trials(a: argparse.Namespace) -> int:
    from nas.commands import read

    return read.trials(a.run, a.format, a.sort, a.descending, a.limit, a.out)


def _best(a: argparse.Namespace) -> int:
    from nas.commands import read

    settings = {name: getattr(a, name) for name in ("w", "v") if getattr(a, name) is not None}
    return read.best(a.run, a.format, a.n, a.reward, settings | dict(a.set))


def _pareto(a: argparse.Namespace) -> int:
    from nas.commands import read

    columns = a.columns.split(",")
    if a.hypervolume:
        return read.hypervolume(a.run, a.format, columns, a.reference)
    if a.reference is not None:
        raise ValueError("--reference belongs to --hypervolume")
    return read.pareto(a.run, a.format, columns)


def _report(a: argparse.Namespace) -> int:
    from nas.commands import read

    return read.report(a.run, a.out)


def _replay(a: argparse.Namespace) -> int:
    from nas.commands.replay import replay_command

    return replay_command(a.run, a.config, a.algorithm.split(","), a.seeds, a.trials, a.out, a.format)


def _scale(a: argparse.Namespace) -> int:
    from nas.commands.scale import scale_command
    from nas.families.step_cost import Measuring

    if not a.measure and (a.device or a.batch):
        raise ValueError("--device and --batch are of a measurement: add --measure")
    return scale_command(
        a.arch,
        a.to.split(","),
        a.rule,
        {"params": a.params, "macs": a.macs, "step_time": a.step_time},
        measuring=Measuring(a.device or "auto", a.batch) if a.measure else None,
        image_size=a.image_size,
        explained=a.explain,
        out=a.out,
        form=a.format,
    )


def _profile(a: argparse.Namespace) -> int:
    from nas.commands.profile import profile_command

    return profile_command(a.arch, a.reference, a.device, a.precision, a.batch, a.image_size, a.format)


def _train(a: argparse.Namespace) -> int:
    from nas.commands.train import train_command

    return train_command(
        a.arch, a.config, a.progressive, a.out, a.epochs, a.start_from, a.test, a.dry_run, a.workers, a.address
    )


def _export(a: argparse.Namespace) -> int:
    from nas.commands.export import export_command

    return export_command(a.what, a.to.split(","), a.out, a.name, a.image_size, a.num_classes, a.in_channels)


def _space_size(a: argparse.Namespace) -> int:
    from nas.commands.space import space_size

    return space_size(a.config)


def _space_sample(a: argparse.Namespace) -> int:
    from nas.commands.space import space_sample

    return space_sample(a.config, a.n, a.seed, a.format)


def _data_prepare(a: argparse.Namespace) -> int:
    from nas.commands.data import data_prepare

    return data_prepare(a.config)


if __name__ == "__main__":
    sys.exit(main())
