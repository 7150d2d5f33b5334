"""Decodes images in the processes of Ray: the side of Ray's process, and of its workers."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from nas.cluster.decoders import Has, own
from nas.cluster.protocol import Ask, RayFailed
from nas.data.chunks import DecodersFailed
from nas.data.decode import Decoding
from nas.data.making import Chunk, EncodedChunk, Form, any_size, make_chunk
from search_space.lookup import describe

_AHEAD = 2  # chunks for each CPU: one is decoded while another travels


def decode_there(ask: Ask, form: Form, how: Decoding, has: Has) -> None:
    """Decode what `ask` gives as `next` until that is nothing, and hand each over as `made`, in order.

    Args:
        has: of the process that has the data.
    Raises: ValueError as `make_chunk` does. DecodersFailed if a machine cannot read an image, or has another Pillow or
        toolkit. RayFailed if Ray fails.
    """
    task: Any = ray.remote(num_cpus=1)(_decode)
    plan = ray.put((form, how, has))
    ahead: deque[tuple[Any, str, str]] = deque()  # what comes, and which images they are
    encoded = ask("next")
    while ahead or encoded is not None:
        while encoded is not None and len(ahead) < _AHEAD * max(1, ray.cluster_resources().get("CPU", 0)):
            ahead.append((task.remote(plan, encoded), encoded.names[0], encoded.names[-1]))
            encoded = ask("next")
        coming, first, last = ahead.popleft()
        try:
            made = ray.get(coming)
        except RayError as error:
            cause = error.cause if isinstance(error, RayTaskError) else error
            if isinstance(cause, ValueError | DecodersFailed):
                raise cause from None
            raise RayFailed(f"{first} to {last}: {describe(cause)}") from None
        ask("made", made)


def _decode(plan: tuple[Form, Decoding, Has], encoded: EncodedChunk) -> Chunk:
    form, how, has = plan
    if has != (there := own()):
        raise DecodersFailed(
            f"{socket.gethostname()} has another Pillow (here {has[0]}, there {there[0]}) or another toolkit than this "
            "machine: pictures may differ; install the same"
        )
    try:
        with any_size():
            return make_chunk(form, how, encoded)
    except ValueError as error:
        if isinstance(error.__cause__, OSError):  # which would be lost on the way
            raise DecodersFailed(f"{socket.gethostname()}: {error}") from None
        raise
