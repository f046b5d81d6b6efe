"""Writes to slices and gradients of reads of slices: the same values as eager mode, bit for bit, in linear programs."""

import random
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.inspection import make_program
from funcnet.compiler.program import Apply, walk

SIZE = 12


def counted(f: Callable[..., object], *args: object) -> list[str]:
    """List the operations of the program of a function."""
    program = jit(f).lower(*args).program
    return [str(op.target) for op in walk(program.block) if isinstance(op, Apply)]


def same(f: Callable[..., object], *args: object) -> None:
    """Compare a jitted function with the function, bit for bit and with the signs of zeros."""
    want = fn.tree.leaves(f(*args))
    for backend in ("native", "eager"):
        for got, expected in zip(fn.tree.leaves(jit(f, backend=backend)(*args)), want, strict=True):
            assert torch.equal(got, expected)
            assert torch.equal(torch.signbit(got), torch.signbit(expected))


def writes(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for i in range(len(x)):
        y[i] = 2 * x[i] + (y[i - 1] if i else 1)
    return y


def overwrites(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x * 2
    y[2:5] = x[:3]
    y[3] = x[0] * 7
    before = y + 1
    y[2:5] = -x[4:7]
    y[-1] = y[3]
    return before, y


def factor(a: Tensor) -> Tensor:
    """Compute the Cholesky factor element by element."""
    low = torch.zeros_like(a)
    for i in range(len(a)):
        for j in range(i + 1):
            rest = a[i, j] - sum(low[i, k] * low[j, k] for k in range(j))
            low[i, j] = rest.sqrt() if i == j else rest / low[j, j]
    return low


def along_both_axes(a: Tensor) -> Tensor:
    y = a.clone()
    for i in range(len(a)):
        y[i] = y[i] * 2
        y[:, i] = y[:, i] + a[i]
    return y


def palindrome(x: Tensor) -> Tensor:
    return sum(x[i] * x[-i - 1] for i in range(len(x) - 1))


def windows(x: Tensor) -> Tensor:
    return torch.stack([(x[i : i + 3] * x[i + 1 : i + 4]).sum() for i in range(len(x) - 3)]).square().sum()


def wide_windows(x: Tensor) -> Tensor:
    """Read slices that each overlap all others."""
    return sum((x[i : len(x) - i] ** 3).sum() for i in range(len(x) // 2))


def pairs(a: Tensor) -> Tensor:
    return sum(a[i, j] / (1 + a[j, i] ** 2) for i in range(len(a)) for j in range(i))


def of_zeros(x: Tensor) -> Tensor:
    """Read one element often, with gradients of -0.0."""
    return -(x[1] * 0.0) - x[1] * 0.0 + x[2] * -0.0


FUNCTIONS = {
    "writes": (writes, (SIZE,)),
    "overwrites": (overwrites, (SIZE,)),
    "factor": (lambda a: factor(a @ a.mT + 4 * torch.eye(len(a), dtype=a.dtype)), (4, 4)),
    "along both axes": (along_both_axes, (4, 4)),
    **{
        f.__name__: (fn.grad(f), shape)
        for f, shape in (
            (palindrome, (SIZE,)), (windows, (SIZE,)), (wide_windows, (SIZE,)), (pairs, (4, 4)), (of_zeros, (SIZE,))
        )
    },
    "gradient of writes": (fn.grad(lambda x: writes(x).square().sum()), (SIZE,)),
    "hessian": (fn.hessian(palindrome), (5,)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_equal_those_of_eager_mode(name: str, dtype: torch.dtype) -> None:
    f, shape = FUNCTIONS[name]
    x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    if name == "factor":  # whose product has another order of sums in a kernel
        torch.testing.assert_close(jit(f, backend="native")(x), f(x))
    else:
        same(f, x)


@pytest.mark.parametrize("name", ["writes", "windows", "along both axes"])
def test_values_in_lanes(name: str) -> None:
    f, shape = FUNCTIONS[name]
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(jit(fn.vmap(f), backend="native")(x), torch.stack([f(row) for row in x]))


@pytest.mark.parametrize("name", ["writes", "palindrome", "windows", "gradient of writes"])
def test_programs_grow_linearly(name: str) -> None:
    f, _ = FUNCTIONS[name]
    small, medium, large = (len(counted(f, torch.ones(n))) for n in (10, 20, 40))
    assert large - medium <= 2 * (medium - small) + 4


def test_elements_are_not_written_to_copies() -> None:
    names = counted(writes, torch.ones(SIZE))
    assert "aten.slice_scatter.default" not in names
    assert names.count("aten.cat.default") == 1


def test_states_between_writes_are_made_from_each_other() -> None:
    def f(x: Tensor) -> list[Tensor]:
        y, states = torch.zeros_like(x), []
        for i in range(len(x)):
            y[i] = x[i] * 2
            states.append(y.clone())
        return states

    same(f, torch.arange(1.0, SIZE))
    program = make_program(f)(torch.ones(40))
    assert len(str(program).splitlines()) < 40 * 8


def test_writes_in_loops_and_branches() -> None:
    def f(x: Tensor, flag: Tensor) -> Tensor:
        def step(y: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
            y = y.clone()
            y[0] = y[1] + i
            y[1] = y[0] * y[2]
            return y, y[0]

        def other(y: Tensor) -> Tensor:
            z = y.clone()
            z[2], z[0] = y[0], y[2]
            return z

        last, firsts = fn.scan(step, x, torch.arange(3.0))
        return torch.cat([fn.cond(flag, other, lambda y: y + x, last), firsts])

    x = torch.tensor([1.0, 2.0, 0.5])
    for flag in (True, False):
        same(f, x, torch.tensor(flag))


def random_slices(seed: int) -> Callable[[Tensor], Tensor]:
    """Return a function that writes and reads random slices, and adds arrays that are zero elsewhere."""

    def f(x: Tensor) -> Tensor:
        choose = random.Random(seed)
        y, held = torch.zeros_like(x) if seed % 2 else x.clone(), [x]
        for _ in range(20):
            length = choose.choice([1, 1, 2, 3])
            first, second, third = (choose.randrange(SIZE - length + 1) for _ in range(3))
            read = choose.choice([*held, y])[first : first + length]
            placed = partial(torch.slice_scatter, torch.zeros_like(x), read, 0)
            if choose.random() < 0.5:
                y[second : second + length] = read * 1.5
            else:
                held.append(placed(second, second + length) + placed(third, third + length) + placed(0, length))
        return y + sum(held)

    return f


@pytest.mark.parametrize("seed", range(12))
def test_random_slices(seed: int) -> None:
    f = random_slices(seed)
    x = torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))
    want = f(x)
    got = jit(f, backend="eager")(x)
    assert torch.equal(got, want)
    assert torch.equal(torch.signbit(got), torch.signbit(want))
    gradient = fn.grad(lambda x: (f(x) ** 2).sum())
    torch.testing.assert_close(jit(gradient, backend="eager")(x), gradient(x))
