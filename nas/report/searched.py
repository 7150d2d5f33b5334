"""Sections of the report: what was searched, and with which settings."""

from __future__ import annotations

import html
import shlex
from collections.abc import Sequence
from typing import Any

from nas.report.markup import paragraph, section, table
from nas.report.reading import Reading
from nas.runs.text import short
from search_space import yaml_text
from search_space.architecture import Architecture
from search_space.description import SpaceDescription, describe_space

_HEADINGS = {"kernel_size": "kernel", "se_ratio": "SE"}


def space(reading: Reading) -> str:
    """The space, stage by stage, with what the winner and the reference chose; its size."""
    winner = None if reading.winner is None else Architecture.from_json(reading.winner["architecture"])
    stages = [stage.named() for stage in reading.space.stages]
    names = list(dict.fromkeys(name for stage in stages for name in stage))
    rows = []
    for number, choices in enumerate(stages):
        chosen = None if winner is None else winner.stages[number].named()
        at_reference = reading.reference.stages[number].named() if number < len(reading.reference.stages) else {}
        cells = [_choices(choices.get(name, ()), (chosen or {}).get(name), at_reference.get(name)) for name in names]
        rows.append([str(number + 1), *cells])
    head = ["stage", *(html.escape(_HEADINGS.get(name, name.replace("_", " "))) for name in names)]
    marks = "" if winner is None else "<b>Bold</b>: the winner’s choice. "
    legend = (
        f"<p>{marks}<u>Underlined</u>: the reference network’s, which is the unit of step time S and parameters P.</p>"
    )
    return section("space", "What was searched", _size(reading), table(head, rows), legend, _outside(reading))


def _choices(choices: Sequence[Any], winners: Any, references: Any) -> str:
    if len(choices) < 2:
        return "".join(f'<span class="fixed">{html.escape(str(each))}</span>' for each in choices)
    said = []
    for each in choices:
        word = html.escape(str(each))
        word = f"<u>{word}</u>" if each == references else word
        said.append(f"<b>{word}</b>" if each == winners else word)
    return ", ".join(said)


def _size(reading: Reading) -> str:
    described = describe_space(reading.space)
    decisions = len(described.decisions)
    low, high, at = described.lowest, described.highest, described.constraints
    return paragraph(
        f"{described.size:,} architectures ({short(described.size)}) of {decisions} decisions, with "
        f"{short(low.params)} to {short(high.params)} parameters ({at.num_classes} classes) and {short(low.macs)} to "
        f"{short(high.macs)} MACs at {at.image_size} px. {_allowed(described)}{_evaluated(reading, described.size)}"
    )


def _allowed(described: SpaceDescription) -> str:
    at = described.constraints
    bounds = [
        f"{name} {words} {short(bound)}"
        for name, words, bound in (
            ("parameters", "of at least", at.params_min),
            ("parameters", "of at most", at.params_max),
            ("MACs", "of at least", at.macs_min),
            ("MACs", "of at most", at.macs_max),
        )
        if bound is not None
    ]
    share = "" if described.allowed is None else f", which {described.allowed:.3g} of all keep"
    return f"Allowed were {' and '.join(bounds)}{share}. " if bounds else ""


def _evaluated(reading: Reading, size: int) -> str:
    tried = reading.frame["arch_id"].nunique() if len(reading.frame) else 0
    timed = f" {reading.status.timings:,} were timed, to choose what is trained." if reading.status.timings else ""
    if not tried:
        return f"None of them has been tried yet.{timed}"
    share = f"{tried / size:.1%}" if tried / size >= 0.001 else f"one in {short(size / tried)}"
    return f"{tried:,} of them were tried, {share}.{timed}"


def _outside(reading: Reading) -> str:
    space = reading.space
    return paragraph(
        f"Around the stages: a stem of {space.stem_channels} channels and stride {space.stem_stride}, a head of "
        f"{space.head_channels} channels."
    )


def settings(reading: Reading) -> str:
    """What the run was made with: versions, command, configuration."""
    about = reading.about
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    hosts = sorted(map(str, reading.frame["host"].dropna().unique()))
    rows = [
        ["run", about["run_id"]],
        ["begun", about["created_at"]],
        ["command", shlex.join(map(str, about.get("command") or []))],
        ["versions", versions],
        ["source", str(about.get("git_commit") or "not in a checkout")],
        ["hosts", ", ".join(hosts[:8]) + (f" and {len(hosts) - 8} more" if len(hosts) > 8 else "")],
        ["devices", ", ".join(sorted(map(str, reading.frame["device_name"].dropna().unique())))],
    ]
    cells = [[name, html.escape(words)] for name, words in rows if words]
    config = html.escape(yaml_text.dump(dict(reading.config)))
    return section(
        "settings",
        "How it was run",
        table(["", ""], cells, kind="words"),
        f"<details><summary>The whole configuration</summary><pre>{config}</pre></details>",
    )
