"""Searches that are killed at random moments, on one machine and on a cluster: is a trial lost, doubled, or done twice?

Machines of their own (experiments/cluster/machines.py), real Ray, candidates that cost nothing but time; some raise,
some end their process. A round is one search: it is killed, started again by the same command, and counted at the
end. Kills of a search: SIGKILL of the driver; SIGKILL, SIGTERM and SIGINT of its process group. Of a cluster: SIGKILL
of everything of Ray's on a node, or of its raylet alone, and a machine that vanishes; another one joins.

    python -m experiments.benchmarks.kills --out experiments/results --account kills.jsonl      # half an hour

A round is a line in the account; the same command goes on with the rounds that have none yet. `--earlier RESULT.json`
adds those of a result that was written before, of other commits.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.benchmarks.results import write
from experiments.cluster.machines import Machine, child, machines, why_not
from nas.runs.folder import PROPOSALS, TRIALS, git_commit, provenance
from nas.runs.log import read_lines
from nas.trials.answer import Report
from search_space.architecture import Architecture

CONFIG = """
space: {name: small, image_size: 8}
image_size: 8
algorithm: {name: evolution, seed: SEED}
search: {trials: TRIALS, max_attempts: 3, evaluator: "experiments.benchmarks.kills:noted"}
device: cpu
"""
KINDS = ("ok",) * 8 + ("raise", "die")
EXPECTED = {"ok": "ok", "raise": "failed", "die": "failed"}
NOTES = "/tmp/notes"  # on each machine's own disk: what evaluators did there
GRACE_S = 5.0  # after which nothing of a killed search may run any more


def kind(arch_id: str) -> str:
    """What a candidate does."""
    return KINDS[zlib.crc32(arch_id.encode()) % len(KINDS)]


def noted(architecture: Architecture, seed: int, task: Any, report: Report) -> dict[str, Any]:
    """Evaluate a candidate in about half a second, and note when it began and ended."""

    def note(what: str) -> None:
        with Path(NOTES).open("a") as file:
            file.write(json.dumps({"what": what, "arch": architecture.arch_id, "at": time.time()}) + "\n")

    note("begin")
    time.sleep(0.2 + zlib.crc32(architecture.arch_id.encode()[::-1]) % 1000 / 1000)
    what = kind(architecture.arch_id)
    if what == "die":
        os._exit(1)
    note("end")
    if what == "raise":
        raise ValueError("this candidate raises")
    reward = zlib.crc32(architecture.arch_id.encode()) % 1000 / 1000
    return {"status": "ok", "accuracy": 0.5, "reward": reward, "host": socket.gethostname()}


@dataclass
class Round:
    """One search, its kills, and what became of its trials."""

    number: int
    where: str  # local or cluster
    trials: int
    commit: str | None = None
    kills: list[dict[str, Any]] = field(default_factory=list)
    runs: int = 0  # times the command was started
    exit: int | None = None  # of the last
    statuses: dict[str, int] = field(default_factory=dict)
    lost: int = 0  # trials without a line
    doubled: int = 0  # lines too many
    changed: int = 0  # finished lines that a later run changed
    wrong: int = 0  # trials whose status is not what the candidate does, or whose architecture was not proposed
    begun: int = 0  # evaluations, of all candidates
    ended_twice: int = 0  # candidates that were evaluated to their end more than once
    orphans: int = 0  # workers that still ran GRACE_S after their driver was killed
    late_ends: int = 0  # evaluations that ended in that time
    leftovers: list[str] = field(default_factory=list)  # of /tmp on the machine of the search, once it is over
    noise: list[str] = field(default_factory=list)  # lines of output that are a traceback's or C++'s
    wall_s: float = 0.0


# ---- kills

SEARCH_KILLS = ("driver", "group SIGKILL", "group SIGTERM", "group SIGINT")
NODE_KILLS = ("node", "raylet", "machine")


@dataclass
class Scene:
    """Where a round takes place."""

    round: Round
    head: Machine  # where the search runs
    nodes: list[Machine]  # of the cluster, if there is one
    spares: list[Machine]  # join when a machine vanishes
    rng: random.Random
    notes: list[dict[str, Any]] = field(default_factory=list)  # of machines that vanished
    kept: bytes = b""  # the whole lines of the log when it was last looked at

    @property
    def log(self) -> Path:
        return self.head.file(f"/tmp/run/{TRIALS}")

    def start(self) -> subprocess.Popen[str]:
        """Start the search, or go on with it."""
        cluster = ("--address", self.head.ray) if self.nodes else ("--workers", "2")
        command = (sys.executable, "-m", "nas.cli", "search", "/tmp/config.yaml", "--out", "/tmp/run", *cluster)
        self.round.runs += 1
        with self.head.file("/tmp/output").open("ab") as file:
            process = self.head.start(*command, output=file.fileno())
        time.sleep(0.5)  # until it is in its machine
        return process

    def begun(self) -> int:
        """How many evaluations have begun; `started` events come before their processes are up."""
        return sum(note["what"] == "begin" for note in self.all_notes())

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Wait until a random moment: of the start, or of a trial."""
        if self.rng.random() < 0.25:
            _until(lambda: process.poll() is not None, self.rng.uniform(0, 12))
            return
        count = self.begun()
        _until(lambda: process.poll() is not None or self.begun() > count, 90)
        _until(lambda: process.poll() is not None, self.rng.uniform(0, 3))

    def kill_search(self, process: subprocess.Popen[str], how: str) -> None:
        """Kill the search, and see what is left of it after a while."""
        at, kill = time.time(), os.kill if how == "driver" else os.killpg
        number = signal.SIGKILL if how == "driver" else signal.Signals[how.removeprefix("group ")]
        try:
            kill(child(process.pid), number)
        except (IndexError, OSError):  # it ended just now
            return
        process.wait(timeout=90)
        took_s = time.time() - at
        time.sleep(GRACE_S)
        there = [self.head, *self.nodes]
        orphans = sum(len(machine.processes("ray::run", "ImplicitFunc", "bundle")) for machine in there)
        late = sum(note["what"] == "end" and note["at"] > at + took_s + 1 for note in self.all_notes())
        self.round.orphans += orphans
        self.round.late_ends += late
        self.note(how, status=process.returncode, took_s=round(took_s, 1), orphans=orphans, late_ends=late)

    def kill_node(self, how: str) -> None:
        """Kill a node of the cluster; after some seconds it, or another machine, joins."""
        node = self.rng.choice(self.nodes)
        host = node.name
        if how == "machine" and self.spares:
            self.notes += _notes(node)
            node.power_off()
            self.nodes.remove(node)
            self.nodes.append(node := self.spares.pop())
        else:
            node.stop_ray(*(("raylet/raylet",) if how == "raylet" else ()))
        self.note(how, host=host)
        time.sleep(self.rng.uniform(0, 4))
        if how == "raylet":
            node.stop_ray()
        node.join(self.head)

    def note(self, how: str, **fields: Any) -> None:
        """Write a kill down, and check that what was finished before it still stands in the log."""
        whole = self.log.read_bytes() if self.log.exists() else b""
        self.round.changed += not whole.startswith(self.kept)
        self.kept = whole[: whole.rfind(b"\n") + 1]
        self.round.kills.append({"how": how, "finished": self.kept.count(b"\n"), **fields})

    def all_notes(self) -> list[dict[str, Any]]:
        return [*self.notes, *(note for machine in (self.head, *self.nodes) for note in _notes(machine))]


