"""Errors of the operating system, for real, in every command: one line that names the file and the remedy, status 2.

Each fault is made by the system itself, in a mount namespace of its own: disks of a few kilobytes, read-only mounts,
permissions (root without the right to pass over them), limits. Commands of one fault share a process, to save time.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli import main
from nas.runs.log import read_lines

ROOT = Path(__file__).parents[3]
ARCH = "r1_k3_s1_e1_i8_o8_c1,r1_k3_s2_e2_i8_o16_se0.25"
CONFIG = """space: {{name: small, image_size: 8}}
image_size: 8
data: {{source: digits, minival: 0.2, subset: 256, cache_dir: {cache}}}
algorithm: {{name: random}}
training: {{epochs: 1, batch_size: 64}}
search: {{trials: 2, workers: 1}}
device: cpu
"""
RECIPE = """data: {{source: digits, minival: 0.2, subset: 256, cache_dir: {cache}}}
image_size: 8
training: {{epochs: 1, batch_size: 64}}
device: cpu
"""
RUNNER = """
import contextlib, io, json, sys, traceback
def outcome(arguments):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            from nas.cli import main
            status = main(arguments)
        except BaseException:
            status = 1
            traceback.print_exc()
    return status, said.getvalue()
print(json.dumps([outcome(each.split()) for each in sys.argv[1:]]))
"""
# `place` has the fault: what is written goes there, what is read lies there.
WRITING = (
    "trials run --out place/new/trials.csv",
    "trials run --out place/new/trials.jsonl",
    "report run --out place/new/report.html",
    f"scale {ARCH} --to m --image-size 32 --out place/new/family",
    "export trained --to json --out place/new/export",
    "export trained --to timm --out place/new/export",
    "export trained --to torchscript --out place/new/export",
    "replay run --algorithm random --seeds 1 --trials 3 --out place/new/replay",
    "data prepare cached.yaml",
    f"train {ARCH} recipe.yaml --out place/new/training",
)
READING = (
    "status place/run",
    "trials place/run",
    "best place/run",
    "pareto place/run",
    "report place/run",
    "replay place/run --algorithm random --seeds 1 --trials 3",
    "scale place/run --to m",
    "export place/run --to json",
    "export place/trained --to json",
    "profile place/run",
    f"train {ARCH} place/recipe.yaml",
    f"train {ARCH} recipe.yaml --from place/trained/last.pt --out never/training",
    "search place/search.yaml --dry-run",
    "search search.yaml --warm-start place/run --out never/run",
    "space size place/search.yaml",
    "space sample place/search.yaml",
    "data prepare place/search.yaml",
    "best run --plugin place.plugin",
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A run, a training and configurations, with their data decoded."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "place").mkdir()
    for name, text, cache in (
        ("search", CONFIG, "cache"),
        ("recipe", RECIPE, "cache"),
        ("cached", CONFIG, "place/cache"),
    ):
        (folder / f"{name}.yaml").write_text(text.format(cache=folder / cache))
    assert main(["train", ARCH, str(folder / "recipe.yaml"), "--out", str(folder / "trained")]) == 0
    return folder


@pytest.fixture
def folder(prepared, run):
    """The folder that commands are run in, with a fresh `place`."""
    place = prepared / "place"
    if place.is_symlink() or place.is_file():
        place.unlink()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if not (prepared / "run").exists():
        shutil.copytree(run, prepared / "run")
    for name in ("run", "trained"):
        shutil.copytree(prepared / name, place / name)
    for name in ("search.yaml", "recipe.yaml"):
        shutil.copy(prepared / name, place)
    (place / "plugin.py").write_text("")
    return prepared


# Where mounts are one's own, also of a user who is not root if the kernel lets it.
NAMESPACE = ("unshare", "--mount", *(["--map-root-user"] * (os.geteuid() != 0)))


def outcomes(folder, setup, commands):
    """Run commands in a process in which the shell made a fault before; give (command, status, what was said)."""
    script = f'{setup} exec "$@"'
    own = NAMESPACE if setup or os.geteuid() == 0 else ()  # as root of one's own permissions would hold no more
    done = subprocess.run(
        [*own, "sh", "-c", script, "sh", *RIGHTS[setup == ""], sys.executable, "-c", RUNNER, *commands],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"no faults can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return [(one, *each) for one, each in zip(commands, json.loads(done.stdout.splitlines()[-1]), strict=True)]


# Without these rights permissions hold for root as well.
RIGHTS = {
    True: ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else [],
    False: [],
}


def check(found, *words):
    for command, status, said in found:
        last = said.strip().splitlines()[-1] if said.strip() else ""
        assert status == 2, (command, status, said)
        assert "Traceback" not in said, (command, said)
        assert last.startswith("nas: "), (command, said)
        assert any(word in last for word in words), (command, last)


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ("mount -t tmpfs -o size=4k none place &&", ("No space left on device; make room", "GB free; make room")),
        ("mount --bind place place && mount -o remount,ro,bind place &&", ("place: Read-only file system; choose",)),
    ],
    ids=["full", "read-only"],
)
def test_what_cannot_be_written_is_one_line(folder, setup, words):
    """Disks that are full or read-only, half-way through a file too, in every command that writes."""
    for name in ("run", "trained"):
        shutil.rmtree(folder / "place" / name)
    search = ["search search.yaml --out place/new/run"] * ("tmpfs" not in setup)  # one start of Ray is enough
    check(outcomes(folder, setup, (*WRITING, *search)), *words, "place/new: Read-only", "place/cache: Read-only")


@pytest.mark.parametrize("kind", ["file", "no permission"])
def test_what_is_in_the_way_is_one_line(folder, kind):
    """A file, or a link to nothing, where a folder should be; a folder of somebody else's."""
    place = folder / "place"
    shutil.rmtree(place)
    if kind == "no permission":
        place.mkdir(mode=0o500)
    else:
        place.symlink_to("/nowhere/at/all")
        check(outcomes(folder, "", WRITING[:3]), "place: File exists; a file stands where a folder should")
        place.unlink()
        place.write_text("")
    check(outcomes(folder, "", WRITING), "a file stands where a folder should", "Permission denied; choose")


