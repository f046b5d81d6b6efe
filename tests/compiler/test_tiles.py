"""Transposed operands of nests are copied in panels of rows; the results equal eager mode."""

from collections.abc import Iterator
from itertools import permutations

import pytest
import torch
from backends import check_alone, rand
from stages import loops, text
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native.loop_ir import Loop, Nest, Section, Statement, reads

DTYPES = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int16]
ORDERS = [(2, 1, 0), (1, 2, 0), (0, 2, 1), (1, 0, 2)]
SHAPES = [(131, 79), *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((64, 64), (17, 300), (300, 16)))]


def nests(statements: list[Statement]) -> Iterator[Nest]:
    for statement in statements:
        if isinstance(statement, Loop | Section):
            yield from nests(statement.body)
        elif isinstance(statement, Nest):
            yield statement


def values(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return (100 * rand(*shape, seed=seed)).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.int8, *(pytest.param(d, marks=pytest.mark.slow) for d in DTYPES)]
)
def test_a_transposed_operand_equals_eager_mode(dtype: torch.dtype, shape: tuple[int, int]) -> None:
    x, y = values(*shape, dtype=dtype), values(*reversed(shape), dtype=dtype, seed=1)
    check_alone(lambda x, y: [x.T - y, x.T.contiguous()], x, y, backend="native")


def test_rows_longer_than_a_panel_equal_eager_mode() -> None:
    x, y = values(5003, 33), values(33, 5003, seed=1)
    check_alone(lambda x, y: x.T * y, x, y, backend="native")


@pytest.mark.parametrize("order", [(2, 0, 1), *(pytest.param(o, marks=pytest.mark.slow) for o in ORDERS)])
def test_permuted_axes_equal_eager_mode(order: tuple[int, ...]) -> None:
    x, y = values(18, 35, 20), values(20, 35, 18, seed=1)
    f = lambda x, y: [x.permute(order) * 2, y.permute(2, 1, 0) - x, x.flip(0).permute(order) + 1]  # noqa: E731
    check_alone(f, x, y, backend="native")


@pytest.mark.parametrize("shape", [(3, 17, 20), (20, 18, 17), (17, 2, 3, 19)])
def test_copies_of_merged_axes_equal_eager_mode(shape: tuple[int, ...]) -> None:
    orders = [*permutations(range(len(shape)))]
    f = lambda x: [x.permute(order).clone(memory_format=torch.contiguous_format) for order in orders]  # noqa: E731
    check_alone(f, values(*shape), backend="native", ulp=0)


def test_bools_and_parts_of_complex_numbers_equal_eager_mode() -> None:
    x, z = values(70, 67), torch.complex(values(70, 67), values(70, 67, seed=1))
    check_alone(lambda x, z: [(x > 0).T, z.T * 2, z.T.real + x.T], x, z, backend="native")


@pytest.mark.parametrize("dim", [0, 1, (0, 1)])
def test_reductions_over_a_transposed_operand_equal_eager_mode(dim: int | tuple[int, ...]) -> None:
    x, y = rand(90, 130, dtype=torch.float64), rand(130, 90, dtype=torch.float64, seed=1)
    f = lambda x, y: [(x.T - y).sum(dim), (x.T * y).amax(dim), (x.T - y).tanh()]  # noqa: E731
    check_alone(f, x, y, backend="native", ulp=64, atol=1e-12)


@pytest.mark.parametrize("dim", [0, 1])
def test_sums_have_the_bits_of_a_contiguous_operand(dim: int) -> None:
    x, y = values(90, 130), values(130, 90, seed=1)
    f = jit(lambda x, y: (x - y).sum(dim), backend="native")
    assert torch.equal(f(x.T, y), f(x.T.contiguous(), y))


def test_a_carry_and_its_transpose_equal_eager_mode() -> None:
    x = rand(66, 66, dtype=torch.float64)

    def steps(x: Tensor) -> Tensor:
        return fn.scan(lambda c, _: (c.T * 0.5 + c + 1, None), x, length=3)[0]

    check_alone(steps, x, backend="native")


def test_lanes_and_gradients_equal_eager_mode() -> None:
    w, x = rand(65, 70, dtype=torch.float64), rand(3, 70, 65, dtype=torch.float64, seed=1)
    f = lambda w, x: (w.T * x).tanh().sum()  # noqa: E731
    check_alone(fn.vmap(fn.grad(f, argnums=(0, 1)), in_dims=(None, 0)), w, x, backend="native", ulp=64, atol=1e-12)


def test_an_in_place_update_by_the_transpose_equals_eager_mode() -> None:
    def update(x: Tensor) -> Tensor:
        y = x * 1
        y += y.T.clone()
        y[:, 1:] *= y.T[:, 1:].clone()
        return y

    check_alone(update, values(70, 70), backend="native")


def test_only_copies_read_along_columns_and_they_move_blocks() -> None:
    f = jit(lambda x, y: (x.T - y, (x.T * y).sum(1)), backend="native")
    x, y = values(128, 96), values(96, 128, seed=1)
    f(x, y)
    (program,) = (compiled.program for compiled in f._programs.values())
    for nest in nests(loops(program).statements):
        assert len(nest.body) == 1 or all(view.strides[-1] == 1 for view in reads(nest) if view.strides[-1])
    assert "transpose_w" in text(program)


def test_copies_are_not_cut_into_single_rows() -> None:
    f = jit(lambda x: (x.T * 2, x - x.T), backend="native")
    f(values(1024, 1024, dtype=torch.float64))
    (program,) = (compiled.program for compiled in f._programs.values())
    assert all(len(nest.shape) == 2 for nest in nests(loops(program).statements))


def test_small_nests_are_not_cut() -> None:
    f = jit(lambda x: x.T * 2, backend="native")
    f(values(20, 30))
    (program,) = (compiled.program for compiled in f._programs.values())
    assert len(loops(program).statements) == 1
