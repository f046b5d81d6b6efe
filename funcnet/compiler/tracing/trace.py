"""Tracing: from a function of tensors to a program, by running it once on tensors without values.

A dispatch mode is below torch.func's transformations, so it sees plain ATen operations, including those of gradients
and batches. It decomposes them into a small set, turns writes into new values, and records each operation into the
innermost block that one of its inputs belongs to, so loop-invariant operations are recorded outside their loop. An
operation that has been recorded with the same arguments is not recorded again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from funcnet import _torch
from funcnet._torch import Operation, dispatch_modes, is_in_dual_level
from funcnet.compiler.decompositions import table, value_checks
from funcnet.compiler.decompositions.value_checks import is_check
from funcnet.compiler.errors import NumberNeededError, StagingError, reads_value
from funcnet.compiler.program import Block, Program, Scan, Var
from funcnet.compiler.tracing import number_rules, shape_inference
from funcnet.compiler.tracing.arguments import Symbol, flat, map_tensors, plain, refill
from funcnet.compiler.tracing.dynamic_index import with_elements
from funcnet.compiler.tracing.functionalize import Storage
from funcnet.compiler.tracing.kernel_dtypes import check_dtypes
from funcnet.compiler.tracing.nested_vmap import Batches, batched
from funcnet.compiler.tracing.numbers import argument, find, need, revive
from funcnet.compiler.tracing.recorder import Recorder
from funcnet.compiler.tracing.spec import META, TensorSpec, row_major
from funcnet.compiler.tracing.tolerance import tolerant
from funcnet.compiler.tracing.torch_errors import torch_errors
from funcnet.compiler.tracing.tracer import Tracer

Step = Callable[[list[Tensor], list[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]

_INDEXED = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put.default}


def trace(f: Callable[[list[Any]], Sequence[Tensor]], signature: Sequence[TensorSpec], numbers: int = 0) -> Program:
    """Run f once on tensors of these specs, without values, and return the program of its operations.

    Args:
        f: Takes a list of tensors, the last `numbers` of them symbolic numbers; returns a sequence of tensors.
        signature: One spec per tensor.
        numbers: How many of the last arguments are traced numbers.
    Raises:
        NumberNeededError: f needs the values of some numbers in Python.
        StagingError: f reads values in Python, draws from torch's global generator, or writes to an argument.
    """
    tracing = Trace()
    arguments = [tracing.input(spec, tracing.root, "an argument") for spec in signature]
    params = [a.value for a in arguments]
    results = tracing.run(f, arguments, numbers)
    tracing.storage.check_lost()
    captures = list(tracing.captured.values())
    tracing.root.params = (*params, *(tracer.value for _, tracer in captures))
    tracing.root.results = results
    fixed = (tracing.constants.fixed.get(tracer.value) for _, tracer in captures)
    return Program(tracing.root, captures=tuple(tensor for tensor, _ in captures), fixed=tuple(fixed))


def current() -> "Trace | None":
    """Return the active trace, if any; the threads of autograd, one per device, have its modes, too."""
    modes = reversed(dispatch_modes())
    return next((mode for mode in modes if isinstance(mode, Trace)), None)


def loop() -> Callable[..., tuple[list[Tensor], list[Tensor]]] | None:
    """Return the function that records a scan as one operation of the program; None if a scan runs as a Python loop.

    A scan is a Python loop outside of tracing, and inside a transformation that differentiates.

    Returns:
        A function (step, init, xs, length, unroll) -> (carries, ys) of lists of tensors, where
        step(carries, slices) -> (carries, ys) keeps the shapes and dtypes of the carries. A single step is inlined,
        unless unroll is 0.
    """
    tracing, batches = current(), Batches.active()
    if tracing is None or batches is None:
        return None
    return batched(tracing.scan, batches) if batches.levels else tracing.scan


def is_differentiating() -> bool:
    """Tell whether a function is being traced and a transformation inside it differentiates."""
    return current() is not None and Batches.active() is None


class Trace(Recorder):
    """One run of a function: every operation that torch dispatches is recorded into the program."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = Storage(self)

    def run(self, f: Callable[[list[Any]], Sequence[Tensor]], arguments: list[Tracer], count: int) -> tuple[Var, ...]:
        """Call f with tensors, and with symbolic numbers in place of the last ones; return the values of its results.

        With symbolic numbers, any error counts as a need for their values: other code may not support them.
        """
        first = len(arguments) - count
        symbols = [argument(self, tracer.value, i) for i, tracer in enumerate(arguments[first:])]
        self.has_numbers = count > 0
        try:
            with torch_errors(), _torch.control_flow_by_rules(), self:
                results = self.atoms(with_elements(f, self.storage)([*arguments[:first], *symbols]))
        except Exception as error:
            if not count:
                raise
            raise NumberNeededError(self.needed or frozenset(range(count))) from error
        finally:
            has_grads = self.drop_grads()
        if has_grads:
            raise StagingError(
                "jit: backward() would write to the `grad` of a tensor that the function closes over. A traced function"
                " is pure. Return the gradients: use fn.grad or torch.autograd.grad, or call backward() on the result."
            )
        if self.needed:
            raise NumberNeededError(self.needed)
        return results

    def drop_grads(self) -> bool:
        """Remove the traced gradients that backward() has left in closed-over tensors; tell whether there were any."""
        leaves = [tensor for tensor, _ in self.captured.values() if tensor.is_leaf and isinstance(tensor.grad, Tracer)]
        for leaf in leaves:
            leaf.grad = None
        return bool(leaves)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch imports dynamo, 0.7 s, only to disable it here

    def __torch_dispatch__(self, func: Operation, types: object, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("device") == META:
            return func(*args, **kwargs)  # made by shape inference
        if self.has_numbers and (found := find(args, kwargs)):
            return self.with_numbers(found, func, args, kwargs)
        if self.is_users:
            check_dtypes(func, args, kwargs)
        if func._schema.is_mutable and func not in table.WRITING:
            return self.storage.update(func, args, kwargs)
        if func is torch.ops.aten.lift_fresh.default:
            args = (self.constants.literal(args[0]),)
            self.constant(args[0])
        if func is torch.ops.aten.as_strided.default:
            self.storage.check_strided()
        decomposition = table.find(func)
        if decomposition is not None:
            try:
                with self.inside_rule():
                    result = decomposition(*args, **kwargs)
            except ZeroDivisionError:  # by a size; torch's shape rule has the error, if it is one
                result = NotImplemented
            if result is not NotImplemented:
                return self.laid_out(result, func, args, kwargs)
        return self.record(func, args, kwargs)

    @property
    def is_users(self) -> bool:
        """Whether the user chose the operation, not a decomposition or forward-mode AD, where zeros have any dtype."""
        return not self.is_inside_rule and not is_in_dual_level()

    def with_numbers(self, found: Sequence[Symbol], func: Operation, args: Any, kwargs: Any) -> Any:
        """Trace an operation with symbolic numbers among its arguments."""
        if self.is_users:
            check_dtypes(func, plain(args), plain(kwargs))
        if func._schema.is_mutable:
            return self.storage.update(func, args, kwargs)
        if (rule := number_rules.find(func) or table.find(func)) is None:
            need(self, frozenset().union(*(symbol.node.sources for symbol in found)))
        with self.inside_rule():
            return rule(*revive(args), **revive(kwargs))

    def laid_out(self, result: Any, func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Give results of a decomposition the strides of torch's kernel: they decide whether a later reshape copies."""
        if not table.is_ruled(func):
            return result
        given = [leaf for leaf in flat((args, [*kwargs.values()])) if isinstance(leaf, Tensor)]
        if not any(_is_new(leaf, given) for leaf in flat(result)):
            return result
        if all(leaf.is_contiguous() for leaf in (*given, *flat(result)) if isinstance(leaf, Tensor)):
            return result
        try:
            metas = shape_inference.infer(func, self.lift(args), self.lift(kwargs))
        except StagingError:  # torch has no shape rule for it
            return result
        pairs = zip(flat(result), flat(metas), strict=True)
        return refill(metas, (self._as(meta, leaf) if _is_new(leaf, given) else leaf for leaf, meta in pairs))

    def _as(self, meta: Tensor, tensor: Tracer) -> Tracer:
        differs = meta.shape == tensor.shape and meta.stride() != tensor.stride()
        return self.wrap(meta, tensor.value) if differs else tensor

    def record(self, func: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Add an operation to the program and return its results."""
        args, kwargs = self.lift(args), self.lift(kwargs)
        if func in _INDEXED:
            args = self.without_masks(args)
        if self.is_tolerant:
            with self.inside_rule():
                args = self.lift(tolerant(func, args))
        if shape_inference.reads_values(func, args, kwargs):
            return self.of_constants(func, args, kwargs)
        metas = shape_inference.infer(func, args, kwargs)
        is_dropped = self.is_tolerant and func.namespace == "aten"  # a check; those of other libraries have effects
        if is_check(func) and not is_dropped and shape_inference.holds_tensors((args, tuple(kwargs.values()))):
            self.apply(func, self.values(args), self.values(kwargs), [], shape_inference.device(func, args, kwargs))
        leaves = flat(metas)
        if not any(isinstance(leaf, Tensor) for leaf in leaves):
            return metas
        outputs = self.apply(
            func, self.values(args), self.values(kwargs), leaves, shape_inference.device(func, args, kwargs)
        )
        results = [self.wrap(m, v) if m is not None else None for m, v in zip(leaves, outputs, strict=True)]
        if func.is_view:
            self.storage.note_view(results, func, args, kwargs)
        return refill(metas, iter(results))

    def of_constants(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Trace an operation that reads values, if these are known or the size of the result is given."""
        if func is torch.ops.aten.masked_select.default:
            with self.inside_rule():
                x, mask = torch.broadcast_tensors(*args)
                return torch.ops.aten.index.Tensor(x, [mask])
        try:
            known = map_tensors(partial(self.known_value, func), (args, kwargs))
        except StagingError:
            with self.inside_rule():
                result = value_checks.SIZED[func](*args, **kwargs) if func in value_checks.SIZED else NotImplemented
            if result is NotImplemented:
                raise
            return result
        return map_tensors(self.constant, func(*known[0], **known[1]))

    def without_masks(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Replace the masks with known values among indices by the indices that they select."""
        found: list[Any] = []
        for index in args[1]:
            is_mask = index is not None and index.dtype in shape_inference.MASKS
            known = self.constants.find(self.storage.read(self.lift_tensor(index))) if is_mask else None
            found += [index] if known is None else map(self.constant, known.nonzero(as_tuple=True))
        return args[0], found, *args[2:]

    def known_value(self, func: Any, tensor: Tensor) -> Tensor:
        """Return the value of a tensor; raise if it depends on an argument."""
        if (value := self.constants.find(self.storage.read(self.lift_tensor(tensor)))) is None:
            raise reads_value(str(func))
        return value

    def constant(self, tensor: Tensor) -> Tracer:
        """Return the tracer of a tensor that the function has made from Python values."""
        tracer = self.lift_tensor(tensor)
        if not isinstance(tensor, Tracer):
            self.constants.values[tracer.value] = tensor
        return tracer

    def scan(
        self, step: Step, init: Sequence[Tensor], xs: Sequence[Tensor], length: int, unroll: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Record a loop; its body is traced once, on carries and slices without values."""
        step = with_elements(step, self.storage)
        if length == 1 and unroll:
            last, ys = step([*init], [x[0] for x in xs])
            with _torch.without_torch_function():  # vmap would batch these copies like the user's operations
                # row-major copies, as the results of a longer loop
                return [carry.contiguous().clone() for carry in last], [y[None].contiguous().clone() for y in ys]
        init_atoms, xs_atoms = self.atoms(init), self.atoms(xs)
        body = Block(())
        with self.inside(body):
            carries = [self.input(row_major(var, var.shape), body, "a carry of scan") for var in init_atoms]
            slices = [self.input(row_major(var, var.shape[1:]), body, "a slice of scan's xs") for var in xs_atoms]
            body.params = tuple(tracer.value for tracer in (*carries, *slices))
            last, ys = step([*carries], [*slices])
            body.results = self.atoms([*last, *ys])
        return self.close(Scan(length, unroll, init_atoms, xs_atoms, body, ()))

    def close(self, scan: Scan) -> tuple[list[Tensor], list[Tensor]]:
        """Add a traced scan to the current block, and return its results."""
        block, carries = self.blocks[-1], len(scan.init)
        stacked = [row_major(y, (scan.length, *y.shape)) for y in scan.body.results[carries:]]
        like = [*(row_major(var, var.shape) for var in scan.init), *stacked]
        results = [self.input(spec, block) for spec in like]
        scan.outputs = tuple(tracer.value for tracer in results)
        block.ops.append(scan)
        return [*results[:carries]], [*results[carries:]]

    def atoms(self, tensors: Sequence[Tensor]) -> tuple[Var, ...]:
        """Return the current values of tensors."""
        return tuple(self.storage.read(self.lift(tensor)) for tensor in tensors)

    def values(self, value: Any) -> Any:
        """Replace the tracers inside arguments by their current values."""
        return map_tensors(self.storage.read, value)


def _is_new(leaf: object, given: Sequence[Tensor]) -> bool:
    """Tell whether a result is neither a view nor one of the arguments."""
    return isinstance(leaf, Tracer) and leaf.lineage is None and not any(leaf is tensor for tensor in given)
