"""One entry of the cache: built by one process at a time, gone on with after a kill, left whole or not at all."""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from nas.data.arrays import Storage, planned, save_info, write_images
from nas.data.chunks import Decoders, DecodersFailed
from nas.data.settings import DataSettings
from nas.data.source import read_source
from nas.data.sources.records import Source
from nas.data.splits import split_train
from nas.data.storage import chosen
from nas.file_lock import exclusive

logger = logging.getLogger(__name__)
KEPT_S = 7 * 24 * 3600.0  # that what a killed process left is kept for one that goes on


def build(
    settings: DataSettings,
    image_size: int,
    frame_size: int | None,
    folders: Mapping[Storage, Path],
    progress: bool,
    decoders: Decoders | None = None,
) -> Path:
    """Keep the images in one of the folders, and give it; the lock of the first is held."""
    first = next(iter(folders.values()))
    _remove_leftovers(first.parent)
    scratch = first.with_suffix(".scratch")
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
    scratch.mkdir()
    try:
        source = read_source(settings, scratch, progress)
        split_train(source.train.labels, settings.minival, settings.subset, settings.seed)  # what cannot be split
        storage = _storage(source, settings, image_size, frame_size, folders)
        folder = folders[storage]
        if folder == first:
            _write(source, settings, image_size, frame_size, storage, folder, progress, decoders)
        else:
            with alone(folder):  # of who asks for this way of keeping them
                if not folder.is_dir():
                    _write(source, settings, image_size, frame_size, storage, folder, progress, decoders)
        return folder
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _storage(
    source: Source,
    settings: DataSettings,
    image_size: int,
    frame_size: int | None,
    folders: Mapping[Storage, Path],
) -> Storage:
    """Say how images are kept: as the settings say, as a process began that was killed, or as suits size and room."""
    if settings.storage != "auto":
        return settings.storage
    if began := [name for name, folder in folders.items() if folder.with_suffix(".part").is_dir()]:
        return began[0]
    plan = planned(source, settings, image_size, frame_size)
    storage, why = chosen(plan.array_bytes, shutil.disk_usage(settings.cache).free)
    if storage != "arrays":
        logger.info("images are kept as JPEGs: %s", why)
    return storage


def _write(
    source: Source,
    settings: DataSettings,
    image_size: int,
    frame_size: int | None,
    storage: Storage,
    folder: Path,
    progress: bool,
    decoders: Decoders | None,
) -> None:
    work = folder.with_suffix(".part")
    work.mkdir(exist_ok=True)  # it may be there, of a process that was killed
    try:
        logger.info("decoding %s images into %s", settings.source, folder)
        info = write_images(source, settings, image_size, work, progress, frame_size, storage, decoders)
        save_info(info, work)
        work.rename(folder)
    except Exception as error:  # what Ctrl-C, a disk or a network ends goes on the next time
        if not _may_pass(error) or not any(work.glob("*_chunks/*")):  # nothing to go on with
            shutil.rmtree(work, ignore_errors=True)
        raise


def _may_pass(error: Exception) -> bool:
    """Whether an error is of the system, and it may do better the next time; a full disk must not be left so."""
    if isinstance(error, DecodersFailed):
        return True
    of_system = next((each for each in (error, error.__cause__) if isinstance(each, OSError)), None)
    return of_system is not None and of_system.errno not in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def alone(folder: Path, say: Callable[[str], None] = logger.info) -> Iterator[None]:
    """Hold the lock of one cache entry; the operating system frees it when its holder dies."""
    lock = folder.with_suffix(".lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(lock))
        except BlockingIOError:
            say("another process is decoding these images: waiting for it")
            stack.enter_context(exclusive(lock, wait=True))
        yield


def _remove_leftovers(root: Path) -> None:
    """Remove what killed processes left of other entries, if it was left long ago: it could be gone on with."""
    for work in (*root.glob("*.part"), *root.glob("*.scratch")):
        with suppress(OSError), exclusive(work.with_suffix(".lock")):  # OSError: somebody is at it, or it is gone
            latest = max(entry.stat().st_mtime for entry in (work, *work.iterdir()))
            if work.suffix == ".scratch" or time.time() - latest > KEPT_S:
                shutil.rmtree(work, ignore_errors=True)
