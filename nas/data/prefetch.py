"""Items made ahead in background threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Made = TypeVar("Made")


def prefetched(items: Iterator[T], depth: int) -> Iterator[T]:
    """Yield `items`, up to `depth` of them made ahead; an error is raised where its item would have come."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        ahead = deque(pool.submit(next, items, end) for _ in range(depth))
        while (item := ahead.popleft().result()) is not end:
            ahead.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]


def mapped(pool: Executor, work: Callable[[T], Made], items: Iterable[T], depth: int) -> Iterator[Made]:
    """Yield what `work` makes of each item, in order; `depth` more are made ahead."""
    ahead: deque[Future[Made]] = deque()
    for item in items:
        ahead.append(pool.submit(work, item))
        if len(ahead) > depth:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()
