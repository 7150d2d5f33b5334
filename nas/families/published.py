"""What a rule misses of the published family, beside what plain compound scaling misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.architectures import What, find
from nas.families.family import rule_of, start_of
from scaling.residuals import Residual
from scaling.residuals import explain as residuals
from scaling.rule import PLAIN


@dataclass(frozen=True)
class Compared:
    """One number of one size beside the published one. None = there is no such stage, or no number."""

    size: str
    name: str  # such as `stage4_channels` or `params`
    ours: float | str | None
    published: float | str | None
    share: float | None  # ours over the published one, less 1
    uniform: float | str | None  # of plain compound scaling with the rule's coefficients
    uniform_share: float | None


def explain(
    what: What,
    *,
    to: Sequence[str] = ("m", "l"),
    rule: str = "late_growth",
    image_size: int | None = None,
) -> list[Compared]:
    """Compare what an architecture grows into with the published EfficientNetV2-S, M, L and XL.

    Args:
        what: the start, as `scale` takes it: the published S, or V2's base for the rule `from_base`.
        to: of s, m, l and xl.
        rule: a key of RULES.
        image_size: that `what` is evaluated at, pixels, in place of its own.
    Returns: for each size a row for every field that differs, then one each for params and MACs.
    Raises: ValueError for an unknown architecture, size or rule.

    >>> rows = {row.name: row for row in explain("efficientnetv2_s", to=["m"])}
    >>> f"{rows['params'].share:+.1%}, plain compound scaling {rows['params'].uniform_share:+.1%}"
    '-4.8%, plain compound scaling -35.1%'
    """
    law = rule_of(rule)
    start = start_of(find(what), image_size)
    plain = {(one.size, one.name): one for one in residuals(start, to, PLAIN[rule])}
    return [_compared(one, plain.get((one.size, one.name))) for one in residuals(start, to, law)]


def _compared(one: Residual, plain: Residual | None) -> Compared:
    """Where plain compound scaling has no row of that name, it does not differ from what was published."""
    uniform, share = (plain.ours, plain.share) if plain else (one.published, 0.0)
    return Compared(one.size, one.name, one.ours, one.published, one.share, uniform, share)
