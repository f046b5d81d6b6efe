"""Look at a function without running it: the shapes of its result, and the program of its operations."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import torch

from funcnet import tree
from funcnet.compiler.calls import Request, trace_call
from funcnet.compiler.lanes import Lanes
from funcnet.compiler.program import Program
from funcnet.compiler.tracing.spec import META, TensorSpec, spec_of
from funcnet.tracebacks import boundary
from funcnet.transforms.flatten import check_function
from funcnet.transforms.wrapped import wrapped
from funcnet.tree import ShapeDtypeStruct
from funcnet.tree.conversion import arrays_as_tensors


@boundary
def eval_shape(f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Return the shapes and dtypes of a result without computing it.

    Args:
        f: A function of pytrees that `jit` can trace; it must not close over tensors of a trace around this call.
        args, kwargs: Its arguments; tensors, or `ShapeDtypeStruct`s in place of tensors.
    Returns:
        A tree like the result, with a `ShapeDtypeStruct` in place of each tensor.
    Raises:
        StagingError: f reads values of tensors in Python, or is not pure.
    Source:
        jax.eval_shape.
    Example:
        >>> fn.eval_shape(lambda x: {"y": x @ x.T, "n": 2}, fn.ShapeDtypeStruct((2, 3), torch.float32))["y"].shape
        (2, 2)
    """
    check_function("eval_shape", f)
    return _shapes(*_traced(f, args, kwargs))


def _shapes(program: Program, body: Any) -> Any:
    leaves = body.template.copy()
    for position, var in zip(body.positions, program.block.results, strict=True):
        leaves[position] = ShapeDtypeStruct(var.shape, var.dtype, var.device)
    return tree.unflatten(body.structure, leaves)


@overload
def make_program(
    f: Callable[..., Any], static_argnums: int | Sequence[int] = (), *, return_shape: Literal[False] = False
) -> Callable[..., Program]: ...
@overload
def make_program(
    f: Callable[..., Any], static_argnums: int | Sequence[int] = (), *, return_shape: Literal[True]
) -> Callable[..., tuple[Program, Any]]: ...
def make_program(
    f: Callable[..., Any], static_argnums: int | Sequence[int] = (), *, return_shape: bool = False
) -> Callable[..., Any]:
    """Transform a function into one that returns the program of its operations; print it to read it.

    Numbers among the arguments are constants. `fn.jit(f).lower(*args)` shows the program that `jit` compiles.

    Args:
        f: A function of pytrees that `jit` can trace.
        static_argnums: Accepted as in JAX; everything but tensors is a constant in any case.
        return_shape: Whether to return the result of `eval_shape`, too.
    Returns:
        A function of the same arguments, with tensors or `ShapeDtypeStruct`s, that returns the program, or (program,
        shapes).
    Raises:
        StagingError: At a call: f reads values of tensors in Python, or is not pure.
    Source:
        jax.make_jaxpr.
    Example:
        >>> fn.make_program(fn.grad(lambda x: x.sin()))(torch.tensor(1.0))
        (v0: float32[]) ->
          v1: float32[] = aten.full([], 1, dtype=float32, device=device(type='cpu'), pin_memory=False)
          v2: float32[] = aten.cos(v0)
          v3: float32[] = aten.mul.Tensor(v1, v2)
          return [v3]
    """
    check_function("make_program", f)
    return wrapped(_program, f, return_shape)


@boundary
def _program(f: Callable[..., Any], return_shape: bool, /, *args: Any, **kwargs: Any) -> Any:
    program, body = _traced(f, args, kwargs)
    return (program, _shapes(program, body)) if return_shape else program


def _traced(f: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Program, Any]:
    leaves, structure = tree.flatten(arrays_as_tensors((args, kwargs)))
    specs = [_spec(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor | ShapeDtypeStruct)]
    leaves = [_placeholder(leaf) for leaf in leaves]
    args, kwargs = tree.unflatten(structure, leaves)
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    request = Request(args, kwargs, leaves, structure, (), tensors, (), [])
    return trace_call(Lanes(f), request, specs)


def _spec(leaf: Any) -> TensorSpec:
    if isinstance(leaf, torch.Tensor):
        return spec_of(leaf)
    stride = torch.empty(leaf.shape, device=META).stride()
    return TensorSpec(leaf.shape, stride, leaf.dtype, leaf.device)


def _placeholder(leaf: Any) -> Any:
    if not isinstance(leaf, ShapeDtypeStruct):
        return leaf
    return torch.empty(leaf.shape, dtype=leaf.dtype, device=META)
