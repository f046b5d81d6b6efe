"""Pools equal ATen's on every backend: values, gradients, second derivatives, ties, infinities, NaN and margins."""

import math

import pytest
import torch
from backends import BACKENDS, check, rows
from tables import numbers
from torch import Tensor
from torch.nn import functional

import funcnet as fn
from funcnet.compiler import jit

nan, inf = math.nan, math.inf
SHAPES = {1: (2, 3, 9), 2: (2, 1, 7, 6), 3: (1, 2, 3, 4, 3)}
OPTIONS = {
    "max": [{}, {"stride": 2, "padding": 1, "dilation": 2}],
    "avg": [{}, {"stride": 1, "padding": 1, "count_include_pad": False}],
}


def same(f, *args, backend):
    jitted = jit(f, backend=backend)
    assert fn.tree.difference(jitted(*args), f(*args), rtol=1e-12, atol=1e-14) is None


CASES = [(2, kind, o) for kind in OPTIONS for o in OPTIONS[kind]] + [
    (n, kind, OPTIONS[kind][-1]) for n in (1, 3) for kind in OPTIONS
]


FEW = [(CASES[i],) for i in (0, 2, 4, 5)]


@pytest.mark.parametrize("case, backend", rows(CASES, inductor=FEW[::3], quick=FEW))  # g++ takes long for derivatives
def test_pools_and_their_derivatives(case, backend):
    axes, name, options = case
    pool, x = getattr(functional, f"{name}_pool{axes}d"), numbers(*SHAPES[axes])

    def loss(x):
        y = pool(x, (3, 2, 2)[:axes], **options)
        return y.sin().sum(), y

    gradient = fn.grad(loss, has_aux=True)
    same(gradient, x, backend=backend)
    if axes == 2 and "padding" in options:
        same(fn.vmap(gradient), torch.stack([x, x.flip(-1), 2 * x]), backend=backend)
        same(lambda x, v: fn.jvp(lambda x: gradient(x)[0], (x,), (v,)), x, x.cos(), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "options", [{"divisor_override": 5}, {"kernel_size": (3, 1), "stride": (1, 2), "padding": (1, 0)}]
)
def test_average_pools_with_more_options(options, backend):
    def f(x):
        y = functional.avg_pool2d(x, **{"kernel_size": 2, **options})
        return y.exp().sum(), y

    same(fn.grad(f, has_aux=True), numbers(2, 3, 5, 6), backend=backend)


@pytest.mark.few(2)
@pytest.mark.parametrize("window, backend", rows([(0, 1), (1, 2)], inductor=[]))  # which has its own order
def test_the_first_of_equal_maxima_and_the_last_nan_win(window, backend):
    padding, dilation = window
    few = torch.tensor([1.0, -inf, 0.0, -inf, -1.0, inf, 1.0, nan], dtype=torch.float64)
    for count in (2, 5, 8):  # small ones only; without NaN; all
        x = few[fn.random.randint(fn.random.key(count), (4, 6, 7), 0, count)]

        def f(x):
            y, index = functional.max_pool2d(x, 3, 2, padding, dilation, return_indices=True)
            return (y.nan_to_num(0.0, 0.0, 0.0) * index).sum(), (y, index)

        jitted, eager = jit(f, backend=backend)(x)[1], f(x)[1]
        assert torch.equal(jitted[1], eager[1])
        torch.testing.assert_close(jitted[0], eager[0], rtol=0, atol=0, equal_nan=True)
        pull = fn.vjp(lambda x: functional.max_pool2d(x, 3, 2, padding, dilation), x)
        weights = numbers(*pull[0].shape)
        pulled = lambda x, w: fn.vjp(lambda x: functional.max_pool2d(x, 3, 2, padding, dilation), x)[1](w)  # noqa: E731
        same(pulled, x, weights, backend=backend)


ADAPTIVE = {
    1: ((2, 3, 9), [(3,), (4,), (1,), (12,)]),
    2: ((2, 2, 7, 6), [(1, 1), (7, 3), (3, 2), (5, 9)]),
    3: ((1, 2, 3, 4, 5), [(1, 2, 5), (2, 3, 4)]),
}
ADAPTIVE_POOLS = [
    (getattr(functional, f"adaptive_{kind}_pool{axes}d"), size, shape)
    for axes, (shape, sizes) in ADAPTIVE.items()
    for kind in ("avg", "max")
    for size in sizes
]


def adaptive(images):
    """Compute all pools, those of maxima with their indices, and gradients."""

    def loss(images):
        results = [
            pool(x, size, **({"return_indices": True} if "max" in pool.__name__ else {}))
            for x, (pool, size, _) in zip(images, ADAPTIVE_POOLS, strict=True)
        ]
        return sum(y.sin().sum() for y in fn.tree.leaves(results) if y.is_floating_point()), results

    return fn.grad(loss, has_aux=True)(images)


