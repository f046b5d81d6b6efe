"""Matrix products equal ATen's: written out, in tiles, by vectors, by panels of packed columns and by torch's BLAS."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from backends import FLOATS, check, check_alone, rand, rows, whole
from stages import loops
from torch import Tensor
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native import target, toolchain
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.target import Target
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

PRODUCTS = {
    "mm": torch.mm,
    "transposed": lambda a, b: (b.t() * 2) @ (a + 1).t(),
    "gram": lambda a, b: a.t() @ a,
    "outer": lambda a, b: b @ b.t(),
    "mv": lambda a, b: a @ b[:, 0],
    "vm": lambda a, b: a[0] @ b,
    "bmm": lambda a, b: torch.stack([a, a * 2]) @ b,
    "dot": lambda a, b: a[0] @ b[:, 0],
}
SHAPES = [
    ((4, 2), (2, 3)),
    ((4, 10), (10, 1)),
    ((1, 7), (7, 5)),
    ((33, 17), (17, 35)),
    ((64, 64), (64, 32)),
    ((5, 0), (0, 3)),
    ((2, 64), (64, 16)),
    ((130, 3), (3, 70)),
    ((150, 131), (131, 140)),
]
SOME = [(SHAPES[1], torch.float64), (SHAPES[3], torch.float32), (SHAPES[5], torch.float64)]


@pytest.mark.few(5)
@pytest.mark.parametrize("shapes, dtype, backend", rows(SHAPES, FLOATS, inductor=SOME))
def test_values_equal_torchs(shapes: tuple[tuple[int, int], tuple[int, int]], dtype: torch.dtype, backend: str) -> None:
    left, right = shapes
    a, b = rand(*left, dtype=dtype), rand(*right, dtype=dtype, seed=3)
    bound = 32 * torch.finfo(dtype).eps * max(left[1], 1)
    check(PRODUCTS, a, b, backend=backend, ulp=left[1] + 16, atol=bound)


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: x.mT.contiguous().mT,
    "computed": lambda x: x * 2,
    "rows_backwards": lambda x: x.flip(0),
    "columns_backwards": lambda x: x.flip(1),
    "backwards_in_columns": lambda x: x.mT.contiguous().mT.flip(1),
    "one_row": lambda x: x[:1].expand(x.shape),
    "one_column": lambda x: x[:, :1].expand(x.shape),
    "one_number": lambda x: x[:1, :1].expand(x.shape),
    "strided": lambda x: x.repeat_interleave(2, 0)[::2].repeat_interleave(2, 1)[:, ::2],
    "overlapping": lambda x: x.reshape(-1).unfold(0, x.shape[1], 1)[: x.shape[0]],
    "part": lambda x: torch.cat([x, x + 1], 1).repeat(2, 1)[x.shape[0] :, x.shape[1] :],
}


def of_layouts(a: Tensor, b: Tensor) -> list[Tensor]:
    return [*(lay(a) @ b for lay in LAYOUTS.values()), *(a @ lay(b) for lay in LAYOUTS.values())]


def of_batches(a: Tensor, b: Tensor) -> list[Tensor]:
    left, right = torch.stack([a, -a, a + 1]), torch.stack([b, b + 1])[:, None]
    return [left.flip(0) @ b, left @ right, left[:2].mT.mT @ right[:, 0].flip(-1), a @ right, left[:, :0] @ right]


def of_parts_of_batches(a: Tensor, b: Tensor) -> list[Tensor]:
    left, right = torch.stack([a, -a, a + 1])[1:, 1:, :-1], torch.stack([b, b + 1])[:, 1:, 1:]
    return [left @ right, left[0] @ right, left @ right[1], (left @ right).sum(0), left[:1].expand(2, -1, -1) @ right]


def of_steps(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """Return products of a carry, of slices of xs, of a loop-invariant value, and of the results of a loop."""

    def step(c: Tensor, x: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        left, right = x
        product = left @ right
        return (c + a.mT @ product) % 7, (product, a.flip(0) @ (right + c)[:, 1:])

    last, (ys, zs) = fn.scan(step, b, (torch.stack([a, a * 2, -a]), torch.stack([b, -b, b + 1])))
    return last, ys, zs, (ys[2] % 5).mT @ (zs[1] % 3)


def of_products(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    c = a @ b
    return c, c, (c % 5) @ (a @ b + 1).T, torch.stack([c, b.new_zeros(c.shape)])[0] + (b.T @ a.T).T


SMALL = [(2, 3, 4), (1, 9, 8), (9, 1, 11), (7, 8, 9), (13, 11, 17), (17, 23, 19), (3, 700, 2), (2, 2, 600)]
LARGE = [(17, 300, 128), (131, 150, 33), (40, 2, 7_000), (16, 5_000, 7)]
RESULT = ("result",)  # the sign of its zeros depends on the order of the sum
PROGRAMS = [of_layouts, of_batches, of_parts_of_batches, of_steps, of_products]


def some_slow(sizes: list, quick: dict) -> list:
    """Return every size with every dtype; at most one dtype of each size is in the quick suite."""
    slow = pytest.mark.slow
    return [pytest.param(size, d, marks=() if quick.get(size) == d else slow) for size in sizes for d in FLOATS]


QUICK_SMALL = dict(zip(SMALL[:5], FLOATS * 3, strict=False)) | {SMALL[-1]: torch.float64}


@pytest.mark.few(2)
@pytest.mark.parametrize("size, dtype", some_slow(SMALL, QUICK_SMALL), ids=str)
def test_operands_of_every_layout(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    rows, inner, columns = size
    a, b = whole(rows, inner, dtype=dtype), whole(inner, columns, dtype=dtype)
    for program in PROGRAMS:
        check_alone(program, a, b, backend="native", ulp=0, unsigned=RESULT)


@pytest.mark.slow
@pytest.mark.parametrize("wins", [False, True], ids=["panels", "BLAS"])
@pytest.mark.parametrize("size, dtype", [*zip(LARGE, FLOATS * 2, strict=True)], ids=str)
def test_large_operands_of_every_layout(size, dtype, wins, monkeypatch) -> None:
    monkeypatch.setattr(
        Target, "host", lambda host=Target.host: replace(host(), gemm_wins=wins, tall_product=1, packed=0)
    )
    test_operands_of_every_layout(size, dtype)


@pytest.mark.few(1)
@pytest.mark.parametrize("size", [*SMALL[:4], pytest.param(SMALL[4], marks=pytest.mark.slow)], ids=str)
def test_products_over_lanes_equal_a_loop(size: tuple[int, int, int]) -> None:
    rows, inner, columns = size
    a, b = whole(rows, inner), whole(inner, columns)
    names = ("rows", "columns_backwards", "one_row", "part")
    check(lambda a, b: [LAYOUTS[n](a) @ LAYOUTS[n](b) for n in names], a, b, ulp=0, unsigned=RESULT)
    check(of_batches, a, b, ulp=0, unsigned=RESULT)


INTEGERS = (torch.int32, torch.int8, torch.int64, torch.uint8, torch.int16)


@pytest.mark.parametrize("dtype", [INTEGERS[0], *(pytest.param(d, marks=pytest.mark.slow) for d in INTEGERS[1:])])
@pytest.mark.parametrize("size", [(3, 4, 5), (7, 300, 33), (40, 70, 1), (2, 0, 3)], ids=str)
def test_products_of_integers_wrap_around(dtype: torch.dtype, size: tuple[int, int, int]) -> None:
    rows, inner, columns = size
    a, b = (torch.arange(-(n // 2), n - n // 2).mul(2_654_435_761).to(dtype) for n in (rows * inner, inner * columns))
    a, b = a.reshape(rows, inner), b.reshape(inner, columns)
    check(lambda a, b: [a @ b, b.T @ a.T, (a + 1) @ b * 3], a, b, ulp=0)
    assert jit(lambda a, b: a @ b, backend="native").explain(a, b).calls == {}


@pytest.mark.parametrize("packed", [0, 1 << 30])
def test_an_infinite_column_stays_in_its_place(packed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors that extend past the last column must not use the elements there."""
    monkeypatch.setattr(Target, "host", lambda host=Target.host: replace(host(), gemm_wins=False, packed=packed))
    a, b = rand(128, 90, dtype=torch.float64), rand(90, 50, dtype=torch.float64)
    b[3, 49] = torch.inf
    got, want = jit(torch.mm, backend="native")(a, b), a @ b
    assert_close(got[:, :49], want[:, :49], rtol=1e-12, atol=1e-12)
    assert torch.equal(got[:, 49].isfinite(), want[:, 49].isfinite())


