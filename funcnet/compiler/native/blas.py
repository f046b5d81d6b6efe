"""torch's BLAS: which matrices it can multiply, and how a kernel is linked to it."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from funcnet.compiler.native.buffers import View

_SYMBOLS = {"f32": "sgemm_", "f64": "dgemm_"}


def has_gemm(dtype: torch.dtype) -> bool:
    """Tell whether torch has a BLAS with the usual names on this machine."""
    return hasattr(of_torch(), _SYMBOLS["f32" if dtype == torch.float32 else "f64"])


def layout(matrix: View) -> tuple[str, int] | None:
    """Return the letter and leading dimension with which BLAS reads a matrix; None without dense rows or columns."""
    (rows, columns), (row, column) = matrix.shape[-2:], matrix.strides[-2:]
    if (column == 1 or columns == 1) and (row >= columns or rows == 1):
        return "n", max(row, columns)
    if (row == 1 or rows == 1) and (column >= rows or columns == 1):
        return "t", max(column, rows)
    return None


def link(library: ctypes.CDLL, text: str) -> bool:
    """Set the pointers to BLAS that a kernel's text defines; tell whether there are any."""
    used = {kind: symbol for kind, symbol in _SYMBOLS.items() if f"gemm_{kind}" in text}
    for kind, symbol in used.items():
        pointer = ctypes.cast(getattr(of_torch(), symbol), ctypes.c_void_p)
        ctypes.c_void_p.in_dll(library, f"gemm_{kind}").value = pointer.value
    return bool(used)


def limit() -> "ctypes._NamedFuncPointer | None":
    """Return the C function that sets the number of threads of BLAS in the thread that calls it, if there is one."""
    found = of_torch()  # MKL does not ask OpenMP once torch has set its number of threads
    return getattr(found, "MKL_Set_Num_Threads_Local", getattr(found, "omp_set_num_threads", None))


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let BLAS use one thread when the current thread calls it; kernels share products between threads themselves."""
    set_number = limit()
    if set_number is None:
        yield
        return
    before = 0 if set_number.__name__.startswith("MKL") else of_torch().omp_get_max_threads()  # 0: as many as torch
    set_number(1)
    try:
        yield
    finally:
        set_number(before)


@cache
def of_torch() -> ctypes.CDLL:
    """Load the library that contains torch's BLAS."""
    (path,) = Path(torch.__file__).parent.glob("lib/libtorch_cpu.*")
    return ctypes.CDLL(str(path))
