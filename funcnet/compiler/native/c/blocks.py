"""Sums over one or more axes in C, in blocks if they are long: rounding errors do not grow with their length."""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from funcnet.compiler.native.c.writer import Writer

_FEW = 4  # sums whose totals fit into registers besides


def indices(inner: Sequence[int]) -> list[str]:
    """Return the names of the indices of a sum over axes of these sizes."""
    return [f"k{axis}" for axis in range(len(inner))]


@contextmanager
def summed(
    writer: Writer, kind: str, sums: list[list[str]], zero: str, inner: Sequence[int], most: int
) -> Iterator[list[list[str]]]:
    """Print the loops over the inner axes, in blocks if there are many terms of floats; yield the sums after them.

    The blocks run along one axis: the first one behind which at most `most` terms remain.
    """
    if math.prod(inner) <= most or "f" not in kind:
        _declare(writer, kind, sums, zero)
        with _loops(writer, [(f"k{axis}", "0", str(size)) for axis, size in enumerate(inner)]):
            yield sums
        return
    axis = next(axis for axis in range(len(inner)) if math.prod(inner[axis + 1 :]) <= most)
    size, longest = inner[axis], max(1, most // math.prod(inner[axis + 1 :]))
    length = -(-size // -(-size // longest))  # of equal blocks
    _declare(writer, kind, [[f"{prefix}{s}" for s in row for prefix in "te"] for row in sums], zero)
    with _loops(writer, [(f"k{outer}", "0", str(inner[outer])) for outer in range(axis)]):
        writer.open(f"for (i64 b = 0; b < {size}; b += {length})")
        for s in itertools.chain(*sums) if len(sums) * len(sums[0]) > _FEW else ():
            writer.put(f"IN_MEMORY(t{s}) IN_MEMORY(e{s})")  # else compilers spill the sums of the block
        _declare(writer, kind, sums, zero)
        bounds = [(f"k{axis}", "b", f"(b + {length} < {size} ? b + {length} : {size})")]
        bounds += [(f"k{at}", "0", str(inner[at])) for at in range(axis + 1, len(inner))]
        with _loops(writer, bounds):
            yield [[writer.call("total", kind, f"t{s}", f"e{s}") for s in row] for row in sums]
        for s in itertools.chain(*sums):
            writer.put(f"t{s} = {writer.call('compensate', kind, f't{s}', s, f'&e{s}')};")
        writer.close()


@contextmanager
def _loops(writer: Writer, bounds: Sequence[tuple[str, str, str]]) -> Iterator[None]:
    """Print nested loops: the name of each index, its first value and its end."""
    for k, first, end in bounds:
        writer.open(f"for (i64 {k} = {first}; {k} < {end}; ++{k})")
    yield
    for _ in bounds:
        writer.close()


def _declare(writer: Writer, kind: str, names: list[list[str]], zero: str) -> None:
    for row in names:
        writer.put(f"{kind} " + ", ".join(f"{name} = {zero}" for name in row) + ";")
