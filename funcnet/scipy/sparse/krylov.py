"""The iterations of Krylov methods on vectors, as loops that compile and map."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from funcnet.control_flow import scan, while_loop

Product = Callable[[Tensor], Tensor]


class _Gradients(NamedTuple):
    """The state of conjugate gradients."""

    x: Tensor
    r: Tensor  # the residual b - A x
    p: Tensor  # the direction
    gamma: Tensor  # <r, M r>
    steps: Tensor


class _Stabilized(NamedTuple):
    """The state of stabilised bi-conjugate gradients, in the names of the paper."""

    x: Tensor
    r: Tensor
    p: Tensor
    q: Tensor  # A M p
    alpha: Tensor
    omega: Tensor
    rho: Tensor
    steps: Tensor  # negative after a breakdown


def conjugate_gradients(
    product: Product,
    b: Tensor,
    x0: Tensor,
    improve: Product,
    *,
    tol: float,
    atol: float,
    maxiter: int,
    plain: bool,
) -> Tensor:
    """Solve A x = b for a Hermitian positive definite A; plain: whether there is no preconditioner."""
    goal = _goal(b, tol, atol)

    def goes_on(state: _Gradients) -> Tensor:
        square = state.gamma.real if plain else _square(state.r)
        return (square > goal) & (state.steps < maxiter)

    def step(state: _Gradients) -> _Gradients:
        image = product(state.p)
        alpha = state.gamma / torch.vdot(state.p, image)
        x, r = state.x + alpha * state.p, state.r - alpha * image
        z = improve(r)
        gamma = torch.vdot(r, z)
        return _Gradients(x, r, z + gamma / state.gamma * state.p, gamma, state.steps + 1)

    r = b - product(x0)
    z = improve(r)
    return while_loop(goes_on, step, _Gradients(x0, r, z, torch.vdot(r, z), _zero(b))).x


def stabilized_gradients(
    product: Product, b: Tensor, x0: Tensor, improve: Product, *, tol: float, atol: float, maxiter: int
) -> Tensor:
    """Solve A x = b for any A."""
    goal, start = _goal(b, tol, atol), b - product(x0)

    def goes_on(state: _Stabilized) -> Tensor:
        return (_square(state.r) > goal) & (state.steps < maxiter) & (state.steps >= 0)

    def step(state: _Stabilized) -> _Stabilized:
        rho = torch.vdot(start, state.r)
        beta = rho / state.rho * state.alpha / state.omega
        p = state.r + beta * (state.p - state.omega * state.q)
        direction = improve(p)
        q = product(direction)
        alpha = rho / torch.vdot(start, q)
        s = state.r - alpha * q
        correction = improve(s)
        t = product(correction)
        done = _square(s) < goal
        omega = torch.where(done, 1, torch.vdot(t, s) / torch.where(done, 1, torch.vdot(t, t)))
        x = state.x + alpha * direction + torch.where(done, 0, omega * correction)
        r = torch.where(done, s, s - omega * t)
        broken = (omega == 0) | (alpha == 0) | (rho == 0)
        return _Stabilized(x, r, p, q, alpha, omega, rho, torch.where(broken, -1, state.steps + 1))

    one = torch.ones_like(torch.vdot(b, b))
    first = _Stabilized(x0, start, start, start, one, one, one, _zero(b))
    return while_loop(goes_on, step, first).x


def minimal_residuals(
    product: Product, b: Tensor, x0: Tensor, improve: Product, *, tol: float, atol: float, maxiter: int, restart: int
) -> Tensor:
    """Solve A x = b for any A, from the best x in Krylov spaces of dimension `restart`."""
    goal, restart = _goal(improve(b), tol, atol), max(min(restart, len(b)), 1)

    def goes_on(state: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return (_square(state[1]) > goal) & (state[2] < maxiter)

    def step(state: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        x, r, steps = state
        next_x = x + _best(lambda v: improve(product(v)), r, restart)
        next_r = improve(b - product(next_x))
        ended = _square(next_r) >= _square(r)  # further starts would not improve x either
        return (
            torch.where(ended, x, next_x),
            torch.where(ended, r, next_r),
            torch.where(ended, maxiter, steps + 1),
        )

    return while_loop(goes_on, step, (x0, improve(b - product(x0)), _zero(b)))[0]


def _best(product: Product, r: Tensor, restart: int) -> Tensor:
    """Return the x in the Krylov space of r with the least |r - A x|, by Arnoldi's method."""
    norm = _norm(r)
    basis = torch.zeros(restart + 1, len(r), dtype=r.dtype, device=r.device)
    rows = torch.arange(restart + 1, device=r.device)
    first = torch.where((rows == 0)[:, None], r / torch.where(norm == 0, 1, norm), basis)

    def grow(basis: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        w = product(basis.index_select(0, k.reshape(1))[0])
        size = _norm(w)
        h = torch.zeros(restart + 1, dtype=r.dtype, device=r.device)
        for _ in range(2):  # the second pass removes the rounding errors of the first
            part = basis.conj() @ w
            w, h = w - part @ basis, h + part
        left = _norm(w)
        ended = left <= torch.finfo(left.dtype).eps * size  # the space contains the solution
        w = torch.where(ended, 0, w / torch.where(ended, 1, left))
        column = torch.where(rows == k + 1, torch.where(ended, 0, left).to(r.dtype), h)
        return torch.where((rows == k + 1)[:, None], w, basis), column

    basis, columns = scan(grow, first, torch.arange(restart, device=r.device))
    hessenberg = columns.mT
    target = torch.where(rows == 0, norm, 0).to(r.dtype)
    return _least_squares(hessenberg, target) @ basis[:restart]


def _least_squares(matrix: Tensor, target: Tensor) -> Tensor:
    """Return a y of least |matrix y - target|, with 0 for columns that depend on those before, as after the end."""
    q, r = torch.linalg.qr(matrix)
    sizes = r.diagonal().abs()
    unused = sizes <= len(sizes) * torch.finfo(sizes.dtype).eps * sizes.max()
    r = torch.where(unused[:, None], torch.eye(len(sizes), dtype=r.dtype, device=r.device), r)
    y = torch.where(unused, 0, q.mH @ target)
    return torch.linalg.solve_triangular(r, y[:, None], upper=True)[:, 0]


def _goal(b: Tensor, tol: float, atol: float) -> Tensor:
    return (tol**2 * _square(b)).clamp(min=atol**2)


def _square(x: Tensor) -> Tensor:
    return torch.vdot(x, x).real


def _norm(x: Tensor) -> Tensor:
    return _square(x).sqrt()


def _zero(x: Tensor) -> Tensor:
    return torch.zeros((), dtype=torch.int64, device=x.device)
