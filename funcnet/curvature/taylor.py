"""Taylor polynomials of a function of parameters."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from funcnet import tree
from funcnet.curvature.checks import like
from funcnet.reprs import names_call
from funcnet.transforms import jvp
from funcnet.tree import Tree


@names_call
def taylor(f: Callable[..., Tree], params: Tree, *, order: int = 1) -> Callable[..., Tree]:
    """Approximate a function of parameters by its Taylor polynomial around given parameters.

    sum_k D^k f(p0)[d, ..., d] / k! for k up to the order, with d = p - p0. Order 1 linearises a model in its
    parameters, but not in its inputs; order 2 is the quadratic model of a loss.

    Args:
        f: f(params, *args, **kwargs) -> any tree; it is expanded in its first argument only.
        params: p0, the point of expansion.
        order: At least 0. The cost about doubles with each order.
    Returns:
        A function of the arguments of f.
    Raises:
        ValueError: order is negative, or the parameters are not like p0.
    Source:
        Lee et al. (2019), Wide Neural Networks of Any Depth Evolve as Linear Models, eq. 4,
        https://arxiv.org/abs/1902.06720
    Example:
        >>> quadratic = fn.curvature.taylor(torch.exp, torch.tensor(0.0), order=2)
        >>> quadratic(torch.tensor(1.0))
        tensor(2.5000)
    """
    if not isinstance(order, int) or order < 0:
        raise ValueError(f"taylor: expected an order that is a whole number, at least 0, got {order!r}.")
    return partial(_taylor, f, params, order)


def _taylor(f: Callable[..., Tree], params: Tree, order: int, new: Tree, *args: Any, **kwargs: Any) -> Tree:
    away = tree.sub(like("taylor", params, new, "the new parameters"), params)
    terms = _derivatives(lambda p: f(p, *args, **kwargs), params, away, order)
    total = terms[0]
    for k, term in enumerate(terms[1:], 1):
        total = tree.map(partial(_add, 1 / math.factorial(k)), total, term)
    return total


def _derivatives(f: Callable[[Tree], Tree], params: Tree, along: Tree, order: int) -> tuple[Tree, ...]:
    """Return f and its derivatives along a direction, up to an order."""
    if order == 0:
        return (f(params),)
    lower, pushed = jvp(lambda p: _derivatives(f, p, along, order - 1), (params,), (along,))
    return *lower, pushed[-1]


def _add(factor: float, leaf: Any, derivative: Any) -> Any:
    return leaf if derivative is None else leaf + factor * derivative
