"""A user's program for type checkers; they reject the lines marked `# rejected`, and no others."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import assert_type

import funcnet as fn


class Params(NamedTuple):
    w: Tensor
    b: Tensor


def loss(params: Params, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ params.w + params.b - y) ** 2).mean()


def loss_and_count(params: Params, x: Tensor) -> tuple[Tensor, int]:
    return (x @ params.w).sum(), len(x)


@fn.jit
def predict(params: Params, x: Tensor, scale: float = 1.0) -> Tensor:
    return scale * (x @ params.w + params.b)


def train(params: Params, xs: Tensor, ys: Tensor) -> tuple[Params, Tensor]:
    def step(params: Params, row: tuple[Tensor, Tensor]) -> tuple[Params, Tensor]:
        value, grads = fn.value_and_grad(loss)(params, *row)
        assert_type(value, Tensor)
        assert_type(grads, Params)
        return fn.sgd_step(params, grads, learning_rate=0.1), value

    return fn.scan(step, params, (xs, ys))


params, x, y = Params(torch.zeros(2), torch.zeros(())), torch.zeros(3, 2), torch.zeros(3)

assert_type(fn.grad(loss)(params, x, y), Params)
assert_type(fn.value_and_grad(loss)(params, x, y), tuple[Tensor, Params])
assert_type(fn.grad(loss_and_count, has_aux=True)(params, x), tuple[Params, int])
assert_type(fn.value_and_grad(loss_and_count, has_aux=True)(params, x), tuple[tuple[Tensor, int], Params])
assert_type(fn.value_and_grad(loss, (0, 1))(params, x, y), tuple[Tensor, Any])
assert_type(fn.jit(train)(params, x, y), tuple[Params, Tensor])
assert_type(fn.jit(fn.vmap(fn.grad(loss), (None, 0, 0)))(params, x, y), Params)
assert_type(fn.remat(loss)(params, x=x, y=y), Tensor)
assert_type(predict(params, x, scale=2.0), Tensor)
assert_type(predict.explain(params, x).backend, str)
assert_type(fn.optim.apply_updates(params, params), Params)
assert_type(fn.sgd_step(params, params, 0.1), Params)
assert_type(fn.serial(fn.dense(3), torch.tanh), fn.Layer)
assert_type(fn.optim.adam(0.1), fn.optim.GradientTransformation)
assert_type(fn.__version__, str)
square: Callable[[Tensor], Tensor] = fn.grad(lambda x: (x**3).sum() / 3)

fn.jit(loss)(params, x)  # rejected
fn.jit(loss)(params, x, "y")  # rejected
fn.vmap(loss)(params, x, z=y)  # rejected
fn.grad(loss)(x, x, y)  # rejected
print(fn.value_and_grad(loss)(params, x, y)[1].weight)  # rejected
fn.remat(predict)(params, x, scale="2")  # rejected
predict(params, x, 1.0, 2.0)  # rejected
fn.optim.adam(0.1, beta=0.9)  # rejected
fn.dense("3")  # rejected
fn.jit(loss, backend=3)  # rejected
print(fn.no_such_name)  # rejected
