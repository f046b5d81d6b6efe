"""Ordinary differential equations: the adaptive solver of jax.experimental.ode, with its adjoint derivative."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import tree
from funcnet.control_flow import scan, while_loop
from funcnet.numpy.promotion import ArrayLike, as_tensor, floating, inexact
from funcnet.transforms import custom_vjp, vjp
from funcnet.transforms.closures import closed, rebind
from funcnet.tree import Structure, Tree
from funcnet.tree.conversion import arrays_as_tensors, numbers_as_tensors

Slope = Callable[..., Tensor]  # (y, t, *args) -> dy/dt, of vectors
Carry = tuple[Tensor, ...]  # y, dy/dt, t, step size, t of the last step, coefficients of the interpolation

_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_SOLUTION = (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
_WEIGHTS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    _SOLUTION,
)
_FOURTH_ORDER = (1951 / 21600, 0, 22642 / 50085, 451 / 720, -12231 / 42400, 649 / 6300, 1 / 60)
_ERRORS = tuple(fifth - fourth for fifth, fourth in zip((*_SOLUTION, 0), _FOURTH_ORDER, strict=True))
_MIDDLE = (  # of the solution half a step ahead
    *(6025192743 / 30085553152 / 2, 0, 51252292925 / 65400821598 / 2, -2691868925 / 45128329728 / 2),
    *(187940372067 / 1594534317056 / 2, -1776094331 / 19743644256 / 2, 11237099 / 235043384 / 2),
)
_QUARTIC = ((-8.0, -8.0, 16.0, -2.0, 2.0), (18.0, 14.0, -32.0, 5.0, -3.0), (-11.0, -5.0, 16.0, -4.0, 1.0))


@dataclass(frozen=True)
class _Limits:
    """The tolerances of the solver, its largest number of steps and its largest step size."""

    rtol: float
    atol: float
    mxstep: float
    hmax: float


@dataclass(frozen=True)
class _Layout:
    """How the leaves of a state lie in one vector."""

    structure: Structure
    shapes: Sequence[torch.Size]
    dtypes: Sequence[torch.dtype]

    def split(self, vector: Tensor) -> Tree:
        """Return the state that a vector holds in its last axis."""
        parts = vector.split([shape.numel() for shape in self.shapes], -1)
        leaves = map(_reshaped, parts, self.shapes, self.dtypes)
        return tree.unflatten(self.structure, list(leaves))


@dataclass(frozen=True)
class _System:
    """The right-hand side as a function of vectors. The tensors that it closes over are arguments: it holds others."""

    func: Callable[..., Tree]
    instead: Sequence[Tensor]
    layout: _Layout

    def __call__(self, y: Tensor, t: Tensor, held: Sequence[Tensor], args: Sequence[Any]) -> Tensor:
        func = rebind(self.func, self.instead, held)
        slope, layout = _joined(func(self.layout.split(y), t, *args))
        if (layout.structure, layout.shapes) != (self.layout.structure, self.layout.shapes):
            raise ValueError(
                f"odeint: expected func to return a tree like y, with leaves of shapes {_sizes(self.layout)}, got "
                f"leaves of shapes {_sizes(layout)}."
            )
        return slope.to(y.dtype)


def odeint(
    func: Callable[..., Tree],
    y0: Tree,
    t: ArrayLike,
    *args: Any,
    rtol: float = 1.4e-8,
    atol: float = 1.4e-8,
    mxstep: float = torch.inf,
    hmax: float = torch.inf,
) -> Tree:
    """Solve dy/dt = func(y, t, *args) from y0 at the first time, with steps whose size follows the estimated error.

    The derivative in reverse mode solves the adjoint equation backwards in time and stores no steps; it is with respect
    to y0, t, args and the tensors that func closes over.

    Args:
        func: (y, t, *args) -> a tree like y, its derivative in time.
        y0: The state at the first time, a tree.
        t: The times, ascending, of shape (n,).
        *args: Trees, passed to func.
        rtol, atol: The largest error of a step, atol + rtol abs(y). In float32 the defaults are beyond its precision.
        mxstep: The largest number of steps from one time to the next.
        hmax: The largest step size.
    Returns:
        A tree like y0 whose leaves have a leading axis of length n: the states at the times.
    Raises:
        TypeError: t is not a floating-point array.
        ValueError: t is not a vector, or func returns a tree unlike y.
    Source:
        jax.experimental.ode.odeint. Dormand, Prince (1980), https://doi.org/10.1016/0771-050X(80)90013-3; Shampine
        (1986), Some practical Runge-Kutta formulas (the interpolation); Hairer, Norsett, Wanner (1993), Solving
        Ordinary Differential Equations I, section II.4 (the first step size); Chen et al. (2018), Neural Ordinary
        Differential Equations, appendix C, https://arxiv.org/abs/1806.07366 (the derivative).
    Example:
        >>> times = torch.tensor([0.0, 1.0, 2.0])
        >>> fn.scipy.integrate.odeint(lambda y, t, rate: -rate * y, torch.tensor(1.0), times, 0.5)
        tensor([1.0000, 0.6065, 0.3679])
    """
    times = _times(t)
    state, given = numbers_as_tensors(arrays_as_tensors((y0, args)))
    kept, held, _ = closed(func, (state, times, given))
    instead = tuple(torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in held)
    vector, layout = _joined(state)
    system = _System(rebind(kept, held, instead), instead, layout)
    return layout.split(_solve(system, _Limits(rtol, atol, mxstep, hmax), vector, times, held, given))


def _times(t: ArrayLike) -> Tensor:
    times = as_tensor("odeint", t)
    if not times.is_floating_point():
        raise TypeError(f"odeint: expected t to be an array of floating-point numbers, got {tree.describe(times)}.")
    if times.ndim != 1 or len(times) == 0:
        raise ValueError(f"odeint: expected t of shape (n,) with n > 0, got shape {tuple(times.shape)}.")
    return times


def _joined(state: Tree) -> tuple[Tensor, _Layout]:
    """Return the vector of the numbers of a state, and its layout."""
    leaves, structure = tree.flatten(state)
    tensors = floating("odeint", *leaves)
    layout = _Layout(structure, [x.shape for x in tensors], [inexact(as_tensor("odeint", x)).dtype for x in leaves])
    return torch.cat([x.reshape(-1) for x in tensors]), layout


def _reshaped(part: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Return a part of a vector in the dtype of its leaf, which may be real among complex ones."""
    real = part.real if part.is_complex() and not dtype.is_complex else part
    return real.reshape(part.shape[:-1] + shape).to(dtype)


