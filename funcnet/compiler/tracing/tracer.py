"""Tensors without values: what a function sees while it is staged."""

import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Iterator
from types import FrameType
from typing import Any, NoReturn

import torch
from torch import Tensor

from funcnet import tree
from funcnet.compiler.program import Var


class StagingError(RuntimeError):
    """A function cannot be staged: it reads values in Python, draws global random numbers, or writes to its inputs."""


def _describe(tensor: Tensor, *, tensor_contents: Any = None) -> str:
    return f"traced {str(tensor.dtype).removeprefix('torch.')} tensor of shape {tuple(tensor.shape)}"


class Abstract(Tensor):
    """A tensor with shape, strides, dtype and device, and in place of values the `Var` that it stands for.

    Attributes:
        meta: A meta tensor of the same form; torch's shape rules run on it.
        value: What it stands for since the last write to it.
        owner: The staging that it belongs to.
        depth: How many scans were open when it was made.
        source: "" if the function made it, else what it came from: in-place operations must not reach that.
        taken: For a copy x[i] of what would be a view if i were no tensor: of what, and where.
        lineage: For a view, how it was taken; `seen` is then the parent's value that `value` was computed from.
    """

    meta: Tensor
    value: Var
    owner: Any
    depth: int
    source: str
    lineage: Any
    seen: Var | None
    taken: tuple[Any, ...]

    # torch's documented way for subclasses that are dispatched, and a text; torch's annotations do not foresee these
    vars().update(__torch_function__=torch._C._disabled_torch_function_impl, __repr__=_describe)

    @staticmethod
    def __new__(cls, meta: Tensor, value: Var, owner: Any, depth: int, source: str = "") -> "Abstract":
        """Make a tensor that torch dispatches, batches and differentiates but never stores."""
        make: Any = torch.Tensor._make_wrapper_subclass  # private, and the only way torch has
        layout = {"strides": meta.stride(), "storage_offset": meta.storage_offset()}
        self: Abstract = make(cls, meta.size(), dtype=meta.dtype, device=value.device, **layout)
        self.meta, self.value, self.owner, self.depth, self.source = meta, value, owner, depth, source
        self.lineage = self.seen = None
        self.taken = ()
        return self

    @classmethod
    def __torch_dispatch__(cls, *call: Any, **options: Any) -> Any:
        raise StagingError(
            f"jit: {call[0]} met a traced tensor whose staging has ended{user_line()}. A staged function must"
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
            f"jit: x.data is replaced{user_line()}. A staged function is pure: return the new tensor, or carry it on."
        )

    def tolist(self) -> NoReturn:
        raise reads_value("tolist()")

    def numpy(self, *, force: bool = False) -> NoReturn:
        raise reads_value("numpy()")

    def __format__(self, spec: str) -> str:
        if spec:
            raise reads_value(f"formatting by {spec!r}")
        return _describe(self)


def reads_value(operation: str, line: str | None = None) -> StagingError:
    """Build the error for code that needs a number where only a shape is known."""
    return StagingError(
        f"jit: {operation} needs the values of a tensor{user_line() if line is None else line}. A function is"
        " staged once for all values, so Python cannot branch on them, print them or take shapes from them. Use"
        " torch.where for a branch, scan for a loop, or pass a Python number, which becomes a constant of the program."
    )


def draws_random(operation: str, line: str) -> StagingError:
    """Build the error for random numbers that no key determines."""
    return StagingError(
        f"jit: {operation} draws from torch's global generator{line}; a staged function is pure."
        " Draw from funcnet.random with a key that is passed in."
    )


def check_dense(tensor: Tensor) -> None:
    """Raise for a tensor that shape and strides do not describe."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        kind = "quantized" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.")
        raise StagingError(f"jit: expected dense tensors, got a {kind} one{user_line()}. Keep it outside of jit.")


def check_result(result: tree.Tree) -> None:
    """Raise for a leaf that will need a traced tensor: it runs later, or holds one where trees do not look."""
    for path, leaf in zip(tree.paths(result), tree.leaves(result), strict=True):
        if isinstance(leaf, Tensor):
            continue
        held = leaf if isinstance(leaf, set | frozenset) else getattr(leaf, "__dict__", {}).values()
        later = isinstance(leaf, Iterator | AsyncIterator | Awaitable)
        if later or any(isinstance(part, Abstract) for part in tree.leaves([*held])):
            does = "runs when the staging has ended" if later else "holds tensors and is no pytree node"
            raise StagingError(
                f"jit: in the result, at {tree.place(path)}: expected tensors and constants, got a"
                f" {type(leaf).__name__}, which {does}. Return the tensors themselves, in tuples, dicts or dataclasses"
                " made nodes by fn.tree.register_dataclass."
            )


def user_line(error: BaseException | None = None) -> str:
    """Say where the user's code is: the innermost frame outside the libraries, now or where an error arose."""
    frames = _stack() if error is None else reversed(list(traceback.walk_tb(error.__traceback__)))
    for frame, line in frames:
        if frame.f_globals.get("__name__", "").split(".")[0] not in ("torch", "optree", "funcnet"):
            return f" in {frame.f_code.co_name}, {frame.f_code.co_filename}:{line}"
    return ""


def _stack() -> Iterator[tuple[FrameType, int]]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back
