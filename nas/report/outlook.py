"""Section of the report: what more trials would gain, so whether the search may stop."""

from __future__ import annotations

from nas.analysis.plots import FIRST, SECOND, figure, styled
from nas.claims.stopping import stop_advice_so_far
from nas.report.figures import Picture
from nas.report.markup import figures, paragraph, section
from nas.report.reading import Reading
from nas.runs.advice import AHEAD, StopAdvice, why_not

_TITLE = "May it stop?"


def outlook(reading: Reading) -> str:
    """Expected gain of further trials, against how well the best is known; or why not; nothing of few trials."""
    if not reading.scored.any():
        return ""
    if reason := why_not(reading.config):
        return section("outlook", _TITLE, paragraph(f"What more trials would gain is {reason}."))
    if (advice := reading.status.advice) is None:
        return ""
    ended = f"It was ended by {reading.status.ended_by}." if reading.status.ended_by else ""
    return section("outlook", _TITLE, paragraph(ended, _in_words(advice)), figures(pictures(reading)))


def _in_words(advice: StopAdvice) -> str:
    said = f"{AHEAD} more trials are expected to raise the true reward of the best by {advice.expected_gain:.2g}"
    if advice.best_sd is None:
        return f"{said}. No error of a reward is known to tell that by."
    known = f"it is known to ±{advice.best_sd:.2g}"
    if advice.within_noise:
        return f"{said}; {known}, so that one could not see it of the best alone. It adds up, trial by trial."
    return f"{said}; {known}: that could be seen."


def pictures(reading: Reading) -> list[Picture]:
    """The figure of this section; none where there is no advice."""
    advices = [] if reading.status.advice is None else stop_advice_so_far(reading.status.scores)
    return [_gains(advices)] if len(advices) > 1 else []


@styled
def _gains(advices: list[tuple[int, StopAdvice]]) -> Picture:
    """Expected gain after each trial, and the standard deviation of what the best is known to be."""
    drawn, axes = figure("trials", f"gain by {AHEAD} more")
    numbers = [number for number, _ in advices]
    axes.plot(numbers, [advice.expected_gain for _, advice in advices], color=FIRST, label="expected gain")
    known = [(number, advice.best_sd) for number, advice in advices if advice.best_sd is not None]
    if known:
        axes.plot(*zip(*known, strict=True), color=SECOND, linestyle="--", label="best is known to ±")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5, integer=True)
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    first, last = advices[0][1].expected_gain, advices[-1][1].expected_gain
    return Picture(
        "expected_gain",
        "What more trials would gain",
        f"what {AHEAD} more trials were expected to gain, from {first:.2g} after {numbers[0]:,} to {last:.2g} after "
        f"{numbers[-1]:,}",
        f"What {AHEAD} more trials were expected to raise the true reward of the best by, and the standard deviation "
        "to which that is known.",
        drawn,
    )