@pytest.mark.parametrize("columns, dtype", [(193, torch.float32), (97, torch.float64), (131, torch.float32)])
def test_a_last_vector_that_is_alone_in_its_tile_stays_in_its_row(columns: int, dtype: torch.dtype) -> None:
    a, b = whole(5, 16, dtype=dtype), whole(16, columns, dtype=dtype)
    check_alone(lambda a, b: [a @ b, (a + 0) @ (b + 0)], a, b, backend="native", ulp=0, unsigned=RESULT)


@pytest.mark.slow
@pytest.mark.parametrize("vector, flag", [(16, "-march=x86-64-v2"), (32, "-march=haswell")])
@pytest.mark.skipif(
    "AVX512" not in torch.backends.cpu.get_cpu_capability(), reason="use of narrower vectors than the machine has"
)
def test_machines_with_narrower_vectors(vector: int, flag: str, monkeypatch) -> None:
    monkeypatch.setattr(target, "wins", lambda: False)
    flags = [flag if old == "-march=native" else old for old in toolchain.compiler().flags]
    narrower = replace(toolchain.compiler(), flags=tuple(flags), vector=vector)
    monkeypatch.setattr(toolchain, "compiler", lambda: narrower)
    for size in [(13, 11, 17), (131, 150, 33)]:
        test_operands_of_every_layout(size, torch.float32)
    test_products_over_lanes_equal_a_loop((7, 8, 9))


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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="protects a page of memory by Linux's mprotect")
def test_no_argument_is_read_past_its_end() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", AT_THE_END_OF_MEMORY], check=True)


