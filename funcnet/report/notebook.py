"""Display in notebooks: the parts of a report, and a bar of progress."""

import html
import time
from importlib import import_module
from typing import Any

_PAUSE = 0.1  # seconds between two displays of a bar


def display(*parts: Any) -> None:
    """Print the strings and display the rest as HTML or as figures."""
    for part in parts:
        print(part) if isinstance(part, str) else import_module("IPython.display").display(part)


class Bar:
    """A bar of progress below a notebook's cell; it is displayed once and then updated, at most ten times a second."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.done, self.total, self.text = description, 0, total, ""
        self._handle = import_module("IPython.display").display(self, display_id=True)
        self._shown = time.monotonic()

    def __call__(self, done: int, total: int | None, text: str = "") -> None:
        self.done, self.total, self.text = done, total, text or self.text
        if done == total or time.monotonic() - self._shown > _PAUSE:
            self.refresh()

    def refresh(self) -> None:
        """Display the progress now."""
        self._handle.update(self)
        self._shown = time.monotonic()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        count = f"{self.done:,} of {'?' if self.total is None else f'{self.total:,}'}"
        text = " ".join(filter(None, (self.description, count, self.text)))
        ends = "" if self.total is None else f' value="{self.done}" max="{self.total}"'
        return {"text/plain": text, "text/html": f"<progress{ends}></progress> {html.escape(text)}"}
