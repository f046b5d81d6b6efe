"""torch.cond, while_loop and scan while a function is traced: torch would compile their functions by dynamo.

Checked: torch/_higher_order_ops/{cond,while_loop,scan,utils}.py, 2.13.0.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch._higher_order_ops import utils
from torch.utils import _pytree as pytree

_COMPILE = "_hop_compile_and_call"  # called by each of these functions, with one of its own to compile
_NAMES = {"_cond_op_wrapper": "cond", "_while_loop_op_wrapper": "while_loop", "run_flattened_scan": "scan"}
_original = getattr(utils, _COMPILE)
_lock, _thread = threading.Lock(), threading.local()
_active: list[None] = []  # one entry per open context, of all threads

# what torch's functions do in the context below, by their names; control_flow registers them
control_flow_rules: dict[str, Callable[..., Any]] = {}


@contextmanager
def control_flow_by_rules() -> Iterator[None]:
    """Run torch's control flow by `control_flow_rules` in this thread."""
    before = getattr(_thread, "is_active", False)
    with _lock:
        _active.append(None)
        setattr(utils, _COMPILE, _run)
    _thread.is_active = True
    try:
        yield
    finally:
        _thread.is_active = before
        with _lock:
            _active.pop()
            if not _active:
                setattr(utils, _COMPILE, _original)


def _run(function: Any, args: Sequence[Any], kwargs: Any = None) -> Any:
    if not getattr(_thread, "is_active", False):
        return _original(function, args, kwargs)
    if (rule := control_flow_rules.get(_NAMES.get(function.__name__, ""))) is None:
        raise RuntimeError(
            f"jit: cannot trace torch's higher-order operation {function.__qualname__}. Use cond, switch, while_loop,"
            " scan, map or associative_scan of funcnet."
        )
    return rule(*args)


def flattened(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """Return the leaves of a tree in torch's order, and the function that rebuilds it from others."""
    leaves, structure = pytree.tree_flatten(tree)
    return leaves, lambda others: pytree.tree_unflatten([*others], structure)
