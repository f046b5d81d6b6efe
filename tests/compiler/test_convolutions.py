"""Convolutions of every kind run natively: values and gradients equal torch's, without and with lanes."""

from typing import Any

import pytest
import torch
from backends import rand, whole
from stages import loops
from tables import numbers
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

import funcnet as fn
from funcnet.compiler import jit
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace

nan = float("nan")

# shapes of x and of the weights, and options
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "same": ((3, 3, 8, 7), (4, 3, 3, 3), {"padding": "same"}),
    "stride": ((2, 4, 9, 7), (6, 2, 3, 2), {"groups": 2, "stride": (2, 3), "padding": 1}),
    "depthwise": ((3, 4, 9, 8), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "few positions": ((20, 18, 2, 3), (17, 18, 2, 2), {}),
    "transposed": ((2, 4, 5, 6), (4, 3, 3, 3), {"transposed": True, "padding": 1}),
    "one by one": ((2, 17, 6, 6), (33, 17, 1, 1), {}),
    "margins wider than x": ((4, 20, 6), (8, 20, 5), {"padding": 7}),
    "dilation": ((2, 3, 12, 11), (5, 3, 3, 3), {"dilation": (2, 3), "padding": 2}),
    "dilation and stride": ((2, 3, 12, 11), (5, 3, 3, 3), {"dilation": 2, "stride": (2, 3), "padding": 3}),
    "whole image": ((40, 1, 4, 4), (20, 1, 4, 4), {}),
    "line": ((2, 5, 41), (3, 5, 4), {"stride": 3}),
    "volume": ((2, 3, 5, 6, 4), (4, 3, 2, 3, 2), {"padding": 1}),
    "volume and stride": ((2, 3, 5, 6, 4), (4, 3, 2, 3, 2), {"padding": 1, "stride": 2}),
    "many images": ((16, 16, 14, 14), (32, 16, 3, 3), {"padding": 1}),
    "many channels of x": ((2, 40, 10, 9), (3, 40, 5, 3), {"padding": (2, 1)}),
    "transposed and stride": (
        (2, 4, 5, 6),
        (4, 3, 3, 3),
        {"transposed": True, "stride": 2, "padding": 1, "output_padding": 1},
    ),
    "transposed groups": (
        (2, 4, 5, 6),
        (4, 3, 3, 3),
        {"transposed": True, "groups": 2, "stride": (1, 3), "padding": 2, "dilation": 2},
    ),
    "cropped": ((2, 4, 6), (4, 3, 4), {"transposed": True, "padding": 3, "groups": 2}),
}


