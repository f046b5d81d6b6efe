"""Gathers and scatters equal ATen's on every backend; natively also colliding writes and combinations of indices."""

import pytest
import torch
from backends import BACKENDS, FLOATS, check, rand, rows
from stages import text
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace
from funcnet.control_flow.scan import scan

put = torch.ops.aten.index_put

INDEXED = {
    "gather": lambda x, i: x.gather(1, i[:, None] % 5),
    "index": lambda x, i: x[i],
    "index1": lambda x, i: x[:, i],
    "negative": lambda x, i: x[-i],
    "pair": lambda x, i: x[i, i % 5],
    "split": lambda x, i: x[:, None, :].expand(4, 2, 5)[i, :, i % 5],
    "select": lambda x, i: x.index_select(1, i),
    "take": lambda x, i: torch.take_along_dim(x, i[:, None] % 5, 1),
    "embedding": lambda x, i: torch.nn.functional.embedding(i[None], x),
    "scatter": lambda x, i: torch.zeros(4, 5, dtype=x.dtype).scatter(1, i[:, None] % 5, x[:, :1]),
    "scatter_number": lambda x, i: x.scatter(0, i[None], 2),
    "scatter_add": lambda x, i: x.scatter_add(0, i[:, None].expand(4, 5), x * 2),
    "index_put": lambda x, i: torch.ops.aten.index_put(x, [i], x * 3, True),
    "index_put1": lambda x, i: torch.ops.aten.index_put(x, [None, i], x[:, :4], False),
    "index_add": lambda x, i: x.index_add(0, i, x),
    "masked_fill": lambda x, i: x.masked_fill(x > 0, 2),
    "slice_scatter": lambda x, i: torch.slice_scatter(x, x[:2] * 2, 0, 1, 3),
    "select_scatter": lambda x, i: torch.select_scatter(x, x[0] * 2, 0, 1),
}

FEW = [(torch.float64,), (torch.int64,)]


@pytest.mark.few(2)
@pytest.mark.parametrize("dtype, backend", rows((*FLOATS, torch.int64), inductor=FEW, quick=FEW))
def test_indexed(dtype: torch.dtype, backend: str) -> None:
    x, index = rand(4, 5, dtype=torch.float64).mul(10).to(dtype), torch.tensor([3, 0, 3, 1])
    check(INDEXED, x, index, backend=backend, ulp=16)


def reductions(x, source):
    """Compute sums and means by index, with and without the elements of x, some of which have no terms."""
    rows = torch.tensor([0, 2, 2, 0, 2, 0])
    index = rows[:, None].expand(source.shape)
    return [
        reduced
        for own in (True, False)
        for reduced in (
            x.scatter_reduce(0, index, source, "sum", include_self=own),
            x.scatter_reduce(0, index, source, "mean", include_self=own),
            x.index_reduce(0, rows, source, "mean", include_self=own),
        )
    ]


@pytest.mark.filterwarnings("ignore:.*index_reduce")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("backend", ["eager", "native"])
def test_sums_and_means_by_index(dtype: torch.dtype, backend: str) -> None:
    def f(x, source):
        loss = lambda *args: sum(y.sin().sum() for y in reductions(*args))  # noqa: E731
        return reductions(x, source), fn.grad(loss, argnums=(0, 1))(x, source)

    eps, x, source = torch.finfo(dtype).eps, rand(2, 4, 3, dtype=dtype), rand(2, 6, 3, dtype=dtype)
    loop = [f(*args) for args in zip(x, source, strict=True)]
    for jitted, args, want in (
        (jit(f, backend=backend), (x[0], source[0]), loop[0]),
        (jit(fn.vmap(f), backend=backend), (x, source), fn.tree.stack(loop)),
    ):
        assert fn.tree.difference(jitted(*args), want, rtol=8 * eps, atol=8 * eps) is None
        assert not jitted.explain(*args).calls


@pytest.mark.filterwarnings("ignore:.*index_reduce")
def test_means_of_0d_tensors_by_index() -> None:
    f = lambda x, i, source: x.index_reduce(0, i, source, "mean")  # noqa: E731
    compiled, args = jit(f, backend="native"), (torch.tensor(2.0), torch.tensor([0]), torch.tensor(4.0))
    assert compiled(*args) == 3 and not compiled.explain(*args).calls


@pytest.mark.filterwarnings("ignore:.*index_reduce")
@pytest.mark.parametrize("how", ["mean", "prod", "amax"])
@pytest.mark.parametrize("shape", [(3,), (), (1, 2)])
def test_reductions_by_index_check_the_shape_of_the_source(how: str, shape: tuple[int, ...]) -> None:
    f = lambda x, source: x.index_reduce(0, torch.tensor([1]), source, how)  # noqa: E731
    x, source = torch.ones(2), torch.ones(shape)
    with pytest.raises(RuntimeError) as want:
        f(x, source)
    for backend in ("eager", "native"):
        with pytest.raises(RuntimeError) as got:
            jit(f, backend=backend)(x, source)
        assert str(want.value) in str(got.value)


