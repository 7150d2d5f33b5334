"""Decodes images in the processes of Ray: the side of Ray's process, and of its workers."""

from __future__ import annotations

import socket
from collections import deque
from functools import cache
from typing import Any

import ray
from PIL import __version__ as pillow
from ray.exceptions import RayError, RayTaskError

from nas.cluster.protocol import Ask, RayFailed
from nas.data.decode import Decoding
from nas.data.making import Chunk, EncodedChunk, Form, any_size, make_chunk
from nas.trials.installed import source_digest
from search_space.lookup import describe

Has = tuple[str, str | None]  # version of Pillow, digest of the toolkit
_AHEAD = 2  # chunks for each CPU: one is decoded while another travels


def decode_there(ask: Ask, form: Form, how: Decoding, has: Has) -> None:
    """Decode what `ask` gives as `next` until that is nothing, and hand each over as `made`, in order.

    Args:
        has: of the process that has the data.
    Raises: ValueError as `make_chunk` does, or if a node has another Pillow or toolkit. RayFailed if Ray fails.
    """
    task: Any = ray.remote(num_cpus=1)(_decode)
    plan = ray.put((form, how, has))
    ahead: deque[Any] = deque()
    encoded = ask("next")
    while ahead or encoded is not None:
        while encoded is not None and len(ahead) < _AHEAD * max(1, ray.cluster_resources().get("CPU", 0)):
            ahead.append(task.remote(plan, encoded))
            encoded = ask("next")
        try:
            made = ray.get(ahead.popleft())
        except RayTaskError as error:
            if isinstance(error.cause, ValueError):
                raise error.cause from None
            raise RayFailed(describe(error.cause or error)) from None
        except RayError as error:
            raise RayFailed(describe(error)) from None
        ask("made", made)


def _decode(plan: tuple[Form, Decoding, Has], encoded: EncodedChunk) -> Chunk:
    form, how, has = plan
    if has != _own():
        raise ValueError(
            f"{socket.gethostname()} has another Pillow (here {has[0]}, there {pillow}) or another toolkit than this "
            "machine: pictures may differ; install the same"
        )
    with any_size():
        return make_chunk(form, how, encoded)


@cache
def _own() -> Has:
    return pillow, source_digest("nas")
