"""`nas scale`: grow an architecture into a family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.architectures import find_architecture
from nas.commands.terminal import Column, console, fixed, short, show, table
from nas.search.run import CONFIG, read_config
from scaling.family import Member, family, member, write_family
from scaling.residuals import explain
from scaling.rule import RULES, Rule
from scaling.targets import scale_to
from search_space.architecture import to_block_strings

_UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}


def scale_command(
    arch: str, sizes: Sequence[str], rule: str, targets: dict[str, str], explained: bool, out: Path | None, form: str
) -> int:
    """Print the family of an architecture, or write it to a folder.

    Args:
        sizes: names that the rule knows.
        targets: `params` or `macs` -> comma-separated numbers such as `50M`; they go before `sizes`.
        explained: compare with the published family instead.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}; known: {', '.join(RULES)}")
    architecture = find_architecture(arch)
    if explained:
        return _explain(architecture, sizes, RULES[rule], form)
    classes = _classes(Path(arch))
    wanted = {quantity: text for quantity, text in targets.items() if text}
    if len(wanted) > 1:
        raise ValueError(f"one kind of target at a time, got {' and '.join(wanted)}")
    if wanted:
        ((quantity, text),) = wanted.items()
        members = [_grown_to(architecture, quantity, one, RULES[rule], classes) for one in text.split(",")]
    else:
        members = family(architecture, sizes, RULES[rule], *classes)
    start = member("start", architecture, *classes)
    rows = [m.row() | dict(m.notes) for m in (start, *members)]
    if form != "table":
        show(
            [row | {"architecture": m.architecture.to_dict()} for row, m in zip(rows, (start, *members), strict=True)],
            form,
            _FAMILY,
        )
    else:
        console().print(table(rows, _FAMILY))
        for m in members:
            console().print(f"\n{m.size}: {' '.join(to_block_strings(m.architecture))}", soft_wrap=True)
    if out is not None:
        write_family(out, members, {"from": arch, "arch_id": architecture.arch_id, "rule": rule})
        console(stderr=True).print(f"{len(members)} sizes written to {out}")
    return 0


_FAMILY = (
    Column("size", "size"),
    Column("arch_id", "arch_id"),
    Column("params", "params", short),
    Column("macs", "MACs", short),
    Column("image_size", "image px"),
    Column("train_image_size", "train px"),
    Column("layers", "layers"),
    Column("dropout", "dropout", fixed(2)),
    Column("target", "target", short),
    Column("reached", "reached", short),
    Column("error", "off by", "{:+.1%}".format),
)
_RESIDUALS = (
    Column("size", "size"),
    Column("name", "what"),
    Column("ours", "this rule", lambda value: short(value) if isinstance(value, int | float) else str(value)),
    Column("published", "published", lambda value: short(value) if isinstance(value, int | float) else str(value)),
    Column("share", "off by", "{:+.1%}".format),
)


def _explain(architecture: Any, sizes: Sequence[str], rule: Rule, form: str) -> int:
    rows = [asdict(residual) | {"share": residual.share} for residual in explain(architecture, sizes, rule)]
    show(rows, form, _RESIDUALS)
    return 0


def _grown_to(architecture: Any, quantity: str, text: str, rule: Rule, classes: tuple[int, int]) -> Member:
    target = _number(quantity, text.strip())
    num_classes, in_channels = classes
    reached = scale_to(architecture, rule=rule, num_classes=num_classes, in_channels=in_channels, **{quantity: target})  # type: ignore[arg-type]
    grown = member(f"{quantity}-{text.strip()}", reached.architecture, num_classes, in_channels)
    return Member(
        grown.size,
        grown.architecture,
        grown.params,
        grown.macs,
        notes={"target": target, "reached": reached.reached, "error": reached.error},
    )


def _number(quantity: str, text: str) -> float:
    factor = _UNITS.get(text[-1:], 1.0)
    try:
        return float(text[:-1] if text[-1:] in _UNITS else text) * factor
    except ValueError:
        raise ValueError(f"--{quantity} takes numbers such as 50M or 4.5G, got {text!r}") from None


def _classes(run: Path) -> tuple[int, int]:
    """Classes and image channels: a run's own, else ImageNet's."""
    if not (run / CONFIG).exists():
        return 1000, 3
    constraints = read_config(run)["space"]["constraints"]
    return constraints["num_classes"], constraints["in_channels"]
