"""The benchmark's workloads in JAX, timed on request: one JSON object per line in, one out.

benchmark.py runs this with any Python that has JAX, at the same time and on the same core as the other contestants.
"""

import json
import os
import sys
import time
from functools import cache, partial
from importlib import import_module
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
jax: Any = import_module("jax")
workloads: Any = import_module("workloads")
jnp: Any = import_module("jax.numpy")
import_module("jax.scipy.special")


def forward(params: Any, x: Any, hidden: Any) -> Any:
    if x.ndim == 3:
        return recurrent(params, x)
    for w, b in params[:-1]:
        x = hidden(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def recurrent(params: Any, x: Any) -> Any:
    """Apply a linear layer to the last state of a net that runs along the middle axis of x."""
    (wi, bi), (wh, bh), (w, b) = params

    def step(h: Any, row: Any) -> Any:
        return jnp.tanh(row + h @ wh + bh), None

    rows = (x @ wi + bi).swapaxes(0, 1)
    h, _ = jax.lax.scan(step, jnp.zeros(rows.shape[1:]), rows)
    return h @ w + b


def binary(params: Any, x: Any, y: Any) -> Any:
    z = forward(params, x, jax.nn.sigmoid)
    return (jax.nn.softplus(z) - z * y).mean()  # with Optax's formula, XLA's loop is seven times as slow


def classes(params: Any, x: Any, y: Any) -> Any:
    logits = jax.nn.log_softmax(forward(params, x, jax.nn.relu))
    return -jnp.take_along_axis(logits, y[:, None], axis=1).mean()


def run(params: Any, x: Any, y: Any, loss: Any, steps: int) -> Any:
    def step(params: Any, _: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), value

    return jax.lax.scan(step, params, length=steps)


def make(key: Any, sizes: list[int]) -> Any:
    keys = jax.random.split(key, len(sizes))
    return [
        (jax.random.normal(k, (n, m)) / n**0.5, jnp.zeros(m))
        for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=False)
    ]


@cache
def training(sizes: tuple[int, ...], batch: int, steps: int, nets: int | None, times: int | None) -> Any:
    """Return a function without arguments that trains and waits for the result."""
    key = jax.random.key(0)
    x = jax.random.normal(key, (batch, sizes[0]) if times is None else (batch, times, sizes[0]))
    sizes = sizes if times is None else (*sizes[:2], *sizes[1:])  # from the state to the next one, too
    y = jnp.arange(batch) % 10 if sizes[-1] > 1 else (jnp.arange(batch) % 2.0)[:, None]
    f = partial(run, x=x, y=y, loss=classes if sizes[-1] > 1 else binary, steps=steps)
    start = (
        make(key, list(sizes))
        if nets is None
        else jax.vmap(lambda k: make(k, list(sizes)))(jax.random.split(key, nets))
    )
    compiled = jax.jit(f if nets is None else jax.vmap(f))
    return lambda: jax.block_until_ready(compiled(start))


@cache
def normals(count: int) -> Any:
    draw = jax.jit(lambda key: jax.random.normal(key, (count,)))
    return lambda: draw(jax.random.key(0)).block_until_ready()


def momentum(g: Any, state: Any, count: Any) -> Any:
    """Compute the update and the next state of gradient descent with momentum, as in decayed.py."""
    trace = g + 0.9 * state
    return -0.01 * trace, trace


def adam(g: Any, state: Any, count: Any) -> Any:
    """Compute the update and the next moments of Adam, as in decayed.py."""
    mu, nu = 0.1 * g + 0.9 * state[0], 0.001 * g**2 + 0.999 * state[1]
    mu_hat, nu_hat = mu / (1 - 0.9**count), nu / (1 - 0.999**count)
    return -1e-3 * mu_hat / (jnp.sqrt(nu_hat) + 1e-8), (mu, nu)


@cache
def decayed(name: str, numbers: int, steps: int) -> Any:
    """Return a function that runs an optimizer after half of the weights have had no gradient for as many steps."""
    update, zeros = {"momentum": (momentum, jnp.zeros(numbers)), "adam": (adam, (jnp.zeros(numbers),) * 2)}[name]

    def step(alive: Any, carry: Any, _: Any) -> Any:
        params, state, count = carry
        grads = jax.grad(lambda params: ((params - 1) ** 2 * alive).sum())(params)
        change, state = update(grads, state, count + 1)
        return (params + change, state, count + 1), None

    run = jax.jit(lambda carry, alive: jax.lax.scan(partial(step, alive), carry, length=steps)[0])
    half = jnp.arange(numbers) % 2.0
    living = run((jnp.zeros(numbers), zeros, 0), jnp.ones(numbers))
    carry = run(living, half)
    return lambda: jax.block_until_ready(run(carry, half))


def seconds(work: Any) -> float:
    """Time a run; a short run is repeated for 20 ms."""
    start, runs = time.perf_counter(), 0
    while runs == 0 or time.perf_counter() - start < 0.02:
        work()
        runs += 1
    return (time.perf_counter() - start) / runs


@cache
def built(group: str) -> Any:
    return getattr(workloads, group)(jax)


def prepared(work: Any, *, jitted: bool = True) -> Any:
    """Return a function without arguments that runs a workload and waits for the result."""
    f, *args = work() if callable(work) else work
    run = jax.jit(f) if jitted else f
    return lambda: jax.block_until_ready(run(*args))


@cache
def workload(group: str, name: str, jitted: bool) -> Any:
    return prepared(built(group)[name], jitted=jitted)


@cache
def point(series: str, size: str) -> Any:
    """Return a function that runs a point of a series, with numbers of 64 bits if its name has them."""
    is_wide = "float64" in series
    with jax.enable_x64(is_wide):
        run = prepared(built("sweeps")[series][int(size)])

    def timed() -> Any:
        with jax.enable_x64(is_wide):
            return run()

    return timed


def first(group: str, name: str) -> float:
    """Time the first call of a workload, which traces and compiles."""
    run, start = prepared(built(group)[name]), time.perf_counter()
    run()
    return time.perf_counter() - start


def wanted(order: dict[str, Any]) -> Any:
    """Return the workload that a request names."""
    if "normals" in order:
        return normals(order["normals"])
    if "workload" in order:
        return workload(*order["workload"], order["jitted"])
    if "point" in order:
        return point(*order["point"])
    return decayed(**order) if "name" in order else training(tuple(order.pop("sizes")), **order)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(first(*order["first"]) if "first" in order else seconds(wanted(order))), flush=True)


if __name__ == "__main__":
    main()