def _notes(machine: Machine) -> list[dict[str, Any]]:
    path = machine.file(NOTES)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


# ---- a round


def play(number: int, where: str, trials: int, kills: int, seed: int) -> Round:
    """Run a search to its end through kills, and count what became of its trials."""
    rng, result, began = random.Random(seed), Round(number, where, trials, git_commit()), time.monotonic()
    with machines(1 if where == "local" else 6) as (head, *others):
        for machine in (head, *others):
            machine.environment["PYTHONWARNINGS"] = "ignore"
        scene = Scene(result, head, others[:2], others[2:], rng)
        if scene.nodes:
            head.start_head()
            for node in scene.nodes:
                node.join(head)
        head.file("/tmp/config.yaml").write_text(CONFIG.replace("SEED", str(seed)).replace("TRIALS", str(trials)))
        process = scene.start()
        while len(result.kills) < kills:
            scene.wait(process)
            if process.poll() is not None:
                break
            how = rng.choice((*SEARCH_KILLS, *NODE_KILLS) if scene.nodes else SEARCH_KILLS)
            if how in NODE_KILLS:
                scene.kill_node(how)
            else:
                scene.kill_search(process, how)
                process = scene.start()
        result.exit = process.wait(timeout=600)
        count(scene)
    result.wall_s = round(time.monotonic() - began, 1)
    return result


