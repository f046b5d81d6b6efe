"""Joins, pads, tiles and sums of stacks equal eager mode, and a sum over a stack needs no memory for the stack."""

import pytest
import torch
from backends import QUICK, check, rand
from torch import Tensor
from torch.nn.functional import pad

import funcnet as fn
from funcnet.compiler import jit

WIDTHS = [
    (1, 1),
    (1, 2, 3, 4),
    (-1, 2),
    (2, -1, -1, -1),
    (0, 0, 0, 0, 1, 2),
    (1,) * 6,
    (-3, -2),
    (-5, 3),
    (-2, -3, 1, 0),
]
REPEATS = [(2, 3, 4), (2, 1, 3, 1), (0, 1, 2), (1, 1, 1), (5, 1, 1, 1)]

ROLLS = [(1, 0), (-1, 2), (0, 1), (7, 1), (-9, -1), (4, None), ((1, -2), (0, 2)), ((1, 2), (1, 1))]


def test_roll() -> None:
    x = rand(3, 4, 5, dtype=torch.float64)
    args = [(shifts,) if dims is None else (shifts, dims) for shifts, dims in ROLLS]
    table = {f"roll {arg}": lambda x, arg=arg: x.roll(*arg) for arg in args}
    table |= {f"roll rows of {arg}": lambda x, arg=arg: x.mT.roll(*arg) + x.mT for arg in args[:4]}
    check(table | {"roll no elements": lambda x: x[:0].roll(1, 0), "roll one": lambda x: x[0, 0, 0].roll(3)}, x, ulp=0)


def test_a_roll_copies_two_parts() -> None:
    text = jit(lambda x: x.roll(3, 1)).lower(rand(40, 50)).as_text("loops")
    assert "at" not in text.split() and "j < 3:" in text and "j < 47:" in text


@pytest.mark.parametrize("args", [(1, 5), ((1, 2), 0), ((), ())])
def test_a_roll_of_other_axes_has_torchs_error(args) -> None:
    with pytest.raises((IndexError, RuntimeError), match=r"out of range|must align|required"):
        jit(lambda x: x.roll(*args), backend="native")(rand(3, 4, 5))


def test_pad_and_repeat() -> None:
    x = rand(3, 4, 5, dtype=torch.float64)
    table = {f"pad {widths}": lambda x, widths=widths: pad(x, widths, value=3) for widths in WIDTHS}
    table |= {f"repeat {times}": lambda x, times=times: x.mT.repeat(times) for times in REPEATS}
    check(table, x, ulp=0)


def test_a_joined_result_is_also_read_and_returned_again() -> None:
    def f(x: Tensor) -> list[Tensor]:
        c = torch.cat([x, x[:0], x.exp(), x[1:]])
        p = x @ x.T
        return [c, c, c.T, c[1:], c * 2, p, p + 1, p.T @ p, x.cumsum(0), x.cumsum(0) + 1]

    check(f, rand(3, 4, dtype=torch.float64))


def stacks(x: Tensor) -> list[Tensor]:
    s = [x * i for i in range(3)]
    return [
        torch.stack(s).sum(0),
        torch.stack(s, 1).sum(1),
        torch.stack(s, 1).sum(-1),
        torch.stack(s, -1).mean(-1),
        torch.stack(s, -2).mean((-2,)),
        torch.stack(s).sum(0, keepdim=True),
        torch.stack(s).sum(),
        torch.stack(s).sum(0, dtype=torch.float64),
        torch.stack(s[:1]).sum(0),
        torch.cat(s).sum(0),
        torch.cat([x[None], x[None]]).sum(0),
        torch.stack([x] * 40).sum(0),
    ]


@pytest.mark.parametrize("backend", QUICK)
def test_sums_and_means_of_stacks(backend: str) -> None:
    check(stacks, rand(4, 6, dtype=torch.float64), backend=backend, ulp=64)


def test_a_sum_over_a_stack_has_no_stack_in_a_scan_or_outside() -> None:
    def f(x: Tensor) -> list[Tensor]:
        step = lambda c, _: (torch.stack([c, c * 2, x]).sum(0) * 0.1, torch.stack([c, x], 1).mean(1))  # noqa: E731
        return [*fn.scan(step, x, length=3), torch.stack([x, x.exp(), x]).sum(0)]

    x = rand(4, 6, dtype=torch.float64)
    check(f, x, ulp=64)
    assert "aten.cat.default" not in jit(f).explain(x).operations


def test_a_sum_of_negative_zeros_of_a_stack_is_zero_as_in_torch() -> None:
    f = lambda a, b: [torch.stack([a, b]).sum(0), torch.stack([a, b, b]).mean(0)]  # noqa: E731
    check(f, torch.tensor([-0.0, 0.0, -0.0]), torch.tensor([-0.0, -0.0, 0.0]), ulp=0)
