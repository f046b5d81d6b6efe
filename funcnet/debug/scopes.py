"""Names for parts of a computation."""

from contextlib import AbstractContextManager, nullcontext

from torch.profiler import record_function

from funcnet.transforms import transformed


def named_scope(name: str) -> AbstractContextManager[object]:
    """Name the operations in this context, for torch's profiler.

    Inside `jit`, and inside a transformation, it has no effect.

    Source:
        jax.named_scope.
    Example:
        >>> with fn.named_scope("attention"):
        ...     y = torch.ones(2).exp()
    """
    return nullcontext() if transformed() else record_function(name)