@pytest.mark.filterwarnings("ignore:.*index_reduce", "ignore:There is a perf", "ignore:The reduce argument")
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.uint8])
def test_products_and_extrema_by_index(dtype: torch.dtype) -> None:
    def f(x, source):
        return [
            found
            for how in ("prod", "amax", "amin")
            for own in (True, False)
            for found in (
                x.scatter_reduce(-1, source.long() % 4, source, how, include_self=own),
                x.index_reduce(0, torch.tensor([2, 0, 0, 1, 2]), source[:, :4], how, include_self=own),
            )
        ] + [x.scatter(1, source.long() % 4, source, reduce="multiply")]

    check(f, *(numbers(*shape, seed=i).abs().to(dtype) for i, shape in enumerate(((5, 4), (5, 7)))), ulp=2)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["amax", "amin"])
def test_gradients_of_extrema_by_index(how: str) -> None:
    def f(x, source):
        rows = torch.tensor([0, 2, 2, 0, 2, 0])[:, None].expand(source.shape)
        return fn.grad(lambda *args: args[0].scatter_reduce(0, rows, args[1], how).sin().sum(), argnums=(0, 1))(
            x, source
        )

    check(f, rand(4, 3), rand(6, 3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_through_indices(backend: str) -> None:
    def f(x, i):
        return fn.grad(lambda x: (x[i] ** 2).sum() + x.gather(1, i[:, None])[:, 0].exp().sum() + x[1, 2:].sum())(x)

    check(f, rand(4, 5), torch.tensor([3, 0, 3, 1]), backend=backend, ulp=16, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("lanes", [False, True])
def test_an_index_out_of_range_is_an_error(lanes: bool, backend: str) -> None:
    f = lambda x, i: x[i]  # noqa: E731
    error = RuntimeError if backend == "inductor" else IndexError
    with pytest.raises(error, match="out of (the range|bounds)"):
        jit(fn.vmap(f, in_dims=(None, 0)) if lanes else f, backend=backend)(torch.zeros(3), torch.tensor([[0], [3]]))


def numbers(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(10).to(dtype)


def few(count: int, most: int) -> Tensor:
    return torch.randint(0, most, (count,), generator=torch.Generator().manual_seed(1))


def table(x: Tensor) -> Tensor:
    """Return rows without zeros, in the dtype of x."""
    return torch.arange(12, dtype=x.dtype).reshape(4, 3) + 1


WRITES = {
    "add": lambda x, i: table(x)[:, 0].scatter_add(0, i, x),
    "last": lambda x, i: table(x)[:, 0].scatter(0, i, x),
    "put": lambda x, i: put(table(x)[:, 0], [i], x, True),
    "put_last": lambda x, i: put(table(x)[:, 0], [i], x, False),
    "rows": lambda x, i: put(table(x), [i], x[:, None] + table(x)[:1], True),
    "rows_last": lambda x, i: put(table(x), [i], x[:, None] + table(x)[:1], False),
    "columns": lambda x, i: put(table(x).mT, [None, i], x * table(x)[0, :, None], True),
    "columns_last": lambda x, i: put(table(x).mT, [None, i], x * table(x)[0, :, None], False),
    "along": lambda x, i: table(x).mT.scatter_add(1, i.expand(3, -1), (x * 2).expand(3, -1)),
    "one_place": lambda x, i: table(x)[0].scatter_add(0, i * 0 + 1, x),
    "one_place_last": lambda x, i: table(x)[0].scatter(0, torch.ones_like(i), x),
    "one_number": lambda x, i: put(table(x)[:, 0], [i], x[3:4], True),
    "count": lambda x, i: put(table(x)[:, 0], [i], torch.ones_like(x), True),
    "from_the_end": lambda x, i: put(table(x), [i - 4, i % 3 - 3], x, True),
    "of_more": lambda x, i: table(x).scatter(1, i[:6].reshape(3, 2) % 3, x[:20].reshape(4, 5)),
    "of_fewer": lambda x, i: table(x).scatter_add(0, i[None, :2], table(x) * x[0]),
    "slice": lambda x, i: torch.slice_scatter(table(i), i[:6].reshape(2, 3), 0, 1, 3),
    "largest": lambda x, i: table(x)[:, 0].scatter_reduce(0, i, x, "amax"),
    "index_add": lambda x, i: table(x).index_add(0, i, x[:, None].expand(-1, 3), alpha=3),
}


@pytest.mark.parametrize(
    "dtype", [torch.float32, *(pytest.param(d, marks=pytest.mark.slow) for d in (FLOATS[1], torch.int64))]
)
def test_many_writes_to_few_places(dtype: torch.dtype) -> None:
    x = numbers(300, dtype=torch.int64).to(dtype)  # integers, so that sums are exact
    check(lambda x, i: [f(x, i) for f in WRITES.values()], x, few(300, 4), ulp=0)


def test_many_writes_of_bools_to_few_places() -> None:
    start = torch.tensor([True, False, False, False, False])
    f = lambda x, i: [put(start, [i], x, True), put(start, [i], x, False), x[i], x.gather(0, i + 9)]  # noqa: E731
    check(f, numbers(40) > 12, few(40, 5), ulp=0)


def test_gradients_through_rows_read_often() -> None:
    def loss(w: Tensor, i: Tensor) -> Tensor:
        return (w[i] * torch.arange(i.numel())[:, None]).sin().sum() + torch.nn.functional.embedding(i, w).exp().sum()

    check(lambda w, i: fn.grad(loss)(w, i), numbers(4, 3) / 10, few(200, 4), ulp=16, atol=1e-12)


def test_writes_to_the_rows_that_a_loop_carries() -> None:
    def f(x: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        def step(c: Tensor, row: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            at, value = row
            return put(c, [at], c[at] + value, False), c.gather(0, at[:1])

        return scan(step, torch.zeros(5, dtype=x.dtype), (i.reshape(50, 2), x.reshape(50, 2)))

    check(f, numbers(100, dtype=torch.int64), few(100, 5), ulp=0)


def test_a_loop_of_writes_is_not_declared_independent() -> None:
    """gcc 14 may use the pragma; in gcc 12 the check of the index prevents it."""
    program = trace(lambda t: [WRITES["add"](*t)], [spec_of(numbers(300)), spec_of(few(300, 4))])
    lines = [line.strip() for line in text(program, vector=64).splitlines()]
    (write,) = (k for k, line in enumerate(lines) if "within_one(" in line and "+=" in line)
    begin = max(k for k in range(write) if lines[k].startswith("for"))
    assert "VECTORISE" in lines and lines[begin - 1] != "VECTORISE"


A, B = torch.tensor([[3], [0], [2]]), torch.tensor([[1, 0, 4, -2]])

PLACES = {  # indices of a tensor of shape (4, 5, 4, 5), and the shape of the result
    "first": (lambda a, b: [a, b], (3, 4, 4, 5)),
    "middle": (lambda a, b: [None, b, a], (4, 3, 4, 5)),
    "last": (lambda a, b: [None, None, a, b], (4, 5, 3, 4)),
    "apart": (lambda a, b: [a, None, None, b], (3, 4, 5, 4)),
    "apart_later": (lambda a, b: [None, a, None, b], (3, 4, 4, 4)),
    "of_fewer_axes": (lambda a, b: [None, b[0], a], (4, 3, 4, 5)),
    "with_one_number": (lambda a, b: [None, b, a, a[1, 0]], (4, 3, 4)),
    "one_alone": (lambda a, b: [None, None, a], (4, 5, 3, 1, 5)),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", PLACES)
def test_indices_broadcast(name: str) -> None:
    chosen, shape = PLACES[name]
    x = numbers(4, 5, 4, 5)
    values = torch.arange(1.0, 1 + torch.Size(shape).numel(), dtype=x.dtype).reshape(shape)

    def f(x: Tensor, a: Tensor, b: Tensor) -> list[Tensor]:
        at = chosen(a, b)
        written = [put(x, at, v, add) for v in (values, values[..., :1], values[0, 0]) for add in (True, False)]
        return [torch.ops.aten.index(x, at), *written]

    assert f(x, A, B)[0].shape == shape
    check(f, x, A, B, ulp=1)


@pytest.mark.parametrize("lanes", [False, True])
@pytest.mark.parametrize("index", [4, -5])
def test_a_write_out_of_range_is_an_error(index: int, lanes: bool) -> None:
    f = lambda x, i: put(x, [i], x[:1], True)  # noqa: E731
    call = fn.vmap(f, in_dims=(None, 0)) if lanes else f
    good, bad = (torch.tensor([[0], [last]] if lanes else [last]) for last in (3, index))
    jit(call, backend="native")(torch.zeros(4), good)
    with pytest.raises(IndexError, match="out of the range"):
        jit(call, backend="native")(torch.zeros(4), bad)


def test_indices_that_are_comparisons() -> None:
    """gcc 12 read at wrong indices where a vector of comparisons was one of indices."""

    def f(x: Tensor, y: Tensor) -> list[Tensor]:
        line = x[:2].sort().values
        return [
            line[(y > 0).long()],
            line.sort().values[torch.where(y > line[0], 1, 0)],
            line.gather(0, (y < 0).long()),
        ]

    check(f, rand(3), rand(40, seed=1))


def test_a_row_out_of_range_is_an_error() -> None:
    x, rows = torch.ones(5, 70), torch.tensor([1, 5, 2])
    for f in (lambda x, i: x[i], lambda x, i: x.index_add(0, i, x[:3]), lambda x, i: x.index_select(0, i)):
        with pytest.raises(IndexError, match="out of the range"):
            jit(f, backend="native")(x, rows)
        assert torch.equal(jit(f, backend="native")(x, rows % 5), f(x, rows % 5))