@pytest.mark.parametrize("kind", ["no permission", "folders", "links to nothing", "missing"])
def test_what_cannot_be_read_is_one_line(folder, kind):
    """Files without the right to read them, folders in their place, links to nothing, nothing: in every command."""
    words = {
        "no permission": ("Permission denied",),
        "folders": ("a folder stands where a file should", "Is a directory", "No module named", "no run folder"),
        "links to nothing": ("no", "cannot read"),
        "missing": ("no", "cannot read"),
    }[kind]
    for path in sorted((folder / "place").rglob("*")):
        if path.is_file():
            if kind == "no permission":
                path.chmod(0)
                continue
            path.unlink()
            if kind == "folders":
                path.mkdir()
            elif kind != "missing":
                path.symlink_to("/nowhere/at/all")
    check(outcomes(folder, "", READING), *words)
    assert not (folder / "never").exists(), "nothing is written"


def nas(folder, command, **variables):
    return subprocess.run(
        ["sh", "-c", f"exec 3>&1; {command.replace('nas ', f'{sys.executable} -m nas.cli ')}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("nas best run > /dev/full", 2, "nas: what is printed: No space left on device; make room, or choose"),
        ("nas trials run --format csv > /dev/full", 2, "nas: what is printed: No space left on device; make room"),
        ("(nas trials run --format json; echo $? >&3) | true", 0, ""),
        ("nas best run >&-", 0, ""),
        ("nas best nothing 2>/dev/full", 2, ""),
        ("HOME=/proc/none nas data prepare home.yaml", 2, "nas: the cache of decoded images: /proc/none: No such file"),
    ],
)
def test_streams_and_homes_that_cannot_be_written(folder, command, status, said):
    """Output to a full disk is a line, closed streams and readers that have enough are none; so is no home folder."""
    (folder / "home.yaml").write_text(
        (folder / "search.yaml").read_text().replace(f", cache_dir: {folder / 'cache'}", "")
    )
    done = nas(folder, command)
    assert (done.returncode, done.stderr[: len(said)]) == (status, said), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == bool(said)
    if "echo" in command:
        assert done.stdout.strip() == "141"


