"""Fully masked rows of attention are zero, as are their gradients; large scores do not lose accuracy."""

import math

import pytest
import torch
import torch.nn.functional as F
from backends import FLOATS
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

attend = F.scaled_dot_product_attention
ALLOWED = torch.ones(5, 6, dtype=torch.bool)
ALLOWED[1], ALLOWED[3, 2:] = False, False
BACKENDS = ("native", "eager")


def heads(dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 4, 5, 4), (2, 4, 6, 4), (2, 4, 6, 4)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def added(dtype: torch.dtype, number: float) -> Tensor:
    return torch.zeros(5, 6, dtype=dtype).masked_fill(~ALLOWED, number)


MASKED = {
    "bools": lambda q, k, v: attend(q, k, v, attn_mask=ALLOWED),
    "numbers": lambda q, k, v: attend(q, k, v, attn_mask=added(q.dtype, -math.inf)),
    "scale": lambda q, k, v: attend(q, k, v, attn_mask=ALLOWED, scale=0.3),
    "every row": lambda q, k, v: attend(q, k, v, attn_mask=torch.zeros_like(ALLOWED)),
    "batch": lambda q, k, v: attend(q, k, v, attn_mask=ALLOWED.expand(2, 1, 5, 6)),
    "one head": lambda q, k, v: attend(q[0, 0], k[0, 0], v[0, 0], attn_mask=ALLOWED),
    "shared heads": lambda q, k, v: attend(q, k[:, :2], v[:, :2], attn_mask=ALLOWED, enable_gqa=True),
    "causal": lambda q, k, v: attend(q, k[:, :, :3], v[:, :, :3], is_causal=True),
    "no keys": lambda q, k, v: attend(q, k[:, :, :0], v[:, :, :0]),
    "no queries": lambda q, k, v: attend(q[:, :, :0], k, v),
}


def with_gradients(table):
    """Return the values and gradients of a table of functions of queries, keys and values."""

    def run(q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
        results = []
        for f in table.values():
            value, pull = torch.func.vjp(f, q, k, v)
            results += [value, *pull(value.cos())]
        return results

    return run


QUICK = {name: MASKED[name] for name in ("bools", "shared heads", "causal")}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "table, dtype",
    [(QUICK, torch.float32), *(pytest.param(MASKED, dtype, marks=pytest.mark.slow) for dtype in FLOATS)],
    ids=["quick", "float32", "float64"],
)
def test_masked_rows_and_their_gradients(table, dtype: torch.dtype, backend: str) -> None:
    f, args, margin = with_gradients(table), heads(dtype), 64 * torch.finfo(dtype).eps
    lanes = [[x * scale for x in args] for scale in (1.0, 0.5, -2.0)]
    got = jit(fn.vmap(f), backend=backend)(*map(torch.stack, zip(*lanes, strict=True)))
    for lane, values in enumerate(lanes):
        alone, want = jit(f, backend=backend)(*values), f(*values)
        for one, many, right in zip(alone, got, want, strict=True):
            assert right.isfinite().all()
            torch.testing.assert_close(one, right, rtol=margin, atol=margin)
            torch.testing.assert_close(many[lane], right, rtol=margin, atol=margin)
    assert (alone[0][:, :, 1] == 0).all() and (alone[1][:, :, 1] == 0).all()


def softmax_of(number: float, factor: float):
    def f(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (factor * q @ k.mT / 2 + added(q.dtype, number)).softmax(-1) @ v

    return f


@pytest.mark.parametrize("backend", BACKENDS)
def test_finite_masks_and_large_scores(backend: str) -> None:
    """At such scores the logarithm of the normaliser has too few digits; torch computes wrong gradients from it."""
    cases = [(torch.finfo(torch.float32).min, 1.0), (-1e5, 1.0), (-1e4, 30.0)]
    table = {
        case: lambda q, k, v, case=case: attend(case[1] * q, k, v, attn_mask=added(q.dtype, case[0])) for case in cases
    }
    args = heads(torch.float32)
    exact = with_gradients({case: softmax_of(*case) for case in cases})(*(x.double() for x in args))
    for got, right in zip(jit(with_gradients(table), backend=backend)(*args), exact, strict=True):
        torch.testing.assert_close(got.double(), right, rtol=1e-3, atol=2e-3 * right.abs().max().item())
