"""How the tensors of a call are laid out in memory for a kernel.

A block of several lanes reads them by their strides and writes its results with the lanes innermost. A kernel without
lanes runs once per lane: the lane axis of arguments and results is outermost.
"""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from funcnet.compiler.program import Program


@dataclass(eq=False)
class Layout:
    """The arguments and results of a program, for a number of lanes per block.

    Attributes:
        program: The program, whose in_dims and out_dims say which axes are lanes.
        lanes: The lanes per block.
    """

    program: Program
    lanes: int
    templates: tuple[int, list[Tensor]] = (-1, [])  # a number of lanes, and the results' shapes by expanded scalars

    def arguments(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the arguments with row-major shared tensors and with the lane axis last, or first without lanes."""
        dims = self.program.in_dims
        if dims is None and not any(map(Tensor.is_neg, tensors)) and all(map(Tensor.is_contiguous, tensors)):
            return tensors  # a fast path for hundreds of small tensors
        resolved = [(t.resolve_neg(), d) for t, d in zip(tensors, dims or (None,) * len(tensors), strict=True)]
        if self.lanes == 1:
            return [t.contiguous() if d is None else _moved(t, d, 0).contiguous() for t, d in resolved]
        return [t.contiguous() if d is None else _moved(t, d, t.ndim - 1) for t, d in resolved]

    def strides(self, held: Sequence[Tensor]) -> ctypes.Array[ctypes.c_int64] | None:
        """Return the strides that the kernel needs; None without an outermost vmap.

        They are the strides of the arguments with a lane axis, or without lanes per block the bytes of a lane of each
        argument and result, 0 if it is shared.
        """
        dims, block = self.program.in_dims, self.program.block
        if dims is None:
            return None
        if self.lanes > 1:
            found = [s for t, d in zip(held, dims, strict=True) if d is not None for s in t.stride()]
        else:
            values = zip((*block.params, *block.results), (*dims, *(self.program.out_dims or ())), strict=True)
            found = [0 if d is None else math.prod(var.shape) * var.dtype.itemsize for var, d in values]
        return (ctypes.c_int64 * len(found))(*found)

    def results(self, padded: int) -> list[Tensor]:
        """Return uninitialised memory for the results of a number of lanes."""
        lanes, templates = self.templates
        if lanes != padded:
            results = self.program.block.results
            dims = self.program.out_dims or (None,) * len(results)
            templates = [
                _template(r.shape if d is None else self._shape(r.shape, padded), r.dtype)
                for r, d in zip(results, dims, strict=True)
            ]
            self.templates = padded, templates
        return [*map(torch.empty_like, templates)]  # faster than torch.empty

    def _shape(self, shape: tuple[int, ...], padded: int) -> tuple[int, ...]:
        return (padded, *shape) if self.lanes == 1 else (*shape, padded)

    def delivered(self, outputs: list[Tensor], count: int) -> list[Tensor]:
        """Return the results without the padding of the last block, with the lane axes moved to out_dims."""
        dims = self.program.out_dims
        if dims is None:
            return outputs
        return [out if d is None else self._delivered(out, count, d) for out, d in zip(outputs, dims, strict=True)]

    def _delivered(self, out: Tensor, count: int, axis: int) -> Tensor:
        """View the first lanes of a result, with the lane axis at its position."""
        at = 0 if self.lanes == 1 else out.ndim - 1
        return _moved(out if out.shape[at] == count else out.narrow(at, 0, count), at, axis)


def _template(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return a tensor of at most one element in memory; tensors like it are row-major."""
    single = torch.empty((), dtype=dtype, device="cpu").expand(shape)
    return single if single.numel() > 1 else torch.empty(shape, dtype=dtype, device="cpu")


def _moved(tensor: Tensor, source: int, to: int) -> Tensor:
    return tensor if source == to else tensor.movedim(source, to)