def test_a_training_goes_on_after_a_full_disk(folder):
    """A disk that fills up under a training ends it with a line that names the checkpoint; the same command goes on."""
    setup = "mount -t tmpfs -o size=SIZE none place && cp -r kept/. place/ && {{ {0} ; cp -r place/. kept/; exit; }};"
    (folder / "kept").mkdir(exist_ok=True)
    (folder / "long.yaml").write_text((folder / "recipe.yaml").read_text().replace("epochs: 1", "epochs: 3"))
    training = f"{sys.executable} -m nas.cli train {ARCH} long.yaml --out place/training"
    full = nas(folder, f"{' '.join(NAMESPACE)} sh -c '{setup.format(training).replace('SIZE', '100k')}'")
    if "unshare" in full.stderr or "mount:" in full.stderr:
        pytest.skip(f"no disk can be made here: {full.stderr.strip()}")
    assert ".pt.part: No space left on device; make room" in full.stderr.splitlines()[-1], full.stderr
    again = nas(folder, f"{' '.join(NAMESPACE)} sh -c '{setup.format(training).replace('SIZE', '9m')}'")
    assert "after 3 epochs" in again.stderr, again.stderr


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ("mount -t tmpfs -o size=100k none /mnt && export TMPDIR=/mnt &&", "/mnt has 0.1 MB free, Ray needs 10: make"),
        (
            "mount --bind /tmp /tmp && mount -o remount,ro,bind /tmp && export TMPDIR=/dev/shm/LONG &&",
            "too long a path",
        ),
    ],
    ids=["full", "too long"],
)
def test_a_folder_for_temporary_files_that_ray_cannot_use_is_one_line(folder, setup, said):
    """Ray itself would say nothing and wait, or abort; the line names the folder and says what to set."""
    long = Path("/dev/shm") / f"{os.getpid()}-too-long-a-path-for-sockets"
    long.mkdir()
    try:
        setup = setup.replace("LONG", long.name)
        check(outcomes(folder, setup, ["search search.yaml --out unmade/run"]), said)
    finally:
        long.rmdir()
    assert not (folder / "unmade").exists()


# The same command before and after room was made; Ray is started once for both, to save time.
TWICE = """
import shutil, subprocess, sys
from nas.cli import main
from nas.cluster.process import RayProcess
ray = RayProcess(None)
close, ray.close = ray.close, lambda: None
start = ray.start
ray.start = lambda: ray.running or start()
import nas.search.run
nas.search.run.RayProcess = lambda address: ray
for name in ("full", "again"):
    print("status", main(sys.argv[1:]), flush=True)
    shutil.copytree("place/new", "kept/" + name)
    subprocess.run(["mount", "-o", "remount,size=9m", "place"])
close()
""".replace("'", '"')


def test_a_search_whose_disk_fills_up_loses_nothing(folder):
    """It ends with a line that names the log; every line of the logs is whole, and the same command goes on."""
    (folder / "kept").mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(
        (folder / "search.yaml").read_text().replace("search: {", 'search: {evaluator: "tiny:evaluate", ')
    )
    (folder / "tiny.py").write_text(
        'def evaluate(architecture, seed, task, report):\n    return {"status": "ok", "accuracy": 0.5, "reward": 0.5}\n'
    )
    script = "mount -t tmpfs -o size=32k none place && exec "
    done = subprocess.run(
        [
            *NAMESPACE,
            "sh",
            "-c",
            f"{script} {sys.executable} -c '{TWICE}' search tiny.yaml --trials 30 --out place/new",
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:."},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no disk can be made here: {done.stderr.strip()}")
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status ")]
    assert statuses == ["status 2", "status 0"], done.stderr
    said = next(line for line in done.stderr.splitlines() if line.startswith("nas: "))
    assert said.startswith("nas: place/new/"), done.stderr
    assert ".jsonl: No space left on device; make room" in said
    before, after = (read_lines(folder / "kept" / name / "trials.jsonl") for name in ("full", "again"))
    assert 0 < len(before) < 30
    events = read_lines(folder / "kept" / "full" / "proposals.jsonl")
    assert {trial["trial_id"] for trial in before} <= {e["trial_id"] for e in events if e["event"] == "started"}
    assert after[: len(before)] == before
    assert sorted(trial["trial_id"] for trial in after) == list(range(30)), done.stderr
