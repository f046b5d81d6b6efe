"""Samplers in compiled loops over the numbers that they draw, for draws outside of traces.

A sampler that draws again what it rejects needs hundreds of torch operations per round. Written for one number it is a
loop in C, which is compiled once for all shapes: each number of the result is a lane. Transformations, too, run this
loop, so that they do not change the numbers. Without a C compiler samplers are torch operations.
"""

import warnings
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch, tree
from funcnet.compiler import is_disabled
from funcnet.compiler.calls import Request, trace_call
from funcnet.compiler.errors import InternalError, NoCompilerError, UnsupportedError
from funcnet.compiler.lanes import Lanes
from funcnet.random.arguments import Key

Rows = tuple[Tensor, ...]
Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]

_LANES = 1 << 16  # the number that a kernel is compiled for; the bits of a number do not depend on how many are drawn
_WORK = 3_000  # operations per block of lanes, as rejections are few; above some of them threads share the blocks
_MOST = 32  # layouts of tensors, for each of which a kernel keeps what can be prepared
_FEW = 128  # rows whose positions are kept
_kernels: dict[Hashable, "Kernel | None"] = {}  # a few per sampler: keys hold no shapes but those of rows


class Kernel:
    """A compiled loop over the rows of tensors.

    Args:
        specialised: Returns the loop for tensors with the layouts of given ones, and a number of rows.
        constants: Further tensors, which f makes of numbers.
    """

    def __init__(self, specialised: Callable[[Sequence[Tensor], int], Run], constants: Rows) -> None:
        self.specialised, self.constants = specialised, constants
        self.runs: dict[Hashable, Run] = {}

    def __call__(self, tensors: Rows, size: int) -> Rows:
        layout = size, *[(tensor.stride(), tensor.is_neg()) for tensor in tensors]
        tensors += self.constants
        if (run := self.runs.get(layout)) is None:
            if len(self.runs) >= _MOST:
                self.runs.clear()
            run = self.runs[layout] = self.specialised(tensors, size)
        return tuple(run(tensors))


def by_counter(f: Callable[..., Rows], key: Key, *parameters: Tensor) -> Rows | None:
    """Compute f(key, i, *parameters[i]) for each i in a compiled loop; return None if it has to be torch operations.

    Args:
        f: A function of a module, whose results are tensors; it does not branch on their values.
        key: A key.
        parameters: Tensors with a common first axis, which need no derivative; f gets their slices.
    Returns:
        The results of f, each with this axis.
    """
    if _is_seen() or not all(map(_is_readable, (key, *parameters))):
        return None
    size, is_transforming = len(parameters[0]), _torch.is_transforming()
    positions = torch.arange(size, device="cpu") if size > _FEW or is_transforming else _positions(size)
    rows = key.expand(size, 2), positions, *parameters
    if (kernel := _kernel(f, rows)) is None:
        return None
    if is_transforming:
        apply: Callable[..., Rows] = _Transformed.apply
        return apply(kernel, *rows)
    return kernel(rows, size)


@cache
def _positions(size: int) -> Tensor:
    return torch.arange(size, device="cpu")


def _is_readable(tensor: Tensor) -> bool:
    return type(tensor) is Tensor and tensor.is_cpu and not tensor.requires_grad


def _is_seen() -> bool:
    """Tell whether a trace or a mode has to see the operations of a draw."""
    return torch.compiler.is_compiling() or _torch.is_dispatching() or is_disabled()


class _Transformed(torch.autograd.Function):
    """Runs a kernel inside of transformations. Examples of a vmap are more rows, and there are no derivatives."""

    @staticmethod
    def forward(kernel: Kernel, *tensors: Tensor) -> Rows:
        return kernel(tensors, len(tensors[0]))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        return None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, kernel: Kernel, *tensors: Tensor) -> Any:
        size = info.batch_size
        batched = [
            t.expand(size, *t.shape) if dim is None else t.movedim(dim, 0)
            for t, dim in zip(tensors, in_dims[1:], strict=True)
        ]
        apply: Callable[..., Rows] = _Transformed.apply
        results = apply(kernel, *(t.flatten(0, 1) for t in batched))
        return tuple(result.unflatten(0, batched[0].shape[:2]) for result in results), (0,) * len(results)


def _kernel(f: Callable[..., Rows], tensors: Rows) -> Kernel | None:
    key = f, *[(tensor.dtype, tensor.shape[1:]) for tensor in tensors[2:]]  # the first are a key and positions
    if key not in _kernels:
        rows = [torch.Size((_LANES, *tensor.shape[1:])) for tensor in tensors]
        with ThreadPoolExecutor(1) as thread:  # which is in no transformation or mode of the calling one
            _kernels[key] = thread.submit(_built, f, rows, [tensor.dtype for tensor in tensors]).result()
    return _kernels[key]


def _built(f: Callable[..., Rows], shapes: Sequence[torch.Size], dtypes: Sequence[torch.dtype]) -> Kernel | None:
    from funcnet.compiler.native.backend import EnsembleKernel  # which takes long to import

    args = tuple(map(_placeholder, shapes, dtypes))
    leaves, structure = tree.flatten((args, {}))
    request = Request(args, {}, leaves, structure, (), leaves, (), [f])
    lanes = Lanes(f, (0,) * len(args), _LANES, 0)
    try:
        program, _ = trace_call(lanes, request, lanes.specs(leaves))
        native = replace(EnsembleKernel(replace(program, captures=())).kernel(_LANES), work=_WORK)
        return Kernel(native.specialised, program.captures)
    except (NoCompilerError, UnsupportedError):
        return None
    except InternalError as error:  # a bug in the text: a warning here and an error in the tests
        warnings.warn(f"random draws are torch operations: {error}", stacklevel=2)
        return None


def _placeholder(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    return torch.zeros((), dtype=dtype, device="cpu").expand(shape)