def count(scene: Scene) -> None:
    """Account for every trial of a search that is over."""
    result, records = scene.round, read_lines(scene.log)
    events = read_lines(scene.head.file(f"/tmp/run/{PROPOSALS}"))
    proposed = {event["trial_id"]: event["architecture"] for event in events if event["event"] == "proposed"}
    ids = Counter(record["trial_id"] for record in records)
    result.changed += not scene.log.read_bytes().startswith(scene.kept)
    result.lost = len(set(range(result.trials)) - set(ids))
    result.doubled = len(records) - len(ids)
    result.wrong = sum(
        record["status"] != EXPECTED[kind(record["arch_id"])] or record["architecture"] != proposed[record["trial_id"]]
        for record in records
    )
    result.statuses |= Counter(record["status"] for record in records)
    notes = scene.all_notes()
    architectures = Counter(record["arch_id"] for record in records)
    ends = Counter(note["arch"] for note in notes if note["what"] == "end")
    result.begun = sum(note["what"] == "begin" for note in notes)
    result.ended_twice = sum(max(0, times - architectures[arch]) for arch, times in ends.items())
    result.leftovers = sorted(_leftovers(scene.head, cluster=bool(scene.nodes)))
    output = scene.head.file("/tmp/output").read_text(errors="replace")
    result.noise = [line[:200] for line in output.splitlines() if _is_noise(line)][:20]


def _leftovers(machine: Machine, *, cluster: bool) -> Iterable[str]:
    for path in machine.file("/tmp").iterdir():
        if path.name.startswith(("nas-", "tmp")):
            yield path.name
    if not cluster:
        yield from (path.name for path in machine.file("/tmp").glob("ray/session_2*"))
    yield from (f"/dev/shm/{path.name}" for path in machine.file("/dev/shm").iterdir() if not cluster)


def _is_noise(line: str) -> bool:
    return "Traceback" in line or "raylet" in line or " E " in line or ".cc:" in line or "core dumped" in line.lower()


# ---- the campaign

