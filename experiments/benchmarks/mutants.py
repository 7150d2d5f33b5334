r"""How many small faults the tests notice: a drawn sample of mutants of the search's own code, by mutmut.

    pip install "training-aware-nas[mutants]"
    nice python -m experiments.benchmarks.mutants --sample 150 --seed 0 --out build/mutants

mutmut changes an operator, a number, an argument or an assignment of one function, and runs those tests of the part
that run this function: it learns which they are once. Drawn from are all mutants of the functions of PARTS, but for the
text of messages; the tests are the part's own, less UNUSED. The same call goes on after an interruption, and with a
larger sample keeps what is known: a sample's first mutants are those of a smaller one of the same seed. The code is
that of the call that began the folder; the tests are those of the call.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from mutmut.stats import status_by_exit_code

PARTS = {"nas/algorithms": "tests/nas/algorithms", "rewards": "tests/rewards", "nas/search": "tests/nas/search"}
# Tests that do not count: what holds every proposal of an old log notices any change, whatever it means; the others
# take minutes for each mutant.
UNUSED = ("test_golden.py", "test_exam.py", "test_kill.py", "test_broken.py", "test_prune.py")
COPIED = ("search_space", "rewards", "scaling", "nas", "experiments", "tests")
KILLED = ("killed", "timeout", "segfault")
# Lines that only word a message: no test should hold them to the letter.
WORDS = [
    r"^\s*raise \w+\(",
    r"\blogger\.",
    r"warnings\.warn\(",
    r'^\s*f?"[^"]*"$',
    r'^\s*error = f?"',
    r'^\s*return f?"',
]
SETTINGS = """
[tool.mutmut]
source_paths = ["search_space", "rewards", "scaling", "nas", "experiments"]
only_mutate = ["{part}/*.py"]
do_not_mutate = ["*/__init__.py"]
do_not_mutate_patterns = {words}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:cacheprovider"]
process_isolation = "forkserver"  # processes that ran torch or Ray do not fork well
timeout_multiplier = 5.0
timeout_constant = 20.0
"""


def prepare(part: str, work: Path) -> None:
    """Copy the code and its tests to `work`, have the part's mutants made there, and what runs what be learned."""
    if (work / "ready").exists():
        for folder in (work, work / "mutants"):
            shutil.copytree("tests", folder / "tests", dirs_exist_ok=True)
        return
    shutil.rmtree(work, ignore_errors=True)
    for name in COPIED:
        shutil.copytree(name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    words = "[" + ", ".join(f"'{pattern}'" for pattern in WORDS) + "]"
    tests = [PARTS[part], *(f"--ignore={PARTS[part]}/{file}" for file in UNUSED)]
    settings = SETTINGS.format(part=part, tests=json.dumps(tests), words=words)
    (work / "pyproject.toml").write_text(Path("pyproject.toml").read_text() + settings)
    (work / "mutants").mkdir()  # of a folder that comes later Python remembers that it is not there
    # No mutant has this name: mutmut makes all, runs the tests once, and finds that nothing is left to do.
    output = mutmut(work, "run", "--max-children", "1", "none")
    if "nothing matches" not in output:
        raise RuntimeError(f"mutmut could not begin in {work}:\n{output}")
    (work / "ready").touch()


def mutmut(work: Path, *arguments: str) -> str:
    """Run a command of mutmut's in `work`; processes that tests start find the mutants, too. Gives what it prints."""
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(path) != Path.cwd()]
    path = os.pathsep.join([str((work / "mutants").resolve()), *filter(None, inherited)])
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", *arguments]
    done = subprocess.run(
        command, cwd=work, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def verdicts(work: Path) -> dict[str, str]:
    """What is known of every mutant: its name -> `killed`, `survived`, `not checked`, ..."""
    found: dict[str, str] = {}
    for file in sorted((work / "mutants").rglob("*.meta")):
        codes = json.loads(file.read_text())["exit_code_by_key"]
        found |= {name: status_by_exit_code[code] for name, code in codes.items()}
    return found


def main() -> None:
    """Draw, run what is not known yet, and write the account."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=150, help="mutants of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--again", action="store_true", help="run those that survived again, with the tests as they are now"
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="of PARTS, by commas")
    parser.add_argument("--out", type=Path, default=Path("build/mutants"))
    given = parser.parse_args()
    works = {part: given.out / part.replace("/", "-") for part in given.parts.split(",")}
    for part, work in works.items():
        print(f"{part}: copying, making mutants, learning what runs what", flush=True)
        prepare(part, work)
        known = verdicts(work)
        drawn = draw(known, given.sample, given.seed)
        unknown = ("not checked", *(("survived", "no tests") if given.again else ()))
        left = [name for name in drawn if known[name] in unknown]
        print(f"{part}: {len(drawn)} of {len(known)} mutants drawn, {len(left)} of these to run", flush=True)
        if left:
            mutmut(work, "run", "--max-children", "1", *left)
    account(given.out, works, given.sample, given.seed)


def draw(known: dict[str, str], sample: int, seed: int) -> list[str]:
    """Give the names of the mutants that are drawn."""
    names = sorted(known)
    return [names[i] for i in np.random.default_rng(seed).permutation(len(names))[:sample]]


def account(out: Path, works: dict[str, Path], sample: int, seed: int) -> None:
    """Print the shares and the survivors' changes, and write both to `mutants.json`."""
    record: dict[str, Any] = {"sample": sample, "seed": seed, "parts": {}}
    for part, work in works.items():
        known = verdicts(work)
        drawn = {name: known[name] for name in draw(known, sample, seed)}
        count = Counter(drawn.values())
        alive = {n: mutmut(work, "show", n) for n, v in drawn.items() if v not in (*KILLED, "not checked")}
        for change in alive.values():
            print(f"\n{change}")
        killed, run = sum(count[status] for status in KILLED), len(drawn) - count["not checked"]
        print(f"{part}: {killed} of {run} killed; {dict(count)}")
        record["parts"][part] = {"mutants": len(known), "verdicts": dict(count), "survivors": alive}
    (out / "mutants.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
