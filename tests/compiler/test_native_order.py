"""Nests of a native kernel run after all their inputs, and overwrite nothing that is read later."""

import pytest
import torch
from backends import check, whole
from torch import Tensor

from funcnet.control_flow.scan import scan

LINE, LONGER, OTHER, MOST = whole(3), whole(8), whole(5), whole(10)


def join_of_an_early_part(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    early, waiting = a * 2, b * 3
    late = c + d.sum()
    return [torch.cat([late, early]) + waiting, torch.cat([early, late]) - waiting]


def padding_of_a_late_value(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    waiting = b * 3
    return [torch.nn.functional.pad(c + d.sum(), (1, 2), value=5.0) + waiting]


def gather_from_a_late_value(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    place = a.long() % 8
    after = place + 1
    late = b * d.sum()
    return [late.gather(0, (place + 8) % 8), late[(after + 7) % 8] + after, late.index_select(0, after % 8)]


def sums_of_sums(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    first = (d - d.max()).exp2()
    second = first / first.sum()
    return [second, (second * d).sum() * d, d * second.amax() + (d - (d * second).sum()).square().sum()]


def writes_over_a_late_value(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    waiting = b * 3
    late = b + d.sum()
    return [torch.slice_scatter(late, a, 0, 2, 5) + waiting, late.scatter(0, c.long() % 8, 1.5) * waiting]


def running_sums_of_late_values(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    waiting = b * 3
    return [(b + d.sum()).cumsum(0) + waiting, (b * d.sum()).sort().values - waiting, (b @ b[:, None]) * waiting]


PROGRAMS = [
    join_of_an_early_part,
    padding_of_a_late_value,
    gather_from_a_late_value,
    sums_of_sums,
    writes_over_a_late_value,
    running_sums_of_late_values,
]


@pytest.mark.few(2)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_nest_runs_after_its_inputs(program) -> None:
    check(program, LINE, LONGER, OTHER, MOST, ulp=4)


TURN = torch.tensor([3, 0, 1, 7, 2, 2, 6, 4])

STEPS = {
    "gather": lambda c, x: c[TURN] + x,
    "gather_of_two": lambda c, x: c.index_select(0, TURN) - c,
    "shift": lambda c, x: torch.cat([x[:1], c[:-1]]) + 1,
    "flip": lambda c, x: c.flip(0) + x,
    "sum": lambda c, x: x - c.sum() + c,
    "running": lambda c, x: c.cumsum(0) % 11 + c[7],
    "sorted": lambda c, x: (c + x).sort().values - c,
    "scatter": lambda c, x: c.scatter(0, TURN, c * 2 + x) % 13,
    "scatter_add": lambda c, x: c.scatter_add(0, TURN, c + x) % 13,
    "matrix": lambda c, x: (c.reshape(2, 4).mT @ c.reshape(2, 4)).reshape(-1)[::2] % 7 + x,
    "strided": lambda c, x: (c * 1).as_strided((8,), (0,), 3) + c + x,
    "most": lambda c, x: c.argmax() + x.cummax(0).values - c,
}


@pytest.mark.few(4)
@pytest.mark.parametrize("name", STEPS)
def test_a_carry_is_overwritten_after_its_last_read(name: str) -> None:
    check(lambda c, xs: scan(lambda c, x: (STEPS[name](c, x), None), c, xs)[0], LONGER, whole(6, 8), ulp=0)


@pytest.mark.few(4)
@pytest.mark.parametrize("name", STEPS)
def test_a_loop_in_a_loop_reads_its_slices(name: str) -> None:
    def f(c: Tensor, xs: Tensor) -> tuple[Tensor, Tensor]:
        def outer(c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return scan(lambda c, row: (STEPS[name](c, row), c[::3]), c, x[1:, :].flip(0))

        return scan(outer, c, xs)

    check(f, LONGER, whole(3, 5, 8), ulp=0)


def test_results_that_are_read_again() -> None:
    def f(c: Tensor, xs: Tensor) -> list[Tensor]:
        last, (signs, values) = scan(lambda c, x: (c - x, ((c > x), c * x)), c, xs)
        again = torch.where(signs, values, 2 * values)
        return [last, signs, values, signs[::2].flip(1), signs.sum(0), again.sum(1), signs & signs[0], ~signs[-1]] + [
            torch.where(kept, values, 2 * values) for kept in (signs.sort(0).values, signs.cummax(1).values)
        ]

    check(f, LONGER, whole(6, 8), ulp=0)


def test_a_carry_that_becomes_a_value_from_before_the_loop() -> None:
    def f(c: Tensor, xs: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        before = c * 3
        return scan(lambda c, x: ((before, c[0] + c[1]), c[0] - x), (c, c.flip(0)), xs)

    check(lambda c, xs: [(r := f(c, xs))[0][0] + 1, r[0][1], r[1]], LONGER, whole(6, 8), ulp=0)
