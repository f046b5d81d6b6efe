"""Large temporaries of native kernels share memory only if none is still needed; a lack of memory is an error."""

from dataclasses import replace

import pytest
import torch
from backends import check, whole
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native import frames, kernel
from funcnet.compiler.native.target import Target
from funcnet.control_flow.scan import scan

SIZE = 2500  # elements of float64: too large for the stack


def chain(x: Tensor) -> Tensor:
    """Return a chain of operations, each of which needs memory of its own."""
    for k in range(4):
        x = x.cumsum(0) % (17 - k) - x.flip(0)
    return x


def straight(x: Tensor) -> list[Tensor]:
    first = x.cumsum(0) % 7
    second = chain(first)
    return [chain(second) + first, second.sort().values]


def before_a_loop(x: Tensor) -> tuple[Tensor, Tensor]:
    held = x.flip(0).cumsum(0) % 19

    def step(c: Tensor, _: None) -> tuple[Tensor, Tensor]:
        read = (c + held).cumsum(0) % 17
        return chain(read) % 5 + c, read[:3]

    return scan(step, x, length=3)


def read_after_a_loop(x: Tensor) -> list[Tensor]:
    held = x.cumsum(0) % 19
    last, ys = scan(lambda c, _: (chain(c) % 5, c[-2:]), x, length=3)
    return [chain(last) + held, ys]


def loops_in_loops(x: Tensor) -> tuple[Tensor, Tensor]:
    outermost = x.cumsum(0) % 19

    def outer(c: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        held = (c + row).cumsum(0) % 13
        inner = lambda c, _: (chain(c + held) % 5, (c + outermost)[:2])  # noqa: E731
        c, ys = scan(inner, c, length=2)
        return chain(c) % 7, ys

    return scan(outer, x, torch.stack([x, x.flip(0)]))


def two_loops(x: Tensor) -> list[Tensor]:
    held = x.cumsum(0) % 19
    first, _ = scan(lambda c, _: (chain(c) % 5, None), x, length=2)
    second, _ = scan(lambda c, _: (chain(c - first) % 5 + held, None), x, length=2)
    return [first, second]


def stacked(x: Tensor) -> Tensor:
    _, ys = scan(lambda c, _: (chain(c) % 5, c), x, length=3)
    _, zs = scan(lambda c, y: (chain(c + y) % 5, c - y), x, ys * 2)
    return (zs + ys).sum(0)


def stacked_beside_a_larger_one(x: Tensor) -> Tensor:
    def step(c: Tensor, _: None) -> tuple[Tensor, Tensor]:
        larger = c[:100, None] @ c[None, :100]
        c = (c + larger.sum() % 7).cumsum(0) % 7
        y = c.flip(0).cumsum(0) % 11
        return (c + y) % 5, y

    return (scan(step, x, length=3)[1] * torch.tensor([1.0, 2.0, 3.0])[:, None]).sum(0)


def little_more_than_the_gap(x: Tensor) -> Tensor:
    held = (x.cumsum(0) % 7).flip(0).cumsum(0) % 5
    total = held.cumsum(0).sum()
    more = torch.cat([held, x[:15]]) * total
    return more[15:].flip(0) - held


PROGRAMS = [
    straight,
    before_a_loop,
    read_after_a_loop,
    loops_in_loops,
    two_loops,
    stacked,
    stacked_beside_a_larger_one,
    little_more_than_the_gap,
]


@pytest.mark.few(3)
@pytest.mark.parametrize("program", PROGRAMS)
def test_large_temporaries_are_not_overwritten_while_needed(program) -> None:
    check(program, whole(SIZE), ulp=0)


def test_a_lack_of_memory_for_threads_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> frames.Frame:
        raise MemoryError

    machine = replace(Target.host(), short_run=0)
    monkeypatch.setattr(Target, "host", lambda: machine)
    monkeypatch.setattr(kernel.NativeKernel, "take_frame", lacking)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(MemoryError):
        jit(fn.vmap(torch.sin), backend="native")(torch.ones(40))
