"""Iteration in a thread, one item ahead."""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_WAIT = 0.1  # seconds between looks at the other thread


class _Ahead(Generic[Item]):
    """Takes the next item of a generator in a thread, while the caller uses the present one.

    The thread ends when the generator does, or after the item that it is at when the iteration is closed.
    """

    def __init__(self, items: Generator[Item, None, None]) -> None:
        self.items, self.closed = items, threading.Event()
        self.ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=1)
        self.thread = threading.Thread(target=self.work, name="funcnet prefetch", daemon=True)

    def __iter__(self) -> Iterator[Item]:
        while True:
            item, error = self.taken()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item

    def taken(self) -> tuple[Any, BaseException | None]:
        """Wait for an item; a wait without a timeout may miss an interrupt."""
        while True:
            try:
                return self.ready.get(timeout=_WAIT)
            except queue.Empty:
                continue

    def work(self) -> None:
        try:
            for item in self.items:
                if not self.put((item, None)):
                    return
            self.put((None, StopIteration()))
        except BaseException as error:  # raised again in the caller's thread
            self.put((None, error))
        finally:
            self.items.close()

    def put(self, item: tuple[Any, BaseException | None]) -> bool:
        """Hand an item over; return False if nobody takes it any more."""
        while not self.closed.is_set():
            try:
                self.ready.put(item, timeout=_WAIT)
            except queue.Full:
                continue
            return True
        return False


@contextmanager
def ahead(items: Generator[Item, None, None]) -> Iterator[Iterator[Item]]:
    """Iterate over a generator in a thread, which is one item ahead and ends with the block.

    If the generator is waiting at the end of the block, for instance for a network, its thread ends after that.
    """
    taken = _Ahead(items)
    taken.thread.start()
    try:
        yield iter(taken)
    finally:
        taken.closed.set()
        taken.thread.join(_WAIT)
