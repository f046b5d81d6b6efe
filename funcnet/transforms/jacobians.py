"""Jacobians and Hessians of functions of pytrees."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch.func
from torch import Tensor

from funcnet import _torch, tree
from funcnet.tracebacks import boundary
from funcnet.transforms.flatten import Argnums, Call, Function, Inputs, Pairs, cast, check_function, unshared
from funcnet.transforms.forward_rules import with_forward_rules
from funcnet.transforms.purity import Pure
from funcnet.transforms.replacements import with_replacements
from funcnet.transforms.wrapped import wrapped
from funcnet.tree.conversion import arrays_as_tensors


def jacfwd(f: Function, argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None) -> Function:
    """Transform a function into its Jacobian, computed in forward mode: one pass per input element.

    Args:
        f: Any function of pytrees; returns (out, aux) if has_aux.
        argnums: The positional argument to differentiate with respect to, or a sequence of several.
        has_aux: Whether f returns (out, aux).
        chunk_size: How many passes to run at once; fewer need less memory. None: all.
    Returns:
        A function of the same arguments that returns the Jacobian, or (Jacobian, aux): a tree like `out` whose leaves
        are trees like the argument, each of shape (*out leaf, *argument leaf). Complex tensors may be among the
        arguments or the results, but not both. The Jacobian of a complex result combines those of its real and
        imaginary parts; the Jacobian with respect to a complex argument holds gradients in the convention of `grad`.
    Raises:
        TypeError: The argument or the result holds no floating-point or complex tensor, or both hold a complex one.
        ValueError: chunk_size is below 1.
    Example:
        >>> fn.jacfwd(lambda x: x**2)(torch.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    check_function("jacfwd", f)
    _check_chunk_size("jacfwd", chunk_size)
    return wrapped(_jacfwd, f, chunk_size, argnums, has_aux)


def _check_chunk_size(name: str, chunk_size: int | None) -> None:
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"{name}: expected a chunk_size of at least 1, or None for all at once, got {chunk_size}.")


def _forward(call: Pairs, tensors: Sequence[Tensor], *, chunk_size: int | None) -> Any:
    # torch's Jacobian fails without input elements, that is, without a forward pass
    method = torch.func.jacfwd if any(tensor.numel() for tensor in tensors) else torch.func.jacrev
    if chunk_size is not None and chunk_size < sum(tensor.numel() for tensor in tensors):
        rows, results = _in_chunks(call, unshared(tensors), chunk_size)
    else:
        rows, results = method(call, tuple(range(len(tensors))), has_aux=True)(*unshared(tensors))
    return [cast([out] * len(row), row) for out, row in zip(call.outputs, rows, strict=True)], results


def _in_chunks(call: Pairs, tensors: Sequence[Tensor], chunk_size: int) -> tuple[list[list[Tensor]], Any]:
    """Return the Jacobian as torch.func.jacfwd does, from at most chunk_size forward passes at once."""

    def push(*tangents: Tensor) -> Any:
        return _torch.pushforward(call, tensors, tangents)[1:]

    sizes = [tensor.numel() for tensor in tensors]
    chunks, results = list[Any](), None
    for start in range(0, sum(sizes), chunk_size):
        places = torch.arange(start, min(start + chunk_size, sum(sizes)), device=tensors[0].device)
        pushed, found = torch.func.vmap(push)(*_basis(tensors, sizes, places))
        chunks.append(pushed)
        results = tuple(result[0] for result in found) if results is None else results
    columns = [torch.cat(chunk).movedim(0, -1).split(sizes, -1) for chunk in zip(*chunks, strict=True)]
    shaped = (zip(row, tensors, strict=True) for row in columns)
    return [[part.reshape((*part.shape[:-1], *x.shape)) for part, x in row] for row in shaped], results


def _basis(tensors: Sequence[Tensor], sizes: Sequence[int], places: Tensor) -> list[Tensor]:
    """Return the unit vectors of these places in the concatenation of all tensors, one batch per tensor."""
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    rows = [torch.arange(size, device=places.device) + start for size, start in zip(sizes, starts, strict=True)]
    units = zip(tensors, rows, strict=True)
    return [(places[:, None] == row).to(x.dtype).reshape((len(places), *x.shape)) for x, row in units]


