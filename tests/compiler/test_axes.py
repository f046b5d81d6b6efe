"""Operations along axes equal ATen's: shapes, reductions, products and indices, over lanes, on every backend."""

import math

import pytest
import torch
from backends import BACKENDS, FLOATS, check, rand, rows, same, stack

import funcnet as fn
from funcnet.compiler import jit

nan, inf = math.nan, math.inf

SHAPES = {
    "permute": lambda x: x.permute(2, 0, 1) * 2,
    "transpose": lambda x: x.transpose(0, 2).contiguous(),
    "reshape": lambda x: x.permute(2, 0, 1).reshape(-1),
    "view": lambda x: (x + 1).reshape(6, 5),
    "unsqueeze": lambda x: x.unsqueeze(1) + 1,
    "squeeze": lambda x: x[:1].squeeze(0) + 1,
    "expand": lambda x: x[:, :1].expand(2, 4, 5) + 0,
    "slice": lambda x: x[:, 1:, ::2] + 0,
    "select": lambda x: x[1, :, -1] * 3,
    "flip": lambda x: x.flip(0, 2) + 0,
    "diagonal": lambda x: x[0, :, :].diagonal(1) + 0,
    "unfold": lambda x: x.unfold(2, 3, 2) + 0,
    "split": lambda x: torch.add(*x.split(1, 0)),
    "chunk": lambda x: x.chunk(3, 1)[1] + 0,
    "unbind": lambda x: sum(x.unbind(2)),
    "cat": lambda x: torch.cat([x, x * 2, x[:, :1]], 1),
    "stack": lambda x: torch.stack([x, -x], 1),
    "pad": lambda x: torch.nn.functional.pad(x, (1, 2, -1, 1), value=3.5),
    "repeat": lambda x: x.repeat(2, 1, 1, 3),
    "tile": lambda x: x.tile(2),
    "roll": lambda x: x.roll(2, 2),
    "tril": lambda x: x.tril(1),
    "triu": lambda x: x.triu(),
    "outer": lambda x: torch.outer(x[0, 0], x[1, 1]),
    "movedim": lambda x: x.movedim(0, -1) + 1,
    "zeros": lambda x: torch.zeros_like(x) + x.new_ones(5),
    "arange": lambda x: x + torch.arange(5, dtype=x.dtype) * torch.arange(2.0, 5.0, dtype=x.dtype)[:, None],
    "full": lambda x: torch.full((2, 3), 2.5, dtype=x.dtype),
    "eye": lambda x: torch.eye(3, dtype=x.dtype) @ x[0],
    "linspace": lambda x: torch.linspace(0, 1, 5, dtype=x.dtype) + x,
    "one_hot": lambda x: torch.nn.functional.one_hot((x > 0).long(), 3),
    "itself": lambda x: x,
    "twice": lambda x: [x, x, x.sum(0)],
}


FLOATING = ("zeros", "arange", "eye", "linspace")


NUMBERS = (*FLOATS, torch.int64)


@pytest.mark.parametrize("dtype, backend", rows(NUMBERS, inductor=[(torch.float32,), (torch.int64,)]))
def test_shapes(dtype: torch.dtype, backend: str) -> None:
    table = {name: f for name, f in SHAPES.items() if dtype.is_floating_point or name not in FLOATING}
    x = rand(2, 3, 5, dtype=torch.float64).mul(10).to(dtype)
    check(table, x, backend=backend)
    check(table, x.permute(1, 0, 2).contiguous().permute(1, 0, 2), backend=backend)


