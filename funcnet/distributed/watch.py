"""Detection of ranks that have failed or died, by heartbeats and messages in the store of the process group."""

import atexit
import threading
import time
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

_BEAT = 0.5  # seconds between two heartbeats
_SILENCE = 5.0  # seconds without a heartbeat after which a rank counts as dead


class PeerError(RuntimeError):
    """Another rank has failed or died."""


class Store(Protocol):
    """The part of torch.distributed.Store that is used here; no call of it waits for another rank."""

    def add(self, key: str, amount: int, /) -> int: ...
    def set(self, key: str, value: str, /) -> None: ...
    def get(self, key: str, /) -> bytes: ...
    def check(self, keys: list[str], /) -> bool: ...


class Watch:
    """A thread that sends the heartbeats of a rank and watches those of the others.

    Attributes:
        lost: The message about a rank that has failed or died; None as long as all are well.
    """

    def __init__(self, store: Store, rank: int, size: int) -> None:
        self.store, self.rank = store, rank
        self.others = [other for other in range(size) if other != rank]
        self.lost: str | None = None
        self._beats = {other: (-1, time.monotonic()) for other in self.others}
        self._lock, self._depth = threading.Lock(), 0
        self._is_interrupted = self._is_polling = self._is_ending = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="funcnet heartbeat")
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the thread, and tell the others that this rank has ended."""
        self._end.set()
        self._thread.join(2 * _BEAT)
        with suppress(RuntimeError):  # the process that held the store has ended before
            self.store.set(f"ended/{self.rank}", "ended")

    def check(self) -> None:
        """Raise if a rank has been lost."""
        if self.lost is not None:
            raise PeerError(f"distributed: {self.lost} Start all ranks again.")

    def check_interrupt(self) -> None:
        """Raise if a KeyboardInterrupt is due to a lost rank. At Ctrl-C, the others may report theirs before."""
        if self._is_interrupted:
            self.check()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Raise a PeerError if a lost rank causes an interrupt or error; tell the others of any other error."""
        self.check()
        self._depth += 1
        try:
            yield
        except PeerError:
            raise
        except BaseException as error:
            self._explain(error)
            raise
        finally:
            self._leave()

    @contextmanager
    def polling(self) -> Iterator[None]:
        """Let the thread not interrupt a wait, which calls `check` again and again."""
        self._is_polling = True
        try:
            yield
        finally:
            self._is_polling = False

    def _leave(self) -> None:
        try:
            with self._lock:  # from here on, the thread does not interrupt
                self._depth -= 1
            time.sleep(0.01 if self._is_interrupted else 0)
        except KeyboardInterrupt:
            self.check_interrupt()
            raise

    def _explain(self, error: BaseException) -> None:
        """Raise a PeerError if a lost rank is the cause of an error; else report the error to the others."""
        if isinstance(error, RuntimeError) and _is_of_connection(error):
            end = time.monotonic() + _SILENCE + 2 * _BEAT
            with self.polling():
                while self.lost is None and time.monotonic() < end:
                    time.sleep(_BEAT / 5)
        if isinstance(error, KeyboardInterrupt):
            self.check_interrupt()
        else:
            self.check()
        with self._lock:
            self._is_ending = True  # by an error of its own: that of another rank does not interrupt it any more
        self.store.set(f"failed/{self.rank}", f"{type(error).__name__}: {error}")

    def _run(self) -> None:
        while not self._end.wait(_BEAT):
            try:
                self.store.add(f"beat/{self.rank}", 1)
                lost = next(filter(None, map(self._state, self.others)), None)
            except RuntimeError:
                lost = "the rank that holds the store, rank 0, has died."
            if lost is not None:
                self._lose(lost)
                return

    def _state(self, other: int) -> str | None:
        """Return the message about another rank that is lost."""
        if self.store.check([f"failed/{other}"]):
            return f"rank {other} has failed: {self.store.get(f'failed/{other}').decode()}."
        beat, (known, since) = self.store.add(f"beat/{other}", 0), self._beats[other]
        if beat != known:
            self._beats[other] = beat, time.monotonic()
        elif time.monotonic() - since > _SILENCE:
            has_ended = self.store.check([f"ended/{other}"])
            return f"rank {other} has {'ended' if has_ended else f'died: it is silent for {_SILENCE:.0f} s'}."
        return None

    def _lose(self, message: str) -> None:
        with self._lock:
            self.lost = message
            if self._depth and not self._is_polling and not self._is_ending:
                self._is_interrupted = True
                interrupt_main()


def _is_of_connection(error: RuntimeError) -> bool:
    text = str(error).lower()
    return any(word in text for word in ("gloo", "nccl", "connection", "socket", "peer", "broken pipe"))
