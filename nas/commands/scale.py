"""`nas scale`: grow an architecture into a family."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nas.architectures import find_architecture
from nas.commands.terminal import Column, console, short, show, table
from nas.families.step_cost import Measuring, StepCosts, estimated, measured
from nas.runs.folder import config_if_run
from scaling.family import Member, family, member
from scaling.grow import with_train_size
from scaling.residuals import explain
from scaling.rule import PLAIN, RULES, Rule
from scaling.targets import Reached, scale_by_measuring, scale_to
from search_space.architecture import Architecture, to_block_strings
from search_space.cost import count

_UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}


def scale_command(
    arch: str,
    sizes: Sequence[str],
    rule: str,
    targets: Mapping[str, str | None],
    *,
    measuring: Measuring | None,
    image_size: int | None,
    explained: bool,
    out: Path | None,
    form: str,
) -> int:
    """Print the family of an architecture, and write it to a folder if one is given.

    Step times are those of training, over the architecture's own, each at the image size it trains at: what a user
    pays. They are measured, or estimated from the log of a run, or not known.

    Args:
        sizes: names that the rule knows.
        targets: `params`, `macs` or `step_time` -> comma-separated numbers such as `50M` or `3x`; they go before
            `sizes`.
        measuring: how to measure; None = estimate.
        image_size: that the architecture is evaluated at, pixels, in place of its own; one without has its run's.
        explained: compare with the published family instead.
    Raises: ValueError for whatever the user can fix.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}; known: {', '.join(RULES)}")
    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is no folder")
    architecture = find_architecture(arch)
    config = config_if_run(Path(arch))
    if config is not None and architecture.image_size is None:
        image_size = image_size or config["image_size"]
    if image_size is not None:
        architecture = replace(architecture, image_size=image_size, train_image_size=None)
    if explained:
        return _explain(architecture, sizes, rule, form)
    wanted = _targets(targets)
    _check_different([text for _, text, _ in wanted] or sizes)
    classes = _classes(config)
    trained = with_train_size(architecture, RULES[rule])
    costs = _costs(arch, trained, classes, config, measuring, bool(wanted) and wanted[0][0] == "step_time")
    if wanted:
        members = [_grown_to(trained, *target, RULES[rule], classes, costs) for target in wanted]
    else:
        members = family(architecture, sizes, RULES[rule], *classes)
    start, *members = [_with_costs(one, costs) for one in (member("start", trained, *classes), *members)]
    _print(start, members, architecture.arch_id, costs, form)
    if out is not None:
        about: dict[str, Any] = {"from": arch, "arch_id": architecture.arch_id, "rule": rule}
        about |= {"command": shlex.join(["nas", *sys.argv[1:]]), "step_time": costs.about if costs else None}
        _write(out, members, start, classes, config, about)
    return 0


def _targets(targets: Mapping[str, str | None]) -> list[tuple[str, str, float]]:
    """Quantity, text and number of each target."""
    given = {quantity: text for quantity, text in targets.items() if text is not None}
    if len(given) > 1:
        raise ValueError(f"one kind of target at a time, got {' and '.join(given)}")
    each = [(quantity, one.strip()) for quantity, text in given.items() for one in text.split(",")]
    return [(quantity, text, _number(quantity, text)) for quantity, text in each]


def _check_different(sizes: Sequence[str]) -> None:
    """Before anything is computed or measured: of two alike, one would overwrite the other."""
    for size in sizes:
        if sizes.count(size) > 1:
            raise ValueError(f"size {size!r} is given twice")


def _costs(
    arch: str,
    start: Architecture,
    classes: tuple[int, int],
    config: Mapping[str, Any] | None,
    measuring: Measuring | None,
    needed: bool,
) -> StepCosts | None:
    """Where step times come from. Raises ValueError if they are needed, and from nowhere."""
    if start.train_image_size is None:
        if needed or measuring is not None:
            raise ValueError(f"{arch} says no image size, on which the step time depends: add --image-size")
        return None
    if measuring is not None:
        training = config or {"training": {"batch_size": 32}}
        return measured(start, classes, measuring, training, _say)
    if config is None:
        if needed:
            raise ValueError(f"{arch} has no log to estimate step times from: add --measure, or give a run folder")
        return None
    try:
        return estimated(Path(arch), start, classes)
    except ValueError as error:
        if needed:
            raise
        _say(f"no step times: {error}")
        return None


def _grown_to(
    start: Architecture,
    quantity: str,
    text: str,
    target: float,
    rule: Rule,
    classes: tuple[int, int],
    costs: StepCosts | None,
) -> Member:
    if quantity == "step_time":
        assert costs is not None
        reached = _step_time(start, target, rule, costs)
    else:
        shape = {"num_classes": classes[0], "in_channels": classes[1]}
        reached = scale_to(start, rule=rule, **shape, **{quantity: target})  # type: ignore[arg-type]
    grown = member(f"{quantity.replace('_', '-')}-{text}", reached.architecture, *classes)
    notes = {"target": target, "reached": reached.reached, "error": reached.error}
    return replace(grown, dial=reached.dial, notes=notes)


