"""Tensors without values: what a function sees while it is traced."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor

from funcnet import _torch, tree
from funcnet._torch import Operation
from funcnet.compiler.errors import StagingError, reads_value, user_line
from funcnet.compiler.program import Var


def _describe(tensor: Tensor, *, tensor_contents: Any = None) -> str:
    return f"traced {str(tensor.dtype).removeprefix('torch.')} tensor of shape {tuple(tensor.shape)}"


class Tracer(Tensor):
    """A tensor with shape, strides, dtype and device, and in place of values the `Var` that it stands for.

    Attributes:
        meta: A meta tensor of the same shape, strides and dtype; torch's shape rules run on it.
        value: What it stands for since the last write to it.
        owner: The trace that it belongs to.
        depth: How many scans were open when it was made.
        source: "" if the function made it, else what it came from: in-place operations must not reach that.
        taken: For a copy x[i] of what would be a view if i were no tensor: of what, and where.
        lineage: For a view, how it was taken; `seen` is then the parent's value that `value` was computed from.
    """

    meta: Tensor
    value: Var
    owner: object
    depth: int
    source: str
    lineage: "ViewOrigin | None"
    seen: Var | None
    taken: tuple[Any, ...]

    # torch's documented way for subclasses that are dispatched, and a text; torch's annotations do not foresee these
    vars().update(__torch_function__=_torch.untouched_by_torch_function, __repr__=_describe)

    @staticmethod
    def __new__(cls, meta: Tensor, value: Var, owner: object, depth: int, source: str = "") -> "Tracer":
        """Make a tensor that torch dispatches, batches and differentiates but never stores."""
        self: Tracer = _torch.make_wrapper(cls, meta, value.device)
        self.meta, self.value, self.owner, self.depth, self.source = meta, value, owner, depth, source
        self.lineage = self.seen = None
        self.taken = ()
        return self

    @classmethod
    def __torch_dispatch__(cls, *call: Any, **options: Any) -> Any:
        raise StagingError(
            f"jit: {call[0]} met a traced tensor whose tracing has ended{user_line()}. A traced function must"
            " return what it computes; it must not keep it in a global, an attribute or a list outside."
        )

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self.clone()

    @property
    def data(self) -> Tensor:
        """The tensor without its history; another tensor cannot take its place, which torch would not show."""
        return self.detach()

    @data.setter
    def data(self, _: Any) -> NoReturn:
        raise StagingError(
            f"jit: x.data is replaced{user_line()}. A traced function is pure: return the new tensor, or carry it on."
        )

    def __format__(self, spec: str) -> str:
        if spec:
            raise reads_value(f"formatting by {spec!r}")
        return _describe(self)


@dataclass(frozen=True)
class ViewOrigin:
    """How a view was taken, and of what: of a tensor as it was before it was reshaped in place, if it has been."""

    viewed: Tracer
    meta: Tensor
    func: Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def parent(self) -> Tracer:
        parent = self.viewed
        while parent.meta is not self.meta:
            assert parent.lineage is not None
            parent = parent.lineage.parent
        return parent


def check_result(result: tree.Tree) -> None:
    """Raise for a leaf that will need a traced tensor: it runs later, or holds one where trees do not look."""
    for path, leaf in zip(tree.paths(result), tree.leaves(result), strict=True):
        if isinstance(leaf, Tensor):
            continue
        held = leaf if isinstance(leaf, set | frozenset) else getattr(leaf, "__dict__", {}).values()
        later = isinstance(leaf, Iterator | AsyncIterator | Awaitable)
        if later or any(isinstance(part, Tracer) for part in tree.leaves([*held])):
            does = "runs when the tracing has ended" if later else "holds tensors and is no pytree node"
            raise StagingError(
                f"jit: in the result, at {tree.place(path)}: expected tensors and constants, got a"
                f" {type(leaf).__name__}, which {does}. Return the tensors themselves, in tuples, dicts or dataclasses"
                " made nodes by fn.tree.register_dataclass."
            )
