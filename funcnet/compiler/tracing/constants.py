"""Values that are known during tracing: those of tensors made from Python values, and of closed-over tensors.

A value is computed from the recorded operations when Python reads it: a mask in a list, sorted lengths, an index
computed from `torch.arange`. Closed-over tensors whose values were read are recorded, because the program is valid only
as long as they keep these values.
"""

from collections.abc import Sequence

from torch import Tensor

from funcnet._torch import on_values
from funcnet.compiler.program import Apply, Var, substitute, variables
from funcnet.compiler.tracing.arguments import flat
from funcnet.compiler.tracing.layouts import on_any_layout

_LITERAL = 16  # most elements of a tensor that is compared with others


class Constants:
    """The values that do not depend on arguments.

    Attributes:
        values: The known values, by variable.
        captured: The closed-over tensors, by variable.
        fixed: The values of the closed-over tensors that were read.
    """

    def __init__(self) -> None:
        self.values: dict[Var, Tensor] = {}
        self.captured: dict[Var, Tensor] = {}
        self.fixed: dict[Var, Tensor] = {}
        self.literals: dict[tuple[object, ...], Tensor] = {}
        self.makers: dict[Var, tuple[int, Apply]] = {}  # value -> number of its operation in the recording, operation

    def literal(self, tensor: Tensor) -> Tensor:
        """Return the first of equal small tensors that the function has made from Python values."""
        if type(tensor) is not Tensor or tensor.numel() > _LITERAL:
            return tensor
        with on_values():
            key = tensor.dtype, tensor.device, tensor.shape, repr(tensor.tolist())
        return self.literals.setdefault(key, tensor)

    def note(self, op: Apply) -> None:
        """Record the operation that makes values."""
        self.makers.update(dict.fromkeys(op.outputs, (len(self.makers), op)))

    def find(self, var: Var) -> Tensor | None:
        """Return the value of a variable; None if it depends on anything but constants."""
        ops = self._needed(var)
        if ops is None:
            return None
        with on_values():
            for op in ops:
                args, kwargs = substitute([op.args, [*op.kwargs.values()]], self.values)
                results = on_any_layout(op.target)(*args, **dict(zip(op.kwargs, kwargs, strict=True)))
                self.values.update(zip(op.outputs, flat(results), strict=True))
        return self.values[var]

    def _needed(self, var: Var) -> Sequence[Apply] | None:
        """List the operations that a value depends on, in order; None if one of them depends on an argument."""
        found, captured, rest = dict[int, Apply](), list[Var](), [var]
        while rest:
            var = rest.pop()
            number, op = self.makers.get(var, (0, None))
            if var in self.captured and var not in self.values:
                captured.append(var)
            elif op is None and var not in self.values:
                return None
            elif op is not None and var not in self.values and number not in found:
                found[number] = op
                rest.extend(variables((op.args, tuple(op.kwargs.values()))))
        self._fix(captured)
        return [found[number] for number in sorted(found)]

    def _fix(self, captured: Sequence[Var]) -> None:
        with on_values():
            self.fixed.update({var: self.captured[var].detach().clone() for var in captured})
        self.values.update(self.fixed)
