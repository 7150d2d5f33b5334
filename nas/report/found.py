"""Sections of the report: what came out of a search, how sure that is, the trade-off, what failed."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas.analysis.certainty import how_sure
from nas.analysis.frame import metric_columns
from nas.report import figures
from nas.report.figures import Picture, short_label
from nas.report.markup import beside, heading, missing, paragraph, section, table, text, value
from nas.report.markup import figures as shown
from nas.report.reading import Reading
from nas.report.trial_table import OUTCOME
from nas.runs.columns import column
from nas.runs.text import short
from search_space.architecture import Architecture
from search_space.block_strings import to_block_strings
from search_space.cost import count

if TYPE_CHECKING:
    import pandas as pd

_TRIALS = ("trial_id", "arch_id", *OUTCOME)
_LEGEND = "±: standard error; *: the winner; ≈: not told apart from the winner (95 %)."
_MOST_OF_FRONT = 16  # rows; the table of all trials can show the others
_STATES = {
    "running": "The search is running: {} of {} trials have finished.",
    "finished": "The search is finished: {} of {} trials.",
    "stopped": "The search was interrupted after {} of {} trials; the same command goes on with it.",
}


def head(reading: Reading) -> str:
    """What the run is, in a few lines."""
    frame, config, now = reading.frame, reading.config, reading.status
    training = config["training"]
    statuses = ", ".join(f"{count:,} {status}" for status, count in frame["status"].value_counts().items())
    devices = ", ".join(map(str, frame["device_name"].dropna().unique())) or "unknown devices"
    spent = f"{frame['device_s'].sum() / 3600:.2f} device hours on {devices}" if len(frame) else ""
    several = ", ".join(short_label(name[1:]) for name in reading.objectives)
    aim = text(f"objectives {several}") if reading.searched_front else f"reward {_reward(config['reward'])}"
    state = _STATES[now.state].format(f"{now.trials:,}", f"{now.budget:,}")
    return (
        f"<h1>{html.escape(reading.name)}</h1>"
        + paragraph(state, kind=f"state {now.state}")
        + paragraph(
            f"Algorithm {config['algorithm']['name']}, data {config['data']['source']} at {config['image_size']} px, "
            f"{training['epochs']} epochs a trial, batch {training['batch_size']}.",
            f"{len(frame):,} trials ({statuses}); {spent}." if len(frame) else "",
        )
        + f"<p>What was searched for: {aim}.</p>"
    )


def _reward(settings: dict[str, Any]) -> str:
    own = {name: given for name, given in settings.items() if name != "name"}
    if settings["name"] == "weighted_product" and {"w", "v"} <= own.keys():
        return f"accuracy · S<sup>{own['w']:g}</sup> · P<sup>{own['v']:g}</sup>".replace("-", "−")
    return text(f"{settings['name']} {own}" if own else str(settings["name"]))


# ---- what came out


def result(reading: Reading) -> str:
    """Winner and reference beside each other, the ten best; of several objectives the front; or why there is none."""
    if reading.searched_front:
        return section("result", "What came out", _front_in_words(reading), _front_table(reading))
    if reading.winner is None:
        return section("result", "What came out", paragraph(f"No winner: {reading.why_none}.", kind="none"))
    marked = [_row(row, _columns(reading), reading) for _, row in reading.ranked.iterrows()]
    return section(
        "result",
        "What came out",
        _side_by_side(reading, reading.winner),
        table(list(map(heading, _columns(reading))), marked, caption="The best trials"),
        f"<p>{_LEGEND}</p>",
    )


def _side_by_side(reading: Reading, winner: pd.Series[Any]) -> str:
    """Winner and reference: accuracy, S, P, reward; then their stages."""
    reference = _reference_row(reading, winner)
    rows = []
    for name in ("accuracy", "s_normalised", "p_normalised", "reward", "step_time_ms", "params", "macs"):
        ours, theirs = winner.get(name), reference.get(name)
        if missing(ours) and missing(theirs):
            continue
        between = _interval(winner) if name == "s_normalised" else ""
        ours_said = value(name, ours, winner.get(f"{name}_se")) + between
        rows.append(
            [heading(name), ours_said, value(name, theirs, reference.get(f"{name}_se")), _ratio(name, ours, theirs)]
        )
    architecture = Architecture.from_json(winner["architecture"])
    stages = [
        (_blocks(architecture), f"winner, trial {winner['trial_id']}, {winner['arch_id']}"),
        (_blocks(reading.reference), f"reference, {reading.reference.arch_id}"),
    ]
    blocks = [f"<h3>{html.escape(name)}</h3><pre>{html.escape(text)}</pre>" for text, name in stages]
    note = (
        "The reference network was no trial of this search, so its accuracy is not known here."
        if missing(reference.get("accuracy"))
        else ""
    )
    beside_each_other = table(["", "winner", "reference", "winner beside it"], rows)
    return beside(beside_each_other + paragraph(note), "".join(blocks))


def _reference_row(reading: Reading, winner: pd.Series[Any]) -> dict[str, Any]:
    """What is known of the reference: its costs, and what a trial of it found, if there was one."""
    at = reading.space.constraints
    cost = count(reading.reference, reading.config["image_size"], at.num_classes, at.in_channels)
    trials = reading.frame[reading.scored & (reading.frame["arch_id"] == reading.reference.arch_id)]
    found = trials.iloc[0].to_dict() if len(trials) else {}
    known = {name: found.get(name) for name in ("accuracy", "accuracy_se", "reward", "reward_se")}
    params, ratio = winner.get("params"), winner.get("p_normalised")
    whole = cost.params if missing(params) or missing(ratio) or not ratio else round(params / ratio)
    step = winner.get("reference_step_time_ms")
    return known | {"s_normalised": 1.0, "p_normalised": 1.0, "params": whole, "macs": cost.macs, "step_time_ms": step}


def _ratio(name: str, ours: Any, theirs: Any) -> str:
    if missing(ours) or missing(theirs) or name in ("s_normalised", "p_normalised") or not theirs:
        return ""
    if name in ("accuracy", "reward"):
        return f"{ours - theirs:+.4f}".replace("-", "−")
    return f"× {ours / theirs:.3g}"


def _interval(winner: pd.Series[Any]) -> str:
    low, high = winner.get("s_low"), winner.get("s_high")
    return "" if missing(low) or missing(high) else f" ({low:.3f} to {high:.3f})"


def _blocks(architecture: Architecture) -> str:
    return "\n".join(to_block_strings(architecture))


def _front_in_words(reading: Reading) -> str:
    front = reading.front
    if front.empty:
        return paragraph(f"No front: {reading.why_none}.", kind="none")
    ends = []
    for signed in reading.objectives:
        name, row = signed[1:], front.sort_values(signed[1:], ascending=signed[0] == "-").iloc[0]
        way, most = "up" if signed[0] == "+" else "down", column(name).write(row[name])
        ends.append(f"{short_label(name)} {way} to {most} (trial {row['trial_id']})")
    whole = f"{len(front):,} trials are on the front: no other beats one of them in everything."
    return paragraph(f"The search was after a front, not one winner. {whole}", f"There is {', '.join(ends)}.")


def _front_table(reading: Reading) -> str:
    front = reading.front
    if front.empty:
        return ""
    rows = front.iloc[figures._spread(len(front), _MOST_OF_FRONT)]
    wanted = list(dict.fromkeys([*_columns(reading), *(name[1:] for name in reading.objectives)]))
    cells = [_row(row, wanted, reading) for _, row in rows.iterrows()]
    some = "" if len(rows) == len(front) else f", {len(rows)} of {len(front):,}, evenly spread"
    return table(list(map(heading, wanted)), cells, caption=f"The front of all objectives{some}")


def _columns(reading: Reading) -> list[str]:
    known = [*_TRIALS, *metric_columns(reading.ranked)]
    return [name for name in known if name in reading.frame and reading.frame[name].notna().any()]


def _row(row: pd.Series[Any], names: Sequence[str], reading: Reading) -> list[str]:
    return [
        value(name, row[name], row.get(f"{name}_se")) + _mark(row, name, reading) for name in names if name in row.index
    ]


def _mark(row: pd.Series[Any], name: str, reading: Reading) -> str:
    if name != "reward" or reading.winner is None or row.get("told_apart") is not False:
        return ""
    return "&nbsp;*" if row["trial_id"] == reading.winner["trial_id"] else "&nbsp;≈"


# ---- how sure


def certainty(reading: Reading) -> str:
    """What is told apart from the winner; means of those trained several times; how it came about."""
    if not reading.scored.any():
        return ""
    said = _errors(reading) if reading.searched_front else reading.verdict
    repeated = reading.estimates[reading.estimates["trials"] > 1].head(20)
    names = {
        "arch_id": "",
        "trials": "",
        "reward": "reward_se",
        "accuracy": "accuracy_se",
        "posterior_mean": "posterior_sd",
    }
    rows = [[value(name, row[name], row.get(error)) for name, error in names.items()] for _, row in repeated.iterrows()]
    heads = ["architecture", "trials", "reward", "accuracy", "posterior mean of reward"]
    means = table(
        heads, rows, caption="Trained with several seeds, their means; the best is that of highest posterior mean"
    )
    drawn = shown([None if reading.searched_front else figures.progress(reading.frame), _curves(reading)])
    sentence = f"{said[0].upper()}{said[1:]}." if said else "The standard errors of this run are not known."
    sure = None if reading.searched_front else how_sure(reading.frame)
    words = paragraph(sentence, f"{sure[0].upper()}{sure[1:]}." if sure else "")
    return section("certainty", "How sure it is", words, means if rows else "", drawn)


def _errors(reading: Reading) -> str | None:
    """What is said of the front: how well accuracy is known, from the number of images alone."""
    known = reading.frame["accuracy_se"].dropna()
    if known.empty:
        return None
    images = reading.frame["minival_images"].dropna()
    on = f"minival of {images.iloc[0]:,.0f} images: " if len(images) else ""
    return f"{on}accuracy is known to ±{known.median():.4f}, not counting what other seeds would do"


def _curves(reading: Reading) -> Picture | None:
    return figures.curves(reading.epochs, None if reading.winner is None else reading.winner["trial_id"])


# ---- the trade-off


def trade_off(reading: Reading) -> str:
    """The front as a picture and a table, and how it grew."""
    if reading.front.empty:
        return ""
    whole = "" if reading.searched_front else _front_table(reading)
    drawn = shown([_trade_off(reading), figures.front_growth(reading.frame, reading.objectives)])
    return section("front", "The trade-off", drawn, whole)


def _trade_off(reading: Reading) -> Picture | None:
    winner = None if reading.winner is None else reading.winner["trial_id"]
    return figures.trade_off(reading.frame, reading.objectives, winner=winner, reference=reading.reference.arch_id)


def pictures(reading: Reading) -> list[Picture]:
    """The figures of these sections."""
    made: list[Picture | None] = []
    if reading.scored.any():
        made += [] if reading.searched_front else [figures.progress(reading.frame)]
        made += [_curves(reading)]
    if len(reading.front):
        made += [_trade_off(reading), figures.front_growth(reading.frame, reading.objectives)]
    return [each for each in made if each is not None]


# ---- what failed


def failures(reading: Reading) -> str:
    """What became of the trials that were not answered ok: how many by error, the commonest first."""
    failed = reading.frame[reading.frame["status"] != "ok"]
    if failed.empty:
        return ""
    errors = failed["error"].where(failed["error"].notna(), "").astype(str) if "error" in failed else failed["status"]
    found: dict[tuple[str, str], list[int]] = {}
    for status, error, number in zip(failed["status"], errors, failed["trial_id"], strict=True):
        found.setdefault((status, error), []).append(number)
    commonest = sorted(found.items(), key=lambda group: -len(group[1]))
    rows = [
        [html.escape(status), f"{len(numbers):,}", str(min(numbers)), html.escape(error or "–")]
        for (status, error), numbers in commonest[:20]
    ]
    more = f"{len(found) - 20:,} further errors are in the table above." if len(found) > 20 else ""
    return section(
        "failures",
        "What was not answered ok",
        table(["status", "trials", "first", "error"], rows, kind="words"),
        paragraph(more),
    )


__all__ = ["certainty", "failures", "head", "pictures", "result", "short", "trade_off"]
