"""Data, a loss and gradient descent, of which workloads are made."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

Work = tuple[Any, ...]  # a function and its arguments


def normal(lib: Any, *shape: int, seed: int = 0) -> Any:
    return lib.random.normal(lib.random.key(seed), shape)


def integers(lib: Any, high: int, *shape: int) -> Any:
    return lib.random.randint(lib.random.key(1), shape, 0, high)


def parameters(lib: Any, sizes: list[int]) -> list[tuple[Any, Any]]:
    scale = [normal(lib, n, m, seed=n) / math.sqrt(n) for n, m in pairwise(sizes)]
    return [(w, lib.numpy.zeros(w.shape[1])) for w in scale]


def squared_error(lib: Any, params: Any, x: Any, y: Any) -> Any:
    """Return the mean squared error of a tanh net."""
    for w, b in params[:-1]:
        x = lib.numpy.tanh(x @ w + b)
    w, b = params[-1]
    return ((x @ w + b - y) ** 2).mean()


def trained(lib: Any, loss: Callable[[Any], Any], steps: int) -> Callable[[Any], Any]:
    """Return gradient descent on a loss as one scan."""

    def step(params: Any, _: Any) -> Any:
        value, grads = lib.value_and_grad(loss)(params)
        return lib.tree.map(lambda p, g: p - 0.01 * g, params, grads), value

    return lambda params: lib.lax.scan(step, params, None, length=steps)
