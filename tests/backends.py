"""The backends of jit that tests are crossed with, and the comparison of a backend with eager mode.

Native and eager run in the quick suite. Inductor takes seconds to compile each program, so it is marked slow, runs
large tables as one program and has fewer rows of shapes and dtypes. It adds in a different order than ATen and has its
own functions, but all three must satisfy the same bounds: integers, infinities, NaN and the signs of zeros are those of
eager mode; float64 is within 1e-13 and float32 within a few ulp, relative to the result or, for sums that may cancel,
to their terms. The eager backend calls ATen and satisfies them easily. Where torch.compile differs from ATen, the
excluded rows are listed next to their table.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product

import pytest
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

QUICK = ("native", "eager")
BACKENDS = [*QUICK, pytest.param("inductor", marks=pytest.mark.slow)]
FLOATS = (torch.float32, torch.float64)


def rows(*columns, inductor, quick=None):
    """Return every combination with native and eager, and inductor with the named rows.

    Inductor is marked slow, and so is native except for the rows in `quick`, if given.
    """
    every = [(*row, backend) for row in product(*columns) for backend in QUICK]
    every += [(*row, "inductor") for row in inductor]

    def marks(row):
        few = quick is not None and row[-1] == "native" and row[:-1] not in quick
        return pytest.mark.slow if row[-1] == "inductor" or few else ()

    return [pytest.param(*row, marks=marks(row), id="-".join(map(str, row))) for row in every]


def mostly_slow(table: dict, quick: tuple[str, ...]) -> list:
    """Return the names of a table; only a few of them are in the quick suite."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in table]


def rand(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def whole(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return numbers whose products and sums are exact in any order."""
    return torch.randint(-9, 9, shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@contextmanager
def use_threads(number: int) -> Iterator[None]:
    """Let torch and kernels use this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


LANES = 19  # not a multiple of 4, 8 or 16, the lanes of a block


def check(f, *args: Tensor, backend: str = "native", ulp: float = 4, atol: float = 0.0, unsigned=()) -> None:
    """Compare a call, lanes that differ in all arguments, and lanes that share all but one; floats within some ulp.

    f may be a table of functions, which share one program; unsigned lists those whose zeros may have either sign.
    """
    check_alone(f, *args, backend=backend, ulp=ulp, atol=atol, unsigned=unsigned)
    f, owners = joined(f, *args)
    lanes = [[other(arg, lane) for lane in range(LANES)] for arg in args]
    alone = [tuple(0 if k == one else None for k in range(len(args))) for one in range(len(args))]
    for dims in [(-1,) * len(args), *(alone if len(args) > 1 and backend != "inductor" else [])]:
        given = [arg if d is None else torch.stack(x, d) for arg, x, d in zip(args, lanes, dims, strict=True)]
        each = [[arg if d is None else x[i] for arg, x, d in zip(args, lanes, dims, strict=True)] for i in range(LANES)]
        want = stack([f(*lane) for lane in each])
        same(jit(fn.vmap(f, in_dims=dims), backend=backend)(*given), want, owners, ulp, atol, unsigned)


def check_alone(f, *args: Tensor, backend: str, ulp: float = 4, atol: float = 0.0, unsigned=()) -> None:
    """Compare a call, without lanes."""
    f, owners = joined(f, *args)
    same(jit(f, backend=backend)(*args), f(*args), owners, ulp, atol, unsigned)


def joined(f, *args: Tensor):
    """Return a table as one function, and the name for each of its results."""
    table = f if isinstance(f, dict) else {"result": f}
    owners = [name for name, g in table.items() for _ in listed(g(*args))]
    return lambda *args: [leaf for g in table.values() for leaf in listed(g(*args))], owners


def listed(result) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def other(x: Tensor, lane: int) -> Tensor:
    """Return another lane's argument: the same elements in another order, so indices stay valid; a number grows."""
    return x.roll(lane) if x.numel() > 1 or not x.is_floating_point() else x + lane / 16


def stack(results) -> list[Tensor]:
    return [torch.stack(column) for column in zip(*map(listed, results), strict=True)]


def same(got, want, owners: Sequence[str], ulp: float = 0, atol: float = 0.0, unsigned=()) -> None:
    """Assert that results are equal, bit for bit if ulp and atol are 0."""
    for a, b, name in zip(listed(got), listed(want), owners, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape, name
        if b.is_floating_point():
            rtol = max(ulp * torch.finfo(b.dtype).eps, 1e-13 if b.dtype == torch.float64 and ulp else 0)
            message = lambda text, name=name: f"{name}: {text}"  # noqa: E731
            least = torch.finfo(b.dtype).tiny if ulp else 0.0
            torch.testing.assert_close(a, b, rtol=rtol, atol=atol or least, equal_nan=True, msg=message)
            zeros = (a == 0) & (b == 0)
            signs = torch.equal(torch.signbit(a[zeros]), torch.signbit(b[zeros]))
            assert signs or name in unsigned, f"{name}: the sign of a zero"
        else:
            assert torch.equal(a, b), f"{name}: {a} is not {b}"
            assert a.dtype != torch.bool or not (a.view(torch.uint8) > 1).any(), f"{name}: a bool not 0 or 1"
