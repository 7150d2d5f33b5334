"""Images decoded by Ray's processes are those that threads decode, whatever dies meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.cluster import decoders
from nas.cluster.decoders import RayDecoders
from nas.data.chunks import DecodersFailed
from nas.data.making import read_chunk
from nas.data.prepare import found, prepare
from nas.data.settings import READERS, DataSettings
from nas.data.source import read_source
from nas.data.sources.records import Images, Source
from tests.processes import descendants

EACH = 320  # photographs of a class: three chunks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of photographs, a broken one and some of 16 bits among them."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (root / label).mkdir()
        for i in range(EACH):
            small = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
            small.resize((150 + i % 9, 140)).save(root / label / f"{i:03}.jpg")
    (root / "b" / "100.jpg").write_bytes(b"\xff\xd8 no picture")
    wide = rng.integers(0, 4096, (90, 80), np.uint16)
    for i in range(5):
        Image.fromarray(wide + np.uint16(i)).save(root / "a" / f"wide{i}.png")
    return root


@pytest.mark.parametrize("storage", ["arrays", "jpeg"])
def test_processes_make_what_threads_make(ray, folder, tmp_path, storage):
    """Byte by byte: also where images of 16 bits are read twice, and one is left out."""
    settings = DataSettings("folder", str(folder), storage=storage, unreadable="leave_out", channels=3,
                            value_range=(0, 4095) if storage == "jpeg" else None)  # fmt: skip
    one = prepare(replace(settings, cache_dir=str(tmp_path / "threads")), 32, frame_size=64)
    other = prepare(
        replace(settings, cache_dir=str(tmp_path / "processes")), 32, frame_size=64, decoders=RayDecoders(ray)
    )
    assert other.fingerprint == one.fingerprint
    assert found(other) == found(one)
    assert "b/100.jpg" in found(one).left_out[0]
    files = sorted(file.name for file in Path(one.folder).iterdir() if file.suffix in (".npy", ".jpegs"))
    assert f"train_images.{'npy' if storage == 'arrays' else 'jpegs'}" in files
    for name in files:
        assert (Path(other.folder) / name).read_bytes() == (Path(one.folder) / name).read_bytes(), name


def test_what_cannot_be_read_is_named(ray, folder, tmp_path):
    """As by threads, and Ray is left as it was."""
    settings = DataSettings("folder", str(folder), cache_dir=str(tmp_path), channels=3)
    with pytest.raises(ValueError, match=r"cannot read .*b/100.jpg: no image of a kind that Pillow reads .*leave_out"):
        prepare(settings, 32, decoders=RayDecoders(ray))
    settings = replace(settings, unreadable="leave_out", minival=4)
    assert prepare(settings, 32, decoders=RayDecoders(ray)).train == 2 * EACH


def test_a_machine_that_cannot_read_leaves_nothing_out(ray, folder, tmp_path, monkeypatch):
    """It makes no other data set, and loses nothing; nor does one with another Pillow, whose pictures may differ."""

    class Reader:
        def identity(self, settings):
            return {"a folder": "where an image should be"}

        def read(self, settings, scratch, progress):
            files = [*sorted((folder / "a").glob("*.jpg"))[:299], folder]
            return Source(2, None, Images(np.arange(300) % 2, lambda start, stop: files[start:stop], str), None)

    monkeypatch.setitem(READERS, "mine", Reader())
    settings = DataSettings("mine", cache_dir=str(tmp_path), unreadable="leave_out")
    with pytest.raises(DecodersFailed, match=rf"{socket.gethostname()}: cannot read 299: .*Is a directory"):
        prepare(settings, 32, decoders=RayDecoders(ray))
    assert [file.name for file in tmp_path.glob("*.part/train_chunks/*")] == ["0.npz"]
    monkeypatch.setattr(decoders, "own", lambda: ("0.9", None))
    with pytest.raises(DecodersFailed, match=rf"{socket.gethostname()} has another Pillow \(here 0.9, there "):
        prepare(settings, 32, decoders=RayDecoders(ray))
    assert [file.name for file in tmp_path.glob("*.part/train_chunks/*")] == ["0.npz"]


def test_files_are_read_for_nodes_that_do_not_see_them(folder, tmp_path):
    """The content goes to them; a file that is gone by then is told where the image is decoded."""
    source = read_source(DataSettings("folder", str(folder)), tmp_path, progress=False)
    assert read_chunk(source.train, 0).images[0] == folder / "a" / "000.jpg"
    chunk = read_chunk(source.train, 256, files=True)
    assert chunk.images[0] == (folder / "a" / "256.jpg").read_bytes()
    (folder / "a" / "000.jpg").rename(folder / "gone.jpg")
    try:
        assert isinstance(read_chunk(source.train, 0, files=True).images[0], FileNotFoundError)
    finally:
        (folder / "gone.jpg").rename(folder / "a" / "000.jpg")


@pytest.fixture
def slow(tmp_path):
    """A data set that takes some seconds, and the configuration of a search on it."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        first = tmp_path / "images" / label / "0.jpg"
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).resize((800, 800)).save(first)
        for i in range(1, 1000):
            first.with_name(f"{i}.jpg").hardlink_to(first)
    config = tmp_path / "config.yaml"
    config.write_text(
        "space: {name: small, image_size: 32}\nimage_size: 32\n"
        f"data: {{source: folder, path: {tmp_path}/images, cache_dir: {tmp_path}/cache, minival: 100}}\n"
    )
    return config