def _sizes(layout: _Layout) -> list[tuple[int, ...]]:
    return [tuple(shape) for shape in layout.shapes]


@partial(custom_vjp, nondiff_argnums=(0, 1))
def _solve(system: _System, limits: _Limits, y0: Tensor, times: Tensor, held: Tree, args: Tree) -> Tensor:
    """Return the states at the times, of shape (n, k)."""

    def slope(y: Tensor, t: Tensor) -> Tensor:
        return system(y, t, held, args)

    def advance(carry: Carry, time: Tensor) -> tuple[Carry, Tensor]:
        carry = _advance(slope, limits, carry, time)
        return carry, _interpolated(carry, time)

    start = slope(y0, times[0])
    size = _first_size(slope, y0, start, times[0], limits).clamp(0, limits.hmax)
    carry: Any = y0, start, times[0], size, times[0], torch.stack([y0] * 5)
    return torch.cat([y0[None], scan(advance, carry, times[1:])[1]])


def _first_size(slope: Slope, y: Tensor, start: Tensor, t: Tensor, limits: _Limits) -> Tensor:
    """Guess a first step size from the derivative and the second derivative."""
    scale = limits.atol + y.abs() * limits.rtol
    size, speed = torch.linalg.vector_norm(y / scale), torch.linalg.vector_norm(start / scale)
    first = torch.where((size < 1e-5) | (speed < 1e-5), 1e-6, 0.01 * size / speed)
    change = torch.linalg.vector_norm((slope(y + first * start, t + first) - start) / scale) / first
    still = (speed <= 1e-15) & (change <= 1e-15)
    second = torch.where(still, (1e-3 * first).clamp(min=1e-6), (0.01 / torch.maximum(speed, change)) ** (1 / 5))
    return torch.minimum(100 * first, second).to(t.dtype)


