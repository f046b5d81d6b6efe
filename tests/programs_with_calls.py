"""Programs with operations that torch computes: matrix factors, solutions of linear systems, convolutions."""

import torch
import torch.nn.functional as F
from backends import rand
from torch import Tensor

import funcnet as fn


def positive(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    x = rand(n, n, dtype=torch.float64)
    return (x @ x.T + n * torch.eye(n)).to(dtype)


def shifted(a: Tensor, c: Tensor) -> Tensor:
    return a + c * torch.eye(len(a), dtype=a.dtype)


def likelihood(a: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """Return the negative log likelihood of y under a Gaussian process, up to a constant."""
    factor = torch.linalg.cholesky(shifted(a, c.exp()))
    white = torch.linalg.solve_triangular(factor, y[:, None], upper=False)
    return white.square().sum() / 2 + factor.diagonal().log().sum()


def in_a_scan(a, y):
    def step(c, x):
        factor = torch.linalg.cholesky(shifted(a, c.abs()))
        white = torch.linalg.solve_triangular(factor, x[:, None], upper=False)[:, 0]
        return torch.tanh(c + white.mean()), white.exp()

    return fn.scan(step, y[0], torch.stack([y, 2 * y, y - 1]))


def in_a_gradient_of_a_scan(a, y):
    def loss(scale):
        return fn.scan(lambda c, _: (0.9 * c + likelihood(scale * a, y, c).tanh(), c), y[0], length=4)[0]

    return fn.value_and_grad(loss)(y[1].abs() + 1)


def in_a_training_run(a, y):
    def step(c, _):
        value, grad = fn.value_and_grad(lambda c: likelihood(a, y, c))(c)
        return c - 0.05 * grad, value

    return fn.scan(step, y[0], length=5)


def in_a_while_loop(a, y):
    def test(carry):
        return (carry[1].norm() > 0.3) & (carry[0] < 20)

    def body(carry):
        return carry[0] + 1, torch.linalg.solve(shifted(a, 1.0) / len(a), carry[1]) * 0.9

    return fn.while_loop(test, body, (torch.tensor(0), y))


def in_a_branch(a, y):
    taken = fn.cond(y[0] > -1e9, lambda: torch.linalg.cholesky(a).sum(1), lambda: y * 2)
    return taken, fn.cond(y[0] < -1e9, lambda: torch.linalg.cholesky(-a).sum(1), lambda: (y * 2).sin().cos().exp())


def of_views(a, y):
    """Call with transposed, sliced and expanded matrices."""
    factor = torch.linalg.cholesky(a.T[1:, 1:])
    wide = torch.linalg.solve_triangular(factor[:2, :2], y[0].expand(2, 3), upper=False)
    return [wide.exp() + wide.sin() * wide.cos(), torch.linalg.cholesky(a[::2, ::2]).T.tanh()]


def of_integers(a, y):
    counts = (10 * y).to(torch.int64)
    return (counts[:, None] @ counts[None, :] + counts * 3 - 1).abs().sum(0) // 7, torch.gcd(counts, counts + 6)


def of_nothing(a, y):
    empty = torch.linalg.cholesky(a[:0, :0])
    return empty.exp().sin().cos(), y.exp()


def several_results(a, y):
    factors, pivots = torch.linalg.ldl_factor(a)
    lower = factors.tril() / 30
    return lower.exp().sin(), pivots * 2 - 1, (lower * 2) @ lower.T, (lower.abs() + 1).log()


def convolved(a, y):
    """Return derivatives of a transposed convolution; that of the input is needed in the second layer only."""
    x = y[:12].reshape(1, 1, 3, 4)

    def loss(w, v):
        return (F.conv_transpose2d(F.conv_transpose2d(x, w, stride=2).tanh(), v).sin() ** 2).sum()

    return fn.value_and_grad(loss, (0, 1))(a[:4, :4].reshape(1, 1, 4, 4) / 9, a[:2, :8].reshape(1, 4, 2, 2) / 9)


PROGRAMS = {
    f.__name__: f
    for f in (
        *(in_a_scan, in_a_gradient_of_a_scan, in_a_training_run, in_a_while_loop, in_a_branch, of_views, of_integers),
        *(of_nothing, several_results, convolved),
    )
}


def factorised(a: Tensor, *, length: int = 3) -> tuple[Tensor, Tensor]:
    def step(c, _):
        return torch.tanh(c + torch.linalg.cholesky(a - c).sum().sin()), c.exp()

    return fn.scan(step, a.new_zeros(()), length=length)
