"""torch's BLAS: which matrix products are left to it, and where it is."""

import ctypes
import platform
from functools import cache
from pathlib import Path

import torch

from funcnet.compiler.native.loop_ir import View

WIDE = 2048  # multiplications from which on a product of shared matrices runs by vectors of columns
LARGE = 500_000  # and from which on it is worth packing columns, or calling BLAS
TALL = 16  # rows from which on packing is
PANEL = 512  # bytes of a row of packed columns, eight of the widest vectors
FEW = 2  # threads of MKL's that on AMD's processors are slower than one of ours

_SYMBOLS = {"f32": "sgemm_", "f64": "dgemm_"}


def way(out: View, inner: int) -> str:
    """Choose how to multiply: by "tiles" of elements, by "wide" vectors, by packed "panels" of them, or by "blas"."""
    rows, columns = out.shape[-2:]
    size = 0 if out.varying or columns == 1 else rows * columns * inner
    if size < LARGE:
        return "tiles" if size < WIDE else "wide"
    return "blas" if _has(out.dtype) and (rows < TALL or wins()) else "panels"


def wins() -> bool:
    """Tell whether BLAS multiplies large matrices faster than one thread by panels; MKL is half as fast on AMD's."""
    return torch.get_num_threads() > FEW or not (torch.backends.mkl.is_available() and _on_amd())


def _has(dtype: torch.dtype) -> bool:
    """Tell whether torch has a BLAS by the usual names here."""
    return hasattr(_torch(), _SYMBOLS["f32" if dtype == torch.float32 else "f64"])


@cache
def _on_amd() -> bool:
    described = Path("/proc/cpuinfo")
    return "AuthenticAMD" in (described.read_text() if described.exists() else platform.processor())


def layout(matrix: View) -> tuple[str, int] | None:
    """Return the letter and leading dimension by which BLAS reads rows or columns; None where neither are dense."""
    (rows, columns), (row, column) = matrix.shape[-2:], matrix.strides[-2:]
    if (column == 1 or columns == 1) and (row >= columns or rows == 1):
        return "n", max(row, columns)
    if (row == 1 or rows == 1) and (column >= rows or columns == 1):
        return "t", max(column, rows)
    return None


def link(library: ctypes.CDLL) -> None:
    """Set a compiled kernel's pointers to BLAS, if it has any."""
    for kind, symbol in _SYMBOLS.items():
        if hasattr(library, f"gemm_{kind}"):
            pointer = ctypes.cast(getattr(_torch(), symbol), ctypes.c_void_p)
            ctypes.c_void_p.in_dll(library, f"gemm_{kind}").value = pointer.value


@cache
def _torch() -> ctypes.CDLL:
    """The library that holds torch's BLAS."""
    (path,) = Path(torch.__file__).parent.glob("lib/libtorch_cpu.*")
    return ctypes.CDLL(str(path))
