"""Preparing survives what happens on a cluster: many processes at once, and kill -9 at any moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from nas.data.prepare import load_split, prepare
from nas.data.settings import DataSettings

EACH = 400  # photographs of a class
PREPARE = """
import logging, sys, time
from pathlib import Path
from nas.data.prepare import prepare
from nas.data.settings import DataSettings
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
go = Path(sys.argv[3])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.005)
settings = DataSettings("folder", sys.argv[1], cache_dir=sys.argv[2], storage=sys.argv[5])
print(prepare(settings, int(sys.argv[4])).fingerprint, flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of photographs, enough of them to take a second or so."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for label in ("a", "b", "c"):
        (root / label).mkdir()
        photograph = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).resize((800, 800))
        photograph.save(root / label / "0.jpg")
        for i in range(1, EACH):
            (root / label / f"{i}.jpg").hardlink_to(root / label / "0.jpg")
    return root


@contextmanager
def preparing(
    n: int, folder: Path, cache: Path, size: int = 32, storage: str = "auto"
) -> Iterator[list[subprocess.Popen[str]]]:
    """`n` processes that prepare at the same moment."""
    go = cache.with_suffix(".go")
    command = [sys.executable, "-c", PREPARE, str(folder), str(cache), str(go), str(size), storage]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(n)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        go.touch()
        yield processes
    finally:
        go.unlink(missing_ok=True)
        for process in processes:
            process.kill()
            process.communicate()


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.002)


def wait_until_decoding(cache: Path, image: int = 0) -> None:
    """Wait until that image of the first chunk is decoded; many more are not yet."""

    def decoded() -> bool:
        try:
            return any(np.load(file, mmap_mode="r")[image].any() for file in cache.glob("*.part/train_images.npy"))
        except (OSError, ValueError, EOFError):  # not yet as large as it will be
            return False

    wait_until(decoded)


def check(folder: Path, cache: Path, size: int = 32) -> None:
    """What is in the cache is whole and right, and nothing else is there."""
    prepared = prepare(DataSettings("folder", str(folder), cache_dir=str(cache)), size)
    split = load_split(prepared, "train")
    assert split.images.shape == (3 * EACH, size, size, 3)
    for first in (0, EACH, 2 * EACH):
        assert (split.images[first : first + EACH] == split.images[first]).all()
        assert split.images[first].std() > 10
    assert not list(cache.glob("*.part"))


def test_processes_at_once_decode_once(folder: Path, tmp_path: Path) -> None:
    """Of three processes one decodes, the others wait, and all three get the same data."""
    with preparing(3, folder, tmp_path / "cache") as processes:
        said = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum("decoding folder images" in line for lines in said for line in lines) == 1
    assert len({lines[-1] for lines in said}) == 1
    check(folder, tmp_path / "cache")


@pytest.mark.parametrize("image", [0, 50, 150])
def test_killed_half_way(folder: Path, tmp_path: Path, image: int) -> None:
    """kill -9 while decoding leaves nothing that is taken for whole; the next process goes on and cleans up."""
    cache = tmp_path / "cache"
    with preparing(1, folder, cache) as (process,):
        wait_until_decoding(cache, image)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(cache.glob("*.part")), "killed too late to prove anything"
    check(folder, cache)


@pytest.mark.parametrize("storage", ["arrays", "jpeg"])
def test_goes_on_after_kill(
    folder: Path, tmp_path: Path, storage: Literal["arrays", "jpeg"], caplog: pytest.LogCaptureFixture
) -> None:
    """What was done before a kill -9 is not done again, unless it is damaged; the data are those made in one go."""
    caplog.set_level("INFO")
    cache = tmp_path / "cache"
    settings = DataSettings("folder", str(folder), cache_dir=str(cache), storage=storage)
    whole = prepare(replace(settings, cache_dir=str(tmp_path / "whole")), 32)
    with preparing(1, folder, cache, storage=storage) as (process,):
        wait_until(lambda: list(cache.glob("*.part/train_chunks/256.npz")))
        process.send_signal(signal.SIGKILL)
        process.wait()
    (part,) = cache.glob("*.part")
    done = sorted(int(file.stem) for file in part.glob("train_chunks/*.npz") if file.stem.isdigit())
    (file,) = (file for file in part.glob("train_images.*") if file.suffix in (".npy", ".jpegs"))
    second = 128 + 300 * 32 * 32 * 3 if storage == "arrays" else _length(part, 0) + _length(part, 256) // 2
    with file.open("r+b") as damaged:
        damaged.seek(second)
        damaged.write(b"damaged")
    prepared = prepare(settings, 32)
    kept = [number for number in done if number != 256] if storage == "arrays" else [0]
    assert f"decoding train: {sum(min(256, 3 * EACH - n) for n in kept)} images are there already" in caplog.text
    assert prepared.fingerprint == whole.fingerprint
    for name in ("train_labels.npy", "train_hashes.npy", "train_aspects.npy", file.name):
        assert (Path(prepared.folder) / name).read_bytes() == (Path(whole.folder) / name).read_bytes()
    assert not list(cache.glob("*.part")) + list(cache.glob("*/*_chunks"))


def _length(part: Path, number: int) -> int:
    with np.load(part / f"train_chunks/{number}.npz") as chunk:
        return int(chunk["index"]["length"].sum())


def test_waiting_process_takes_over_from_a_killed_one(folder: Path, tmp_path: Path) -> None:
    """When the process that decodes dies, one that waited for it decodes, without being told."""
    cache = tmp_path / "cache"
    with preparing(2, folder, cache) as processes:
        said = {process.stdout.readline().split()[0]: process for process in processes if process.stdout}
        assert set(said) == {"decoding", "another"}
        wait_until_decoding(cache)
        said["decoding"].send_signal(signal.SIGKILL)
        rest, _ = said["another"].communicate(timeout=120)
    assert said["another"].returncode == 0
    assert "decoding folder images" in rest
    check(folder, cache)


def test_leftovers_of_other_entries_go_but_not_those_in_work(folder: Path, tmp_path: Path) -> None:
    """Decoding another size removes what was left half-done a week ago; not what could go on, or a live one's."""
    cache = tmp_path / "cache"
    with preparing(1, folder, cache) as (process,):
        wait_until_decoding(cache)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (left,) = cache.glob("*.part")
    with preparing(1, folder, cache, 24) as (live,):
        wait_until(lambda: [part for part in cache.glob("*.part") if part != left])
        prepare(DataSettings("folder", str(folder), cache_dir=str(cache)), 8)
        assert left.exists()
        for entry in (left, *left.iterdir()):
            os.utime(entry, (0, time.time() - 8 * 24 * 3600))
        check_other = prepare(DataSettings("folder", str(folder), cache_dir=str(cache)), 16)
        assert not left.exists()
        live.communicate(timeout=120)
        assert live.returncode == 0
    assert load_split(check_other, "train").images.shape[1] == 16
    check(folder, cache, 24)
