"""Sections of the report: which decisions mattered, the way from reference to winner, another run beside this one."""

from __future__ import annotations

import html
from typing import Any

from nas.claims.distribution import compare, said
from nas.claims.explain import LEAST_TRIALS, Explanation
from nas.report import figures
from nas.report.figures import Picture, decision_label, short_label
from nas.report.markup import beside, paragraph, section, table
from nas.report.markup import figures as shown
from nas.report.reading import MOST_EXPLAINED, Reading

_IMPORTANT, _CHOICES = 12, 6  # decisions that are drawn: their importances, and their choices


def decisions(reading: Reading) -> str:
    """How much each decision explains, what its choices do, and what separates winner and reference."""
    found = reading.explanation
    if found is None:
        few = f"Fewer than {LEAST_TRIALS} scored trials: too few to say which decisions mattered."
        return section("why", "Why", paragraph(few if reading.scored.sum() < LEAST_TRIALS else ""))
    return section(
        "why",
        "Why",
        paragraph(_in_words(found, reading)),
        beside(shown([figures.importances(found, _IMPORTANT)]), _best_choices(found)),
        "<h3>What the choices do</h3>",
        shown(_choices(found), kind="small"),
        paragraph(
            f"What each choice of the {min(_CHOICES, len(found.decisions))} most important decisions does to "
            f"{short_label(found.column)}, beside the mean of the decision’s choices, with {found.confidence:.0%} "
            "intervals"
            + ("; diamonds: between trials of equal step time and parameters." if _has_equal(found) else ".")
        ),
        _path(found),
    )


def _in_words(found: Explanation, reading: Reading) -> str:
    noise = "" if found.noise is None else f"; measurement errs by {found.noise:.0%} of the variance of these trials"
    some = f" (evenly spread over {reading.status.statuses.get('ok', 0):,})" if found.trials >= MOST_EXPLAINED else ""
    return (
        f"Importance is the share of the variance of {short_label(found.column)} over the space that a decision "
        "explains by itself, every choice being equally likely; a Bayesian analysis of variance of "
        f"{found.trials:,} trials{some}. {found.rest:.0%} of the variance ({found.rest_low:.0%} to "
        f"{found.rest_high:.0%}) is no single decision's: interactions and noise{noise}."
    )


def _choices(found: Explanation) -> list[Picture]:
    drawn = found.decisions[:_CHOICES]
    ends = [end for each in drawn for choice in each.choices for end in (abs(choice.low), abs(choice.high))]
    return [figures.choices(each, short_label(found.column), max(ends) or 1.0) for each in drawn]


def _has_equal(found: Explanation) -> bool:
    return any(each.best_at_equal_cost is not None for each in found.decisions)


def _best_choices(found: Explanation) -> str:
    equal = _has_equal(found)
    rows = []
    for each in found.decisions:
        row = [
            html.escape(decision_label(each.decision)),
            f"{each.importance:.0%} ({each.low:.0%} to {each.high:.0%})",
            html.escape(str(each.best.choice)),
            f"{each.best.chance_best:.0%}",
        ]
        if equal:
            at = each.best_at_equal_cost
            row += (
                ["–", "–"] if at is None else [html.escape(str(at.choice)), f"{at.chance_best_at_equal_cost or 0:.0%}"]
            )
        rows.append(row)
    head = ["decision", "importance", "best", "sure"] + (["best at equal cost", "sure"] if equal else [])
    legend = "Sure: the probability that no other choice of the decision is better." + (
        " At equal cost: between trials of equal step time and parameters." if equal else ""
    )
    most = 12
    caption = "Best choices, the most important decisions first"
    shown_rows = table(head, rows[:most], caption=caption)
    rest = table(head, rows[most:])
    more = f"<details><summary>The other {len(rows) - most} decisions</summary>{rest}</details>" if rows[most:] else ""
    return shown_rows + more + paragraph(legend)


def _path(found: Explanation) -> str:
    if not found.path or found.start is None:
        return ""
    first = ["reference", "", "", "", f"{found.start:.4f}"]
    rows = [first] + [
        [
            html.escape(decision_label(step.decision)),
            html.escape(str(step.before)),
            html.escape(str(step.after)),
            f"{step.gain:+.4f} ({step.low:+.4f} to {step.high:+.4f})".replace("-", "−"),
            f"{step.value:.4f}",
        ]
        for step in found.path
    ]
    head = ["change", "from", "to", "predicted gain", short_label(found.column)]
    return table(head, rows, caption="From the reference network to the winner, one decision at a time, as predicted")


def pictures(reading: Reading) -> list[Picture]:
    """The figures of this section."""
    found = reading.explanation
    return [] if found is None else [figures.importances(found, _IMPORTANT), *_choices(found)]


# ---- another run


def against(reading: Reading, other: Reading | None) -> str:
    """The distribution of the reward beside another run's."""
    if other is None:
        return ""
    found = compare(*_values(reading, other), _number(reading), _more(reading))
    line = said(found, other.name)
    drawn = shown(pictures_against(reading, other))
    return section("against", f"Beside {other.name}", paragraph(f"{line[0].upper()}{line[1:]}."), drawn)


def pictures_against(reading: Reading, other: Reading | None) -> list[Picture]:
    """The figure of that; none without another run."""
    if other is None:
        return []
    return [figures.distributions(*_values(reading, other), _number(reading), (reading.name, other.name))]


def _number(reading: Reading) -> str:
    return reading.objectives[0][1:] if reading.searched_front else "reward"


def _more(reading: Reading) -> bool:
    return not reading.searched_front or reading.objectives[0][0] == "+"


def _values(reading: Reading, other: Reading) -> tuple[Any, Any]:
    """The number of each trial of both runs that was answered ok. Raises ValueError where one has none."""
    return _of(reading, _number(reading)), _of(other, _number(reading))


def _of(reading: Reading, name: str) -> Any:
    frame = reading.frame
    values = frame.loc[frame["status"] == "ok", name].dropna().to_numpy(float) if name in frame else ()
    if not len(values):
        raise ValueError(f"{reading.folder}: no trial has a {name}, of which the distributions are compared")
    return values
