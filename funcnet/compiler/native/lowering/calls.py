"""The rule for operations without one: a call of torch."""

from funcnet.compiler.errors import UnsupportedError
from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.control import TorchCall
from funcnet.compiler.native.lowering.lower import DTYPES, Lowering, Rule, memory
from funcnet.compiler.native.lowering.values import Value
from funcnet.compiler.native.torch_calls import call_inputs
from funcnet.compiler.program import Apply


def _call(lowering: Lowering, op: Apply, reason: str) -> list[Value]:
    """Let torch compute an operation, for a reason; temporaries have the same addresses in all runs, unlike results."""
    _check(lowering, op, reason)
    inputs = [_dense(lowering, lowering.values[var]) for var in call_inputs(op)]
    outputs = [lowering.temporary(*memory(var), False) for var in op.outputs]
    lowering.scope.add(TorchCall(len(lowering.calls), tuple(inputs), tuple(outputs)), *outputs)
    lowering.calls.append(op)
    return [*outputs]


def _check(lowering: Lowering, op: Apply, reason: str) -> None:
    """Raise for a call in each block of lanes, or one with tensors that kernels lack."""
    if lowering.lanes:
        raise UnsupportedError(reason if str(op.target) in reason else f"{op.target}: {reason}")
    for var in (*call_inputs(op), *op.outputs):
        if memory(var)[1] not in DTYPES:
            raise UnsupportedError(f"{op.target}: the native backend has no {var.dtype}")


def _dense(lowering: Lowering, value: Value) -> View:
    view = lowering.view(value)
    return view if view.is_dense else lowering.dense(view)


RULES: dict[str, Rule] = {"Apply": _call}
