"""Processes that try operators, so that a crash or hang is detected and does not affect the others."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

PATIENCE = 300  # seconds for one operator
_SPAWN = multiprocessing.get_context("spawn")


@dataclass
class _Worker:
    """A process and its current operator."""

    options: dict[str, Any]
    connection: Connection = field(init=False)
    process: Any = field(init=False)
    name: str = ""
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.connection, other = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(other, self.options), daemon=True)
        self.process.start()
        other.close()

    def ask(self, name: str) -> None:
        self.name, self.deadline = name, time.monotonic() + PATIENCE
        self.connection.send(name)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def trials(names: Sequence[str], workers: int, **options: Any) -> Iterator[tuple[str, Any]]:
    """Yield each operator's name and its trial, or a string that describes how the process ended."""
    rest = iter(names)
    busy = [_Worker(options) for _ in range(workers)]
    idle, busy = busy, []
    while True:
        for worker in idle:
            name = next(rest, None)
            if name is None:
                worker.end()
            else:
                worker.ask(name)
                busy.append(worker)
        if not busy:
            return
        ready = wait([worker.connection for worker in busy], timeout=1)
        idle = [w for w in busy if w.connection in ready or time.monotonic() > w.deadline]
        busy = [w for w in busy if w not in idle]
        for i, worker in enumerate(idle):
            name, answer = worker.name, _answer(worker)
            if isinstance(answer, str):
                worker.end()
                idle[i] = _Worker(options)
            yield name, answer


def _answer(worker: _Worker) -> Any:
    if not worker.connection.poll():
        return f"hangs: no answer in {PATIENCE} s"
    try:
        return worker.connection.recv()
    except EOFError:
        worker.process.join()
        return f"crashes: the process ends with {worker.process.exitcode}"


def _serve(connection: Connection, options: dict[str, Any]) -> None:
    from opinfo import samples, trial

    trial.quiet()
    operators = samples.operators()
    while True:
        name = connection.recv()
        connection.send(trial.attempt(name, operators[name], **options))
