"""Derivatives along tangents and their transposes, of functions of pytrees."""

from collections.abc import Sequence
from typing import Any

import torch.func

from funcnet import _torch, tree
from funcnet.tracebacks import boundary
from funcnet.transforms.flatten import (
    Call,
    Function,
    Inputs,
    cast,
    check_function,
    check_tuple,
    unshared,
)
from funcnet.transforms.forward_rules import with_forward_rules
from funcnet.transforms.purity import NEAR, Pure
from funcnet.transforms.replacements import with_replacements
from funcnet.tree import Tree


@boundary
def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False) -> Any:
    """Push tangents forward: evaluate f and its derivative along the tangents, in one forward pass.

    Args:
        f: Any function of pytrees; returns (out, aux) if has_aux.
        primals: The tuple of its arguments.
        tangents: Like primals; leaves that correspond to non-differentiable leaves are ignored.
        has_aux: Whether f returns (out, aux).
    Returns:
        (out, tangent), or (out, tangent, aux); the tangent is like `out`, with None at non-differentiable leaves.
    Raises:
        TypeError: The primals, or the result, hold no floating-point or complex tensor; primals or tangents are not a
            tuple.
        ValueError: A tangent is missing, or differs from its primal in shape or dtype.
        RuntimeError: f writes in place to a primal or to a tensor that it closes over. The write may already have
            happened.
    Example:
        >>> fn.jvp(torch.sin, (torch.tensor(0.0),), (torch.tensor(2.0),))
        (tensor(0.), tensor(2.))
    """
    check_function("jvp", f)
    check_tuple("jvp", "primals", primals)
    check_tuple("jvp", "tangents", tangents)
    inputs = Inputs("jvp", tuple(primals), range(len(primals)))
    call = Call("jvp", with_forward_rules(f), inputs, has_aux)
    with Pure("jvp", f, primals):
        dual = unshared(inputs.tensors), inputs.tangents(tuple(tangents))
        _, pushed, results = with_replacements(lambda: _torch.pushforward(call, *dual))
    out, *aux = call.rebuild(results)
    return out, call.derivative(cast(call.outputs, pushed)), *aux


@boundary
def vjp(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Evaluate f and return its result with a function that pulls a cotangent of the result back to the primals.

    The pullback is the transpose of the pushforward with respect to `tree.dot`, for complex numbers as well.

    Args:
        f: Any function of pytrees; returns (out, aux) if has_aux.
        primals: The arguments of f.
        has_aux: Whether f returns (out, aux).
    Returns:
        (out, pullback), or (out, pullback, aux). pullback(cotangent), with a cotangent like `out`, returns a tuple with
        one cotangent per primal.
    Raises:
        TypeError: The primals, or the result, hold no floating-point or complex tensor.
        ValueError: A cotangent is missing, or differs from its part of `out` in shape or dtype.
    Example:
        >>> out, pullback = fn.vjp(torch.mul, torch.tensor(2.0), torch.tensor(5.0))
        >>> pullback(torch.tensor(1.0))
        (tensor(5.), tensor(2.))
    """
    check_function("vjp", f)
    inputs = Inputs("vjp", primals, range(len(primals)))
    call = Call("vjp", f, inputs, has_aux)
    with Pure("vjp", f, inputs.given(), NEAR):
        pulled: Any = with_replacements(lambda: torch.func.vjp(call, *inputs.tensors, has_aux=True))
    _, flat_pullback, results = pulled
    out, *aux = call.rebuild(results)

    def pullback(cotangent: Tree) -> Any:
        return inputs.gradient(flat_pullback(call.cotangents(cotangent)))

    return out, pullback, *aux


@boundary
def linearize(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Evaluate f and return its result with its derivative at the primals, a linear function of tangents.

    f itself runs once. A pullback is linear in the cotangent, so the pullback of the pullback pushes a tangent forward;
    unlike torch.func.linearize, this nests in every other transformation.

    Args:
        f: Any function of pytrees; returns (out, aux) if has_aux.
        primals: The arguments of f.
        has_aux: Whether f returns (out, aux).
    Returns:
        (out, pushforward), or (out, pushforward, aux). pushforward(*tangents), with one tangent per primal, returns a
        tangent like `out`.
    Raises:
        TypeError: The primals, or the result, hold no floating-point tensor.
        ValueError: A tangent is missing, or differs from its primal in shape or dtype.
    Source:
        Townsend (2017), A new trick for calculating Jacobian vector products,
        https://j-towns.github.io/2017/06/12/A-new-trick.html
    Example:
        >>> out, pushforward = fn.linearize(torch.square, torch.tensor(3.0))
        >>> out, pushforward(torch.tensor(1.0))
        (tensor(9.), tensor(6.))
    """
    check_function("linearize", f)
    inputs = Inputs("linearize", primals, range(len(primals)))
    out, pullback, *aux = vjp(f, *primals, has_aux=has_aux)
    _, pullback_twice = vjp(pullback, tree.zeros_like(out))

    def pushforward(*tangents: Any) -> Any:
        inputs.tangents(tangents)
        return pullback_twice(tangents)[0]

    return out, pushforward, *aux
