"""Decodes images in the processes of Ray, on this machine or on all nodes of a cluster: the side of who has the data.

Source and cache are this process's alone: it reads what is encoded, and writes what was decoded. No node need see
either of them, so that none can find other images under the same names, and one that is lost costs a chunk's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

from PIL import __version__ as pillow

from nas.cluster.process import Answers, RayProcess
from nas.cluster.protocol import NoRay, RayFailed
from nas.data.chunks import DecodersFailed, Take
from nas.data.decode import Decoding
from nas.data.making import read_chunk
from nas.data.prefetch import mapped
from nas.data.sources.records import Images
from nas.data.stores import Store
from nas.trials.installed import source_digest

Has = tuple[str, str | None]  # version of Pillow, digest of the toolkit
_READERS = 8  # threads that read files: a network's answers are waited for side by side
_THERE = "nas.cluster.decoding:decode_there"


class RayDecoders:
    """See `nas.data.chunks.Decoders`.

    Args:
        ray: started when there is something to decode.
    """

    def __init__(self, ray: RayProcess) -> None:
        self.ray = ray

    def decode(self, images: Images, store: Store, starts: Sequence[int], how: Decoding, take: Take) -> None:
        """See `Decoders`; it is a fault of theirs if Ray cannot be had, or fails."""
        if not starts:
            return
        try:
            if not self.ray.running:
                self.ray.start()
            self._decode(images, store, starts, how, take)
        except (NoRay, RayFailed) as error:
            raise DecodersFailed(str(error)) from error

    def _decode(self, images: Images, store: Store, starts: Sequence[int], how: Decoding, take: Take) -> None:
        places = iter(starts)
        read = partial(read_chunk, images, files=self.ray.address is not None)
        with ThreadPoolExecutor(_READERS) as pool:
            reading = mapped(pool, read, starts, _READERS)
            answers: Answers = {
                "next": lambda: next(reading, None),
                "made": lambda chunk: take(next(places), chunk),
            }
            self.ray.call(_THERE, store.form, how, own(), answers=answers)


@cache
def own() -> Has:
    """Give what this process makes pictures with."""
    return pillow, source_digest("nas")