def test_no_result_is_read_past_its_end() -> None:
    def f(tensors: list[Tensor]) -> list[Tensor]:
        a, bs = tensors
        _, ys = fn.scan(lambda c, b: (c, b * 2), a, bs)
        return [ys, a @ ys[2]]

    specs = [spec_of(torch.ones(16, 32)), spec_of(torch.ones(3, 32, 7))]  # rows shorter than a vector
    (product,) = (part for part in loops(trace(f, specs)).statements if isinstance(part, Contract))
    assert product.method is Method.WIDE and product.right.buffer.kind == "temporary"


@pytest.mark.parametrize("columns", [16, 17, 24, 33, 100])
def test_long_rows_are_not_copied(columns: int) -> None:
    specs = [spec_of(torch.ones(16, 32)), spec_of(torch.ones(32, columns))]
    (product,) = loops(trace(lambda tensors: [tensors[0] @ tensors[1]], specs)).statements[:1]
    assert isinstance(product, Contract) and product.method is Method.WIDE


def test_a_large_product_is_computed_in_its_result() -> None:
    specs = [spec_of(torch.ones(96, 32)), spec_of(torch.ones(32, 96))]
    (product,) = loops(trace(lambda tensors: [tensors[0] @ tensors[1]], specs)).statements
    assert isinstance(product, Contract) and product.out.buffer.kind == "output"


def test_a_result_that_is_returned_twice_is_copied() -> None:
    a, b = rand(96, 32, dtype=torch.float64), rand(32, 96, dtype=torch.float64)

    def f(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        c = a @ b
        return c, c[:48], c.T, c.reshape(32, -1), c

    got = jit(f, backend="native")(a, b)
    assert_close(got, f(a, b), rtol=1e-12, atol=1e-12)
    assert len({t.data_ptr() for t in got}) == len(got)


def test_arrays_that_vectors_are_stored_to_are_aligned() -> None:
    """gcc 12 used aligned stores at the end of a row for a sum that was not aligned: a crash."""
    a, b = whole(3, 4, 5), whole(3, 3, 605)

    def f(a: Tensor, b: Tensor) -> list[Tensor]:
        left, right = a[1:, 2:, 1:-2], b[:2, 1:, 3:-2]
        return [(left @ right).sum(0), (left * 2)[..., 1:] @ (right + 1)[:, 1:, 1:]]

    check_alone(f, a.float(), b.float(), backend="native", ulp=0, unsigned=RESULT)


@pytest.mark.parametrize("dtype", FLOATS)
def test_instructions_of_vectors_round_once(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    a, narrow, wide = rand(40, 33, dtype=dtype), rand(33, 4, dtype=dtype), rand(33, 40, dtype=dtype)
    load, instruction = toolchain.load, "&& HAS(__builtin_ia32_vfmadd"

    def f(a: Tensor, narrow: Tensor, wide: Tensor) -> tuple[Tensor, ...]:
        return a @ narrow, a @ wide, fn.vmap(lambda row: torch.outer(row, row) @ wide)(a)

    def load_without(text: str) -> toolchain.Library:
        assert instruction in text
        return load(text.replace(instruction, instruction.replace("HAS", "!HAS")))

    results = jit(f)(a, narrow, wide)
    monkeypatch.setattr(toolchain, "load", load_without)
    for result, by_elements in zip(results, jit(f, backend="native")(a, narrow, wide), strict=True):
        assert torch.equal(result, by_elements)
