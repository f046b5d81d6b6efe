"""Operations, and torch's rules that decompose them.

Checked: torch/_ops.py, torch/_decomp, torch/_refs, 2.13.0.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C import DispatchKey
from torch._ops import OpOverload, OpOverloadPacket

from funcnet._torch.dynamo import delay_import_by_rules

Operation = OpOverload
Overloads = OpOverloadPacket  # the operations of one name
assert_async = torch._assert_async
is_all_true = torch._is_all_true
multi_margin_loss = torch._C._nn.multi_margin_loss
multilabel_margin_loss = torch._C._nn.multilabel_margin_loss
OF_LISTS: dict[Any, Callable[..., Any]] = {  # the same operations on the tensors of a list
    torch.add: torch._foreach_add,
    torch.div: torch._foreach_div,
    torch.lerp: torch._foreach_lerp,
    torch.mul: torch._foreach_mul,
    torch.sqrt: torch._foreach_sqrt,
    torch.sub: torch._foreach_sub,
}


def is_composite(operation: OpOverload) -> bool:
    """Tell whether torch itself computes an operation by others."""
    return operation.has_kernel_for_dispatch_key(DispatchKey.CompositeImplicitAutograd)


def has_python_rule(operation: OpOverload) -> bool:
    """Tell whether torch computes an operation by others in Python."""
    return DispatchKey.CompositeImplicitAutograd in operation.py_kernels


def core_decompositions(further: Sequence[OpOverload]) -> dict[Any, Callable[..., Any]]:
    """Collect torch's rules for core ATen and for further operations, without those that are composite.

    torch.export's public table is made of the rules for core ATen. It lists composite operations as well, of which
    there are hundreds: to find them takes longer than to trace a small net.
    """
    from torch._decomp import _core_aten_decompositions_post_autograd, get_decompositions

    delay_import_by_rules()
    return {**_core_aten_decompositions_post_autograd(), **get_decompositions(further)}


def decomposition(name: str) -> Callable[..., Any]:
    """Find torch's rule of this name."""
    from torch._decomp import decompositions

    return getattr(decompositions, name)


def index_fill(x: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """Fill rows, by torch's reference implementation."""
    return torch._refs.index_fill(x, dim, index, value)


def run_on_metadata(operation: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Let torch's meta kernel change the sizes and strides of the tensor itself."""
    before = torch._C._meta_in_tls_dispatch_include()
    torch._C._set_meta_in_tls_dispatch_include(True)
    try:
        with torch._C._DisableTorchDispatch():
            operation(*args, **kwargs)
    finally:
        torch._C._set_meta_in_tls_dispatch_include(before)
