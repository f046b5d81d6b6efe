"""Sorting, selection, running extrema and nextafter equal ATen's on every backend."""

import math
from itertools import product

import pytest
import torch
from backends import BACKENDS, FLOATS, rows
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.control_flow.scan import scan

nan, inf = math.nan, math.inf
DTYPES = [torch.float32, torch.float64, torch.int64, torch.int32, torch.int8, torch.uint8, torch.bool]


def both(f, *xs: Tensor, backend: str) -> None:
    """Compare without lanes, with the layout reversed, and with an incomplete block of different lanes."""
    ones = [x[0] for x in xs]
    same(jit(f, backend=backend)(*ones), f(*ones))
    same(jit(f, backend=backend)(*map(reversed_layout, ones)), f(*ones))
    want = [torch.stack(column) for column in zip(*map(f, *xs), strict=True)]
    same(jit(fn.vmap(f), backend=backend)(*xs), want)


def reversed_layout(x: Tensor) -> Tensor:
    order = list(range(x.ndim))[::-1]
    return x.permute(order).contiguous().permute(order)


def same(got, want, bound: float = 0.0) -> None:
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=bound, atol=bound, equal_nan=True)


def values(*shape: int, dtype: torch.dtype) -> Tensor:
    """Return few distinct values, so that most occur repeatedly; for floats with NaN, infinities and both zeros."""
    x = torch.randint(0, 7, shape, generator=torch.Generator().manual_seed(sum(shape)))
    if dtype.is_floating_point:
        return torch.tensor([nan, inf, -inf, 0.0, -0.0, 1.5, -2.0], dtype=dtype)[x]
    return (x % 2 == 0) if dtype == torch.bool else (x - 3).to(dtype)


SHAPES = [(2, 1, 3), (1, 70), (3, 0), (0, 2), ()]


KINDS = [*product([(3, 8, 5)], DTYPES), *product(SHAPES, [torch.float64, torch.bool])]
FEW = [(((3, 8, 5), torch.float32),), (((0, 2), torch.float64),)]


