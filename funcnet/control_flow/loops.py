"""`while_loop` and `fori_loop`: loops with a condition, and over a range of integers."""

import operator
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.compiler import is_tracing
from funcnet.control_flow import eager_loops
from funcnet.control_flow.carry import alike, signature
from funcnet.control_flow.differentiable_while import While, run_while
from funcnet.control_flow.scan import scan
from funcnet.tracebacks import boundary
from funcnet.transforms.closures import NoHiddenTensors, closed, rebind
from funcnet.transforms.flatten import Flattener, check_function
from funcnet.transforms.purity import Pure
from funcnet.tree.conversion import arrays_as_tensors, numbers_as_tensors, scalars_as_tensors

Carry = TypeVar("Carry")


@boundary
def while_loop(cond_fun: Callable[[Carry], Any], body_fun: Callable[[Carry], Carry], init_val: Carry) -> Carry:
    """Repeat carry = body_fun(carry) as long as cond_fun(carry) is true.

    Inside `jit` the loop is one operation of the program, and both functions are traced once. Under `vmap` each example
    stops for itself: the batch runs until its last example has stopped, and an example that has stopped keeps its
    carry, bit by bit. The number of steps is not known in advance, so the loop differentiates in forward mode only.

    Outside of `jit` and of transformations, a loop that goes on for thousands of steps continues as a compiled one, as
    described at `scan`; `disable_jit` keeps it in Python.

    Args:
        cond_fun: cond_fun(carry) -> a bool or a 0-d tensor of bools.
        body_fun: body_fun(carry) -> a carry of the same structure, shapes and dtypes.
        init_val: The first carry. Numbers in it become 0-d tensors, and so do numbers that body_fun returns there.
    Returns:
        The first carry for which cond_fun is false.
    Raises:
        TypeError: A function is not callable, or cond_fun does not return a 0-d bool.
        ValueError: The carry changes its structure, shapes or dtypes; or the loop is differentiated in reverse: use
            `scan`, or `fori_loop` with ints as bounds.
        RuntimeError: A function writes in place to a tensor that it closes over.
    Source:
        jax.lax.while_loop.
    Example:
        >>> fn.while_loop(lambda n: n < 100, lambda n: 2 * n, torch.tensor(3))
        tensor(192)
    """
    check_function("while_loop: cond_fun", cond_fun)
    check_function("while_loop: body_fun", body_fun)
    init = numbers_as_tensors(arrays_as_tensors(scalars_as_tensors(init_val)))
    carry = Flattener()
    tensors = carry.split(init)
    if not tensors:
        raise ValueError("while_loop: expected a carry with a tensor, got one without; it would never stop or change.")
    with nullcontext() if is_tracing() else Pure("while_loop", partial(_called, cond_fun, body_fun), ()):
        result: Carry = carry.rebuild(_run(cond_fun, body_fun, carry, tensors))
        return result


@boundary
def fori_loop(
    lower: int | Tensor,
    upper: int | Tensor,
    body_fun: Callable[[Tensor, Carry], Carry],
    init_val: Carry,
    *,
    unroll: int = 1,
) -> Carry:
    """Repeat carry = body_fun(i, carry) for i from lower to upper - 1.

    With ints as bounds it is a `scan`, which differentiates in forward and in reverse mode; with a tensor among them it
    is a `while_loop`, which differentiates in forward mode only.

    Args:
        lower, upper: Ints or 0-d integer tensors.
        body_fun: body_fun(i, carry) -> a carry of the same structure, shapes and dtypes; i is a 0-d int64 tensor.
        init_val: The first carry. Numbers in it become 0-d tensors, and so do numbers that body_fun returns there.
        unroll: How many steps a compiled loop with ints as bounds takes per iteration; it affects the speed only.
    Returns:
        The last carry; init_val if lower >= upper.
    Raises:
        TypeError: body_fun is not callable, or a bound is not an integer.
        ValueError: The carry changes its structure, shapes or dtypes.
    Source:
        jax.lax.fori_loop.
    Example:
        >>> fn.fori_loop(1, 6, lambda i, product: product * i, torch.tensor(1))
        tensor(120)
    """
    check_function("fori_loop: body_fun", body_fun)
    first, last = (_bound(name, value) for name, value in (("lower", lower), ("upper", upper)))
    if isinstance(first, int) and isinstance(last, int):
        device = next((leaf.device for leaf in tree.leaves(init_val) if tree.is_tensor(leaf)), None)
        places = torch.arange(first, max(first, last), device=device)
        return scan(lambda carry, i: (body_fun(i, carry), None), init_val, places, unroll=unroll)[0]
    start, end = (torch.as_tensor(bound, dtype=torch.int64) for bound in (first, last))

    def body(state: tuple[Tensor, Carry]) -> tuple[Tensor, Carry]:
        i, carry = state
        return i + 1, body_fun(i, carry)

    return while_loop(lambda state: state[0] < end, body, (start, init_val))[1]


