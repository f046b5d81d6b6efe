"""Reduction of a random program to a small part with the same fault."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from random_programs.checking import DifferenceError, check, is_pure, memory, target
from random_programs.scope import Program


def kind(error: BaseException) -> str:
    """Return a description of a fault that is independent of shapes and numbers."""
    if isinstance(error, DifferenceError):
        return re.sub(r"result \d+: expected .*", "a difference", str(error), flags=re.DOTALL)
    return f"{type(error).__name__}: {re.sub(r'[0-9]+', 'N', str(error))[:60]}"


def fault(program: Program, mode: str) -> str:
    """Return the kind of a program's fault, or None if it has none, eager mode refuses it, or it is not pure."""
    try:
        if not is_pure(target(program, mode), [*program.args.values()]):
            return ""
    except Exception:
        return ""
    try:
        check(program, mode)
    except Exception as error:
        return kind(error)
    return ""


def shrink(program: Program, mode: str, seconds: float = 30) -> Program:
    """Remove parts of a program while its fault stays the same, for a limited time."""
    expected, end = fault(program, mode), time.monotonic() + seconds
    while expected and time.monotonic() < end:
        smaller = (p for p in parts(program) if time.monotonic() < end and fault(p, mode) == expected)
        if (found := next(smaller, None)) is None:
            break
        program = found
    return program


def parts(program: Program) -> Iterator[Program]:
    """Yield programs that are smaller by a result, a statement, an operation or an argument."""
    if len(program.results) > 1:
        yield from (replace(program, results=[name]) for name in program.results)
    lines = program.lines
    for i in reversed(range(len(lines))):
        left = [line for j, line in enumerate(lines) if not inside(lines, i, j)]
        yield replace(program, lines=left, results=[r for r in program.results if defined(r, left, program)] or ["a"])
    for i, line in enumerate(lines):
        for text in simpler(line, program):
            yield replace(program, lines=[*lines[:i], text, *lines[i + 1 :]])
    for name in program.args:
        args = {other: x for other, x in program.args.items() if other != name}
        if args and not re.search(rf"\b{name}\b", program.text.split("\n", 1)[1]):
            yield replace(program, args=args)


def inside(lines: Sequence[str], i: int, j: int) -> bool:
    """Tell whether line j is line i, or belongs to the block that line i opens."""
    depths = [len(line) - len(line.lstrip()) for line in lines]
    return i == j or (j > i and lines[i].endswith(":") and min(depths[i + 1 : j + 1]) > depths[i])


def defined(name: str, lines: Sequence[str], program: Program) -> bool:
    return name in program.args or any(re.match(rf"[^=]*\b{name}\b[^=]* = ", line) for line in lines)


def simpler(line: str, program: Program) -> Iterator[str]:
    """Yield statements that assign a constant, or an operand, instead of an expression."""
    found = re.match(r"( *)(v\d+) = (?!torch\.full|\w+$)", line)
    if not found or found[2] not in program.known:
        return
    shape, dtype = program.known[found[2]]
    value = 0.7 if dtype.is_floating_point else dtype == torch.bool or 1
    start = f"{found[1]}{found[2]} = "
    operands = sorted({*re.findall(r"\b(?:v\d+|[a-d])\b", line)} - {found[2]})
    yield from (start + text for text in (f"torch.full({shape}, {value}, dtype={dtype})", *operands))


def report(program: Program, mode: str, error: BaseException) -> str:
    """Describe a fault such that the program can be run by itself."""
    described = (f"{name} = {written_out(x)}" for name, x in program.args.items())
    shared = f", shared by the lanes: {sorted(program.shared)}" if "lanes" in mode else ""
    return f"{type(error).__name__}, {mode}{shared}: {str(error)[:2000]}\n{program.text}" + "\n".join(described)


def written_out(x: Tensor) -> str:
    """Write a tensor as an expression, with its layout."""
    layout = f"{tuple(x.shape)}, {x.stride()}, {x.storage_offset()}"
    return f"torch.tensor({memory(x).tolist()}, dtype={x.dtype}).as_strided({layout})"
