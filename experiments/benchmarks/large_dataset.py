"""A data set of ImageNet's size from JPEGs: prepared, killed, prepared on, searched and trained for an epoch.

    python -m experiments.benchmarks.large_dataset FOLDER --images 100000 --out experiments/results     # an hour

FOLDER gets the made-up images (see made_up_imagenet.py), the cache and the runs; what is there is not made again, so
without its `cache` and `runs` all is measured anew. The commands are those of a user; what each of them and its
processes hold in memory is read every half second. What all hold together leaves out the pages of files that are
mapped, for the system takes them back when it needs the room; the resident size of the largest has them.
The architectures are tiny: what is measured is the way of the data.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from experiments.benchmarks.large_logs import device_name
from experiments.benchmarks.results import write
from nas.cpus import available_cpus
from nas.data.stores import CHUNK
from search_space import yaml_text

EVERY_S = 0.5


class Watched(NamedTuple):
    """A command that has ended."""

    seconds: float
    cpu_s: float  # of its processes that were waited for: not of those that Ray starts
    peak_mb: float  # memory without files' pages, of all its processes together
    resident_mb: dict[str, float]  # the peak of each process, files' pages included
    status: int  # of its exit; negative: the signal that ended it


def watched(command: list[str], log: Path, stop: Callable[[], bool] = lambda: False) -> Watched:
    """Run a command to its end, or kill it (SIGKILL) as soon as `stop` says so."""
    began, before, peak, resident = time.monotonic(), cpu_seconds(), 0.0, dict[str, float]()
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        while process.poll() is None:
            held = {pid: memory_mb(pid) for pid in tree(process.pid)}
            peak = max(peak, sum(anonymous for anonymous, _ in held.values()))
            for pid, (_, size) in held.items():
                resident[f"{pid} {name(pid)}"] = max(size, resident.get(f"{pid} {name(pid)}", 0.0))
            if stop():
                process.send_signal(signal.SIGKILL)
            time.sleep(EVERY_S)
    return Watched(time.monotonic() - began, cpu_seconds() - before, peak, resident, process.returncode)


def cpu_seconds() -> float:
    """CPU seconds of the children that have ended and were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def name(pid: int) -> str:
    """Give what the system calls a process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ended"


def tree(pid: int) -> Iterator[int]:
    """Give a process and all that it, and its children, started."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended
                continue
    found = [pid]
    for each in found:
        yield each
        found += [child for child, parent in parents.items() if parent == each]


def memory_mb(pid: int) -> tuple[float, float]:
    """Megabytes that no file holds, a shared page in parts, and resident ones; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0.0, 0.0
    held = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return held.get("Pss_Anon", 0.0) + held.get("Pss_Shmem", 0.0), held.get("Rss", 0.0)


def configuration(folder: Path, images: int, image_size: int) -> Path:
    """Write the configurations of a search, a few trials on 5,000 of the images, and of a training on all."""
    path = folder / "search.yaml"
    record = {
        "space": {
            "stem_channels": 8,
            "stem_stride": 2,
            "stages": [
                {
                    "op": ["mbconv", "fused_mbconv"],
                    "layers": [1, 2],
                    "kernel_size": [3],
                    "expansion": [1, 2],
                    "channels": [channels],
                    "stride": [2],
                    "se_ratio": [0.0],
                }
                for channels in (8, 16, 32)
            ],
            "head_channels": 64,
            "image_size": image_size,
        },
        "image_size": image_size,
        "data": {
            "source": "folder",
            "path": str(folder / "images" / "train"),
            "test_path": str(folder / "images" / "val"),
            "storage": "jpeg",
            "minival": 0.02,
            "subset": min(5000, images // 4),
            "cache_dir": str(folder / "cache"),
        },
        "augment": {"crop": "resized", "flip": True},
        "training": {"epochs": 1, "batch_size": 128, "learning_rate": 0.1},
        "algorithm": "random",
        "search": {"trials": 4, "workers": 2},
        "device": "cpu",
    }
    path.write_text(yaml_text.dump(record))
    train = {key: record[key] for key in ("data", "augment", "training", "image_size", "device")}
    train["data"] = {key: value for key, value in record["data"].items() if key != "subset"}  # type: ignore[attr-defined]
    (folder / "train.yaml").write_text(yaml_text.dump(train | {"eval_image_size": image_size}))
    return path


def chunks(cache: Path) -> int:
    """Count the chunks that a preparation has kept."""
    return len([*cache.glob("*/*_chunks/*"), *cache.glob(".*/*_chunks/*")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--image-size", type=int, default=64, help="of the search and the training")
    parser.add_argument("--out", type=Path, help="folder for the results; default: print only")
    given = parser.parse_args()
    folder, began = given.folder.absolute(), datetime.now(UTC).isoformat(timespec="seconds")
    folder.mkdir(parents=True, exist_ok=True)
    config, nas = configuration(folder, given.images, given.image_size), [sys.executable, "-m", "nas.cli"]
    made_up = [sys.executable, "-m", "experiments.benchmarks.made_up_imagenet", str(folder / "images")]
    subprocess.run([*made_up, "--images", str(given.images)], check=True)
    found = {}
    cache, half = folder / "cache", given.images // 2 // CHUNK
    prepare = [*nas, "data", "prepare", str(config)]
    found["prepare, killed"] = watched(prepare, folder / "killed.log", lambda: chunks(cache) >= half)
    kept = chunks(cache)
    found["prepare, gone on with"] = watched(prepare, folder / "prepare.log")
    found["search, 4 trials of an epoch"] = watched(
        [*nas, "search", str(config), "--out", str(folder / "runs" / "search")], folder / "search.log"
    )
    train = [*nas, "train", str(folder / "runs" / "search"), str(folder / "train.yaml")]
    found["train, an epoch"] = watched([*train, "--out", str(folder / "runs" / "train")], folder / "train.log")
    text = table(began, given.images, given.image_size, kept, found, folder)
    print(text)
    if given.out:
        steps = {name: each._asdict() for name, each in found.items()}
        record = {"date": began, "device": device_name(), "images": given.images, "chunks_kept": kept, "steps": steps}
        write(given.out, "large-dataset", record, text)


def table(began: str, images: int, image_size: int, kept: int, found: dict[str, Watched], folder: Path) -> str:
    """Write up what was measured, as markdown."""
    disk = sum(file.stat().st_size for file in (folder / "cache").rglob("*") if file.is_file())
    rows = [
        f"| {step} | {each.seconds:.0f} | {each.cpu_s:.0f} | {each.peak_mb:.0f} | "
        f"{max(each.resident_mb.values()):.0f} | {each.status} |"
        for step, each in found.items()
    ]
    return "\n".join(
        [
            f"# {images:,} JPEGs of ImageNet's sizes, {device_name()}, {began[:10]}",
            "",
            f"`python -m experiments.benchmarks.large_dataset FOLDER --images {images} --image-size {image_size}`, "
            f"{available_cpus()} CPUs. Memory: the peak of what all processes of the command hold together, without "
            f"pages of files; the largest process with them. Load when it ended: {os.getloadavg()[2]:.0f}.",
            "",
            "| step | seconds | CPU seconds, without Ray's | peak MB, all | peak MB, largest process | exit status |",
            "|---|--:|--:|--:|--:|--:|",
            *rows,
            "",
            f"When the preparation was killed, {kept} chunks of {CHUNK} images had been kept; the second call made "
            f"only the others. The cache takes {disk / 1e9:.1f} GB.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