def _bound(name: str, value: Any) -> int | Tensor:
    value = arrays_as_tensors(value)
    if tree.is_tensor(value) and not (value.ndim or tree.is_inexact(value) or value.dtype == torch.bool):
        return value
    try:
        return operator.index(cast(Any, None if tree.is_tensor(value) else value))
    except TypeError as error:
        raise TypeError(
            f"fori_loop: expected {name} to be an int or a 0-d integer tensor, got {tree.describe(value)}."
        ) from error


def _run(cond_fun: Any, body_fun: Any, carry: Flattener, init: tuple[Tensor, ...]) -> Sequence[Tensor]:
    if not _torch.is_transforming() and is_tracing():
        return _run_directly(cond_fun, body_fun, carry, init)
    pair, held, outside = closed(partial(_called, cond_fun, body_fun))
    is_recorded = torch.is_grad_enabled() and any(x.requires_grad for x in (*held, *init))
    if not _torch.is_transforming() and not is_recorded:
        return _run_directly(cond_fun, body_fun, carry, init)

    def bound(of_body: bool, *tensors: Tensor) -> Any:
        others, values = tensors[: len(held)], tensors[len(held) :]
        f = partial(rebind(pair, held, others), of_body)
        with NoHiddenTensors("while_loop", tensors, outside, autograd=not is_tracing()):
            return _step(f, carry, values) if of_body else _test(f, carry, values)

    return While(partial(bound, True), partial(bound, False), len(held))(*held, *init)


def _run_directly(cond_fun: Any, body_fun: Any, carry: Flattener, init: tuple[Tensor, ...]) -> Sequence[Tensor]:
    test, body = partial(_test, cond_fun, carry), partial(_step, body_fun, carry)
    tensors: Sequence[Tensor] = [x.clone() for x in init]
    if is_tracing():
        return run_while(test, body, tensors)
    steps, pause = 0, eager_loops.LEAST_STEPS
    while test(tensors):
        if steps == pause:
            found = eager_loops.compiled_while(while_loop, cond_fun, body_fun, carry.rebuild(tensors), steps)
            if found is not None:
                return Flattener().split(found)
            pause *= 2
        tensors, steps = body(tensors), steps + 1
    return tensors


def _called(cond_fun: Any, body_fun: Any, of_body: bool, carry: Any) -> Any:
    return body_fun(carry) if of_body else cond_fun(carry)


def _test(cond_fun: Any, carry: Flattener, tensors: Sequence[Tensor]) -> Tensor:
    """Tell whether a loop continues."""
    going = arrays_as_tensors(cond_fun(carry.rebuild(tensors)))
    if isinstance(going, bool):
        return torch.tensor(going)
    if not tree.is_tensor(going) or going.ndim or going.dtype != torch.bool:
        raise TypeError(
            f"while_loop: expected cond_fun to return a bool or a 0-d tensor of bools, got {tree.describe(going)}. "
            "Compare, as in error > 1e-6, or reduce with .any() or .all()."
        )
    return going


def _step(body_fun: Any, carry: Flattener, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Take one step on a copy of the carry, which the body may write to."""
    before = carry.rebuild([x.clone() for x in tensors])
    after = alike("while_loop", before, body_fun(before), signature(before), "body_fun")
    leaves = tree.leaves(after)
    if all(carry.is_chosen) and all(map(tree.is_tensor, leaves)):
        return leaves
    others = (tree.partition(side, tree.is_tensor)[1] for side in (before, after))
    if message := tree.difference(*others):
        raise ValueError(f"while_loop: a constant in the carry changes {message}. Carry tensors or numbers.")
    return [leaf for leaf in leaves if tree.is_tensor(leaf)]
