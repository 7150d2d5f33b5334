"""`nas status`, `trials`, `best` and `pareto`: what a run's log says. They need no torch and no ray."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.commands.arguments import add_format, command, count, numbers, setting
from nas.commands.terminal import Column, say, show, show_facts
from nas.commands.trial_table import show_trials, show_winner, trial_columns
from nas.runs.advice import why_not
from nas.runs.folder import each_trial, read_config
from nas.runs.objectives import Front, objectives_of
from nas.runs.ranking import why_none
from nas.runs.status import Status
from nas.runs.status import status as status_of
from nas.runs.summary import read_trial
from nas.runs.text import duration, fixed

if TYPE_CHECKING:
    import pandas as pd

    from nas.analysis.run import Run

_HYPERVOLUME = (
    Column("trials", "trials"),
    Column("trial_id", "trial"),
    Column("hours", "hours", fixed(3)),
    Column("device_hours", "device h", fixed(3)),
    Column("front", "front"),
    Column("hypervolume", "hypervolume", "{:.4g}".format),
    Column("share", "of final", "{:.1%}".format),
)


def add(commands: Any) -> None:
    """Declare the arguments of `nas status`, `trials`, `best` and `pareto`."""
    _reading(commands, "status", "how far a run is", _run_status)
    sub = _reading(commands, "trials", "every trial of a run", _run_trials)
    sub.add_argument("--sort", default="trial_id", metavar="COLUMN", help="default: trial_id")
    sub.add_argument("--descending", action="store_true", help="the greatest first")
    sub.add_argument("--limit", type=count, metavar="N", help="the first N alone")
    sub.add_argument("--out", type=Path, metavar="FILE", help="write a .csv, .parquet or .jsonl file instead")
    _add_best(commands)
    _add_pareto(commands)


def _add_best(commands: Any) -> None:
    sub = _reading(commands, "best", "the best trials of a run, and the winner stage by stage", _run_best)
    sub.add_argument("-n", type=count, default=10, help="how many (default: 10)")
    sub.add_argument("--reward", metavar="NAME", help="score anew by another reward, such as mnasnet_hard")
    sub.add_argument("--w", type=float, help="score anew with another exponent of the step time")
    sub.add_argument("--v", type=float, help="score anew with another exponent of the parameters")
    sub.add_argument(
        "--set", type=setting, action="append", default=[], metavar="NAME=NUMBER", help="another setting of it"
    )


def _add_pareto(commands: Any) -> None:
    sub = _reading(commands, "pareto", "the trials of a run that no other beats in everything", _run_pareto)
    sub.add_argument(
        "--columns",
        default="accuracy,s_normalised,params",
        help="what counts; `-name`: less is better, `+name`: more (default: %(default)s)",
    )
    sub.add_argument(
        "--hypervolume", action="store_true", help="how the volume that the front dominates grew, trial by trial"
    )
    sub.add_argument(
        "--reference",
        type=numbers,
        metavar="X,Y,...",
        help="a worthless value for each of --columns, to compare runs by (default: the worst of the run)",
    )


def _reading(commands: Any, name: str, text: str, call: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    sub = command(commands, name, text, call)
    sub.add_argument("run", type=Path, metavar="DIR", help="run folder")
    add_format(sub)
    return sub


def _run_status(a: argparse.Namespace) -> int:
    return status(a.run, form=a.format)


def _run_trials(a: argparse.Namespace) -> int:
    return trials(a.run, form=a.format, sort=a.sort, descending=a.descending, limit=a.limit, out=a.out)


def _run_best(a: argparse.Namespace) -> int:
    settings = {name: getattr(a, name) for name in ("w", "v") if getattr(a, name) is not None}
    return best(a.run, form=a.format, n=a.n, reward=a.reward, settings=settings | dict(a.set))


def _run_pareto(a: argparse.Namespace) -> int:
    columns = a.columns.split(",")
    if a.hypervolume:
        return hypervolume(a.run, form=a.format, columns=columns, reference=a.reference)
    if a.reference is not None:
        raise ValueError("--reference belongs to --hypervolume")
    return pareto(a.run, form=a.format, columns=columns)


def status(run: Path, form: str) -> int:
    """Show how far a run is."""
    found = status_of(run)
    row: dict[str, Any] = {
        "state": found.state,
        "run_id": found.run_id,
        "created_at": found.created_at,
        "trials": found.trials,
        "of": found.budget,
        **({"ended_by": found.ended_by} if found.ended_by else {}),
        **found.statuses,
        **({"timings": found.timings} if found.timings else {}),
        "in_flight": found.in_flight,
        "best_reward": found.best.reward if found.best else None,
        "best_reward_se": found.best.reward_se if found.best else None,
        "best_trial": found.best.trial_id if found.best else None,
        **_front_row(run),
        **_of_repeats(found),
        **_outlook(run, found, form),
        "device_h": found.device_h,
        "eta_s": found.eta_s,
        "last_trial_s_ago": found.last_trial_s_ago,
    }
    if form != "table":
        show([row], form, ())
        return 0
    show_facts([("ETA" if name == "eta_s" else name, _text(name, value)) for name, value in row.items()])
    return 0


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("eta_s", "last_trial_s_ago"):
        return duration(value)
    return fixed(4)(value) if isinstance(value, float) else str(value)


def _front_row(run: Path) -> dict[str, str]:
    """How far the front is, of a search of several objectives."""
    if not (objectives := objectives_of(read_config(run))):
        return {}
    found = Front(objectives)
    for trial in each_trial(run):
        found.count(trial)
    return {"front": found.look() or "-"}


def _of_repeats(found: Status) -> dict[str, Any]:
    """What is shown of the best beside its trial, where more is known than single rewards."""
    if found.estimate is None or found.best_seen is None:
        return {}
    return {
        "posterior_mean": found.estimate.mean,
        "posterior_sd": found.estimate.std,
        "trainings": found.estimate.trainings,
        **({} if found.estimate.chance is None else {"chance_best": found.estimate.chance}),
        "best_seen_reward": found.best_seen.reward,
        "best_seen_trial": found.best_seen.trial_id,
    }


def _outlook(run: Path, found: Status, form: str) -> dict[str, Any]:
    """What more trials would gain: in words, or as numbers."""
    if found.advice is None:
        reason = why_not(read_config(run))
        return {"expected_gain": reason} if reason and form == "table" else {}
    if form == "table":
        return {"expected_gain": str(found.advice)}
    return {"expected_gain": found.advice.expected_gain, "best_sd": found.advice.best_sd}


def trials(run: Path, *, form: str, sort: str, descending: bool, limit: int | None, out: Path | None) -> int:
    """List the trials, or write the whole table to a file."""
    from nas.analysis import load, records, save

    frame = load(run)
    if out is not None:
        save(frame, out)
        say(f"{len(frame)} trials written to {out}")
        return 0
    if frame.empty:
        show_trials([], form)
        return 0
    if sort not in frame.columns:
        raise ValueError(f"cannot sort by {sort!r}; columns: {', '.join(frame.columns)}")
    frame = frame.sort_values(sort, ascending=not descending, kind="stable")
    show_trials(records(frame.head(limit) if limit else frame), form)
    return 0


def best(run: Path, *, form: str, n: int, reward: str | None, settings: Mapping[str, float]) -> int:
    """Show the best trials and the winner stage by stage; with another reward if one is given."""
    from nas.analysis import best as best_of
    from nas.analysis import estimates, records
    from nas.analysis.certainty import confidence_of, verdict, winner
    from nas.analysis.frame import completed
    from nas.analysis.run import Run

    opened = Run(run)
    scored = opened.numbers(reward=reward, settings=settings)  # once, for all that is shown
    if not (reward or settings) and (objectives := opened.objectives()):
        return front(opened, scored, objectives, form=form, n=n)
    found = estimates(scored) if len(scored) else None
    shown = best_of(scored, n, found)
    rows = records(shown if form == "table" else completed(shown, run))  # to read every column takes longest
    if form == "table" and not rows and (trials := opened.trials):
        say(why_none(trials))
        return 0
    chosen = winner(scored, found)
    show_trials(rows, form, winner=chosen)
    if form == "table" and found is not None and chosen is not None:
        _show_repeated(found, scored)
        if reward or settings:
            say(f"reward by {_named(*opened.reward(reward, settings))}")
        if said := verdict(scored, *opened.reward(reward, settings), confidence_of(opened.config), found):
            say(said)
        row = records(scored[scored["trial_id"] == chosen])[-1]
        new = {name: row[name] for name in ("reward", "accuracy_se", "reward_se")}
        show_winner(replace(read_trial(run, chosen), **new), run)
    return 0


def _named(reward: str, settings: Mapping[str, float]) -> str:
    return reward + "".join(f", {name} {value}" for name, value in settings.items())


def front(run: Run, table: pd.DataFrame, objectives: Sequence[str], *, form: str, n: int) -> int:
    """Show what came out of a search of several objectives: its front, not one winner."""
    from nas.analysis import best as best_of
    from nas.analysis import records

    rows = records(run.pareto(objectives))
    if form == "table" and not rows:
        say(why_none(run.trials))
        return 0
    show_trials(rows[:n], form, objectives=objectives)
    if form == "table":
        names = ", ".join(name[1:] for name in objectives)
        shown = f"; -n {len(rows)} shows them all" if len(rows) > n else ""
        say(f"the front of {names}: {len(rows)} trials that no other beats in all{shown}")
        for chosen in records(best_of(table, 1)):
            say(
                f"highest reward: trial {chosen['trial_id']}, {chosen['arch_id']}, which scale and train take of this "
                f"run; --reward {run.reward()[0]} ranks by it",
            )
    return 0


def _show_repeated(found: pd.DataFrame, table: pd.DataFrame) -> None:
    """Show the means of architectures that were trained with several seeds, if any, and how sure the best is."""
    from nas.analysis import records
    from nas.analysis.certainty import how_sure

    if repeated := records(found[found["trials"] > 1]):
        posterior = Column("posterior_mean", "posterior", fixed(4), "posterior_sd")
        columns = (Column("arch_id", "arch_id"), Column("trials", "seeds"), *trial_columns(("reward", "accuracy")))
        show(repeated, "table", (*columns, posterior), title="trained with several seeds, their means")
    if said := how_sure(table):
        say(said)


def pareto(run: Path, form: str, columns: Sequence[str]) -> int:
    """Show the Pareto front over the columns named."""
    from nas.analysis import records
    from nas.analysis.certainty import winner
    from nas.analysis.run import Run

    opened = Run(run)
    show_trials(records(opened.pareto(columns)), form, objectives=columns, winner=winner(opened.dataframe()))
    return 0


def hypervolume(run: Path, form: str, columns: Sequence[str], reference: Sequence[float] | None) -> int:
    """Show how the volume that the Pareto front dominates grew; the table has the trials that changed it alone."""
    from nas.analysis import hypervolume_over_time, load, records

    rows = hypervolume_over_time(load(run), columns, reference)
    if form == "table":
        rows = rows[rows["hypervolume"].diff().fillna(1) > 0]
    show_trials(records(rows), form, _HYPERVOLUME)
    return 0


def show_result(run: Run) -> None:
    """Print the best of a run's trials and the winner, or why none was scored."""
    best(run.folder, form="table", n=10, reward=None, settings={})
