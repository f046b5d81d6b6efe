"""How matrix products are computed: by tiles, by vectors, from packed panels, or by torch's BLAS."""

import platform
from functools import cache
from pathlib import Path

import torch

from funcnet.compiler.native.blas import has_gemm
from funcnet.compiler.native.buffers import View

WIDE = 2048  # multiplications from which on a product of shared matrices runs by vectors of columns
LARGE = 500_000  # and from which on it is worth packing columns, or calling BLAS
TALL = 16  # rows from which on packing is
PANEL = 512  # bytes of a row of packed columns, eight of the widest vectors
FEW = 2  # threads of MKL's that on AMD's processors are slower than one of ours


def way(out: View, inner: int) -> str:
    """Choose how to multiply: by "tiles" of elements, by "wide" vectors, by packed "panels" of them, or by "blas"."""
    rows, columns = out.shape[-2:]
    size = 0 if out.varying or columns == 1 else rows * columns * inner
    if size < LARGE:
        return "tiles" if size < WIDE else "wide"
    return "blas" if has_gemm(out.dtype) and (rows < TALL or wins()) else "panels"


def wins() -> bool:
    """Tell whether BLAS multiplies large matrices faster than one thread by panels; MKL is half as fast on AMD's."""
    return torch.get_num_threads() > FEW or not (torch.backends.mkl.is_available() and _on_amd())


@cache
def _on_amd() -> bool:
    described = Path("/proc/cpuinfo")
    return "AuthenticAMD" in (described.read_text() if described.exists() else platform.processor())
