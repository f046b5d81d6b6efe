"""Calls of small functions, Python loops of jitted steps, and work without jit."""

from collections.abc import Callable
from functools import partial
from typing import Any

from .parts import Work, normal, parameters, squared_error


def calls(lib: Any) -> dict[str, Work]:
    """Return functions that compute almost nothing, so that a call of the jitted function is the cost."""
    x = lib.numpy.zeros(())
    names, held = {f"leaf {i}": x for i in range(20)}, [lib.numpy.zeros(()) for _ in range(4)]
    return {
        "call with a scalar": (lambda x: x + 1, x),
        "call with 4 closed-over tensors": (lambda x: x + sum(held), x),
        "call of a vmap of 16": (lib.vmap(lambda x: x + 1), lib.numpy.zeros(16)),
        "call with a dict of 20": (lambda tree: lib.tree.map(lambda x: x + 1, tree), names),
        "call with a list of 100": (lambda tree: lib.tree.map(lambda x: x + 1, tree), [x] * 100),
    }


def loops(lib: Any) -> dict[str, Work]:
    """Return Python loops of 20 jitted training steps, which get their data and options in different ways."""
    params, x, y = parameters(lib, [8, 16, 16, 1]), normal(lib, 32, 8), normal(lib, 32, 1, seed=1)
    trace, key = lib.tree.map(lambda p: 0 * p, params), lib.random.key(0)
    state = {"params": params, "trace": trace, "steps": lib.numpy.zeros(())}

    def update(params: Any, x: Any, y: Any, rate: Any = 0.1) -> Any:
        grads = lib.grad(partial(squared_error, lib))(params, x, y)
        return lib.tree.map(lambda p, g: p - rate * g, params, grads)

    def momentum(state: Any, x: Any, y: Any) -> Any:
        grads = lib.grad(partial(squared_error, lib))(state["params"], x, y)
        trace = lib.tree.map(lambda t, g: 0.9 * t + g, state["trace"], grads)
        params = lib.tree.map(lambda p, t: p - 0.01 * t, state["params"], trace)
        return {"params": params, "trace": trace, "steps": state["steps"] + 1}

    def noisy(params: Any, i: int) -> Any:
        return update(params, x + lib.random.normal(lib.random.fold_in(key, i), x.shape), y)

    def run(call: Callable[[Any, int], Any], carry: Any) -> Any:
        for i in range(20):
            carry = call(carry, i)
        return carry

    step, named, closing = lib.jit(update), lib.jit(update), lib.jit(lambda params: update(params, x, y))
    rated, stateful, drawing = lib.jit(update), lib.jit(momentum), lib.jit(noisy)
    return {
        "arguments": (partial(run, lambda params, i: step(params, x, y)), params),
        "keyword arguments": (partial(run, lambda params, i: named(params, x=x, y=y)), params),
        "closed-over tensors": (partial(run, lambda params, i: closing(params)), params),
        "another float each time": (partial(run, lambda params, i: rated(params, x, y, 0.1 / (i + 1))), params),
        "a dict of states": (partial(run, lambda state, i: stateful(state, x, y)), state),
        "a key and an int": (partial(run, drawing), params),
    }


def draws(lib: Any) -> dict[str, Work]:
    """Return what programs do once, without jit: initial parameters, shuffled batches."""
    key, glorot = lib.random.key(0), lib.nn.initializers.glorot_normal()
    sizes = [(784, 512), (512, 512), (512, 10)]
    data = normal(lib, 1437, 64)

    def parameters(key: Any) -> Any:
        return [glorot(k, shape) for k, shape in zip(lib.random.split(key, 3), sizes, strict=True)]

    def batches(key: Any, data: Any) -> Any:
        return data[lib.random.permutation(key, 1437)[:1408]].reshape(44, 32, 64)

    return {
        "100 normals": (lambda key: lib.random.normal(key, (100,)), key),
        "split": (lib.random.split, key),
        "parameters of 784-512-512-10": (parameters, key),
        "shuffled batches of 1,437 rows": (batches, key, data),
        "permutation of 100,000": (lambda key: lib.random.permutation(key, 100_000), key),
    }
