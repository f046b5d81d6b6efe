"""jit, and the loop by which a scan becomes one operation of a staged program."""

from funcnet.compiler.errors import StagingError
from funcnet.compiler.jit import Explanation, Jit, jit
from funcnet.compiler.tracing.trace import is_differentiating, loop

__all__ = ["Explanation", "Jit", "StagingError", "is_differentiating", "jit", "loop"]
