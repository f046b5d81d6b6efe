"""Training runs of nets and other models, and programs of many operations."""

import math
from typing import Any

from .parts import Work, integers, normal, parameters, squared_error, trained


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