REDUCTIONS = {
    "sum": lambda x: x.sum(),
    "sum0": lambda x: x.sum(0),
    "sum1": lambda x: x.sum(1, keepdim=True),
    "sum02": lambda x: x.sum((0, 2)),
    "mean": lambda x: x.mean(-1),
    "prod": lambda x: x.prod(1),
    "amax": lambda x: x.amax(2),
    "amin": lambda x: x.amin((0, 1)),
    "max": lambda x: x.max(),
    "max1": lambda x: list(x.max(1)),
    "min1": lambda x: list(x.min(2, keepdim=True)),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(),
    "any": lambda x: (x > 1).any(1),
    "all": lambda x: (x < 1).all(),
    "var": lambda x: x.var(1),
    "std": lambda x: x.std(),
    "norm": lambda x: torch.linalg.vector_norm(x),
    "norm1": lambda x: torch.linalg.vector_norm(x, 1, dim=1),
    "logsumexp": lambda x: x.logsumexp(1),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(2),
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:]),
    "count": lambda x: (x > 0).sum(1),
    "weighted": lambda x: (x * x.sum(0)).sum(-1),
}


REDUCED = ((2, 3, 5), (1, 2, 1), (3, 50, 33), (4, 2, 100))
FEW = [((2, 3, 5), torch.float64), ((1, 2, 1), torch.float64), ((3, 50, 33), torch.float32)]


@pytest.mark.parametrize("shape, dtype, backend", rows(REDUCED, FLOATS, inductor=FEW))
def test_reductions(shape: tuple[int, ...], dtype: torch.dtype, backend: str) -> None:
    check(REDUCTIONS, rand(*shape, dtype=dtype), backend=backend, ulp=64, atol=400 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dim", [0, 1])
def test_reductions_of_nothing(dim: int, backend: str) -> None:
    names = ("sum", "prod", "any", "all", "mean")
    check({name: lambda x, name=name: getattr(x, name)(dim) for name in names}, torch.zeros(0, 3), backend=backend)


EXTREMA = {
    "max": lambda x: list(x.max(1)),
    "min": lambda x: list(x.min(0)),
    "argmax": torch.argmax,
    "amax": lambda x: x.amax(0),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_extrema_pass_nan_on(backend: str) -> None:
    x = torch.tensor([[1.0, nan, 3.0], [4.0, 5.0, -inf]])
    check(EXTREMA, x, backend=backend)


PRODUCTS = [
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


SOME = [(PRODUCTS[1], torch.float64), (PRODUCTS[3], torch.float32), (PRODUCTS[5], torch.float64)]


@pytest.mark.parametrize("shapes, dtype, backend", rows(PRODUCTS, FLOATS, inductor=SOME))
def test_products(shapes: tuple[tuple[int, int], tuple[int, int]], dtype: torch.dtype, backend: str) -> None:
    left, right = shapes
    a, b = rand(*left, dtype=dtype), rand(*right, dtype=dtype, seed=3)
    eps = torch.finfo(dtype).eps * max(left[1], 1)
    table = {
        "mm": torch.mm,
        "transposed": lambda a, b: (b.t() * 2) @ (a + 1).t(),
        "gram": lambda a, b: a.t() @ a,
        "outer": lambda a, b: b @ b.t(),
        "mv": lambda a, b: a @ b[:, 0],
        "vm": lambda a, b: a[0] @ b,
        "bmm": lambda a, b: torch.stack([a, a * 2]) @ b,
        "dot": lambda a, b: a[0] @ b[:, 0],
    }
    check(table, a, b, backend=backend, ulp=left[1] + 16, atol=32 * eps)


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


@pytest.mark.parametrize("dtype, backend", rows(NUMBERS, inductor=[(torch.float64,), (torch.int64,)]))
def test_indexed(dtype: torch.dtype, backend: str) -> None:
    x, index = rand(4, 5, dtype=torch.float64).mul(10).to(dtype), torch.tensor([3, 0, 3, 1])
    check(INDEXED, x, index, backend=backend, ulp=16)
    if backend != "inductor":  # which sees no difference between them
        check({name: lambda i, x, f=f: f(x, i) for name, f in INDEXED.items()}, index, x, backend=backend, ulp=16)
    lines = torch.stack([(index + lane) % 4 for lane in range(18)])
    every = lambda x, i: [f(x, i) for f in INDEXED.values()]  # noqa: E731
    want = stack([every(x, line) for line in lines])
    same(jit(fn.vmap(every, in_dims=(None, 0)), backend=backend)(x, lines), want, list(INDEXED), 16, 0)


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
