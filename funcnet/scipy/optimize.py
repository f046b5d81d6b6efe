"""Minimisation of functions: jax.scipy.optimize."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet.control_flow import while_loop
from funcnet.numpy.promotion import ArrayLike, as_tensor, inexact
from funcnet.transforms import value_and_grad

__all__ = ["OptimizeResults", "minimize"]


class OptimizeResults(NamedTuple):
    """The result of `minimize`."""

    x: Tensor  # (n,), the best point
    success: Tensor  # 0-d bool, whether the gradient is small
    status: Tensor  # 0-d int32: 0 success, 1 maxiter is reached, 3 no step decreases the function
    fun: Tensor  # 0-d, the value at x
    jac: Tensor  # (n,), the gradient at x
    hess_inv: Tensor  # (n, n), the estimate of the inverse of the Hessian
    nfev: Tensor  # 0-d int32, evaluations of the function
    njev: Tensor  # 0-d int32, evaluations of the gradient
    nit: Tensor  # 0-d int32, iterations


class _Point(NamedTuple):
    x: Tensor
    value: Tensor
    slope: Tensor  # the gradient


class _Search(NamedTuple):
    """A search along a direction: the step sizes are between low, which is too short, and high, which is too long."""

    step: Tensor
    low: Tensor
    high: Tensor
    point: _Point
    done: Tensor
    tries: Tensor  # evaluations


class _State(NamedTuple):
    point: _Point
    inverse: Tensor
    failed: Tensor
    evaluations: Tensor
    iterations: Tensor


_Function = Callable[[Tensor], tuple[Tensor, Tensor]]


def minimize(
    fun: Callable[..., Tensor],
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    *,
    method: str = "BFGS",
    tol: float | None = None,
    options: dict[str, Any] | None = None,
) -> OptimizeResults:
    """Minimise a smooth function of a vector by BFGS, with a line search for the conditions of Wolfe.

    It compiles and maps whole; to differentiate the minimiser, wrap it in `custom_root`.

    Args:
        fun: fun(x, *args) -> a 0-d tensor.
        x0: The start, of shape (n,).
        args: Further arguments.
        method: "BFGS".
        tol: The gradient's norm that ends the run, by default 1e-5; `gtol` of the options goes before.
        options: "gtol"; "norm", the order of that norm, by default infinity; "maxiter", by default 200 n;
            "line_search_maxiter", the evaluations per line search, by default 30.
    Raises:
        TypeError: args is not a tuple.
        ValueError: The method or an option is unknown, x0 is not a vector, or fun does not return a 0-d tensor.
    Source:
        jax.scipy.optimize.minimize; Nocedal, Wright (2006), Numerical Optimization, algorithm 6.1; Lewis, Overton
        (2013), Nonsmooth optimization via quasi-Newton methods, https://doi.org/10.1007/s10107-012-0514-2, algorithm
        4.6 (the line search by bisection).
    Example:
        >>> result = fn.scipy.optimize.minimize(lambda x: ((x - 1) ** 2).sum() + 3, torch.zeros(2))
        >>> result.x, result.fun, result.success
        (tensor([1., 1.]), tensor(3.), tensor(True))
    """
    if method.lower() != "bfgs":
        raise ValueError(f"minimize: expected method='BFGS', got {method!r}. For L-BFGS use optim.lbfgs.")
    if not isinstance(args, tuple):
        raise TypeError(f"minimize: expected args to be a tuple, got {args!r}. Write args=(value,).")
    start = inexact(as_tensor("minimize", x0))
    if start.ndim != 1:
        raise ValueError(f"minimize: expected x0 of shape (n,), got {tuple(start.shape)}. Flatten it by ravel_pytree.")
    given = _options({"gtol": 1e-5 if tol is None else tol, "maxiter": 200 * len(start)}, options)
    return _bfgs(lambda x: value_and_grad(fun)(x, *args), start, **given)


def _options(defaults: dict[str, Any], options: dict[str, Any] | None) -> dict[str, Any]:
    known = {"norm": torch.inf, "line_search_maxiter": 30} | defaults
    if unknown := set(options or {}) - set(known):
        raise ValueError(f"minimize: expected options among {sorted(known)}, got {sorted(unknown)}.")
    return known | {name: value for name, value in (options or {}).items() if value is not None}


def _bfgs(
    f: _Function, x: Tensor, *, gtol: float, maxiter: int, norm: float, line_search_maxiter: int
) -> OptimizeResults:
    def is_flat(state: _State) -> Tensor:
        return torch.linalg.vector_norm(state.point.slope, norm) < gtol

    def goes_on(state: _State) -> Tensor:
        return ~is_flat(state) & ~state.failed & (state.iterations < maxiter)

    def step(state: _State) -> _State:
        old = state.point
        direction = -(state.inverse @ old.slope)
        search = _search(f, old, direction, line_search_maxiter)
        better = torch.isfinite(search.point.value) & (search.point.value < old.value)
        point = _Point(*(torch.where(better, *pair) for pair in zip(search.point, old, strict=True)))
        inverse = _updated(state.inverse, point.x - old.x, point.slope - old.slope)
        return _State(point, inverse, ~better, state.evaluations + search.tries, state.iterations + 1)

    count = torch.zeros((), dtype=torch.int32, device=x.device)
    inverse = torch.eye(len(x), dtype=x.dtype, device=x.device)
    first = _State(_Point(x, *f(x)), inverse, count > 0, count + 1, count)
    last = while_loop(goes_on, step, first)
    status = torch.where(is_flat(last), 0, torch.where(last.failed, 3, 1)).to(torch.int32)
    counts = last.evaluations, last.evaluations, last.iterations
    return OptimizeResults(last.point.x, is_flat(last), status, *last.point[1:], last.inverse, *counts)


def _search(f: _Function, start: _Point, direction: Tensor, limit: int) -> _Search:
    """Bisect for a step that decreases the function enough, and its slope along the direction, too."""
    slope = torch.dot(start.slope, direction)

    def goes_on(search: _Search) -> Tensor:
        return ~search.done & (search.tries < limit)

    def step(search: _Search) -> _Search:
        x = start.x + search.step * direction
        point = _Point(x, *f(x))
        too_long = ~(point.value <= start.value + 1e-4 * search.step * slope)
        too_short = ~too_long & (torch.dot(point.slope, direction) < 0.9 * slope)
        high = torch.where(too_long, search.step, search.high)
        low = torch.where(too_short, search.step, search.low)
        size = torch.where(torch.isinf(high), 2 * low, (low + high) / 2)
        return _Search(size, low, high, point, ~(too_long | too_short), search.tries + 1)

    zero = torch.zeros_like(slope)
    count = torch.zeros((), dtype=torch.int32, device=slope.device)
    return while_loop(goes_on, step, _Search(zero + 1, zero, zero + torch.inf, start, count > 0, count))


def _updated(inverse: Tensor, move: Tensor, change: Tensor) -> Tensor:
    """Return the estimate of BFGS, with H (g' - g) = x' - x; unchanged where the function does not curve upwards."""
    curvature = torch.dot(move, change)
    curves = curvature > 0
    rho = 1 / torch.where(curves, curvature, 1)
    along = inverse @ change
    scale = rho * (1 + rho * torch.dot(change, along))
    mixed = torch.outer(along, move)
    updated = inverse + scale * torch.outer(move, move) - rho * (mixed + mixed.mT)
    return torch.where(curves, updated, inverse)


def __dir__() -> list[str]:
    return __all__