_ABOUT = """{date}, {machine}; `python -m experiments.benchmarks.kills`, which says what was done.

**Of {trials} trials {lost} were lost and {doubled} doubled; of the lines that stood in a log {changed} changed; {wrong}
trials have another status or architecture than they should.** Searches were started {runs} times, evaluations {begun}
times; {ended_twice} came to their end though one of the same candidate had. Of killed searches {orphans} workers were
alive after {grace} s, and {late_ends} evaluations came to their end more than a second after the kill.

Leftovers are what lies in the temporary folder of the search's machine at the end; noise is lines of its output that
are C++'s or a traceback's. `group` is the process group. A row's commit is what was run. Stops are how a search ended
that was asked to by a signal to its group: the shell's status, after so many seconds; below 0: while Python or the
command was still starting.
"""


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Add the rounds up."""
    kills = Counter((each.where, kill["how"]) for each in rounds for kill in each.kills)
    names = ("trials", "runs", "lost", "doubled", "changed", "wrong", "begun", "ended_twice", "orphans", "late_ends")
    return {
        "rounds": len(rounds),
        "kills": sum(kills.values()),
        "by_kind": {f"{where} {how}": times for (where, how), times in sorted(kills.items())},
        **{name: sum(getattr(each, name) for each in rounds) for name in names},
        "leftovers": sum(len(each.leftovers) for each in rounds),
        "noise": sum(len(each.noise) for each in rounds),
    }


def table(rounds: Sequence[Round], record: dict[str, Any]) -> str:
    """Give the account as markdown."""
    total = record["total"]
    lines = [
        f"# {total['kills']} kills of {total['rounds']} searches",
        "",
        _ABOUT.format(date=record["date"][:10], machine=record["machine"], grace=f"{GRACE_S:g}", **total),
        "Kills: " + "; ".join(f"{how} {times}" for how, times in total["by_kind"].items()) + ".",
        "",
        "| search | kills | runs | trials | lost | doubled | changed | wrong | evaluations begun | ended twice "
        "| orphans | late ends | leftovers | noise | stops |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in rounds:
        cells = (
            f"{each.number} {each.where} {each.commit}", len(each.kills), each.runs, each.trials, each.lost,
            each.doubled, each.changed, each.wrong, each.begun, each.ended_twice, each.orphans, each.late_ends,
            len(each.leftovers), len(each.noise), stops(each),
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def stops(each: Round) -> str:
    """Say how a search ended each time that it was asked to stop."""
    asked = [kill for kill in each.kills if kill["how"] in ("group SIGTERM", "group SIGINT")]
    return ", ".join(f"{kill['how'].removeprefix('group ')} {kill['status']} {kill['took_s']:g} s" for kill in asked)


def main(arguments: Sequence[str] | None = None) -> None:
    """Play the rounds that the account lacks, and write what all of them say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--account", type=Path, required=True, help="a line per round that was played")
    parser.add_argument("--out", type=Path, help="folder for the result, once all are played")
    parser.add_argument(
        "--where", nargs="+", choices=("local", "cluster"), default=["local", "cluster"], help="in turns"
    )
    parser.add_argument("--earlier", type=Path, help="a result (JSON) whose rounds count, too")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--trials", type=int, default=16, help="of a local search; four times as many on a cluster")
    parser.add_argument("--kills", type=int, default=6, help="of each search, at most")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    if reason := why_not():
        parser.error(reason)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell: searches would ignore it, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    known = [Round(**record) for record in read_lines(args.account)]
    for number in sorted(set(range(args.rounds)) - {each.number for each in known}):
        where = args.where[number % len(args.where)]
        trials = args.trials * (4 if where == "cluster" else 1)  # they go on while a node joins
        known.append(play(number, where, trials, args.kills, args.seed + number))
        with args.account.open("a") as file:
            file.write(json.dumps(asdict(known[-1])) + "\n")
        print(json.dumps(asdict(known[-1])), flush=True)
    earlier = json.loads(args.earlier.read_text()) if args.earlier else {"rounds": []}
    played = [Round(**record) for record in earlier["rounds"]] + sorted(known, key=lambda each: each.number)
    rounds = [replace(each, number=number) for number, each in enumerate(played)]
    machine = f"{os.cpu_count()} shared cores, at a load of {os.getloadavg()[2]:.0f} at the end"
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "device": "namespaces", "provenance": provenance(),
        "machine": "; then ".join(filter(None, [earlier.get("machine"), machine])),
        "total": summary(rounds), "rounds": [asdict(each) for each in rounds],
    }  # fmt: skip
    print(json.dumps(record["total"]))
    if args.out:
        write(args.out, "kills", record, table(rounds, record))


if __name__ == "__main__":
    main()