def start(config):
    command = [sys.executable, "-m", "nas.cli", "data", "prepare", str(config), "--processes"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until_half_way(config):
    end = time.monotonic() + 60
    while not list((config.parent / "cache").glob("*.part/train_chunks/256.npz")):
        assert time.monotonic() < end, "no chunk was decoded in a minute"
        time.sleep(0.01)


def test_a_killed_command_leaves_nothing_behind_and_is_gone_on_with(slow, tmp_path):
    """kill -9: no process stays, and what was decoded is kept."""
    process = start(slow)
    until_half_way(slow)
    started = descendants(process.pid)
    assert len(started) > 3
    process.kill()
    process.communicate()
    end = time.monotonic() + 20
    while alive := [pid for pid in started if command_line(pid)]:
        assert time.monotonic() < end, alive
        time.sleep(0.1)
    again = start(slow)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    settings = DataSettings("folder", str(tmp_path / "images"), cache_dir=str(tmp_path / "other"), minival=100)
    assert f"fingerprint  {prepare(settings, 32).fingerprint}" in " ".join(output.split(" ")), output


def command_line(pid):
    """Empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_worker_that_dies_costs_no_image(slow, tmp_path):
    """Its chunk is decoded by another."""
    process = start(slow)
    until_half_way(slow)
    workers = []
    while not workers:
        assert process.poll() is None
        workers = [pid for pid in descendants(process.pid) if b"ray::_decode" in command_line(pid)]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "train 1,900, minival 100" in output


def test_ray_that_fails_is_one_line_and_nothing_is_lost(slow, tmp_path):
    """The line says that the same command goes on."""
    process = start(slow)
    until_half_way(slow)
    (driver,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(driver), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert output.splitlines()[-1].startswith("nas: Ray's process ended by SIGKILL")
    assert "what was decoded is kept: the same command goes on" in output
    assert list((tmp_path / "cache").glob("*.part/train_chunks/0.npz"))


def test_a_cluster_that_is_not_there_leaves_nothing(slow, tmp_path):
    """Room for all images is taken before the first is decoded."""
    command = [sys.executable, "-m", "nas.cli", "data", "prepare", str(slow), "--address", "127.0.0.1:1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert "no Ray cluster at 127.0.0.1:1" in ended.stderr
    assert not list((tmp_path / "cache").glob("*.part"))
