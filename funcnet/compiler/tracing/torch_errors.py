"""Errors that torch raises during tracing, recognised by their messages and raised again as errors of this library."""

from collections.abc import Iterator
from contextlib import contextmanager

from funcnet.compiler.errors import StagingError, draws_random, reads_value, user_line

_READS = (  # parts of messages for code that reads values
    "data pointer",
    "not allocated",
    "unallocated",
    "data-dependent control flow",
    "calling .item()",
    "dynamic shape",
    "aten::equal",
    "torch.allclose",
)
_PACKS = "'lengths' argument should be"  # of pack_padded_sequence
_DRAWS = "called random operation"


@contextmanager
def torch_errors() -> Iterator[None]:
    """Raise StagingError where torch raises because code reads values or draws random numbers."""
    try:
        yield
    except StagingError:
        raise
    except RuntimeError as error:
        origin = _origin(error)
        if any(part in str(origin) for part in _READS):
            raise reads_value("this operation", user_line(origin)) from error
        if _PACKS in str(origin):
            raise StagingError(
                f"jit: cannot trace torch's packed sequences{user_line(origin)}. Trace the module that packs them by"
                " fn.from_module, with lengths that are Python numbers; or compute on the padded sequence and mask it."
            ) from error
        if _DRAWS in str(origin):
            raise draws_random("this operation", user_line(origin)) from error
        raise


def _origin(error: BaseException) -> BaseException:
    """Return the first error of a chain: transformations raise torch's errors again with other messages."""
    while isinstance(error.__cause__, RuntimeError):
        error = error.__cause__
    return error
