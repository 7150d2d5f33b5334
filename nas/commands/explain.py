"""`nas explain`: which decisions mattered in a search, their best choices, the way to the winner, also trained."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, add_trainings, command, count
from nas.commands.terminal import Column, console, say, show, table
from nas.runs.columns import column as column_of
from nas.runs.text import bar

if TYPE_CHECKING:
    from nas.claims.ablation import Ablated, Ablation
    from nas.claims.explain import DecisionImportance, Explanation


def add(commands: Any) -> None:
    """Declare the arguments of `nas explain`."""
    sub = command(commands, "explain", "which decisions mattered in a search, and which of their choices is best", run)
    sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
    sub.add_argument(
        "--column", default="reward", metavar="C", help="number to explain; -C: less is better (default: reward)"
    )
    sub.add_argument("--limit", type=count, metavar="N", help="the N most important decisions alone")
    sub.add_argument(
        "--against",
        type=Path,
        metavar="RUN",
        help="compare the number's distribution with another run's, such as random search's",
    )
    trained = sub.add_argument_group("training the way from reference to winner; the same command goes on with it")
    trained.add_argument(
        "--train", action="store_true", help="train every network on the way, beside what is predicted"
    )
    add_trainings(trained, recipe="the search's training", folder="ablation")
    add_format(sub)


def run(a: argparse.Namespace) -> int:
    """Explain a run; give the exit status: 1 where a training came to nothing."""
    from nas.claims.distribution import compare_distributions, said
    from nas.claims.explain import explain

    if not a.train and (given := [name for name in _OF_TRAINING if getattr(a, name) not in (None, False)]):
        raise ValueError(f"--{given[0]} is of the trainings that --train asks for")
    found = explain(a.run, a.column)
    against = None if a.against is None else compare_distributions(a.run, a.against, a.column)
    trained = _train(a) if a.train else None
    decisions = found.decisions[: a.limit]
    status = 0 if trained is None or all(seed.status == "ok" for each in trained.networks for seed in each.seeds) else 1
    if a.format == "json":
        record = asdict(replace(found, decisions=decisions))
        record |= {} if against is None else {"against": asdict(against)}
        print(json.dumps(record | ({} if trained is None else {"trained": trained.to_dict()}), indent=2))
        return status
    if a.format == "csv":
        show([_row(each) for each in decisions], a.format, ())
        return status
    name = column_of(found.column).heading or found.column
    console().print(table([_row(each) | _looks(each) for each in decisions], _IMPORTANCES, f"What {name} depends on"))
    for line in _below(found):
        say(line)
    if trained is not None:
        _show_trained(trained)
    elif found.path:
        rows = [asdict(step) | {"interval": _interval(step.low, step.high)} for step in found.path]
        title = f"From the reference network ({name.lower()} {_value(found.start)} predicted) to the winner"
        console().print(table(rows, _PATH, title))
    if against is not None:
        say(said(against, a.against.resolve().name))
    return status


_OF_TRAINING = ("seeds", "config", "epochs", "test", "parallel", "address", "out")


def _train(a: argparse.Namespace) -> Ablation:
    from nas.claims.ablate import ablate

    return ablate(
        a.run,
        a.column,
        seeds=3 if a.seeds is None else a.seeds,
        recipe=a.config,
        epochs=a.epochs,
        test=a.test,
        out=a.out,
        parallel=a.parallel,
        address=a.address,
    )


def _show_trained(found: Ablation) -> None:
    start, *networks = found.networks
    rows = [asdict(each) | _measured(each) for each in networks]
    name = (column_of(found.column).heading or found.column).lower()
    at = f"{_value(start.mean)} measured, {_value(start.predicted)} predicted"
    console().print(table(rows, _TRAINED, f"From the reference network ({name} {at}) to the winner"))
    for line in said_of(found):
        say(line)


def _measured(each: Ablated) -> dict[str, Any]:
    step = each.step
    if step is None or step.gain is None:
        return {}
    known = step.low is not None and step.high is not None
    return {"gain": step.gain, "interval": f"{step.low:+.3f} to {step.high:+.3f}" if known else None}


def said_of(found: Ablation) -> Iterator[str]:
    """Say in sentences what training the way found."""
    if found.note is not None:
        yield found.note
    whole, last, first = found.whole, found.networks[-1], found.networks[0]
    if whole.gain is not None:
        interval = "" if whole.low is None or whole.high is None else f" ({_interval(whole.low, whole.high)})"
        yield f"All the way: {whole.gain:+.4f}{interval}; predicted {last.predicted - first.predicted:+.4f}"
    yield f"{found.recipe}; {len(found.seeds)} seeds; accuracy on {found.images:,} images of {found.metric}"
    steps = [each.step for each in found.networks if each.step is not None]
    if len(found.seeds) < 2:
        yield "With one seed nothing can be told apart; --seeds 3 goes on from here"
    elif whole.low is not None:
        better = sum(step.apart and (step.gain or 0) > 0 for step in steps)
        worse = sum(step.apart and (step.gain or 0) < 0 for step in steps)
        yield (
            f"Of {len(steps)} changes {better} made it better and {worse} worse for sure; the others may be chance. "
            f"Intervals of {found.confidence:.0%} hold for all pairs together"
        )
    for each in found.networks:
        for number, seed in enumerate(each.seeds, start=1):
            if seed.status != "ok":
                yield f"{each.decision or 'reference'}, seed {number}: {seed.status}: {seed.error}"


def _row(each: DecisionImportance) -> dict[str, Any]:
    equal = each.best_at_equal_cost
    return {
        "decision": each.decision,
        "importance": each.importance,
        "low": each.low,
        "high": each.high,
        "best": each.best.choice,
        "chance_best": each.best.chance_best,
        "best_at_equal_cost": None if equal is None else equal.choice,
        "chance_best_at_equal_cost": None if equal is None else equal.chance_best_at_equal_cost,
    }


def _looks(each: DecisionImportance) -> dict[str, str]:
    return {"bar": bar(each.importance, _WIDTH), "interval": f"{each.low:.0%} to {each.high:.0%}"}


def _below(found: Explanation) -> Iterator[str]:
    noise = "" if found.noise is None else f"; measurement errs by {found.noise:.0%} of the variance of these trials"
    yield (
        f"{found.trials} trials. {found.rest:.0%} of the variance ({found.rest_low:.0%} to "
        f"{found.rest_high:.0%}) is no single decision's: interactions and noise{noise}"
    )
    yield (
        f"importance: share of the variance over the space, {found.confidence:.0%} interval; sure: probability that no "
        "other choice is better; at equal cost: between trials of equal step time and parameters"
    )
    if (sure := found.chosen) is not None:
        chance = "" if sure.chance is None else f"; it is the best of all that were tried with {sure.chance:.0%}"
        yield f"winner: {sure.arch_id}, posterior mean of its reward {sure.mean:.4f} ± {sure.std:.4f}{chance}"


def _value(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _interval(low: float, high: float) -> str:
    return f"{low:+.4f} to {high:+.4f}"


_WIDTH = 12  # of a bar, characters
_IMPORTANCES = (
    Column("decision", "decision"),
    Column("importance", "importance", "{:.0%}".format),
    Column("bar", ""),
    Column("interval", "interval"),
    Column("best", "best"),
    Column("chance_best", "sure", "{:.0%}".format),
    Column("best_at_equal_cost", "at equal cost"),
    Column("chance_best_at_equal_cost", "sure of that", "{:.0%}".format),
)
_TRAINED = (
    Column("decision", "decision"),
    Column("before", "reference"),
    Column("after", "winner"),
    Column("predicted_gain", "expected", "{:+.4f}".format),
    Column("gain", "measured", "{:+.4f}".format),
    Column("interval", "interval"),
    Column("mean", "then", "{:.4f}".format, "se"),
    Column("s", "S", "{:.3f}".format),
)
_PATH = (
    Column("decision", "decision"),
    Column("before", "reference"),
    Column("after", "winner"),
    Column("gain", "gain", "{:+.4f}".format),
    Column("interval", "interval"),
    Column("value", "predicted", "{:.4f}".format),
)
