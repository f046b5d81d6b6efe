"""Operations on arrays."""

from functools import partial
from typing import Any

from .parts import Work, integers, normal


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
        "min": (np.min, x),
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
        "sum of 16 stacked, 100 x 1,000": (lambda x: np.stack([x * i for i in range(16)]).sum(0), x[:100]),
        "bfloat16 x * x + x": (lambda x: x * x + x, half),
        "product, 256": (lambda x, y: x @ y, x[:256, :256] + 0, x[256:512, :256] + 0),
        "64 products, 32": (lambda x: x @ x, normal(lib, 64, 32, 32)),
    }
