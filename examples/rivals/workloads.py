"""Workloads whose text is the same for funcnet and for JAX: each takes the module, `funcnet` or `jax`, as `lib`.

JAX's interpreter imports this file as well, so it imports neither torch nor funcnet.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

Work = tuple[Any, ...]  # a function and its arguments


def normal(lib: Any, *shape: int, seed: int = 0) -> Any:
    return lib.random.normal(lib.random.key(seed), shape)


def integers(lib: Any, high: int, *shape: int) -> Any:
    return lib.random.randint(lib.random.key(1), shape, 0, high)


def operations(lib: Any) -> dict[str, Work]:
    """Return operations on a matrix of 1,000 by 1,000 numbers, or of the shape in their name."""
    np, nn, lax, special = lib.numpy, lib.nn, lib.lax, lib.scipy.special
    x, y, long = normal(lib, 1000, 1000), normal(lib, 1000, 1000, seed=1), normal(lib, 100_000)
    half, table = x.astype(np.bfloat16) if hasattr(x, "astype") else x.to(np.bfloat16), normal(lib, 10_000, 64)
    rows, labels = integers(lib, 10_000, 4096), integers(lib, 1000, 1000)

    def cross_entropy(x: Any) -> Any:
        return -np.take_along_axis(nn.log_softmax(x), labels[:, None], axis=1).mean()

    return {
        "erf": (special.erf, x),
        "exact gelu": (partial(nn.gelu, approximate=False), x),
        "sin + cos": (lambda x: np.sin(x) + np.cos(x), x),
        "tan": (np.tan, x),
        "log10": (lambda x: np.log10(np.abs(x) + 1), x),
        "arcsin": (lambda x: np.arcsin(x / (1 + np.abs(x))), x),
        "arctan2": (np.arctan2, x, y),
        "sinh": (np.sinh, x),
        "erfc": (special.erfc, x),
        "digamma": (lambda x: special.digamma(np.abs(x) + 1), x),
        "logaddexp": (np.logaddexp, x, y),
        "remainder": (np.remainder, x, y),
        "|x| ** 1.7": (lambda x: np.abs(x) ** 1.7, x),
        "lgamma": (lambda x: special.gammaln(np.abs(x) + 1), x),
        "max": (np.max, x),
        "max of rows": (lambda x: np.max(x, axis=1), x),
        "sum of rows of 302": (lambda x: np.sum(x, axis=1), x[:, :302] + 0),
        "logsumexp of rows": (lambda x: nn.logsumexp(x, axis=1), x),
        "softmax of rows": (nn.softmax, x),
        "gradient of cross entropy": (lib.grad(cross_entropy), x),
        "cummax of rows": (lambda x: lax.cummax(x, axis=1), x),
        "sort rows": (lambda x: np.sort(x, axis=1), x),
        "argsort, 100,000": (np.argsort, long),
        "top 10 of rows": (lambda x: lax.top_k(x, 10)[0], x),
        "searchsorted, 100,000": (lambda a, v: np.searchsorted(a, v), np.sort(long), long),
        "4,096 rows of 10,000 x 64": (lambda x, i: x[i], table, rows),
        "gradient of an embedding": (lib.grad(lambda x, i: (x[i] ** 2).sum()), table, rows),
        "concatenate": (lambda x: np.concatenate([x, x], axis=1), x),
        "tile, 100 x 100": (lambda x: np.tile(x, (10, 10)), x[:100, :100]),
        "pad": (lambda x: np.pad(x, 1), x),
        "sum of a stack of 16, 100 x 1,000": (lambda x: np.stack([x * i for i in range(16)]).sum(0), x[:100]),
        "bfloat16 x * x + x": (lambda x: x * x + x, half),
        "product, 256": (lambda x, y: x @ y, x[:256, :256] + 0, x[256:512, :256] + 0),
        "64 products, 32": (lambda x: x @ x, normal(lib, 64, 32, 32)),
    }


def net(
    lib: Any,
    sizes: list[int],
    batch: int,
    steps: int,
    nets: int | None = None,
    *,
    transposed: bool = False,
    dtype: Any = None,
) -> Work:
    """Return gradient descent of a tanh net with a squared error, and its parameters.

    Transposed weights have a row per output.
    """

    def loss(params: Any) -> Any:
        return squared_error(lib, [(w.T, b) for w, b in params] if transposed else params, x, y)

    weights = [(w.reshape(w.shape[::-1]) if transposed else w, b) for w, b in parameters(lib, sizes)]
    found = weights, normal(lib, batch, sizes[0]), normal(lib, batch, sizes[-1], seed=1)
    params, x, y = lib.tree.map(lambda part: lib.numpy.array(part, dtype), found)
    run = trained(lib, loss, steps)
    if nets is None:
        return run, params
    scales = 1 + lib.numpy.arange(nets) / nets
    return lib.vmap(lambda scale: run(lib.tree.map(lambda p: p * scale, params))), scales


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


def chain(lib: Any, count: int, numbers: int) -> Work:
    """Return a chain of elementwise operations."""

    def f(x: Any) -> Any:
        y = x
        for i in range(count // 2):
            x, y = (lib.numpy.sin(x) + y, x) if i % 5 == 0 else (x / (1 + y * y), x) if i % 5 == 4 else (x + y * 0.1, x)
        return x + y

    return f, normal(lib, numbers)


def recurrent(lib: Any, times: int, hidden: int, *, unrolled: bool = False) -> Work:
    """Return two training steps of a gated recurrent net on sequences of a batch of 8."""
    np, sigmoid = lib.numpy, lib.nn.sigmoid
    x, start = normal(lib, times, 8, 4), np.zeros((8, hidden))
    params = normal(lib, 4, 2 * hidden) / 2, normal(lib, hidden, 2 * hidden) / math.sqrt(hidden)

    def cell(params: Any, h: Any, row: Any) -> Any:
        gate, new = np.split(row @ params[0] + h @ params[1], 2, axis=1)
        z = sigmoid(gate)
        return z * h + (1 - z) * np.tanh(new)

    def loss(params: Any) -> Any:
        h = start
        if unrolled:
            for row in x:
                h = cell(params, h, row)
        else:
            h, _ = lib.lax.scan(lambda h, row: (cell(params, h, row), None), h, x)
        return (h**2).mean()

    return trained(lib, loss, 2), params


def transformer(lib: Any, layers: int) -> Work:
    """Return two training steps of a transformer of width 32 with 4 heads on 4 sequences of 32."""
    np, x = lib.numpy, normal(lib, 4, 32, 32)
    shapes = [(32, 96), (32, 32), (32, 128), (128, 32)]
    params = [[normal(lib, *shape, seed=seed) / 6 for shape in shapes] for seed in range(layers)]

    def normalised(x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)

    def attended(x: Any, w: Any) -> Any:
        q, k, v = (np.moveaxis(a.reshape(4, 32, 4, 8), 2, 1) for a in np.split(x @ w, 3, axis=-1))
        weights = lib.nn.softmax(q @ np.swapaxes(k, -1, -2) / math.sqrt(8))
        return np.moveaxis(weights @ v, 1, 2).reshape(4, 32, 32)

    def loss(params: Any) -> Any:
        h = x
        for qkv, out, up, down in params:
            h = h + attended(normalised(h), qkv) @ out
            h = h + lib.nn.relu(normalised(h) @ up) @ down
        return (h**2).mean()

    return trained(lib, loss, 2), params


def convolutional(lib: Any, size: int, batch: int, steps: int) -> Work:
    """Return gradient descent of a net of two convolutions with pools, and a dense layer, on square images."""
    np, lax, pixels = lib.numpy, lib.lax, (size // 4) ** 2
    x, labels = normal(lib, batch, 1, size, size), integers(lib, 10, batch)
    shapes = [(16, 1, 3, 3), (32, 16, 3, 3), (32 * pixels, 10)]
    params = [normal(lib, *shape, seed=seed) / math.sqrt(9 * shape[1]) for seed, shape in enumerate(shapes)]

    def layer(x: Any, w: Any) -> Any:
        y = lib.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME"))
        return lax.reduce_window(y, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss(params: Any) -> Any:
        first, second, dense = params
        h = layer(layer(x, first), second).reshape(batch, -1)
        return -np.take_along_axis(lib.nn.log_softmax(h @ dense), labels[:, None], axis=1).mean()

    return trained(lib, loss, steps), params


def adapted(lib: Any, inner: int, tasks: int | None = None) -> Work:
    """Return three steps of MAML: the loss after `inner` steps of gradient descent, its mean over tasks."""
    x = normal(lib, 8, 1)
    shapes = [(1, 16), (16, 16), (16, 1)]
    params = [normal(lib, *shape, seed=seed) / math.sqrt(shape[0]) for seed, shape in enumerate(shapes)]

    def error(params: Any, y: Any) -> Any:
        h = x
        for w in params[:-1]:
            h = lib.numpy.tanh(h @ w)
        return ((h @ params[-1] - y) ** 2).mean()

    def after(params: Any, y: Any) -> Any:
        for _ in range(inner):
            params = lib.tree.map(lambda p, g: p - 0.01 * g, params, lib.grad(error)(params, y))
        return error(params, y)

    if tasks is None:
        return trained(lib, lambda params: after(params, x), 3), params
    targets = normal(lib, tasks, 8, 1, seed=9)
    return trained(lib, lambda params: lib.vmap(lambda y: after(params, y))(targets).mean(), 3), params


def gaussian_process(lib: Any, points: int) -> Work:
    """Return the gradient of the negative log likelihood of a Gaussian process."""
    np, x, y = lib.numpy, normal(lib, points, 2), normal(lib, points, seed=1)
    distances = ((x[:, None] - x[None]) ** 2).sum(-1)

    def loss(params: Any) -> Any:
        scale, noise = np.exp(params[0]), np.exp(params[1])
        factor = np.linalg.cholesky(np.exp(-distances / scale) + (noise + 1e-3) * np.eye(points))
        return y @ np.linalg.solve(factor @ factor.T, y) / 2 + np.log(np.diag(factor)).sum()

    return lib.value_and_grad(loss), np.zeros(2)


def products(lib: Any, count: int) -> Work:
    def f(x: Any, weights: Any) -> Any:
        for w in weights:
            x = lib.numpy.tanh(x @ w)
        return x

    return f, normal(lib, 4, 16), [normal(lib, 16, 16, seed=seed) / 4 for seed in range(count)]


def leaves(lib: Any, count: int) -> Work:
    params = [normal(lib, 10, seed=seed) for seed in range(count)]
    return lambda a, b: lib.tree.map(lambda a, b: a - 0.1 * b, a, b), params, params


def programs(lib: Any) -> dict[str, Callable[[], Work]]:
    """Return builders of whole programs, whose running time is compared."""
    return {
        **{f"chain of {n:,} on 10,000": partial(chain, lib, n, 10_000) for n in (100, 1000)},
        "1024-1024-1024, batch 64": partial(net, lib, [1024, 1024, 1024], 64, 4),
        "256-256-256, batch 16, 8 nets": partial(net, lib, [256, 256, 256], 16, 20, 8),
        "1024-4096-4096, batch 64": partial(net, lib, [1024, 4096, 4096], 64, 1),
        "64-32-10, batch 4,096, 16 nets": partial(net, lib, [64, 32, 10], 4096, 1, 16),
        **{f"16-32-4, batch 32, {n} nets": partial(net, lib, [16, 32, 4], 32, 200, n) for n in (1, 2, 4)},
        **{f"{n} layers of 32, batch 32": partial(net, lib, [32] * (n + 1), 32, 20) for n in (17, 33)},
        "2 layers of 24, batch 64": partial(net, lib, [24, 24, 24], 64, 500),
        "gated recurrent, 32, 300 times": partial(recurrent, lib, 300, 32),
        **{f"convolutions, {n} x {n}, batch 32": partial(convolutional, lib, n, 32, 5) for n in (8, 28)},
        "MAML, 5 inner steps, 25 tasks": partial(adapted, lib, 5, 25),
        "Gaussian process, 100 points": partial(gaussian_process, lib, 100),
    }


def growing(lib: Any) -> dict[str, Callable[[], Work]]:
    """Return builders of programs of several sizes, whose first call is compared."""
    return {
        **{f"net of {n} layers of 10": partial(net, lib, [10] * (n + 1), 4, 100) for n in (2, 9, 33, 65)},
        **{f"net of {n} layers, 64 lanes": partial(net, lib, [10] * (n + 1), 4, 20, 64) for n in (2, 9)},
        **{f"transformer of {n} layers": partial(transformer, lib, n) for n in (1, 2, 4, 8)},
        **{f"MAML of {n} inner steps": partial(adapted, lib, n) for n in (1, 5, 20)},
        **{f"{n:,} products": partial(products, lib, n) for n in (100, 1000)},
        **{f"{n:,} leaves": partial(leaves, lib, n) for n in (100, 1000)},
        **{f"recurrent, {n} times unrolled": partial(recurrent, lib, n, 16, unrolled=True) for n in (10, 50)},
        "chain of 5,000": partial(chain, lib, 5000, 10_000),
    }


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


def sweeps(lib: Any) -> dict[str, dict[int, Callable[[], Work]]]:
    """Return series of builders by size; the times per size should have no jump between neighbours."""
    few = (1, 2, 3, 4, 7, 8, 15, 16, 17, 32, 33, 64)
    widths = (4, 7, 8, 12, 16, 17, 24, 31, 32, 33, 48, 64, 65, 96, 128, 192, 256)
    return {
        "width, batch 64": {n: partial(net, lib, [n, n, n], 64, 20) for n in widths},
        "width, transposed": {n: partial(net, lib, [n, n, n], 64, 20, transposed=True) for n in widths},
        "width, float64": {n: partial(net, lib, [n, n, n], 64, 20, dtype=lib.numpy.float64) for n in widths},
        "batch of 64-32-10": {n: partial(net, lib, [64, 32, 10], n, 20) for n in few},
        "nets of 16-32-4": {n: partial(net, lib, [16, 32, 4], 32, 20, n) for n in few},
        "layers of 32": {n: partial(net, lib, [32] * (n + 1), 32, 20) for n in (1, 2, 4, 8, 16, 17, 32, 33)},
        "times of a recurrent": {n: partial(recurrent, lib, n, 32) for n in (10, 30, 100, 300, 1000)},
        "length of a chain": {n: partial(chain, lib, n, 10_000) for n in (10, 20, 50, 100, 200, 500, 1000)},
    }
