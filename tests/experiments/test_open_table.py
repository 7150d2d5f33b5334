"""The open table: what is written is what `nas replay` reads, and what it says follows from known numbers."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks.open_table import Findings, of_seeds, table_of
from nas.replay.table import read_trials
from nas.runs.trial import Trial
from search_space.spaces import small

SPACE = small()


def trials(count):
    """Accuracies rise with the number drawn, and step times fall; MACs are the numbers the other way about."""
    for i, code in enumerate(SPACE.sample_encodings(count, np.random.default_rng(0))):
        a, s = 0.4 + 0.002 * i, 2 - 0.01 * i
        curve = tuple({"epoch": e, "accuracy": known, "seconds": 1.25} for e, known in enumerate((0.9 - a, a)))
        yield Trial(
            SPACE.decode(code), "ok", trial_id=i, accuracy=a, accuracy_se=0.01, s_normalised=s, p_normalised=1.5,
            params=1000, macs=1000 + i, activations=500, reward=a * s**-0.07 * 1.5**-0.05, w=-0.07, v=-0.05,
            curve=curve, device_s=3.5,
        )  # fmt: skip


def written(folder, given):
    """The log of some trials."""
    (folder / "trials.jsonl").write_text("".join(json.dumps(one.to_dict()) + "\n" for one in given))
    return folder / "trials.jsonl"


def test_a_table_is_read_by_a_replay_as_the_log_would_be(tmp_path):
    """Architecture, accuracy, step time, reward, curve and cost of each trial come back, in the order drawn."""
    given = list(trials(12))
    table_of(written(tmp_path, given[::-1])).to_csv(tmp_path / "table.csv", index=False, float_format="%.6g")
    read = read_trials(tmp_path / "table.csv", SPACE)
    assert [one.arch_id for one in read] == [one.arch_id for one in given]
    for name in ("accuracy", "s_normalised", "reward", "device_s"):
        assert [getattr(one, name) for one in read] == pytest.approx([getattr(one, name) for one in given], rel=1e-5)
    assert [[e["accuracy"] for e in one.curve] for one in read] == [
        pytest.approx([e["accuracy"] for e in one.curve]) for one in given
    ]
    assert {e["seconds"] for one in read for e in one.curve} == {1.25}


def test_findings_of_known_numbers(tmp_path):
    """What ranks the other way has tau -1; what stands in S's place and is wrong chooses what is worse."""
    table = table_of(written(tmp_path, trials(12)))
    findings = Findings(table, -0.07, -0.05)
    assert "| 1 | -1.00" in findings.of_epochs()[2]
    assert "| 2 | +1.00" in findings.of_epochs()[3]
    assert findings.of_costs()[2].startswith("| MACs | -1.00")
    s, macs = (line.split(" | ") for line in findings.of_rewards()[2:4])
    assert s[1:3] == ["+1.00 (+1.00 to +1.00)", "0.0 (0.0 to 0.0) %"]
    assert macs[3].startswith("1.89")  # the last is the best: accuracy counts for more than MACs that hardly differ


def test_the_scatter_over_seeds_is_found(tmp_path):
    """Accuracies that err by 0.01 and step times that do not; an architecture that lacks a seed is left out."""
    rng = np.random.default_rng(0)
    given = list(trials(60))
    runs = [
        [replace(one, accuracy=one.accuracy + 0.01 * rng.normal()) for one in (given if seed else given[:59])]
        for seed in range(3)
    ]
    tables = [table_of(written(tmp_path, run)) for run in runs]
    said = of_seeds(tables[0], pd.concat(tables[1:]))
    assert said.startswith("59 architectures under 3 seeds each")
    accuracy, log_s = (line.split(" | ") for line in said.splitlines()[4:6])
    assert float(accuracy[1]) == pytest.approx(0.01, rel=0.2)
    assert float(accuracy[2]) == pytest.approx(0.002 * 59 / 12**0.5, rel=0.15)
    assert log_s[1] == "0.0000"
    assert log_s[3].startswith("1.00")
