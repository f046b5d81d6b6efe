"""Random programs of elementwise operations, views, reductions and loops: every backend equals eager mode."""

import pytest
import torch
from backends import BACKENDS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit
from funcnet.control_flow.scan import scan

# Each maps two 3 x 4 tensors to one, with values of the order of one.
STEPS = [
    lambda a, b: (a + b) / 2,
    lambda a, b: a * b.tanh(),
    lambda a, b: a.sigmoid() - b.sin(),
    lambda a, b: torch.where(a > b, a, -b),
    lambda a, b: torch.maximum(a, b).neg(),
    lambda a, b: a - a.mean(0),
    lambda a, b: (a - a.amax(1, keepdim=True)).exp(),
    lambda a, b: a.softmax(-1) + b.sum() / 12,
    lambda a, b: (a @ b.t()).tanh() @ b / 4,
    lambda a, b: (a.t() @ b).sum(0).cos() * a,
    lambda a, b: a.flip(0) + b[:, :1],
    lambda a, b: torch.cat([b[1:], a[:1]]),
    lambda a, b: a.reshape(4, 3).t() - b,
    lambda a, b: a.reshape(2, 6)[:, ::2].reshape(-1)[:3, None] + b * 0.5,
    lambda a, b: a[torch.tensor([2, 0, 2])] + 0.1,
    lambda a, b: a.gather(1, (b > 0).long()[:, :1] + torch.arange(3)).sum(1, keepdim=True).tanh() * b,
    lambda a, b: a.index_add(0, torch.tensor([1, 1, 0]), b) / 3,
    lambda a, b: a.scatter(1, torch.tensor([[1], [3], [0]]), b[:, :1]),
    lambda a, b: torch.nn.functional.pad(a, (1, -1)) + b,
    lambda a, b: a.cumsum(1) / 4 + (b > 0).to(a.dtype),
    lambda a, b: fn.grad(lambda a: (a.sigmoid() * b).sum())(a),
    lambda a, b: scan(lambda c, x: ((c + x).tanh(), c * x), b[0], a)[1],
    lambda a, b: scan(lambda c, _: (c * 0.9 + b * 0.1, None), a, length=3)[0],
    lambda a, b: scan(lambda c, x: ((c[1], c[0] - x), c[0]), (a[0], b[0]), b)[1],
]

choice = st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 5), st.integers(0, 5))


def program(choices: list[tuple[int, int, int]], a: Tensor, b: Tensor) -> list[Tensor]:
    values = [a, b]
    for step, left, right in choices:
        values.append(STEPS[step](values[-1 - left % len(values)], values[-1 - right % len(values)]))
    return values[2:]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_random_programs(backend: str) -> None:
    @settings(max_examples=2 if backend == "inductor" else 25, deadline=None, derandomize=True)
    @given(st.lists(choice, min_size=3, max_size=9), st.integers(0, 1000))
    def equal(choices: list[tuple[int, int, int]], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        a, b = torch.randn(2, 10, 3, 4, dtype=torch.float64, generator=generator)
        f = lambda a, b: program(choices, a, b)  # noqa: E731
        for got, want in zip(jit(f, backend=backend)(a[0], b[0]), f(a[0], b[0]), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
        lanes = jit(fn.vmap(f, in_dims=(0, None)), backend=backend)(a, b[0])
        for i, row in enumerate(a):
            for got, want in zip(lanes, f(row, b[0]), strict=True):
                torch.testing.assert_close(got[i], want, rtol=1e-12, atol=1e-12)

    equal()
