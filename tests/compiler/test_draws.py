"""Random draws in kernels equal eager draws, without and with lanes."""

import pytest
import torch
from backends import BACKENDS, FLOATS, QUICK, rows
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.control_flow.scan import scan
from funcnet.random import bits, key, key_data, permutation, split, truncated_normal


def both(f, keys: Tensor, backend: str, bound: float = 0.0) -> None:
    """Compare a list of draws from one key, and from an incomplete block of lanes."""
    same(jit(f, backend=backend)(keys[0]), f(keys[0]), bound)
    same(jit(fn.vmap(f), backend=backend)(keys), map(torch.stack, zip(*map(f, keys), strict=True)), bound)


def same(got, want, bound: float = 0.0) -> None:
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=bound, atol=bound)


DRAWS = {
    "permutation": lambda k: permutation(k, 37),
    "one": lambda k: permutation(k, 1),
    "rows": lambda k: permutation(k, torch.arange(12).reshape(4, 3)),
    "lines": lambda k: permutation(k, torch.arange(12).reshape(4, 3), 1, independent=True),
    "bits": lambda k: bits(k, (5,)).view(torch.int32),
    "bits8": lambda k: bits(k, (5,), torch.uint8),
    "bits16": lambda k: bits(k, (5,), torch.uint16).view(torch.int16),
    "bits64": lambda k: bits(k, (5,), torch.uint64).view(torch.int64),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_draws(backend: str) -> None:
    few = ("one", "bits64") if backend == "inductor" else tuple(DRAWS)  # g++ takes ten seconds for each
    both(lambda k: [DRAWS[name](k) for name in few], split(key(3), 18), backend)


@pytest.mark.parametrize("backend", QUICK)
def test_unsigned_draws(backend: str) -> None:
    unsigned = lambda k: [bits(k, (5,)), bits(k, (5,), torch.uint64), bits(k, (3,), torch.uint16), key_data(k)]  # noqa: E731
    both(unsigned, split(key(4), 18), backend)


@pytest.mark.parametrize("dtype, backend", rows(FLOATS, inductor=[(torch.float64,)]))
def test_truncated_normal(dtype: torch.dtype, backend: str) -> None:
    keys, bound = split(key(1), 18), {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    f = lambda k: truncated_normal(k, -0.5, 2.0, (40,), dtype)  # noqa: E731
    same([jit(f, backend=backend)(keys[0])], [f(keys[0])], bound)
    if backend != "inductor":  # as for draws
        same([jit(fn.vmap(f), backend=backend)(keys)], [torch.stack([f(k) for k in keys])], bound)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_epoch_of_shuffled_minibatches(backend: str) -> None:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    def epoch(w: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        def step(w: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            value, slope = fn.value_and_grad(lambda w: (x[rows] @ w - y[rows]).square().mean())(w)
            return w - 0.1 * slope, value

        return scan(step, w, permutation(k, 20).reshape(4, 5))

    f = lambda k: scan(epoch, torch.zeros(3, dtype=torch.float64), split(k, 6))  # noqa: E731
    for call, keys in ((f, key(2)), (fn.vmap(f), split(key(2), 9))):
        assert jit(call).explain(keys).backend == "native"
        same(jit(call, backend=backend)(keys), call(keys), 1e-12)
