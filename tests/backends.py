"""The backends of jit that tests are crossed with, and what it means that one of them equals eager mode.

Native and eager run in the quick suite. Inductor takes seconds to compile each program, so it is slow, runs large
tables as one program and takes fewer rows of shapes and dtypes. It adds in another order than ATen and has functions of
its own, but all three are held to the same bounds: integers, infinities, NaN and the signs of zeros are those of eager
mode, float64 within 1e-13 and float32 within a few ulp, each of the result or, for sums that may cancel, of their
terms. The eager backend calls ATen and passes them with room. Where torch.compile computes something else than ATen,
the rows that it is spared stand beside the table that they belong to.
"""

from itertools import product

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

QUICK = ("native", "eager")
BACKENDS = [*QUICK, pytest.param("inductor", marks=pytest.mark.slow)]
FLOATS = (torch.float32, torch.float64)


def rows(*columns, inductor):
    """Every combination with the quick backends, and inductor with the rows that are named."""
    every = [(*row, backend) for row in product(*columns) for backend in QUICK]
    every += [(*row, "inductor") for row in inductor]
    slow = lambda row: pytest.mark.slow if row[-1] == "inductor" else ()  # noqa: E731
    return [pytest.param(*row, marks=slow(row), id="-".join(map(str, row))) for row in every]


def rand(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def check(f, *args: Tensor, backend: str, ulp: float = 4, atol: float = 0.0) -> None:
    """A call, 19 lanes (a ragged block) and lanes that share all but the first argument; floats to some ulp.

    f may be a table of functions, which then share one program.
    """
    check_alone(f, *args, backend=backend, ulp=ulp, atol=atol)
    f, owners = joined(f, *args)
    stacked = [torch.stack([shift(arg, lane) for lane in range(19)], -1) for arg in args]
    want = stack([f(*(shift(arg, lane) for arg in args)) for lane in range(19)])
    same(jit(fn.vmap(f, in_dims=-1), backend=backend)(*stacked), want, owners, ulp, atol)
    if len(args) > 1 and backend != "inductor":
        first = torch.stack([shift(args[0], lane) for lane in range(3)])
        want = stack([f(one, *args[1:]) for one in first])
        dims = (0, *(None for _ in args[1:]))
        same(jit(fn.vmap(f, in_dims=dims), backend=backend)(first, *args[1:]), want, owners, ulp, atol)


def check_alone(f, *args: Tensor, backend: str, ulp: float = 4, atol: float = 0.0, unsigned=()) -> None:
    """A call; unsigned names the functions of a table whose zeros may have either sign."""
    f, owners = joined(f, *args)
    same(jit(f, backend=backend)(*args), f(*args), owners, ulp, atol, unsigned)


def joined(f, *args: Tensor):
    """A table as one function, and the name that each of its results belongs to."""
    table = f if isinstance(f, dict) else {"result": f}
    owners = [name for name, g in table.items() for _ in listed(g(*args))]
    return lambda *args: [leaf for g in table.values() for leaf in listed(g(*args))], owners


def listed(result) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def shift(x: Tensor, lane: int) -> Tensor:
    """Another value for each lane that keeps what kind of value it is: an index stays one, a special value too."""
    return x + lane / 16 if x.is_floating_point() else x


def stack(results) -> list[Tensor]:
    return [torch.stack(column) for column in zip(*map(listed, results), strict=True)]


def same(got, want, owners: list[str], ulp: float, atol: float, unsigned=()) -> None:
    for a, b, name in zip(listed(got), listed(want), owners, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape, name
        if b.is_floating_point():
            rtol = max(ulp * torch.finfo(b.dtype).eps, 1e-13 if b.dtype == torch.float64 else 0)
            message = lambda text, name=name: f"{name}: {text}"  # noqa: E731
            tiny = torch.finfo(b.dtype).tiny
            torch.testing.assert_close(a, b, rtol=rtol, atol=atol or tiny, equal_nan=True, msg=message)
            zeros = (a == 0) & (b == 0)
            signs = torch.equal(torch.signbit(a[zeros]), torch.signbit(b[zeros]))
            assert signs or name in unsigned, f"{name}: the sign of a zero"
        else:
            assert torch.equal(a, b), f"{name}: {a} is not {b}"
