"""What one more result costs the search algorithms and the log when there are many: nothing may grow with the log.

Each algorithm is told the trials of a run (as `large_logs.py` makes one) and, at 1,000, 10,000 and 100,000 of them,
asked and told a few times more; beside that, what the ledger takes to log a proposal and an answer.

    python -m experiments.benchmarks.growth --run RUN --out experiments/results        # minutes
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from experiments.benchmarks.large_logs import device_name
from experiments.benchmarks.results import write
from nas.algorithms import ALGORITHMS, Algorithm
from nas.config.search import parse
from nas.runs.folder import read_config, read_trials
from nas.runs.trial import Trial
from nas.search.ledger import Ledger

AT = (1_000, 10_000, 100_000)
TIMES = 20
LONGEST_S = 5.0  # of a proposal: then no more is asked


def of_algorithm(algorithm: Algorithm, trials: Sequence[Trial]) -> dict[int, float]:
    """Give milliseconds of processor time for a proposal and the learning from its result, by how many were told."""
    found: dict[int, float] = {}
    for before, count in zip((0, *AT), AT, strict=False):
        if count > len(trials) or max(found.values(), default=0.0) > 1000 * LONGEST_S:
            break
        for trial in trials[before:count]:
            algorithm.tell(trial)
        found[count] = _milliseconds(lambda: _once(algorithm, trials))
    return found


def _once(algorithm: Algorithm, trials: Sequence[Trial]) -> None:
    proposal = algorithm.ask()
    algorithm.tell(replace(trials[0], status="ok", architecture=proposal.architecture, proposal=proposal.notes))


def _milliseconds(act: Callable[[], None]) -> float:
    times = []
    for _ in range(TIMES):
        began = time.process_time()
        act()
        times.append(1000 * (time.process_time() - began))
    return median(times)


def of_ledger(run: Path, algorithm: Algorithm) -> float:
    """Give milliseconds of processor time to propose at random, log that, and log an answer, in a run that goes on.

    Args:
        run: is gone on with.
    """
    ledger = Ledger(run, algorithm, run_id="r", seed=0, trials=10**9, max_attempts=3)
    trial = ledger.trials[0]

    def once() -> None:
        candidate = ledger.next_candidate()
        assert candidate is not None
        ledger.finish(candidate.trial_id, trial)

    found = _milliseconds(once)
    ledger.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--algorithm", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS))
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    a = parser.parse_args()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    space, trials = parse(read_config(a.run)).space, read_trials(a.run)
    found: dict[str, dict[int, float]] = {"ledger, random proposals": {}}
    for count in AT:
        if count <= len(trials):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "trials.jsonl").write_text("".join(each.to_json() + "\n" for each in trials[:count]))
                found["ledger, random proposals"][count] = of_ledger(Path(folder), ALGORITHMS["random"](space, 0))
    for name in a.algorithm:
        found[name] = of_algorithm(ALGORITHMS[name](space, 0), trials)
        print(name, found[name], flush=True)
    text = table(began, found)
    print(text)
    if a.out:
        record: dict[str, Any] = {"date": began, "device": device_name(), "milliseconds": found}
        write(a.out, "growth", record, text)


def table(began: str, found: dict[str, dict[int, float]]) -> str:
    """Write up what was measured, as markdown."""
    rows = [
        f"| {name} | " + " | ".join(f"{ms[count]:.1f}" if count in ms else "-" for count in AT) + " |"
        for name, ms in found.items()
    ]
    return "\n".join(
        [
            f"# What one more result costs, {device_name()}, {began[:10]}",
            "",
            "`python -m experiments.benchmarks.growth`: processor milliseconds to propose and to learn from "
            f"the answer, by the number of trials told before, median of {TIMES}.",
            "",
            "| | " + " | ".join(f"{count:,}" for count in AT) + " |",
            "|---|" + "--:|" * len(AT),
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
