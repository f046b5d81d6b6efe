"""Values that are known while tracing: those of tensors that the function makes of Python's numbers, lists and arrays.

A value is computed when Python asks for it, from the operations that were recorded: of a mask in a list, of lengths
that were sorted, of an index computed from `torch.arange`.
"""

from collections.abc import Sequence

from torch import Tensor

from funcnet._torch import unwrapped, without_dispatch_modes
from funcnet.compiler.program import Apply, Var, substitute, variables
from funcnet.compiler.tracing.arguments import flat


class Constants:
    """The values that do not depend on arguments, by the variables that they are of."""

    def __init__(self) -> None:
        self.values: dict[Var, Tensor] = {}
        self.makers: dict[Var, tuple[int, Apply]] = {}  # with the number of the operation, in order of recording

    def note(self, op: Apply) -> None:
        """Remember by which operation values are made."""
        self.makers.update(dict.fromkeys(op.outputs, (len(self.makers), op)))

    def find(self, var: Var) -> Tensor | None:
        """Return the value of a variable; None if it depends on anything but constants."""
        ops = self._needed(var)
        if ops is None:
            return None
        with without_dispatch_modes():
            for op in ops:
                args, kwargs = substitute([op.args, [*op.kwargs.values()]], self.values)
                results = op.target(*args, **dict(zip(op.kwargs, kwargs, strict=True)))
                self.values.update(zip(op.outputs, map(unwrapped, flat(results)), strict=True))
        return self.values[var]

    def _needed(self, var: Var) -> Sequence[Apply] | None:
        """List the operations that lead to a value, in their order; None if one of them is not of constants."""
        found, rest = dict[int, Apply](), [var]
        while rest:
            if (var := rest.pop()) in self.values:
                continue
            number, op = self.makers.get(var, (0, None))
            if op is None:
                return None
            if number not in found:
                found[number] = op
                rest.extend(variables((op.args, tuple(op.kwargs.values()))))
        return [found[number] for number in sorted(found)]
