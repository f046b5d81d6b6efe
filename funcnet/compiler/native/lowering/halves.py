"""Operations on bfloat16 and float16: they are stored in 16 bits, and each operation computes in float32 and rounds."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from funcnet.compiler.native.buffers import HALVES, View
from funcnet.compiler.native.loop_ir import Const
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.values import Number, Pending, Splat, Value
from funcnet.compiler.program import Var, inputs

_VALUES = View | Pending | Splat
# operations of which ATen rounds operands to 16 bits: all, or all but a number and a 0-d second tensor
_ROUNDING = "add sub rsub remainder fmod pow eq ne lt le gt ge hypot atan2 logaddexp xlogy heaviside hardshrink"
_SCALING = ("mul", "div")


def widened(name: str, rule: Rule) -> Rule:
    """Return a rule that converts arguments of 16 bits to float32, and the results back."""

    def wide(lowering: Lowering, *args: object, **options: object) -> Value | list[Value]:
        op = lowering.op
        if not any(var.dtype in HALVES for var in (*op.outputs, *inputs(op))):
            return rule(lowering, *args, **options)
        if name in (*_ROUNDING.split(), *_SCALING):
            args = _rounded(lowering, args, name in _SCALING)
        outputs = tuple(Var(var.shape, _wide(var.dtype), var.device) for var in op.outputs)
        lowering.op = replace(op, outputs=outputs)
        if isinstance(alpha := options.get("alpha"), Number):  # ATen rounds it
            options["alpha"] = Const(alpha, op.outputs[0].dtype).value
        results = rule(lowering, *(_floats(lowering, arg) for arg in args), **options)
        found = results if isinstance(results, list) else [results]
        return [_cast(lowering, value, var.dtype) for var, value in zip(op.outputs, found, strict=True)]

    return wide


def _rounded(lowering: Lowering, args: Sequence[object], is_scaling: bool) -> tuple[object, ...]:
    """Round operands to their common dtype, if that has 16 bits."""
    like = [torch.empty(x.shape, dtype=x.dtype, device="meta") if isinstance(x, _VALUES) else x for x in args]
    operands = [x for x in like if isinstance(x, Tensor | Number)]
    dtype = torch.result_type(operands[0], operands[-1])
    if dtype not in HALVES:
        return tuple(args)

    def rounded(position: int, x: object) -> object:
        if isinstance(x, Number):
            return x if is_scaling else Const(x, dtype).value
        is_factor = is_scaling and position == 1 and isinstance(x, _VALUES) and not x.shape
        return _cast(lowering, x, dtype) if isinstance(x, _VALUES) and not is_factor else x

    return tuple(rounded(position, x) for position, x in enumerate(args))


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in HALVES else dtype


def _floats(lowering: Lowering, arg: object) -> object:
    """Convert the values of 16 bits in an argument, which may be a list."""
    if isinstance(arg, tuple | list):
        return type(arg)(_floats(lowering, item) for item in arg)
    return _cast(lowering, arg, _wide(arg.dtype)) if isinstance(arg, _VALUES) else arg


def _cast(lowering: Lowering, value: Value, dtype: torch.dtype) -> Value:
    return value if value.dtype == dtype else lowering.map(value.shape, lambda emit, x: emit.cast(x, dtype), value)
