"""Running sums, products and extrema in C."""

import math
from dataclasses import replace

import torch

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c.body import combined
from funcnet.compiler.native.c.writer import Writer
from funcnet.compiler.native.loop_ir import Const, Cumulate

WIDENED = ("add", "mul")  # computed in float64, because rounding errors accumulate along an axis

_BEYOND = {"maximum": ">", "minimum": "<"}


def cumulate(writer: Writer, statement: Cumulate) -> None:
    """Print a running sum, product or extremum along one axis."""
    out, axis = statement.out, statement.axis
    if not math.prod(out.shape):
        return
    others = [a for a in range(len(out.shape)) if a != axis]
    place = [f"i{a}" for a in range(len(out.shape))]
    is_extremum = statement.op in _BEYOND and out.dtype in (torch.float32, torch.float64) and not out.varying
    print_line = _log_sums if statement.op == "logaddexp" else _extrema if is_extremum else _running
    lines = math.prod(out.shape[a] for a in others[1:])
    length = max(1, writer.target.poll // (lines * out.shape[axis]))
    with writer.stretches("0", out.shape[others[0]] if others else 1, length) as (first, end):
        for a in others:
            ends = (first, end) if a == others[0] else (0, out.shape[a])
            writer.open(f"for (i64 i{a} = {ends[0]}; i{a} < {ends[1]}; ++i{a})")
        print_line(writer, statement, place)
        for _ in others:
            writer.close()


def _running(writer: Writer, statement: Cumulate, place: list[str]) -> None:
    """Print one line of a running reduction; sums and products of float32 are in float64, as in ATen."""
    out, source, axis = statement.out, statement.source, statement.axis
    like, total = _widened(out) if statement.op in WIDENED else out, writer.fresh("a")
    first = [0 if a == axis else i for a, i in enumerate(place)]
    writer.put(f"{writer.type(like)} {total} = {_convert(writer, writer.load(source, first), source, like)};")
    writer.store(out, first, _convert(writer, total, like, out))
    with writer.stretches("1", out.shape[axis], writer.target.poll) as (start, end):
        writer.open(f"for (i64 i{axis} = {start}; i{axis} < {end}; ++i{axis})")
        step = _convert(writer, writer.load(source, place), source, like)
        writer.put(f"{total} = {combined(writer, statement.op, like, total, step)};")
        writer.store(out, place, _convert(writer, total, like, out))
        writer.close()


def _extrema(writer: Writer, statement: Cumulate, place: list[str]) -> None:
    """Print one line of a running extremum of scalars.

    Each element waits for one instruction only: a NaN, which that loses, is remembered in a flag.
    """
    out, source, axis, kind = statement.out, statement.source, statement.axis, writer.type(statement.out)
    total, flag, step = (writer.fresh(letter) for letter in "anx")
    start = writer.load(source, [0 if a == axis else i for a, i in enumerate(place)])
    nan, beyond = writer.constant(Const(math.nan, out.dtype)), _BEYOND[statement.op]
    writer.put(f"{kind} {total} = {start}; int {flag} = 0;")
    with writer.stretches("0", out.shape[axis], writer.target.poll) as (first, end):
        writer.open(f"for (i64 i{axis} = {first}; i{axis} < {end}; ++i{axis})")
        writer.put(f"const {kind} {step} = {writer.load(source, place)};")
        writer.put(f"{flag} |= {step} != {step};")
        writer.put(f"{total} = {step} {beyond} {total} ? {step} : {total};")
        writer.store(out, place, f"{flag} ? {nan} : {total}")
        writer.close()


def _log_sums(writer: Writer, statement: Cumulate, place: list[str]) -> None:
    """Print one line of log(exp(x[0]) + … + exp(x[i])), from the running maximum m and the sum of exp(x - m)."""
    out, axis, kind = statement.out, statement.axis, writer.type(statement.out)
    high, total = writer.fresh("a"), writer.fresh("a")
    for name, start in ((high, -math.inf), (total, 0)):
        value = writer.constant(Const(start, out.dtype))
        writer.put(f"{kind} {name} = {writer.splat(value, out.dtype) if out.varying else value};")
    with writer.stretches("0", out.shape[axis], writer.target.poll) as (first, end):
        writer.open(f"for (i64 i{axis} = {first}; i{axis} < {end}; ++i{axis})")
        step = writer.call("logsum", kind, writer.load(statement.source, place), f"&{high}", f"&{total}")
        writer.store(out, place, step)
        writer.close()


def _widened(view: View) -> View:
    """Return a view with float64 in place of float32."""
    wide = replace(view.buffer, dtype=torch.float64)
    return replace(view, buffer=wide) if view.dtype == torch.float32 else view


def _convert(writer: Writer, text: str, source: View, to: View) -> str:
    """Convert an element of one floating dtype to that of another view."""
    if source.dtype == to.dtype:
        return text
    if to.dtype == torch.float32:
        return writer.call("narrow", writer.type(to), text)
    return f"__builtin_convertvector({text}, {writer.type(to)})" if to.varying else f"({writer.type(to)}){text}"
