"""A run as one HTML file that can be mailed: what was searched, what came out, pictures, every trial."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas.analysis import plots
from nas.analysis.certainty import confidence_of, estimates, verdict
from nas.analysis.frame import best, load, load_epochs, load_trials, metric_columns, pareto
from nas.runs.columns import column
from nas.runs.folder import read_config, read_run
from nas.runs.ranking import why_none
from search_space.architecture import Architecture
from search_space.block_strings import to_block_strings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEGEND = "±: standard error; *: the winner, ≈: not told apart from the winner (95%)."
_COLUMNS = ("trial_id", "arch_id", "reward", "accuracy", "s_normalised", "step_time_ms", "params", "macs", "wall_s")
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}table{border-collapse:collapse;font-size:13px}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}th{color:#666;font-weight:500}
td:first-child,th:first-child{text-align:left}img{max-width:100%}code,pre{font-size:13px}
.pair{display:flex;flex-wrap:wrap;gap:1rem}.pair img{width:30rem}"""


def report(run: str | Path) -> str:
    """Write up a run as HTML without links to anything outside. Raises ValueError, saying why, if none was scored."""
    run = Path(run)
    frame, config, about = load(run), read_config(run), read_run(run)
    ranked = best(frame, 10) if len(frame) else frame
    if not len(ranked):
        raise ValueError(f"{run}: {why_none(load_trials(run))}")
    winner = Architecture.from_json(ranked.iloc[0]["architecture"])
    front, first = pareto(frame), ranked.iloc[0]["trial_id"]
    own = dict(config["reward"])
    said = verdict(frame, own.pop("name"), own, confidence_of(config))
    parts = [
        f"<h1>{html.escape(run.resolve().name)}</h1>",
        _facts(frame, config, about),
        f"<h2>Best</h2>{_table(ranked, winner=first)}<p>{_LEGEND}{html.escape(f' {said}.' if said else '')}</p>",
        f"{_means(frame)}<p>Winner, stage by stage:</p>",
        f"<pre>{html.escape(chr(10).join(to_block_strings(winner)))}</pre>",
        f'<div class="pair">{_picture(plots.progress(frame))}{_picture(plots.trade_off(frame))}</div>',
        f"<h2>Pareto front of accuracy, step time and parameters</h2>{_table(front, winner=first)}",
        f"<p>How it grew: the volume it dominates, seen from the worst of the run.</p>"
        f"{_picture(plots.front_growth(frame))}",
        "<h2>Decisions</h2><p>Mean reward of the trials with each choice, less the mean of all; bars: standard error. "
        "Choices were not drawn independently, so this describes the trials and proves no cause.</p>",
        _picture(plots.effects(frame)),
        f"<h2>Training curves</h2>{_picture(plots.curves(load_epochs(run)))}",
    ]
    failed = frame[~frame["status"].isin(["ok"])]
    if len(failed):
        parts.append(f"<h2>Not answered ok</h2>{_table(failed, ('trial_id', 'arch_id', 'status', 'error'))}")
    title = html.escape(run.resolve().name)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _facts(frame: pd.DataFrame, config: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    statuses = ", ".join(f"{count} {status}" for status, count in frame["status"].value_counts().items())
    devices = ", ".join(map(str, frame["device_name"].dropna().unique())) or "unknown devices"
    hours = frame["device_s"].sum() / 3600
    training = config["training"]
    sentences = (
        f"{len(frame)} trials ({statuses}), {hours:.2f} device hours on {devices}",
        f"begun {about['created_at']}, torch {about['versions']['torch']}",
        f"{config['algorithm']['name']} over {config['data']['source']} at {config['image_size']} pixels, "
        f"{training['epochs']} epochs each, batch {training['batch_size']}",
        f"reward {config['reward']['name']}; step times over those of the reference network beside each candidate",
    )
    return f"<p>{html.escape('; '.join(sentences))}.</p>"


def _table(frame: pd.DataFrame, columns: Sequence[str] = _COLUMNS, *, winner: int | None = None) -> str:
    known = [name for name in columns if name in frame.columns]
    present = known + ([] if columns is not _COLUMNS else metric_columns(frame))
    head = "".join(f'<th title="{html.escape(_meaning(name))}">{html.escape(_heading(name))}</th>' for name in present)
    rows = (
        "".join(f"<td>{html.escape(_cell(row, name, winner))}</td>" for name in present) for _, row in frame.iterrows()
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _means(frame: pd.DataFrame) -> str:
    """The means of architectures that were trained with several seeds, if there are any."""
    found = estimates(frame)
    repeated = found[found["trials"] > 1]
    columns = ("arch_id", "trials", "reward", "accuracy")
    return f"<p>Trained with several seeds, their means:</p>{_table(repeated, columns)}" if len(repeated) else ""


def _cell(row: pd.Series[Any], name: str, winner: int | None) -> str:
    """A value, with its standard error where that is known; a reward is marked beside the winner's."""
    text, error = _text(row[name]), row.get(f"{name}_se")
    if error is not None and not pd.isna(error):
        text = f"{row[name]:.4f} ± {error:.4f}"
    if name != "reward" or row.get("told_apart") is not False:
        return text
    return f"{text} {'*' if row.get('trial_id') == winner else '≈'}"


def _heading(name: str) -> str:
    return column(name).heading or name


def _meaning(name: str) -> str:
    line = column(name)
    return f"{name}: {line.about}" + (f", {line.unit}" if line.unit else "")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _picture(figure: Figure) -> str:
    return f'<img alt="" src="data:image/png;base64,{plots.as_base64(figure)}">'
