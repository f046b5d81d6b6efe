"""Compile the C text of `funcnet.random` on demand: draws outside of jitted functions run in it."""

import ctypes
import warnings

from funcnet.compiler.errors import InternalError, NoCompilerError
from funcnet.compiler.native import toolchain
from funcnet.random import native


def _load(text: str) -> ctypes.CDLL | None:
    try:
        return toolchain.load(text + toolchain.LEAST).handle
    except NoCompilerError:
        return None  # the torch operations give the same numbers
    except InternalError as error:  # a bug in the text: a warning here and an error in the tests
        warnings.warn(f"random draws run as torch operations: {error}", stacklevel=2)
        return None


native.install(_load)
