"""torch's LAPACK: the routines that kernels call, the sizes of their workspaces, and the link of a kernel to them.

Arguments and sizes are those that torch passes, so that results have the bits of torch's.
"""

import ctypes
import math
import re
from collections.abc import Iterator
from functools import cache

import torch

from funcnet.compiler.native import blas

_LETTERS = {torch.float32: "s", torch.float64: "d"}
_KINDS = {"f32": "s", "f64": "d"}
# A routine's arguments before `info`. c: a letter; i: a size; a: an array; w: a workspace; v: one of integers; q: the
# size of a workspace, which is -1 to ask for the best one. gelsy gets its bound and rank where queries have workspaces.
_ARGUMENTS = {
    "syevd": "cciaiawqvq",
    "geqrf": "iiaiawq",
    "orgqr": "iiiaiawq",
    "gesdd": "ciiaiaaiaiwqa",
    "gelsy": "iiiaiaiawvwq",
}


@cache
def has(dtype: torch.dtype) -> bool:
    """Tell whether torch has these routines, with the usual names, on this machine."""
    return dtype in _LETTERS and all(hasattr(blas.of_torch(), f"{_LETTERS[dtype]}{name}_") for name in _ARGUMENTS)


@cache
def workspace(name: str, dtype: torch.dtype, *given: str | int) -> tuple[int, int]:
    """Return the best sizes of a routine's workspaces, of floating-point numbers and of integers, for its arguments."""
    work, integers = (ctypes.c_float if dtype == torch.float32 else ctypes.c_double)(), ctypes.c_int(1)
    places: dict[str, ctypes.c_int | ctypes.c_float | ctypes.c_double]
    places = {"w": work, "v": integers, "q": ctypes.c_int(-1)}
    rest, info = iter(given), ctypes.c_int()
    arguments = [ctypes.byref(places[kind]) if kind in places else _passed(kind, rest) for kind in _ARGUMENTS[name]]
    getattr(blas.of_torch(), f"{_LETTERS[dtype]}{name}_")(*arguments, ctypes.byref(info))
    above = torch.nextafter(torch.tensor(work.value, dtype=dtype, device="cpu"), torch.tensor(math.inf, dtype=dtype))
    return math.ceil(above.item()), max(1, integers.value)  # a large size may have been rounded down


def _passed(kind: str, given: Iterator[str | int]) -> object:
    """Return an argument of a query, which reads no arrays."""
    if kind == "a":
        return None
    value = next(given)
    return value.encode() if isinstance(value, str) else ctypes.byref(ctypes.c_int(value))


def link(library: ctypes.CDLL, text: str) -> bool:
    """Set the pointers to LAPACK that a kernel's text defines; tell whether there are any."""
    used = re.findall(rf"\(\*({'|'.join(_ARGUMENTS)})_(f32|f64)\)", text)
    for name, kind in used:
        pointer = ctypes.cast(getattr(blas.of_torch(), f"{_KINDS[kind]}{name}_"), ctypes.c_void_p)
        ctypes.c_void_p.in_dll(library, f"{name}_{kind}").value = pointer.value
    return bool(used)