@pytest.mark.few(5)
@pytest.mark.parametrize("kind, backend", rows(KINDS, inductor=FEW))
def test_sort(kind: tuple[tuple[int, ...], torch.dtype], backend: str) -> None:
    shape, dtype = kind

    def every(x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for dim, descending in product(range(-1, len(shape) - 1) if shape else [0], [False, True]):
            found += x.sort(stable=True, dim=dim, descending=descending)
            found.append(x.argsort(stable=True, dim=dim, descending=descending))
        return found

    both(every, values(19, *shape, dtype=dtype), backend=backend)


def test_masks_next_to_float64_have_enough_memory() -> None:
    both(
        lambda x: [(x > bound).sort().values for bound in (-0.5, 0.0, 0.5)],
        values(9, 1500, dtype=torch.float64),
        backend="native",
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_long_line_is_sorted(backend: str) -> None:
    x = torch.randn(2, 1001, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    both(lambda x: [*x.sort(), *(x * 2).sort(descending=True)], x, backend=backend)
    both(lambda x: [*x.sort()], x.to(torch.float32), backend=backend)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bfloat16])
def test_long_lines_are_sorted_by_digits(dtype: torch.dtype) -> None:
    """Lines just below and above the length from which on digits are sorted, and numbers that differ in all digits."""
    few = [values(size, dtype=dtype) for size in (32 * dtype.itemsize - 1, 32 * dtype.itemsize)]
    if dtype.is_floating_point:
        few.append((torch.randn(500, generator=torch.Generator().manual_seed(0)) * 1e3).to(dtype))
        few[0][3] = -few[0][few[0].isnan()][0]
    elif dtype != torch.bool:
        low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max
        few.append(torch.randint(low, high, (500,), dtype=dtype, generator=torch.Generator().manual_seed(0)))

    def f(*lines: Tensor) -> list[Tensor]:
        orders = (False, True)
        return [y for x, descending in product(lines, orders) for y in x.sort(stable=True, descending=descending)]

    same(jit(f, backend="native")(*few), f(*few))


@pytest.mark.parametrize("backend", BACKENDS)
def test_sort_in_a_scan_and_of_a_computed_value(backend: str) -> None:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        return scan(lambda c, row: ((c + row).sort().values.flip(0), (c * row).argsort(stable=True)), x[0], x)

    both(f, torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gradient_of_sort(backend: str) -> None:
    weight = torch.arange(12.0).reshape(3, 4)
    gradient = fn.grad(lambda x: (x.sort(0).values * weight).sum())
    both(lambda x: [gradient(x)], torch.randn(3, 3, 4), backend=backend)


@pytest.mark.parametrize("dtype, backend", rows([torch.float64, torch.int32], inductor=[(torch.float64,)]))
def test_topk(dtype: torch.dtype, backend: str) -> None:
    x = torch.stack([torch.randperm(30, generator=torch.Generator().manual_seed(i)).reshape(5, 6) for i in range(3)])
    several = lambda x: [*x.topk(3), *x.topk(5, 0), *x.topk(2, 1, largest=False), *x.topk(0, 0)]  # noqa: E731
    both(several, x.to(dtype), backend=backend)
    number = torch.tensor(3).to(dtype)
    same(jit(lambda x: x.topk(1, 0), backend=backend)(number), number.topk(1, 0))


LINES = ((3, 8), (2, 0), ())
KINDS = (torch.float32, torch.float64, torch.int32, torch.bool)
SOME = [((3, 8), torch.float32), ((2, 0), torch.float64)]


@pytest.mark.few(4)
@pytest.mark.parametrize("shape, dtype, backend", rows(LINES, KINDS, inductor=SOME))
def test_running_extrema(shape: tuple[int, ...], dtype: torch.dtype, backend: str) -> None:
    both(
        lambda x: [*x.cummax(-1), *x.cummin(0), *(x | x if dtype == torch.bool else x + x).cummin(-1)],
        values(18, *shape, dtype=dtype),
        backend=backend,
    )


@pytest.mark.parametrize("size", [9, 65])
def test_the_last_zero_gives_a_running_extremum_its_sign(size: int) -> None:
    x = torch.zeros(size, size).where(torch.arange(size) % 3 > 0, -0.0)

    def f(x: Tensor) -> list[Tensor]:
        lines = product((torch.cummax, torch.cummin), (x, x.mT), (0, 1))
        return [1 / extremum(values, dim).values for extremum, values, dim in lines]

    for got, want in zip(jit(f, backend="native")(x), f(x), strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("dtype, backend", rows(FLOATS, inductor=[(torch.float64,)]))
def test_logcumsumexp(dtype: torch.dtype, backend: str) -> None:
    x = torch.tensor(
        [[-inf, -inf, 0.5, 3.0, -700.0], [inf, 1.0, inf, -inf, 2.0], [1.0, 2.0, nan, 1.0, inf]], dtype=dtype
    )
    f = lambda x: [x.logcumsumexp(0), x.logcumsumexp(1)]  # noqa: E731
    bound = 8 * torch.finfo(dtype).eps
    same(jit(f, backend=backend)(x), f(x), bound)
    lanes = torch.stack([x, x + 1, x * 2])
    same(jit(fn.vmap(f), backend=backend)(lanes), map(torch.stack, zip(*map(f, lanes), strict=True)), bound)


@pytest.mark.parametrize("dtype, backend", rows(FLOATS, inductor=[(torch.float32,)]))
def test_nextafter(dtype: torch.dtype, backend: str) -> None:
    tiny, most = torch.finfo(dtype).smallest_normal, torch.finfo(dtype).max
    edges = torch.tensor([0.0, -0.0, 1.0, -1.0, tiny, -tiny, most, -most, inf, -inf, nan], dtype=dtype)
    a, b = torch.cartesian_prod(edges, edges).unbind(-1)
    got = jit(torch.nextafter, backend=backend)(a, b)
    same([got], [torch.nextafter(a, b)])
    assert torch.equal(got.signbit(), torch.nextafter(a, b).signbit())
    same([jit(fn.vmap(torch.nextafter), backend=backend)(a, b)], [torch.nextafter(a, b)])


ACTIVATIONS = {
    "elu": lambda x: torch.nn.functional.elu(x, 0.7),
    "selu": torch.nn.functional.selu,
    "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.2),
    "hardtanh": lambda x: torch.nn.functional.hardtanh(x, -0.5, 2.0),
    "relu6": torch.nn.functional.relu6,
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_activations(backend: str) -> None:
    x = torch.tensor([[nan, inf, -inf, 0.0, -0.0, 1.5, 7.0, -0.3, -20.0]], dtype=torch.float64)
    # without NaN, where ATen's gradients of hardtanh depend on the tensor's size
    slopes = lambda x: [fn.grad(lambda x, g=g: g(x).sum())(x[..., 1:]) for g in ACTIVATIONS.values()]  # noqa: E731
    f = lambda x: [*(g(x) for g in ACTIVATIONS.values()), *slopes(x)]  # noqa: E731
    same(jit(f, backend=backend)(x), f(x), 1e-14)
    same(jit(fn.vmap(f), backend=backend)(x), f(x), 1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_selection_of_few_does_not_depend_on_the_rest(dtype: torch.dtype) -> None:
    x = values(19, 3, 90, dtype=dtype)

    def selections(x: Tensor) -> list[Tensor]:
        found = [x.topk(3), x.topk(9, largest=False), x.kthvalue(40), x.kthvalue(2, 1, keepdim=True), x.kthvalue(2, 0)]
        found += [x.median(1), x.median(-1, keepdim=True), x.median(0)]
        return [*(pair.values for pair in found), x.median(), x.mT.median()]

    both(selections, x, backend="native")


def test_equal_elements_are_selected_in_order() -> None:
    x = values(3, 90, dtype=torch.float32)
    order = x.argsort(descending=True, stable=True)
    f = lambda x: [x.topk(11).indices, x.topk(11, largest=False).indices, x.kthvalue(40).indices]  # noqa: E731
    same(jit(f, backend="native")(x), [order[:, :11], x.argsort(stable=True)[:, :11], x.argsort(stable=True)[:, 39]])


FIRST = {
    "values": lambda x: [x.sort(stable=True).values[..., :3]],
    "both": lambda x: [y[..., 1:4:2] for y in x.sort(stable=True, descending=True)],
    "other axis": lambda x: [x.sort(dim=0, stable=True, descending=True).indices[1]],
    "cast": lambda x: [x.argsort(stable=True).to(torch.int32).to(torch.float32)[..., 2]],
    "in a scan": lambda x: [
        scan(lambda c, row: (c + row.sort().values[:2].sum(), row.argsort(stable=True)[0]), x[0, 0], x)[1]
    ],
    "branches": lambda x: [fn.cond(x[0, 0] > 0, lambda x: x.sort().values[:, :2], lambda x: x[:, :2], x)],
}
WHOLE = {
    "all": lambda x: [x.sort(stable=True).values[..., :90]],
    "last": lambda x: [x.sort(stable=True).values[..., -3:], x.sort(stable=True).values[..., -1]],
    "up to the last": lambda x: [x.sort(stable=True, dim=0).indices[..., :-80]],
    "another axis": lambda x: [x.sort(stable=True).values[:1, :]],
    "read twice": lambda x: [(y := x.sort(stable=True)).values[:, :2], y.indices],
    "read by a branch": lambda x: [fn.cond(x[0, 0] > 0, lambda y: y[:, :2], lambda y: y[:, -2:], x.sort()[0])],
}


@pytest.mark.parametrize("table, selects", [(FIRST, True), (WHOLE, False)])
def test_a_sort_selects_the_first_elements_if_no_others_are_read(table, selects: bool) -> None:
    f = lambda x: [y for g in table.values() for y in g(x)]  # noqa: E731
    both(f, values(17, 24, 90, dtype=torch.float32).nan_to_num(7), backend="native")
    for name, g in table.items():
        text = jit(g, backend="native").lower(values(24, 90, dtype=torch.float32)).as_text("c")
        assert selects == ("smallest_f32" in text or "largest_f32" in text), name
        assert selects != ("ascending_f32" in text or "descending_f32" in text), name


def test_top_k_orders_equal_elements_by_position() -> None:
    x = values(3, 4, 200, dtype=torch.float32)
    f = lambda x: fn.lax.top_k(x, 11)  # noqa: E731
    want = [x.sort(stable=True, descending=True)[0][..., :11], x.argsort(stable=True, descending=True)[..., :11].int()]
    same(f(x), want)
    same(jit(f, backend="native")(x), want)
    assert "descending_f32" not in jit(f).lower(x).as_text("c")


def test_the_gradients_of_a_median_and_a_kth_value_are_at_their_positions() -> None:
    f = fn.grad(lambda x: (x.median(1).values * x.kthvalue(3, 1).values).sum() + x.median())
    x = torch.randn(5, 21, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same([jit(f, backend="native")(x)], [f(x)], 1e-12)


def test_a_median_is_nan_if_an_element_is() -> None:
    x = torch.tensor([[1.0, nan, 2.0, nan, 0.0], [3.0, 1.0, 2.0, 0.0, 5.0]])
    value, index = jit(lambda x: x.median(1), backend="native")(x)
    same([value, index], [torch.tensor([nan, 2.0]), torch.tensor([1, 2])])
