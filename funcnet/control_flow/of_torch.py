"""torch.cond, and while_loop and scan of torch._higher_order_ops, while a function is traced: those of this folder."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from funcnet import _torch
from funcnet.control_flow.conditional import cond
from funcnet.control_flow.loops import while_loop
from funcnet.control_flow.scan import scan


def _cond(pred: Tensor, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any]) -> Any:
    return cond(_single(pred), true_fn, false_fn, *operands)


def _while_loop(test: Callable[..., Any], body: Callable[..., Any], carries: tuple[Any, ...], held: Any) -> Any:
    return while_loop(lambda c: _single(test(*c, *held)), lambda c: tuple(body(*c, *held)), tuple(carries))


def _scan(f: Callable[..., Any], init: Sequence[Tensor], xs: Sequence[Tensor]) -> Any:
    rebuild: Callable[[Sequence[Any]], Any] = list

    def step(carry: list[Tensor], row: list[Tensor]) -> tuple[list[Tensor], Any]:
        nonlocal rebuild
        after, y = f(*carry, *row)
        leaves, rebuild = _torch.flattened(after)
        return leaves, y

    last, ys = scan(step, [*init], [*xs])
    return rebuild(last), ys


def _single(condition: Any) -> Any:
    """Return the condition of torch's functions, which may be of any shape with one element, as a 0-d bool."""
    return condition.reshape(()).bool() if isinstance(condition, Tensor) else bool(condition)


_torch.control_flow_rules.update(cond=_cond, while_loop=_while_loop, scan=_scan)
