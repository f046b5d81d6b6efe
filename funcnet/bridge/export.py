"""Export of pure functions, including functions that contain gradients, to torch.export programs and ONNX models.

torch.export of code that contains torch.func.grad fails or keeps the parameters as constants. This module exports the
traced program, in which gradients and batching are plain operations already.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from funcnet import _torch, tree
from funcnet.compiler import passes
from funcnet.compiler.program import Program
from funcnet.compiler.replay import prepare
from funcnet.compiler.tracing.spec import spec_of
from funcnet.compiler.tracing.trace import trace
from funcnet.transforms.flatten import Flattener


def export(f: Callable[..., Any], *args: Any) -> "torch.export.ExportedProgram":
    """Export a pure function as a program of torch.export, with every tensor in its arguments as an input.

    The function is traced as by `jit`, so it may use `grad`, `vmap` and `scan`: a whole training step can be exported.
    The program is specific to the shapes and dtypes of these arguments; numbers in them become constants. A tensor that
    f closes over becomes a buffer, "closed_over_0" and so on, with its present values. A scan is unrolled.
    torch.export.save refuses NamedTuples, such as optimizer states: pass and return their `tree.leaves` instead.

    Args:
        f: Any function of pytrees.
        args: Its arguments: tuples, lists, dicts and NamedTuples of tensors.
    Returns:
        The program; `program.module()(*args)` runs it, torch.export.save writes it.
    Raises:
        TypeError: An argument or the result holds a node that torch's pytrees do not know.
        StagingError: f reads tensor values in Python, or is not pure.
    Example:
        >>> def step(params, x):
        ...     return fn.sgd_step(params, fn.grad(lambda p: (p["w"] * x).sum())(params), 0.5)
        >>> program = fn.bridge.export(step, {"w": torch.ones(2)}, torch.tensor([1.0, 2.0]))
        >>> program.module()({"w": torch.zeros(2)}, torch.tensor([1.0, 2.0]))
        {'w': tensor([-0.5000, -1.0000])}
    """
    _check_known("the arguments", args)
    program, outputs = traced(f, args)
    _check_known("the result", outputs.rebuild(outputs.is_chosen))
    with torch.no_grad():
        return torch.export.export(_OfTrees(program, outputs), args)


def export_onnx(f: Callable[..., Any], *args: Any) -> "torch.onnx.ONNXProgram":
    """Export a pure function as an ONNX model, with every tensor in its arguments as an input; see `export`.

    Args:
        f: Any function of pytrees.
        args: Its arguments: tuples, lists, dicts and NamedTuples of tensors.
    Returns:
        torch's ONNX program; `.save(path)` writes it. Inputs are named by their paths in args, as in "0.hidden.w", and
        outputs by their paths in the result, as in "output.loss".
    Raises:
        ImportError: The extra `onnx` is not installed.
        TypeError: An argument or the result holds a node that torch's pytrees do not know.
        StagingError: f reads tensor values in Python, or is not pure.
    Example:
        >>> program = fn.bridge.export_onnx(torch.sin, torch.ones(2))  # doctest: +SKIP
        >>> program.save("sin.onnx")  # doctest: +SKIP
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        needed = " and ".join(missing)
        raise ImportError(f"export_onnx: needs {needed}. Install the extra: pip install 'funcnet[onnx]'.")
    program, outputs = traced(f, args)
    inputs = Flattener()
    tensors = inputs.split(args)
    given: dict[str, Any] = {"input_names": names(inputs), "output_names": names(outputs, "output")}
    with torch.no_grad():
        model: Any = torch.onnx.export(_OfTensors(program).eval(), tensors, **given, verbose=False)
    return model


def traced(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Program, Flattener]:
    """Trace a function for these arguments; return its program, and the structure of its result."""
    inputs, outputs = Flattener(), Flattener()
    tensors = inputs.split(args)
    program = trace(lambda given: outputs.split(f(*inputs.rebuild(given))), [spec_of(tensor) for tensor in tensors])
    return passes.run(program), outputs


def names(flattener: Flattener, root: str = "") -> list[str]:
    """Name the tensors of a tree by their paths."""
    paths = tree.paths(flattener.rebuild([True] * sum(flattener.is_chosen)))
    return [
        ".".join(filter(None, (root, path))) for path, chosen in zip(paths, flattener.is_chosen, strict=True) if chosen
    ]


class _OfTensors(nn.Module):
    """A traced program as a module, whose forward runs it operation by operation."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.kernel = prepare(program)
        self.captures = [f"closed_over_{i}" for i in range(len(program.captures))]
        for name, tensor in zip(self.captures, program.captures, strict=True):
            self.register_buffer(name, tensor.detach().clone())

    def forward(self, *tensors: Tensor) -> Any:
        return tuple(self.kernel([*tensors, *(getattr(self, name) for name in self.captures)]))


class _OfTrees(_OfTensors):
    """A traced program as a module from trees to trees."""

    def __init__(self, program: Program, outputs: Flattener) -> None:
        super().__init__(program)
        self.outputs = outputs

    def forward(self, *args: Any) -> Any:
        return self.outputs.rebuild(super().forward(*Flattener().split(args)))


def _check_known(what: str, values: Any) -> None:
    """Refuse nodes that only optree knows, because torch.export would treat them as constants."""
    for leaf in _torch.export_leaves(values):
        if leaf is not None and not isinstance(leaf, Tensor | bool | int | float | complex | str):
            raise TypeError(
                f"export: in {what}: expected tuples, lists, dicts and NamedTuples, got {tree.describe(leaf)}."
                " Let f take and return its parts, in a dict."
            )
