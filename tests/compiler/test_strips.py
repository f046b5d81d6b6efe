"""Long chains of elementwise operations are cut into short nests over strips, and the results equal eager mode."""

from collections.abc import Iterator

import pytest
import torch
from backends import check, check_alone, rand
from stages import loops
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native.buffers import Counter
from funcnet.compiler.native.loop_ir import Loop, Nest, Section, Statement
from funcnet.compiler.native.target import Target

HOST = Target.host()


def chain(x: Tensor, y: Tensor, length: int = 13) -> Tensor:
    for i in range(length):
        x, y = x * 0.75 + y / (1 + x * x), x.clamp(-1.5, 2 - i / 16)
    return x - y


def nests(statements: list[Statement], around: tuple[Counter, ...] = ()) -> Iterator[tuple[Nest, tuple[Counter, ...]]]:
    for statement in statements:
        if isinstance(statement, Loop | Section):
            yield from nests(statement.body, (*around, statement.counter) if statement.counter else around)
        elif isinstance(statement, Nest):
            yield statement, around


SHAPES = [(3001,), (7, 1500), (700, 3), (2, 30, 50)]


@pytest.mark.few(1)
@pytest.mark.parametrize("shape", [*SHAPES, (3, 1, 5, 211)])
def test_a_long_chain_equals_eager_mode(shape: tuple[int, ...]) -> None:
    x, y = rand(*shape, dtype=torch.float64), rand(*shape, dtype=torch.float64, seed=1)
    check(lambda x, y: chain(x, y.flip(-1)), x, y)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_a_long_chain_over_one_element_or_none_equals_eager_mode(shape: tuple[int, ...]) -> None:
    x, y = rand(*shape, dtype=torch.float64), rand(*shape, dtype=torch.float64, seed=1)
    check_alone(lambda x, y: chain(x, y, HOST.body // 4), x, y, backend="native")


def test_a_chain_of_views_that_cannot_be_merged_equals_eager_mode() -> None:
    x, y = rand(40, 1, 60), rand(60, 40, seed=1)
    check_alone(lambda x, y: chain(x.expand(40, 3, 60), y.T.unsqueeze(1)), x, y, backend="native", ulp=64, atol=1e-5)


def test_the_terms_of_reductions_may_come_from_a_long_chain() -> None:
    x, y = rand(40, 60, dtype=torch.float64), rand(40, 60, dtype=torch.float64, seed=1)

    def sums(x: Tensor, y: Tensor) -> list[Tensor]:
        z = chain(x, y)
        return [z, z.sum(), z.sum(0), z.amax(1)]

    check_alone(sums, x, y, backend="native", ulp=64)


def test_a_long_chain_updates_the_carry_of_a_scan_in_place() -> None:
    x, y = rand(500, dtype=torch.float64), rand(500, dtype=torch.float64, seed=1)

    def steps(x: Tensor, y: Tensor) -> list[Tensor]:
        step = lambda c, _: ((chain(*c), c[0] - c[1]), c[0].sum())  # noqa: E731
        carry, sums = fn.scan(step, (x, y), length=3)
        return [*carry, sums]

    check_alone(steps, x, y, backend="native", ulp=64)


def test_no_nest_of_a_long_chain_is_long_and_its_strips_are_short() -> None:
    f = jit(lambda x: chain(x, x), backend="native")
    f(rand(100_000))
    (program,) = (compiled.program for compiled in f._programs.values())
    for nest, around in nests(loops(program).statements):
        assert around and not any(counter.is_step for counter in around)
        assert len([part for part in nest.body if not hasattr(part, "view")]) <= HOST.chain
        assert nest.shape[0] <= HOST.strip


def test_progress_counts_no_strips() -> None:
    seen: list[tuple[int, int]] = []
    f = jit(lambda x: chain(x, x), backend="native", progress=lambda done, total: seen.append((done, total)))
    f(rand(100_000))
    assert seen == [(0, 0)]