def derivatives(case: str) -> Any:
    """Return a function that computes y and the cotangents of x, w and b for an integer cotangent of y."""
    shape, _, given = CASES[case]
    options, transposed = {key: given[key] for key in given if key != "transposed"}, "transposed" in given
    conv = getattr(functional, f"conv{'_transpose' if transposed else ''}{len(shape) - 2}d")

    def f(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        y, pull = fn.vjp(lambda x, w, b: conv(x, w, b, **options), x, w, b)
        return y, *pull(y % 5 - 2)

    return f


def arguments(case: str, dtype: torch.dtype) -> list[Tensor]:
    shape, weights, options = CASES[case]
    channels = weights[1] * options.get("groups", 1) if "transposed" in options else weights[0]
    return [whole(*shape, dtype=dtype), whole(*weights, dtype=dtype), whole(channels, dtype=dtype)]


@pytest.mark.few(3)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_equal_torchs(case: str) -> None:
    f = derivatives(case)
    args = arguments(case, torch.float32)
    want = f(*(arg.double() for arg in args))  # sums of integers, which are exact in any order
    for got, exact in zip(jit(f, backend="native")(*args), want, strict=True):
        assert torch.equal(got.double(), exact)


@pytest.mark.few(1)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dims", [(0, 0, 0), (0, None, 0), (None, 0, None)], ids=str)
def test_lanes_equal_a_loop(case: str, dims: tuple[int | None, ...]) -> None:
    f, args = derivatives(case), arguments(case, torch.float64)
    given = [arg if d is None else torch.stack([arg, 1 - arg, 2 * arg]) for arg, d in zip(args, dims, strict=True)]
    lanes = [[arg if d is None else arg[i] for arg, d in zip(given, dims, strict=True)] for i in range(3)]
    got = jit(fn.vmap(f, in_dims=dims), backend="native")(*given)
    for part, each in zip(got, zip(*(f(*lane) for lane in lanes), strict=True), strict=True):
        assert torch.equal(part, torch.stack(each))


def test_long_sums_are_as_accurate_as_their_terms() -> None:
    x, w, g = rand(32, 16, 24, 24), rand(16, 16, 5, 5), rand(32, 16, 24, 24, seed=1)

    def f(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        y, pull = fn.vjp(lambda x, w: functional.conv2d(x, w, padding=2), x, w)
        return y, *pull(g)

    wide = [arg.double() for arg in (x, w, g)]
    terms = f(*(arg.abs() for arg in wide))
    for got, want, most in zip(jit(f, backend="native")(x, w, g), f(*wide), terms, strict=True):
        assert ((got - want).abs() <= 8 * torch.finfo(torch.float32).eps * most).all()


def test_a_nan_reaches_only_the_positions_that_read_it() -> None:
    """Positions between two rows are computed as well; they must not leak into a result."""
    x, w = whole(2, 2, 6, 20), whole(3, 2, 3, 3)
    x[0, 1, 2, 19], x[1, 0, 5, 0] = nan, float("inf")

    def f(x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        y, pull = fn.vjp(lambda x, w: functional.conv2d(x, w, padding=(0, 1)), x, w)
        return y, *pull(torch.ones_like(y))

    for got, want in zip(jit(f, backend="native")(x, w), f(x, w), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)


@pytest.mark.slow
def test_second_derivatives() -> None:
    x, w = numbers(2, 3, 6, 5), numbers(4, 3, 3, 3, seed=1)

    def penalty(w: Tensor) -> Tensor:
        by_x = fn.grad(lambda x: functional.conv2d(x, w, padding=1, stride=2).sin().sum())(x)
        return by_x.square().sum()

    assert_close(jit(fn.grad(penalty), backend="native")(w), fn.grad(penalty)(w), rtol=1e-12, atol=1e-12)


def test_integers_and_empty_batches() -> None:
    x, w = whole(2, 4, 6, 5, dtype=torch.int64), whole(4, 2, 3, 2, dtype=torch.int64)
    f = lambda x, w: functional.conv_transpose2d(functional.conv2d(x, w, groups=2), w, stride=2, groups=2)  # noqa: E731
    assert torch.equal(jit(f, backend="native")(x, w), f(x, w))
    empty, kernel, bias = torch.ones(0, 4, 6, 5), torch.ones(3, 4, 2, 2), torch.ones(3)
    loss = lambda w, b: functional.conv2d(empty, w, b).sum()  # noqa: E731
    by_w, by_b = jit(fn.grad(loss, argnums=(0, 1)), backend="native")(kernel, bias)
    assert torch.equal(by_w, torch.zeros_like(kernel)) and torch.equal(by_b, torch.zeros(3))


def test_windows_are_not_copied_without_a_stride() -> None:
    x, w = rand(4, 16, 20, 20), rand(16, 16, 3, 3)
    program = trace(lambda tensors: [functional.conv2d(*tensors)], [spec_of(x), spec_of(w)])
    (product,) = (part for part in loops(program).statements if isinstance(part, Contract))
    assert product.method is Method.WIDE and product.inner == (16, 3, 3)
    assert product.right.buffer.kind == product.left.buffer.kind == "input"


def test_training_a_convolutional_net_as_torch_does() -> None:
    x, y = numbers(6, 1, 8, 8), torch.arange(6) % 3
    model = fn.serial(
        fn.conv(4, (3, 3), padding="same"),
        torch.relu,
        fn.max_pool((2, 2)),
        fn.conv(5, (3, 3)),
        torch.relu,
        fn.avg_pool((2, 2)),
        fn.flatten(3),
        fn.dense(3),
    )
    params, adam = model.init(fn.random.key(0), x), fn.optim.adam(0.01)

    def run(params: Any) -> Any:
        def step(carry: Any, _: None) -> Any:
            params, state = carry
            loss, grads = fn.value_and_grad(lambda p: functional.cross_entropy(model.apply(p, x), y))(params)
            updates, state = adam.update(grads, state, params)
            return (fn.optim.apply_updates(params, updates), state), loss

        return fn.scan(step, (params, adam.init(params)), length=8)[1]

    first, second, last = (params[i] for i in (0, 3, 7))
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(5, 3),
    ).double()
    values = [first["w"], first["b"], second["w"], second["b"], last["w"].t(), last["b"]]
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), values, strict=True):
            parameter.copy_(value)
    optimizer, losses = torch.optim.Adam(module.parameters(), 0.01), []
    for _ in range(8):
        optimizer.zero_grad()
        loss = functional.cross_entropy(module(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    assert_close(jit(run, backend="native")(params), torch.stack(losses), rtol=1e-10, atol=1e-12)