def _step_time(start: Architecture, target: float, rule: Rule, costs: StepCosts) -> Reached:
    if costs.is_estimate:
        return scale_to(start, rule=rule, step_time=target, estimate_step_time=lambda a: costs.of(a).step_time)

    def macs(architecture: Architecture) -> float:
        return float(count(architecture, architecture.train_image_size or 1).macs)

    return scale_by_measuring(start, target, lambda a: costs.of(a).step_time, macs, rule=rule)


def _with_costs(one: Member, costs: StepCosts | None) -> Member:
    if costs is None:
        return one
    cost = costs.of(one.architecture)
    return replace(one, **asdict(cost), is_estimate=costs.is_estimate)


def _number(quantity: str, text: str) -> float:
    units = {"x": 1.0} if quantity == "step_time" else _UNITS
    try:
        number = float(text[:-1] if text[-1:] in units else text) * units.get(text[-1:], 1.0)
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        example = "3x or 1.5" if quantity == "step_time" else "50M or 4.5G"
        raise ValueError(f"--{quantity.replace('_', '-')} takes numbers such as {example}, got {text!r}")
    return number


def _classes(config: Mapping[str, Any] | None) -> tuple[int, int]:
    """Classes and image channels: a run's own, else ImageNet's."""
    if config is None:
        return 1000, 3
    constraints = config["space"]["constraints"]
    return constraints["num_classes"], constraints["in_channels"]


# ---- what is printed and written


def _print(start: Member, members: Sequence[Member], arch_id: str, costs: StepCosts | None, form: str) -> None:
    rows = [one.row() | dict(one.notes) for one in (start, *members)]
    rows[0]["arch_id"] = arch_id  # the start is what was given, not what it became by getting an image size to train at
    if form != "table":
        architectures = [one.architecture.to_dict() for one in (start, *members)]
        show([row | {"architecture": a} for row, a in zip(rows, architectures, strict=True)], form, ())
        return
    mark = "est. " if costs is not None and costs.is_estimate else ""
    console().print(table(rows, _columns(mark)))
    if costs is not None:
        console().print(
            f"\nStep time is over the start's, each at its train px. {costs.about}{_beyond(members, costs)}"
        )
    for one in members:
        console().print(f"\n{one.size}{_reached(one, mark)}:", soft_wrap=True)
        console().print(" ".join(to_block_strings(one.architecture)))


def _reached(one: Member, mark: str) -> str:
    if not one.notes:
        return ""
    write = _times if one.size.startswith("step-time") else short
    text = f"{write(one.notes['reached'])} of {write(one.notes['target'])}, {one.notes['error']:+.1%}"
    return f" ({mark if write is _times else ''}{text})"


def _beyond(members: Sequence[Member], costs: StepCosts) -> str:
    """Say which members are larger than anything that the estimate knows."""
    if costs.beyond is None:
        return ""
    times = {one.size: costs.beyond(one.architecture) for one in members}
    beyond = [f"{size} ({n:.1f} times the largest trial)" for size, n in times.items() if n > 1]
    return f" Extrapolated: {', '.join(beyond)}." if beyond else ""


def _write(
    out: Path,
    members: Sequence[Member],
    start: Member,
    classes: tuple[int, int],
    config: Mapping[str, Any] | None,
    about: Mapping[str, Any],
) -> None:
    from nas.families import recipes

    recipes.write(out, members, start, classes, config, about)
    _say(f"{len(members)} sizes written to {out}")
    if start.architecture.train_image_size is None:
        _say(f"no training recipes: {about['from']} says no image size; add --image-size")


def _say(text: str) -> None:
    console(stderr=True).print(text, soft_wrap=True)


def _times(value: float) -> str:
    return f"{value:.3g}x"


def _columns(mark: str) -> tuple[Column, ...]:
    return (
        Column("size", "size"),
        Column("params", "params", short),
        Column("macs", "MACs", short),
        Column("image_size", "px"),
        Column("train_image_size", "train px"),
        Column("step_time", f"{mark}step", _times),
        Column("step_time_ms", f"{mark}ms", short),
        Column("peak_memory_mb", f"{mark}MiB", short),
    )


def _explain(architecture: Architecture, sizes: Sequence[str], rule: str, form: str) -> int:
    plain = {(r.size, r.name): r for r in explain(architecture, sizes, PLAIN[rule])}
    rows = []
    for residual in explain(architecture, sizes, RULES[rule]):
        row = asdict(residual) | {"share": residual.share}
        if rule != "uniform":
            other = plain.get((residual.size, residual.name))
            row |= {
                "uniform": other.ours if other else residual.published,
                "uniform_share": other.share if other else 0.0,
            }
        rows.append(row)
    show(rows, form, _RESIDUALS)
    return 0


def _any(value: Any) -> str:
    return short(value) if isinstance(value, int | float) else str(value)


_SHARE: Callable[[Any], str] = "{:+.1%}".format
_RESIDUALS = (
    Column("size", "size"),
    Column("name", "what"),
    Column("ours", "this rule", _any),
    Column("published", "published", _any),
    Column("share", "off by", _SHARE),
    Column("uniform", "uniform", _any),
    Column("uniform_share", "off by", _SHARE),
)