def _advance(slope: Slope, limits: _Limits, carry: Carry, time: Tensor) -> Carry:
    """Take steps until the time has been passed."""

    def goes_on(state: Any) -> Tensor:
        count, (_, _, t, size, *_) = state
        return (t < time) & (count < limits.mxstep) & (size > 0)

    def step(state: Any) -> Any:
        count, old = state
        new, error = _stepped(slope, limits, *old[:4])
        y, derivative, t, size, last, curve = (torch.where(error <= 1, *pair) for pair in zip(new, old, strict=True))
        size = (old[3] * _factor(error)).clamp(0, limits.hmax).to(size.dtype)
        return count + 1, (y, derivative, t, size, last, curve)

    return while_loop(goes_on, step, (torch.zeros((), dtype=torch.int64, device=time.device), carry))[1]


def _stepped(slope: Slope, limits: _Limits, y: Tensor, start: Tensor, t: Tensor, size: Tensor) -> tuple[Carry, Tensor]:
    """Return the carry after a step, and the error of the step relative to the largest one allowed."""
    h, slopes, after = size.to(y.real.dtype), [start], y
    for node, weights in zip(_NODES, _WEIGHTS, strict=True):
        after = y + h * _combined(weights, slopes)
        slopes.append(slope(after, t + size * node))
    middle = y + h * _combined(_MIDDLE, slopes)
    points = [y, after, middle, h * start, h * slopes[-1]]
    curve = torch.stack([*(_combined(row, points) for row in _QUARTIC), h * start, y])
    allowed = limits.atol + limits.rtol * torch.maximum(y.abs(), after.abs())
    error = torch.sqrt(torch.mean(torch.square((h * _combined(_ERRORS, slopes)).abs() / allowed)))
    return (after, slopes[-1], t + size, size, t, curve), error


def _combined(weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    terms = [weight * x for weight, x in zip(weights, tensors, strict=True) if weight]
    return sum(terms[1:], terms[0])


def _factor(error: Tensor) -> Tensor:
    """Return the factor between step sizes that keeps the error of a method of order 5 below 1."""
    least = torch.where(error < 1, 1.0, 0.2)
    return torch.where(error == 0, 10.0, torch.maximum(0.9 * error ** (-1 / 5), least).clamp(max=10.0))


def _interpolated(carry: Carry, time: Tensor) -> Tensor:
    """Evaluate the polynomial of the last step at a time."""
    _, _, t, _, last, curve = carry
    place = ((time - last) / (t - last)).to(curve.real.dtype)
    value = curve[0]
    for coefficient in curve[1:]:
        value = value * place + coefficient
    return value


def _forward(system: _System, limits: _Limits, y0: Tensor, times: Tensor, held: Tree, args: Tree) -> tuple[Tensor, Any]:
    states = _solve(system, limits, y0, times, held, args)
    return states, (states, times, held, args)


def _backward(system: _System, limits: _Limits, kept: Any, cotangents: Tensor) -> Any:
    """Solve the adjoint equation from each time back to the one before, in the time s = -t."""
    states, times, held, args = kept
    none = tree.zeros_like(tree.partition((held, args), tree.is_inexact)[0])

    def adjoint(augmented: Any, s: Tensor, values: Any) -> Any:
        y, cotangent, *_ = augmented
        derivative, pull = vjp(lambda y, t, values: system(y, t, *values), y, -s, values)
        return -derivative, *pull(cotangent)

    def back(carry: Any, row: Any) -> tuple[Any, Tensor]:
        cotangent, by_first, by_values = carry
        y, t, earlier, own = row
        by_time = torch.sum(system(y, t, held, args).conj() * own[0]).real
        start = y, cotangent, by_first - by_time, by_values
        options = {"rtol": limits.rtol, "atol": limits.atol, "mxstep": limits.mxstep, "hmax": limits.hmax}
        ends = odeint(adjoint, start, torch.stack([-t, -earlier]), (held, args), **options)
        _, cotangent, by_first, by_values = tree.map(lambda x: x[1], ends)
        return (cotangent + own[1], by_first, by_values), by_time

    rows = states[1:], times[1:], times[:-1], torch.stack([cotangents[1:], cotangents[:-1]], 1)
    start = cotangents[-1], torch.zeros_like(times[0]), none
    (by_y, by_first, by_values), by_times = scan(back, start, rows, reverse=True)
    return by_y, torch.cat([by_first[None], by_times]), *by_values


_solve.defvjp(_forward, _backward)