def adaptive_images(kind):
    images = [numbers(*shape) for _, _, shape in ADAPTIVE_POOLS]
    if kind == "equal":
        return [x.round() for x in images]
    if kind == "nan":
        return [torch.where(numbers(*x.shape).sin() > 0.7, nan, x) for x in images]
    return images


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["different", "equal", "nan"])
@pytest.mark.parametrize("backend", ["eager", "native"])
def test_adaptive_pools_and_their_gradients(kind, backend):
    jitted, images = jit(adaptive, backend=backend), adaptive_images(kind)
    assert fn.tree.difference(jitted(images), adaptive(images), rtol=1e-12, atol=1e-14) is None
    assert not jitted.explain(images).calls


@pytest.mark.slow  # one large kernel
def test_adaptive_pools_of_lanes():
    images = adaptive_images("different")
    lanes = [torch.stack([x, x.flip(-1)]) for x in images]
    jitted = jit(fn.vmap(adaptive), backend="native")
    loop = fn.tree.stack([adaptive([x[i] for x in lanes]) for i in range(2)])
    assert fn.tree.difference(jitted(lanes), loop, rtol=1e-12, atol=1e-14) is None
    assert not jitted.explain(lanes).calls


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("factor", [{"scale_factor": 2}, {"size": 9}, {"scale_factor": 3.0}])
@pytest.mark.parametrize("axes", [1, 2])
def test_the_gradient_of_resizing_to_the_nearest_element(axes, factor, mode):
    def loss(x):
        return functional.interpolate(x, mode=mode, **factor).sin().sum()

    x = numbers(2, 1, *(3, 9)[:axes])
    jitted = jit(fn.grad(loss), backend="native")
    assert fn.tree.difference(jitted(x), fn.grad(loss)(x), rtol=1e-12) is None
    assert not jitted.explain(x).calls


@pytest.mark.parametrize("size", [(4, 5), (7, 2)])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_the_gradient_of_other_sizes(size, mode):
    x = numbers(2, 1, 3, 6)
    jitted = jit(fn.grad(lambda x: functional.interpolate(x, size, mode=mode).sin().sum()), backend="native")
    assert fn.tree.difference(jitted(x), jitted.f(x), rtol=1e-12) is None
    assert not jitted.explain(x).calls


@pytest.mark.parametrize("pool", [functional.max_pool2d, functional.avg_pool1d])
def test_pools_of_integers(pool):
    x = torch.arange(-7, 8).reshape(1, 3, 5)
    assert torch.equal(jit(lambda x: pool(x, 2, 1))(x), pool(x, 2, 1))


LARGE = [(3, 2, 1), (2, 2, 0), (3, 4, 1), (12, 9, 6)]  # windows that overlap, that tile x, that leave gaps, large ones


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("size, stride, padding", LARGE)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_large_pools_are_native(name: str, size: int, stride: int, padding: int, ceil_mode: bool) -> None:
    x = numbers(16, 8, 31, 30, dtype=torch.float32)
    pool = lambda x: getattr(functional, name)(x, size, stride, padding, ceil_mode=ceil_mode)  # noqa: E731

    def f(x: Tensor) -> tuple[Tensor, ...]:
        y, pull = fn.vjp(pool, x)
        return y, *pull(y.round())

    for got, want in zip(jit(f, backend="native")(x), f(x), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


WINDOWS = [
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 2, "stride": 1, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 3)},
    {"kernel_size": (2, 3), "stride": 3, "padding": (1, 1), "dilation": (3, 1)},
    {"kernel_size": (1, 5), "stride": (4, 1), "padding": (0, 2)},
]
IMAGES = {
    "nothing": torch.full((2, 6, 7), -inf),
    "one": torch.full((2, 6, 7), -inf).index_put(
        (torch.tensor(1), torch.tensor(3), torch.tensor(4)), torch.tensor(-3.0)
    ),
    "corner": torch.full((2, 6, 7), -inf).index_put(
        (torch.tensor(0), torch.tensor(5), torch.tensor(6)), torch.tensor(inf)
    ),
    "equals": torch.full((2, 6, 7), -1.0),
    "rows": torch.tensor([-inf, -1.0, -inf, -inf, -2.0, -1.0])[:, None].expand(2, 6, 7).contiguous(),
}


@pytest.mark.few(5)
@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("name", IMAGES)
def test_indices_of_the_maxima(name: str, options: dict) -> None:
    def f(x: Tensor) -> list[Tensor]:
        y, index = functional.max_pool2d(x, **options, return_indices=True)
        weight = torch.arange(1.0, y.numel() + 1).reshape(y.shape)
        finite = lambda x: (functional.max_pool2d(x, **options).clamp(-5, 5) * weight).sum()  # noqa: E731
        pulled = fn.vjp(lambda x: functional.max_pool2d(x, **options), x)[1](weight)
        return [y, index, *pulled, fn.grad(finite)(x)]

    check(f, IMAGES[name], ulp=0)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_lines_shorter_than_their_windows(length: int) -> None:
    def f(x: Tensor) -> list[Tensor]:
        best = functional.max_pool1d(x, 5, 1, 2, return_indices=True)
        means = [functional.avg_pool1d(x, 5, 2, 2, count_include_pad=include) for include in (True, False)]
        return [*best, *means]

    check(f, torch.arange(3.0 * length).neg().reshape(1, 3, length), atol=1e-6)
    check(lambda x: f(x)[:2], torch.full((1, 1, length), -inf), ulp=0)
