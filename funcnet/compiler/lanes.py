"""An outermost vmap: which axes of the arguments and results are lanes. The function is traced for one lane."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from funcnet import tree
from funcnet.compiler.program import Program
from funcnet.compiler.tracing.spec import TensorSpec, spec_of
from funcnet.transforms import Vmap, batching
from funcnet.tree import Tree


@dataclass(frozen=True)
class Lanes:
    """The function of one lane, and the lane axes of its arguments and results.

    Attributes:
        f: The function of one lane; the jitted function itself if it is not a vmap.
        in_dims: The lane axis of each tensor among the arguments, None for a shared tensor; None without a vmap.
        size: The number of lanes.
        out_dims: As given to vmap.
        chunk_size: As given to vmap.
        whole_size: The number of lanes of which these are a part.
    """

    f: Callable[..., Any]
    in_dims: tuple[int | None, ...] | None = None
    size: int | None = None
    out_dims: Any = None
    chunk_size: int | None = None
    whole_size: int | None = None

    @classmethod
    def of(cls, f: Callable[..., Any], args: Tree, kwargs: Tree, numbers: int = 0) -> "Lanes":
        """Return the lanes of a vmap. Traced numbers are shared."""
        if not isinstance(f, Vmap) or f.axis_name is not None or f.axis_size is not None:
            return cls(f)  # a named axis is not lanes, which cannot see each other
        arguments = args, kwargs
        dims = batching.argument_axes(f.in_dims, arguments)
        size = batching.common_size(arguments, dims)
        return cls(
            f.f, (*_per_tensor(arguments, dims), *[None] * numbers), size, f.out_dims, f.chunk_size, f.whole_size
        )

    def specs(self, tensors: Sequence[Tensor]) -> list[TensorSpec]:
        """Return the specs of the tensors in one lane."""
        dims = self.in_dims or (None,) * len(tensors)
        return [_without_axis(spec_of(tensor), dim) for tensor, dim in zip(tensors, dims, strict=True)]

    def result_dims(self, result: Tree) -> tuple[int | None, ...] | None:
        """Return the lane axis of each tensor of the result; None without a vmap."""
        if self.in_dims is None:
            return None
        return tuple(_per_tensor(result, batching.axes("out_dims", self.out_dims, result)))

    def program(self, traced: Program, out_dims: tuple[int | None, ...] | None) -> Program:
        """Add the lane axes to a traced program."""
        if self.in_dims is None:
            return traced
        in_dims = (*self.in_dims, *(None for _ in traced.captures))
        return replace(
            traced, in_dims=in_dims, out_dims=out_dims, chunk_size=self.chunk_size, whole_size=self.whole_size
        )


def _per_tensor(values: Tree, dims: Sequence[int | None]) -> list[int | None]:
    """List the axes of a tree's tensors, of those of its leaves."""
    return [dim for leaf, dim in zip(tree.leaves(values), dims, strict=True) if isinstance(leaf, Tensor)]


def _without_axis(spec: TensorSpec, dim: int | None) -> TensorSpec:
    if dim is None:
        return spec
    shape, stride = ((*axes[:dim], *axes[dim + 1 :]) for axes in (spec.shape, spec.stride))
    return TensorSpec(shape, stride, spec.dtype, spec.device)


def check_shared(program: Program) -> None:
    """Raise if out_dims says that all lanes share a result, but it differs between them."""
    for i, (var, dim) in enumerate(zip(program.block.results, program.out_dims or (), strict=False)):
        if dim is None and var in program.varying:
            raise ValueError(
                f"jit: vmap's out_dims is None for tensor {i} of the result, of shape {var.shape}, which depends on the"
                " mapped arguments. Set out_dims to an axis there."
            )
