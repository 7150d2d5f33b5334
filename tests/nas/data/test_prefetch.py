"""Prefetching changes when items are made, never which, and hides no error."""

import threading
from collections.abc import Iterator

import pytest

from nas.data.prefetch import prefetched


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_same_items_in_order(count: int, depth: int) -> None:
    """Every item comes once and in order, however many are made ahead, None and falsy ones too."""
    items = [None, 0, "", 3][:count]
    assert list(prefetched(iter(items), depth)) == items


def test_items_are_made_ahead_elsewhere() -> None:
    """While the consumer holds the first item the next ones are made in another thread, but no more than asked."""
    made = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for i in range(10):
            made.append((i, threading.current_thread().name))
            if i == 2:
                second.set()
            yield i

    taken = prefetched(items(), 2)
    assert next(taken) == 0
    assert second.wait(30)
    assert [i for i, _ in made] == [0, 1, 2]
    assert all(name.startswith("prefetch") for _, name in made)
    assert list(taken) == list(range(1, 10))


def test_errors_come_where_their_item_would() -> None:
    """Items before a failure are delivered, then the failure itself."""

    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk gone")

    taken = prefetched(items(), 3)
    assert next(taken) == 1
    with pytest.raises(OSError, match="disk gone"):
        next(taken)


def test_leaving_early_ends_the_thread() -> None:
    """A consumer that stops in the middle of an epoch leaves no thread behind."""
    before = threading.active_count()
    taken = prefetched(iter(range(1000)), 2)
    assert next(taken) == 0
    taken.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
