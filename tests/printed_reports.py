"""Helpers that read printed reports."""

import io
import re

from programs import POINTS
from rich.console import Console

XOR = POINTS.float()
BITS = {1: (0, 0), 2: (0, 1), 4: (0, 2), 64: (0, 3), 8: (1, 0), 16: (1, 1), 32: (1, 2), 128: (1, 3)}


def printed(renderable, width=80):
    """Return the lines that a plain console of this width shows."""
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def body(lines):
    """Return the cells of a plot to the right of its vertical axis, from the top row down."""
    rows = [re.split("[┤│]", line, maxsplit=1)[1] for line in lines if re.search("[┤│]", line)]
    width = max(map(len, rows))
    return [row.ljust(width) for row in rows]


def dots(cells):
    """Return the set braille dots as (column, row) from the top left; a cell is 2 dots wide and 4 high."""
    return {
        (2 * i + x, 4 * j + y)
        for j, row in enumerate(cells)
        for i, text in enumerate(row)
        if "⠀" < text <= "⣿"
        for bit, (x, y) in BITS.items()
        if (ord(text) - 0x2800) & bit
    }


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True
