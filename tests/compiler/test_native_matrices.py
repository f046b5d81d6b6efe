"""Matrix products in native kernels, written out, in tiles, by vectors and by BLAS, of matrices however they lie."""

import subprocess
import sys

import pytest
import torch
from lanes import check, same
from torch import Tensor

from funcnet.compiler import jit

SIZES = [(2, 3, 4), (1, 9, 8), (9, 1, 11), (7, 8, 9), (13, 11, 17), (17, 23, 19), (3, 700, 1), (90, 80, 100)]

LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: x.mT.contiguous().mT,
    "computed": lambda x: x * 2,
    "rows_backwards": lambda x: x.flip(0),
    "columns_backwards": lambda x: x.flip(1),
    "backwards_in_columns": lambda x: x.mT.contiguous().mT.flip(1),
    "one_row": lambda x: x[:1].expand(x.shape),
    "one_column": lambda x: x[:, :1].expand(x.shape),
    "strided": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "part": lambda x: torch.cat([x, x + 1], 1).repeat(2, 1)[x.shape[0] :, x.shape[1] :],
}


def whole(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers whose products and sums are exact in any order."""
    return torch.randint(-9, 9, shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_of_layouts(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    rows, inner, columns = size

    def f(a: Tensor, b: Tensor) -> list[Tensor]:
        return [*(lay(a) @ b for lay in LAYOUTS.values()), *(a @ lay(b) for lay in LAYOUTS.values())]

    a, b = whole(rows, inner, dtype=dtype), whole(inner, columns, dtype=dtype)
    same(jit(f, backend="native")(a, b), f(a, b))


@pytest.mark.parametrize("size", SIZES[:5], ids=str)
def test_products_over_lanes(size: tuple[int, int, int]) -> None:
    rows, inner, columns = size
    names = ("rows", "columns_backwards", "one_row", "part")
    check(lambda a, b: [LAYOUTS[n](a) @ LAYOUTS[n](b) for n in names], whole(rows, inner), whole(inner, columns))


@pytest.mark.parametrize("size", [(2, 3, 4), (9, 10, 11), (60, 70, 130)], ids=str)
def test_products_of_batches(size: tuple[int, int, int]) -> None:
    rows, inner, columns = size
    a, b = whole(3, rows, inner), whole(2, 1, inner, columns)

    def f(a: Tensor, b: Tensor) -> list[Tensor]:
        return [a.flip(0) @ b[0, 0], a @ b, a[:2].mT.mT @ b[:, 0].flip(-1), a[0] @ b, a[:, :0] @ b]

    same(jit(f, backend="native")(a, b), f(a, b))
    check(lambda a, b: (a.flip(0) @ b).sum((0, 1)), a[:, :2], b)


AT_THE_END_OF_MEMORY = """
import ctypes, mmap, torch, funcnet as fn
libc, page, inner, columns = ctypes.CDLL(None), mmap.PAGESIZE, 32, 17
memory = mmap.mmap(-1, 3 * page)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
assert libc.mprotect(ctypes.c_void_p(start + 2 * page), page, 0) == 0
array = (ctypes.c_float * (inner * columns)).from_address(start + 2 * page - 4 * inner * columns)
b = torch.frombuffer(array, dtype=torch.float32).reshape(inner, columns)
b.copy_(torch.arange(inner * columns).reshape(inner, columns) % 7)
a = torch.arange(8.0 * inner).reshape(8, inner) % 5
assert torch.equal(fn.jit(torch.mm, backend="native")(a, b), a @ b)
for lanes in (b, b.T.contiguous()):  # the last block of lanes is not full
    array[:] = lanes.flatten().tolist()
    c = b.view_as(lanes)
    assert torch.equal(fn.jit(fn.vmap(lambda row: row * 2), backend="native")(c), c * 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="protects a page of memory by Linux's mprotect")
def test_no_argument_is_read_past_its_end() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", AT_THE_END_OF_MEMORY], check=True)
