"""Runs of every kind that a report must show, made of the usual one."""

import json

import pytest

from search_space import yaml_text


def change(run, **fields):
    """Give every trial of a run these values; a function is called with the trial."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in lines:
        record |= {name: value(record) if callable(value) else value for name, value in fields.items()}
    write(run, lines)


def write(run, lines):
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))


def several_objectives(run):
    """Have the run be one of a search of two objectives."""
    search_by(run, name="nsga2", seed=None, population=30, crossover=0.7, objectives=["accuracy", "step_time"])


def search_by(run, **algorithm):
    """Have the run be one of another algorithm."""
    config = run / "config.yaml"
    config.write_text(yaml_text.dump(yaml_text.load(config.read_text()) | {"algorithm": algorithm}))


def shorten(run, trials=1):
    """Leave a run its first trials alone: of a page of few trials there is less to draw."""
    lines = (run / "trials.jsonl").read_text().splitlines(keepends=True)
    (run / "trials.jsonl").write_text("".join(lines[:trials]))


@pytest.fixture
def long_run(run):
    """The same trials again and again, 10,000 in all, each with an accuracy of its own."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    made = []
    for number in range(10_000):
        record = lines[number % 12] | {"trial_id": number}
        if record["status"] == "ok":
            record |= {"accuracy": 0.5 + number / 25_000, "reward": 0.5 + number / 25_000, "curve": record["curve"][:1]}
        made.append(record)
    write(run, made)
    return run
