"""Attention and normalisation equal torch's kernels on every backend, gradients included."""

import pytest
import torch
import torch.nn.functional as F
from backends import rows
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

attend = F.scaled_dot_product_attention
MASK = torch.ones(5, 5, dtype=torch.bool).tril(1)
MASK[2] = False  # a fully masked row
BIAS = torch.linspace(-1, 1, 25, dtype=torch.float64).reshape(5, 5)


def heads(x: Tensor) -> list[Tensor]:
    """Queries, keys and values of three heads, (batch, head, 5, 4), the heads taken from the middle of x."""
    return [part.reshape(2, 5, 3, 4).transpose(1, 2) for part in (x[0], x[1], x[2])]


ATTENTION = {
    "plain": lambda x: attend(*heads(x)),
    "causal": lambda x: attend(*heads(x), is_causal=True),
    "scaled": lambda x: attend(*heads(x), scale=0.3),
    "masked": lambda x: attend(*heads(x), attn_mask=MASK),
    "biased": lambda x: attend(*heads(x), attn_mask=BIAS),
    "viewed": lambda x: attend(*heads(x)).transpose(1, 2).view(2, 5, 12),
}
NORMS = {
    "group_norm": lambda x: F.group_norm(x, 2),
    "instance_norm": lambda x: F.instance_norm(x),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "batch_norm_fixed": lambda x: F.batch_norm(x, x.mean((0, 2, 3)).detach(), torch.ones(4, dtype=x.dtype)),
}
CASES = {name: (f, (3, 2, 5, 12)) for name, f in ATTENTION.items()}
CASES |= {name: (f, (2, 4, 7, 5)) for name, f in NORMS.items()}


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def value_and_gradient(f, x: Tensor) -> list[Tensor]:
    return [f(x), fn.grad(lambda x: f(x).sin().sum())(x)]


@pytest.mark.few(8)
@pytest.mark.parametrize("name, backend", rows(CASES, inductor=[("causal",), ("batch_norm",)]))
def test_values_and_gradients_equal_torchs(name: str, backend: str) -> None:
    f, shape = CASES[name]
    x = normal(*shape)
    jitted = jit(lambda x: value_and_gradient(f, x), backend=backend)(x)
    for got, want in zip(jitted, value_and_gradient(f, x), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.few(6)
@pytest.mark.parametrize("name, backend", rows(CASES, inductor=[("masked",)]))
def test_lanes_equal_single_examples(name: str, backend: str) -> None:
    f, shape = CASES[name]
    x = normal(3, *shape)
    got = jit(fn.vmap(lambda x: value_and_gradient(f, x)), backend=backend)(x)
    for a, b in zip(got, zip(*(value_and_gradient(f, one) for one in x), strict=True), strict=True):
        torch.testing.assert_close(a, torch.stack(b), rtol=1e-12, atol=1e-12)
