"""An architecture grown into sizes: their costs, how their training steps were timed, and what is written of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nas.architectures import Found, What, find
from nas.families.step_cost import Measuring, StepCosts, estimated, measured
from nas.runs.text import short, times
from scaling.dial import Reached
from scaling.family import Member, family, member
from scaling.grow import with_train_size
from scaling.rule import RULES, Rule
from scaling.targets import TOLERANCE, scale_by_measuring, scale_to
from search_space.architecture import Architecture
from search_space.cost import count

logger = logging.getLogger(__name__)

Quantity = Literal["params", "macs", "step_time"]
# One number, several, or several under names of one's own.
Targets = float | Iterable[float] | Mapping[str, float]


@dataclass(frozen=True)
class Family:
    """What an architecture grew into."""

    found: Found  # what it grew from, at the image size that was asked for
    rule: str  # a key of RULES
    start: Member  # what was given, with the image size it trains at; its step time is 1
    members: tuple[Member, ...]  # the sizes, in the order asked
    step_times: str  # a sentence: measured on what, estimated from what and how far off, or why there are none
    beyond: Mapping[str, float]  # size -> step time over the largest trial's, of those beyond all trials of the log
    made_by: str  # the call

    def rows(self) -> list[dict[str, Any]]:
        """Give a row for the start, then one for each size, with the target it met if there was one.

        The start's arch_id is that of what it grew from, not of what that became by getting an image size to train at.
        """
        rows = [one.row() | dict(one.notes) for one in (self.start, *self.members)]
        rows[0]["arch_id"] = self.found.architecture.arch_id
        return rows

    def missed(self) -> list[str]:
        """Say of each target that was missed by more than 3 % what was asked, what came out, and why."""
        return [text for one in self.members if (text := _missed(one))]

    def write(self, folder: Path | str, *, command: str | None = None) -> None:
        """Write each size's architecture (SIZE.json) and training recipe (SIZE.yaml), tables and a picture.

        A start without an image size gives no recipes.

        Args:
            folder: made if it is not there; files of these names are replaced.
            command: that made the family, for its provenance; default: `made_by`.
        Raises: ValueError if `folder` is a file.
        """
        from nas.families import recipes  # which draws, and so imports matplotlib

        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is no folder")
        about = {
            "from": self.found.name,
            "arch_id": self.found.architecture.arch_id,
            "rule": self.rule,
            "command": command or self.made_by,
            "step_time": None if self.start.step_time is None else self.step_times,
        }
        recipes.write(folder, self.members, self.start, self.found.classes, self.found.config, about)


def scale(
    what: What,
    *,
    to: Sequence[str] = ("m", "l"),
    params: Targets | None = None,
    macs: Targets | None = None,
    step_time: Targets | None = None,
    rule: str = "late_growth",
    measure: Measuring | None = None,
    image_size: int | None = None,
    say: Callable[[str], None] = logger.info,
) -> Family:
    """Grow (or shrink) an architecture into a family.

    Step times are those of training, over the architecture's own, each at the image size it trains at: what a user
    pays. They are measured, or estimated from the log of a run, or not known.

    Args:
        what: an Architecture, a run or its folder (its winner, with the run's classes, and its log for estimates), or
            another name that `find_architecture` takes.
        to: sizes that the rule knows, such as s, m, l, xl.
        params, macs, step_time: targets, which go before `to`; of one kind at a time, larger or smaller than what it
            has. A number, several, or a mapping of sizes' names to numbers. Step times are multiples of the start's
            own, MACs at each size's image size.
        rule: a key of RULES.
        measure: how to measure step times and memory; None = estimate them.
        image_size: that `what` is evaluated at, pixels, in place of its own; one without has its run's.
        say: told of what takes long or could not be had, in sentences; default: the log.
    Returns: the family; nothing is written.
    Raises: ValueError for an unknown architecture, size or rule, a size given twice, a target out of the rule's reach,
        or step times that are needed and cannot be had.

    >>> grown = scale("efficientnetv2_s", params=(30e6, 60e6))
    >>> [(one.size, f"{one.params / 1e6:.0f}M") for one in grown.members]
    [('params-30M', '30M'), ('params-60M', '60M')]
    """
    given = {"to": to, "params": params, "macs": macs, "step_time": step_time, "rule": rule}
    found = find(what)
    law = rule_for(found, rule)
    found = replace(found, architecture=start_of(found, image_size))
    targets = _targets({"params": params, "macs": macs, "step_time": step_time})
    _check_different([size for _, size, _ in targets] or to)
    start = with_train_size(found.architecture, law)
    costs, step_times = _costs(found, start, measure, any(kind == "step_time" for kind, _, _ in targets), say)
    if targets:
        grown = [_grown_to(start, *target, law, found.classes, costs) for target in targets]
    else:
        grown = family(found.architecture, to, law, *found.classes)
    first, *members = [_with_costs(one, costs) for one in (member("start", start, *found.classes), *grown)]
    return Family(found, rule, first, tuple(members), step_times, _beyond(members, costs), _call(found.name, given))


def start_of(found: Found, image_size: int | None = None) -> Architecture:
    """Give what a family grows from: the architecture at the image size asked for, at its own, or at its run's.

    Raises: ValueError for an image size below 1.
    """
    architecture = found.architecture
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size must be >= 1, got {image_size}")
    if image_size is None and architecture.image_size is None and found.config is not None:
        image_size = found.image_size
    return architecture if image_size is None else replace(architecture, image_size=image_size, train_image_size=None)


def rule_for(found: Found, name: str) -> Rule:
    """Give the rule as it holds for what a family grows from.

    That networks train at smaller images than they are used at is for resized crops, which show things larger than they
    are. A run without them trains its candidates at the size that it evaluates them at, and so does its family.

    Raises: ValueError if there is no rule of that name.
    """
    rule = rule_of(name)
    if found.config is None or found.config["augment"].get("crop") == "resized":
        return rule
    return replace(rule, train_share=1.0)


def rule_of(name: str) -> Rule:
    """Give the rule of that name. Raises ValueError if there is none."""
    if name not in RULES:
        raise ValueError(f"unknown rule {name!r}; known: {', '.join(RULES)}")
    return RULES[name]


def _call(name: str, given: Mapping[str, Any]) -> str:
    """Write down the call: what decides the sizes."""
    return f"nas.scale({', '.join([repr(name), *(f'{key}={value!r}' for key, value in given.items() if value)])})"


def _targets(targets: Mapping[Quantity, Targets | None]) -> list[tuple[Quantity, str, float]]:
    """Quantity, size's name and number of each target."""
    given = {quantity: value for quantity, value in targets.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"one kind of target at a time, got {' and '.join(given)}")
    return [(quantity, *one) for quantity, value in given.items() for one in _named(quantity, value)]


def _named(quantity: Quantity, value: Targets) -> list[tuple[str, float]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, str):
        raise ValueError(f"{quantity} takes numbers, got {value!r}")
    numbers = value if isinstance(value, Iterable) else [value]
    write = times if quantity == "step_time" else short
    return [(f"{quantity.replace('_', '-')}-{write(number)}", number) for number in numbers]


def _check_different(sizes: Sequence[str]) -> None:
    """Before anything is computed or measured: of two alike, one would overwrite the other."""
    for size in sizes:
        if list(sizes).count(size) > 1:
            raise ValueError(f"size {size!r} is given twice")


def _costs(
    found: Found, start: Architecture, measure: Measuring | None, needed: bool, say: Callable[[str], None]
) -> tuple[StepCosts | None, str]:
    """Where step times come from, and a sentence on it. Raises ValueError if they are needed, and from nowhere."""
    missing = None
    if start.train_image_size is None:
        missing = "says no image size, on which the step time depends: add --image-size"
    elif measure is None and found.run is None:
        missing = "has no log to estimate step times from: add --measure, or give a run folder"
    if missing is not None:
        if needed or measure is not None:
            raise ValueError(f"{found.name} {missing}")
        return None, f"no step times: {found.name} {missing}"
    if measure is not None:
        costs = measured(start, found.classes, measure, found.config or {"training": {"batch_size": 32}}, say)
        return costs, costs.about
    assert found.run is not None
    try:
        costs = estimated(found.run, start, found.classes)
    except ValueError as error:
        if needed:
            raise
        say(f"no step times: {error}")
        return None, f"no step times: {error}"
    return costs, costs.about


def _grown_to(
    start: Architecture,
    quantity: Quantity,
    size: str,
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
    grown = member(size, reached.architecture, *classes)
    notes: dict[str, Any] = {"target": target, "reached": reached.reached, "error": reached.error}
    notes |= {"quantity": quantity, "next": reached.other, "measurements": reached.measurements}
    return replace(grown, dial=reached.dial, notes=notes)


def _missed(one: Member) -> str | None:
    if not one.notes or abs(one.notes["error"]) <= TOLERANCE:
        return None
    target, reached, quantity, other, measurements, error = (
        one.notes[name] for name in ("target", "reached", "quantity", "next", "measurements", "error")
    )
    write = times if quantity == "step_time" else short
    what = quantity.replace("_", " ")
    side = "larger" if reached < target else "smaller"
    if other is None:
        why = f"none {side} was found" + (f" in {measurements} measurements" if measurements else "")
    else:
        why = f"the next {side} one has {write(other)}: layers, channels and pixels come in steps"
    return f"{one.size}: {what} {write(target)} was asked for, {write(reached)} is reached ({error:+.1%}); {why}"


def _step_time(start: Architecture, target: float, rule: Rule, costs: StepCosts) -> Reached:
    if costs.is_estimate:
        return scale_to(start, rule=rule, step_time=target, estimate_step_time=lambda a: costs.of(a).step_time)

    def macs(architecture: Architecture) -> float:
        return float(count(architecture, architecture.train_image_size or 1).macs)

    return scale_by_measuring(start, target, lambda a: costs.of(a).step_time, macs, rule=rule)


def _with_costs(one: Member, costs: StepCosts | None) -> Member:
    if costs is None:
        return one
    return replace(one, **asdict(costs.of(one.architecture)), is_estimate=costs.is_estimate)


def _beyond(members: Sequence[Member], costs: StepCosts | None) -> dict[str, float]:
    """Which members are larger than anything that the estimate knows, and by how much."""
    if costs is None or costs.beyond is None:
        return {}
    found = {one.size: costs.beyond(one.architecture) for one in members}
    return {size: n for size, n in found.items() if n > 1}
