"""Whole programs, programs of several sizes, and sweeps over sizes."""

from collections.abc import Callable
from functools import partial
from typing import Any

from .models import adapted, chain, convolutional, gaussian_process, leaves, net, products, recurrent, transformer
from .parts import Work


def programs(lib: Any) -> dict[str, Callable[[], Work]]:
    """Return builders of whole programs, whose running time is compared."""
    return {
        **{f"chain of {n:,} on 10,000": partial(chain, lib, n, 10_000) for n in (100, 1000, 5000)},
        "1024-1024-1024, batch 64": partial(net, lib, [1024, 1024, 1024], 64, 4),
        "256-256-256, batch 16, 8 nets": partial(net, lib, [256, 256, 256], 16, 20, 8),
        "1024-4096-4096, batch 64": partial(net, lib, [1024, 4096, 4096], 64, 1),
        "64-32-10, batch 4,096, 16 nets": partial(net, lib, [64, 32, 10], 4096, 1, 16),
        **{f"16-32-4, batch 32, {n} nets": partial(net, lib, [16, 32, 4], 32, 200, n) for n in (1, 2, 3, 4)},
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
        **{f"net of {n} layers, 64 lanes": partial(net, lib, [10] * (n + 1), 4, 20, 64) for n in (2, 9, 33)},
        **{f"transformer of {n} layers": partial(transformer, lib, n) for n in (1, 2, 4, 8)},
        **{f"MAML of {n} inner steps": partial(adapted, lib, n) for n in (1, 5, 20)},
        **{f"{n:,} products": partial(products, lib, n) for n in (100, 1000)},
        **{f"{n:,} leaves": partial(leaves, lib, n) for n in (100, 1000)},
        **{f"recurrent, {n} times unrolled": partial(recurrent, lib, n, 16, unrolled=True) for n in (10, 50)},
        "chain of 5,000": partial(chain, lib, 5000, 10_000),
        "15,000 operations": partial(chain, lib, 13_636, 10_000),
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
