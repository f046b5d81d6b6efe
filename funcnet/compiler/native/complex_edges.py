"""Kernels of programs with complex arguments or results, which they take and return as real tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from funcnet.compiler.program import Apply, Program

Run = Callable[[Sequence[Tensor]], list[Tensor]]
Lanes = TypeVar("Lanes", contravariant=True)  # a number of lanes, or None without an outermost vmap


class RealKernel(Protocol[Lanes]):
    """A kernel of a program with the parts of complex values in their place."""

    @property
    def size(self) -> int: ...
    @property
    def cached(self) -> bool: ...
    @property
    def calls(self) -> Sequence[Apply]: ...
    def memory(self, lanes: Lanes) -> int: ...
    def specialised(self, tensors: Sequence[Tensor], lanes: Lanes) -> Run: ...


@dataclass(eq=False)
class ComplexEdges(Generic[Lanes]):
    """Runs a kernel of reals on complex tensors; `results` are the positions of complex results."""

    kernel: RealKernel[Lanes]
    results: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the compiled code."""
        return self.kernel.size

    @property
    def cached(self) -> bool:
        """Whether the compiled code came from the disk cache."""
        return self.kernel.cached

    @property
    def calls(self) -> Sequence[Apply]:
        """The operations that torch computes."""
        return self.kernel.calls

    def memory(self, lanes: Lanes) -> int:
        """Return the bytes of a run besides its arguments."""
        return self.kernel.memory(lanes)

    def __call__(self, tensors: Sequence[Tensor], lanes: Lanes) -> list[Tensor]:
        """Run the program; see `NativeKernel`."""
        return self.specialised(tensors, lanes)(tensors)

    def specialised(self, tensors: Sequence[Tensor], lanes: Lanes) -> Run:
        """Return a function that runs the program on tensors like these; see `NativeKernel`."""
        run = self.kernel.specialised([*map(_as_real, tensors)], lanes)

        def complex_run(tensors: Sequence[Tensor]) -> list[Tensor]:
            found = run([*map(_as_real, tensors)])
            for i in self.results:
                found[i] = _as_complex(found[i])
            return found

        return complex_run


def has_edges(program: Program) -> bool:
    """Tell whether a program has complex parameters or results."""
    return any(var.dtype.is_complex for var in (*program.block.params, *program.block.results))


def with_edges(kernel: RealKernel[Lanes], program: Program) -> ComplexEdges[Lanes]:
    """Return a kernel that takes and returns the complex tensors of a program."""
    return ComplexEdges(kernel, tuple(i for i, var in enumerate(program.block.results) if var.dtype.is_complex))


def _as_real(x: Tensor) -> Tensor:
    return torch.view_as_real(x.resolve_conj().resolve_neg()) if x.is_complex() else x


def _as_complex(x: Tensor) -> Tensor:
    """View pairs of neighbours as complex numbers; lanes, or none, may lie between them, and then they are moved."""
    are_pairs = x.stride(-1) == 1 and x.numel() > 0
    return torch.view_as_complex(x if are_pairs else x.clone(memory_format=torch.contiguous_format))
