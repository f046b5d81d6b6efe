"""Second attempts at a derivative, with replacements for functions that torch cannot transform.

torch.func wraps every tensor that a function computes, and numpy finds no memory in a wrapper. Some kernels have no
forward or no second derivative. If such an error ends the first attempt, the function runs again: Python reads the
tensors that nothing differentiates inside their wrappers, and kernels are replaced by plain operations.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor
from torch.overrides import TorchFunctionMode

from funcnet import _torch
from funcnet.transforms import argument_checks, sampling
from funcnet.transforms.mapped_indices import is_mapped

Result = TypeVar("Result")

_FUNCTIONS = argument_checks.FUNCTIONS | sampling.FUNCTIONS
_READERS: set[Any] = {Tensor.numpy, Tensor.__array__}
# torch's error messages for values inside of wrappers, and for missing derivatives
_ERRORS = (
    "Cannot access data pointer of Tensor",
    "accessing `data` under vmap transform",
    "Trying to use forward AD with",
    "derivative for",
)


def with_replacements(run: Callable[[], Result]) -> Result:
    """Call a transformation of torch.func, again with replacements if torch cannot transform the function."""
    try:
        return run()
    except RuntimeError as error:
        if not any(text in str(error) for text in _ERRORS):
            raise
    with _Replacements():
        return run()


class _Replacements(TorchFunctionMode):
    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _READERS and _torch.is_transforming() and _is_known(args[0]):
            with _torch.on_values():
                return func(_torch.unwrapped(args[0]), *args[1:], **(kwargs or {}))
        return _FUNCTIONS.get(func, func)(*args, **(kwargs or {}))


def _is_known(x: Tensor) -> bool:
    """Tell whether all examples share the value of a tensor, and its derivative is zero."""
    return not is_mapped(x) and not _torch.has_derivative(x)
