"""Values that Python reads, as numpy() does, inside a derivative: those of tensors that nothing differentiates.

torch.func wraps every tensor that a function computes, and numpy finds no memory in a wrapper. In that case the
function runs again, and reads the tensor inside the wrapper. A function that reads no values runs once.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor
from torch.overrides import TorchFunctionMode

from funcnet import _torch
from funcnet.transforms.argument_checks import FUNCTIONS
from funcnet.transforms.mapped_indices import is_mapped

Result = TypeVar("Result")

_READERS: set[Any] = {Tensor.numpy, Tensor.__array__}
_WITHOUT_MEMORY = "Cannot access data pointer of Tensor"


def with_known_values(run: Callable[[], Result]) -> Result:
    """Call a transformation of torch.func, again if the function reads values that are inside wrappers."""
    try:
        return run()
    except RuntimeError as error:
        if _WITHOUT_MEMORY not in str(error):
            raise
    with _Readers():
        return run()


class _Readers(TorchFunctionMode):
    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _READERS and _torch.is_transforming() and _is_known(args[0]):
            with _torch.on_values():
                return func(_torch.unwrapped(args[0]), *args[1:], **(kwargs or {}))
        return FUNCTIONS.get(func, func)(*args, **(kwargs or {}))


def _is_known(x: Tensor) -> bool:
    """Tell whether all examples share the value of a tensor, and its derivative is zero."""
    return not is_mapped(x) and not _torch.has_derivative(x)
