"""The program under construction: its blocks, the block of each value, and the captured tensors."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet._torch import DispatchMode, Operation
from funcnet.compiler.decompositions import table
from funcnet.compiler.errors import StagingError, user_line
from funcnet.compiler.program import Apply, Block, Var, variables
from funcnet.compiler.tracing.arguments import hashable, map_tensors
from funcnet.compiler.tracing.constants import Constants
from funcnet.compiler.tracing.spec import META, TensorSpec, check_dense, spec_of
from funcnet.compiler.tracing.tracer import Tracer


class Recorder(DispatchMode):
    """The blocks under construction, outermost first; operations on values are recorded into them."""

    def __init__(self) -> None:
        DispatchMode.__init__(self)
        self.is_inside_rule = False
        self.is_tolerant = False  # no value of an operation may raise an error, as only some examples need the result
        self.root = Block(())
        self.blocks = [self.root]
        self.conditional = set[Block]()  # open blocks that a run may skip: their operations stay inside
        self.home: dict[Var, Block] = {}
        self.constants = Constants()
        self.captured: dict[int, tuple[Tensor, Tracer]] = {}
        self.make_fx = _torch.make_fx_tracer()
        self.has_numbers = False
        self.needed: frozenset[int] = frozenset()  # traced numbers whose values Python needs
        self.known: dict[Any, tuple[Block, Any]] = {}  # operation and arguments -> block, outputs

    @contextmanager
    def inside_rule(self) -> Iterator[None]:
        """Trace the operations of a decomposition, which the user did not choose."""
        before, self.is_inside_rule = self.is_inside_rule, True
        try:
            with self:
                yield
        finally:
            self.is_inside_rule = before

    @contextmanager
    def inside(self, block: Block, *, conditional: bool = False) -> Iterator[None]:
        """Record into a block of an operation."""
        self.blocks.append(block)
        self.conditional.update([block] if conditional else ())
        try:
            yield
        finally:
            self.blocks.pop()
            self.conditional.discard(block)

    def apply(
        self, func: Operation, args: Any, kwargs: dict[str, Any], metas: Sequence[Tensor | None], device: torch.device
    ) -> tuple[Var, ...]:
        """Add an operation to the block where it belongs, unless it is an identity or already recorded."""
        if _torch.make_fx_tracer() is not self.make_fx:
            raise StagingError(
                f"jit: make_fx, which torch.func.linearize calls, cannot record a traced function{user_line()}."
                " Use fn.linearize, or call the function itself."
            )
        if table.is_identity(func, args, kwargs, metas):
            return (args[0],)
        key = (func, hashable(args), hashable(tuple(kwargs.items())), device)
        block, outputs = self.known.get(key, (None, ()))
        if block not in self.blocks:
            block = self.innermost(variables((args, tuple(kwargs.values()))))
            outputs = tuple(self.var(*_shape_and_dtype(meta), device, block) for meta in metas)
            op = Apply(func, args, kwargs, outputs)
            block.ops.append(op)
            self.constants.note(op)
            self.known[key] = block, outputs
        return outputs

    def input(self, spec: TensorSpec, block: Block, source: str = "") -> Tracer:
        """Return a new tensor of a spec, whose value belongs to a block."""
        meta = torch.empty_strided(spec.shape, spec.stride, dtype=spec.dtype, device=META)
        return self.wrap(meta, self.var(spec.shape, spec.dtype, spec.device, block), source)

    def wrap(self, meta: Tensor, var: Var, source: str = "") -> Tracer:
        check_dense(meta)
        return Tracer(meta, var, self, len(self.blocks), source)

    def var(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, block: Block) -> Var:
        var = Var(shape, dtype, device)
        self.home[var] = block
        return var

    def innermost(self, values: Iterable[Var]) -> Block:
        """Return the innermost block that any of the values belongs to, or a conditional block inside it."""
        homes = [self.root, *(self.home[var] for var in values), *self.conditional]
        return max(homes, key=self.blocks.index)

    def lift(self, value: Any) -> Any:
        """Replace the closed-over tensors inside arguments by tracers of extra parameters."""
        return map_tensors(self.lift_tensor, value)

    def lift_tensor(self, tensor: Tensor) -> Tracer:
        if isinstance(tensor, Tracer):
            return self.check(tensor)
        if id(tensor) not in self.captured:
            tracer = self.input(spec_of(tensor), self.root, "a closed-over tensor")
            self.captured[id(tensor)] = tensor, tracer
            self.constants.captured[tracer.value] = tensor
        return self.captured[id(tensor)][1]

    def check(self, tracer: Tracer) -> Tracer:
        if tracer.owner is not self or self.home[tracer.value] not in self.blocks:
            raise StagingError(
                f"jit: a {tracer} is used outside the function, loop body or branch that made it{user_line()}."
                " Return it from there, as a result, a carry or an output."
            )
        return tracer


def _shape_and_dtype(meta: Tensor | None) -> tuple[tuple[int, ...], torch.dtype]:
    """Return the shape and dtype of an output; an omitted output has a placeholder."""
    return ((), torch.bool) if meta is None else (tuple(meta.shape), meta.dtype)
