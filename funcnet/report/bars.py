"""Progress bars in a terminal or a notebook."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import track as rich_track
from rich.text import Text

from funcnet.report import notebook
from funcnet.report.console import in_notebook, present_console

Item = TypeVar("Item")
Show = Callable[[int, int | None, str], None]

_INTERVAL = 0.1  # seconds between two pictures of a bar


def track(iterable: Iterable[Item], description: str = "", *, total: int | None = None) -> Iterator[Item]:
    """Yield the items of an iterable and show a progress bar, in a terminal below the other output, or in a notebook.

    Args:
        iterable: The items, such as `range(10_001)`.
        description: The text in front of the bar.
        total: The number of items, for an iterable without a length.
    Example:
        >>> sum(fn.report.track(range(10), "training"))
        45
    """
    if in_notebook():
        return _tracked(iterable, description, total)
    console = present_console()
    if not console.is_interactive:
        return iter(iterable)
    return iter(rich_track(iterable, escape(description), total=total, console=console))


def _tracked(iterable: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    """Yield the items and show a bar in a notebook."""
    total = len(iterable) if total is None and isinstance(iterable, Sized) else total
    shown = notebook.Bar(description, total)
    for done, item in enumerate(iterable):
        yield item
        shown(done + 1, total)
    shown.refresh()


@contextmanager
def progress(description: str = "") -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar while the block runs, and yield callback(done, total), which updates it.

    The bar has the steps per second and the remaining time. `fn.jit(f, progress=True)` shows one by itself.

    Args:
        description: The text in front of the bar. Outside a terminal or notebook, no bar is shown.
    Example:
        >>> with fn.report.progress("training") as callback:
        ...     run = fn.jit(lambda x: fn.scan(lambda c, _: (c + 1, None), x, length=100)[0], progress=callback)
        ...     run(torch.tensor(0))
        tensor(100)
    """
    with bar(description) as show:
        yield lambda done, total: None if show is None else show(done, total, "")


@contextmanager
def bar(description: str = "") -> Iterator[Show | None]:
    """Show a progress bar while the block runs, and yield show(done, total, text).

    Outside a terminal or notebook, yield None.

    Example:
        >>> with fn.report.bar("training") as show:
        ...     for step in range(3):
        ...         if show is not None:
        ...             show(step + 1, 3, "loss 0.1")
    """
    if in_notebook():
        shown = notebook.Bar(description, None)
        yield shown
        shown.refresh()
        return
    console = present_console()
    if not console.is_interactive:
        yield None
        return
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        _Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=console, auto_refresh=False) as drawn:
        yield _Shown(drawn, escape(description))


class _Shown:
    """Updates a bar, and draws it from time to time: a thread that draws would take time from the run."""

    def __init__(self, drawn: Progress, description: str) -> None:
        self.drawn, self.text, self.next = drawn, "", 0.0
        self.task = drawn.add_task(description, total=None, text="")

    def __call__(self, done: int, total: int | None, text: str) -> None:
        now = time.monotonic()
        if now < self.next and done != total:
            return
        self.next = now + _INTERVAL
        self.text = text or self.text
        self.drawn.update(self.task, completed=done, total=total, refresh=True, text=self.text)


class _Speed(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} steps/s", style="progress.data.speed")