def jacrev(f: Function, argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None) -> Function:
    """Transform a function into its Jacobian, computed in reverse mode: one pass per output element.

    `jacobian` is its second name, as in JAX.

    Args:
        f: Any function of pytrees; returns (out, aux) if has_aux.
        argnums: The positional argument to differentiate with respect to, or a sequence of several.
        has_aux: Whether f returns (out, aux).
        chunk_size: How many passes to run at once; fewer need less memory. None: all.
    Returns:
        A function of the same arguments that returns the Jacobian, or (Jacobian, aux), in the structure and with the
        shapes of `jacfwd`'s.
    Raises:
        TypeError: The argument or the result holds no floating-point or complex tensor, or both hold a complex one.
        ValueError: chunk_size is below 1.
    Example:
        >>> fn.jacrev(lambda x: x.sum())(torch.tensor([1.0, 2.0]))
        tensor([1., 1.])
    """
    check_function("jacrev", f)
    _check_chunk_size("jacrev", chunk_size)
    return wrapped(_jacrev, f, chunk_size, argnums, has_aux)


jacobian = jacrev


def _reverse(call: Pairs, tensors: Sequence[Tensor], *, chunk_size: int | None) -> Any:
    return torch.func.jacrev(call, tuple(range(len(tensors))), has_aux=True, chunk_size=chunk_size)(*tensors)


def hessian(f: Function, argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None) -> Function:
    """Transform a function into its Hessian, computed in forward mode over reverse mode.

    Args:
        f: Any function of pytrees; returns (out, aux) if has_aux.
        argnums: The positional argument to differentiate with respect to, or a sequence of several.
        has_aux: Whether f returns (out, aux).
        chunk_size: How many passes to run at once, in forward mode and in reverse mode. None: all.
    Returns:
        A function of the same arguments that returns the Hessian, or (Hessian, aux): for a scalar f, a tree like the
        argument whose leaves are trees like the argument, each of shape (*leaf, *other leaf).
    Raises:
        TypeError: The argument or the result holds no floating-point tensor, or holds a complex one.
        ValueError: chunk_size is below 1.
    Example:
        >>> fn.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    check_function("hessian", f)
    _check_chunk_size("hessian", chunk_size)
    inner = jacrev(f, argnums, has_aux=has_aux, chunk_size=chunk_size)
    return jacfwd(inner, argnums, has_aux=has_aux, chunk_size=chunk_size)


def _jacfwd(f: Function, size: int | None, argnums: Argnums, has_aux: bool, /, *args: Any, **kwargs: Any) -> Any:
    return _jacobian(f, "jacfwd", partial(_forward, chunk_size=size), argnums, has_aux, *args, **kwargs)


def _jacrev(f: Function, size: int | None, argnums: Argnums, has_aux: bool, /, *args: Any, **kwargs: Any) -> Any:
    return _jacobian(f, "jacrev", partial(_reverse, chunk_size=size), argnums, has_aux, *args, **kwargs)


@boundary
def _jacobian(
    f: Function, name: str, transform: Function, argnums: Argnums, has_aux: bool, /, *args: Any, **kwargs: Any
) -> Any:
    inputs, options = Inputs(name, args, argnums), arrays_as_tensors(kwargs) if kwargs else kwargs
    ruled = with_forward_rules(f) if name == "jacfwd" else f
    call = Call(name, lambda *args: ruled(*args, **options), inputs, has_aux)
    derivative, *aux = _jacobian_of(call, transform)
    return (derivative, *aux) if has_aux else derivative


def _jacobian_of(call: Call, transform: Function) -> tuple[Any, ...]:
    """Return the Jacobian of a call, and its auxiliary result if it has one."""
    inputs = call.inputs
    pairs = Pairs(call.name, call, inputs.tensors)
    with Pure(call.name, call.f, inputs.args):
        rows, results = with_replacements(lambda: transform(pairs, tree.view_as_real(inputs.tensors)))
    _, *aux = call.rebuild(results)
    return call.derivative([inputs.gradient(row) for row in pairs.jacobian(rows)]), *aux
