"""How matrix products are computed: by tiles, by vectors, from packed panels, or by torch's BLAS."""

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.target import Target


def way(out: View, inner: int, target: Target) -> str:
    """Choose how to multiply: by "tiles" of elements, by "wide" vectors, by packed "panels" of them, or by "blas"."""
    rows, columns = out.shape[-2:]
    size = 0 if out.varying or columns == 1 else rows * columns * inner
    if size < target.large_product:
        return "tiles" if size < target.wide_product else "wide"
    return "blas" if out.dtype in target.gemm and (rows < target.tall_product or target.gemm_wins) else "panels"
