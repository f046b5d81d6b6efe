"""Functions of torch.nn.functional by plain operations in place of a kernel that torch.func or jit cannot transform.

torch's own function still checks and prepares the arguments; only its kernel is replaced.
"""

from collections.abc import Callable
from typing import Any

from torch.nn import functional
from torch.overrides import TorchFunctionMode

from funcnet import _torch
from funcnet.transforms import embeddings, margin_losses

_RULES = embeddings.RULES | margin_losses.RULES


class _ByOperations(TorchFunctionMode):
    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _RULES.get(func, func)(*args, **(kwargs or {}))


def _by_operations(function: Any) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with _ByOperations():
            return _torch.without_dispatch(function)(*args, **kwargs)

    return run


_CALLERS = (
    functional.embedding,
    functional.embedding_bag,
    functional.multi_margin_loss,
    functional.multilabel_margin_loss,
)
FUNCTIONS: dict[Any, Callable[..., Any]] = _RULES | {function: _by_operations(function) for function in _CALLERS}
