"""Tracers: the tensors without values that a function receives while it is traced."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from funcnet import _torch, tree
from funcnet._torch import Operation
from funcnet.compiler.errors import StagingError, reads_value, user_line
from funcnet.compiler.program import Var


def describe(tensor: Tensor) -> str:
    """Describe a tensor without values."""
    return f"traced {str(tensor.dtype).removeprefix('torch.')} tensor of shape {tuple(tensor.shape)}"


_REPR: Any = Tensor.__repr__


def _print(tensor: Tensor, *, tensor_contents: object = None) -> str:
    """Let the mode around the user's code print the values of a constant."""
    if has_torch_function((tensor,)):
        text: str = handle_torch_function(_REPR, (tensor,), tensor)
        return text
    return describe(tensor)


class Tracer(Tensor):
    """A tensor with shape, strides, dtype and device, and a `Var` of the program in place of values.

    Attributes:
        meta: A meta tensor of the same shape, strides and dtype, for torch's shape rules.
        value: The `Var` that it represents since the last write to it.
        owner: The trace that it belongs to.
        depth: Number of blocks that were open when it was made.
        source: "" if the function made it, else a description of its origin, which must not be written to in place.
        taken: For a copy x[i], a view in torch if i is a number: x, and a key of the place. Else ().
        lineage: For a view, its origin; `seen` is then the value of the parent that `value` was computed from.
    """

    meta: Tensor
    value: Var
    owner: object
    depth: int
    source: str
    lineage: "ViewOrigin | None"
    seen: Var | None
    taken: tuple[Any, ...]

    # torch's documented way to disable __torch_function__, and the repr; torch's annotations do not allow either
    vars().update(__torch_function__=_torch.untouched_by_torch_function, __repr__=_print)

    @staticmethod
    def __new__(cls, meta: Tensor, value: Var, owner: object, depth: int, source: str = "") -> "Tracer":
        """Return a tensor that torch dispatches, batches and differentiates, without storage."""
        self: Tracer = _torch.make_wrapper(cls, meta, value.device)
        self.meta, self.value, self.owner, self.depth, self.source = meta, value, owner, depth, source
        self.lineage = self.seen = None
        self.taken = ()
        return self

    @classmethod
    def __torch_dispatch__(cls, *call: Any, **options: Any) -> Any:
        raise StagingError(
            f"jit: {call[0]} got a traced tensor after its tracing has ended{user_line()}. A traced function must"
            " return what it computes; it must not keep it in a global, an attribute or a list outside."
        )

    def __deepcopy__(self, memo: object) -> Tensor:
        return self.clone()

    @property
    def data(self) -> Tensor:
        """Return the tensor without its history. Assigning to it raises: the trace would not see the change."""
        return self.detach()

    @data.setter
    def data(self, _: object) -> NoReturn:
        raise StagingError(
            f"jit: x.data is assigned to{user_line()}. A traced function is pure: return the new tensor instead."
        )

    def __format__(self, spec: str) -> str:
        if has_torch_function((self,)):
            text: str = handle_torch_function(Tensor.__format__, (self,), self, spec)
            return text
        if spec:
            raise reads_value(f"formatting by {spec!r}")
        return describe(self)


@dataclass(frozen=True)
class ViewOrigin:
    """The operation and tensor that a view comes from; `meta` is that of the tensor before any reshape in place."""

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
    """Raise for a leaf that runs after tracing, such as a generator, or holds a traced tensor and is not a node."""
    for path, leaf in zip(tree.paths(result), tree.leaves(result), strict=True):
        if isinstance(leaf, Tensor):
            continue
        held = leaf if isinstance(leaf, set | frozenset) else getattr(leaf, "__dict__", {}).values()
        later = isinstance(leaf, Iterator | AsyncIterator | Awaitable)
        if later or any(isinstance(part, Tracer) for part in tree.leaves([*held])):
            does = "runs after tracing has ended" if later else "holds tensors and is not a pytree node"
            raise StagingError(
                f"jit: in the result, at {tree.place(path)}: expected tensors and constants, got a"
                f" {type(leaf).__name__}, which {does}. Return the tensors themselves, in tuples, dicts or dataclasses"
                " made nodes by fn.tree.register_dataclass."
            )
