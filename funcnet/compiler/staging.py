"""Staging: from a function of tensors to a program, by running it once on tensors without values.

A dispatch mode sits below torch.func's transformations, so what it sees are plain ATen operations, gradients and
batches included. It decomposes them into a small set, turns writes into new values, and records each into the block of
the innermost scan that one of its inputs belongs to: what does not change inside a loop is computed before it. An
operation already recorded with the same arguments is not recorded again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._C import DisableTorchFunction
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from funcnet.compiler import decompositions, forms, mutation
from funcnet.compiler.abstract import Abstract, StagingError, check_dense, draws_random, reads_value, user_line
from funcnet.compiler.batched import Batches, batched
from funcnet.compiler.checks import is_check
from funcnet.compiler.elements import with_elements
from funcnet.compiler.forms import META
from funcnet.compiler.graph import Apply, Block, Program, Scan, Var, variables
from funcnet.compiler.kernels import check_dtypes
from funcnet.compiler.nested import flat, hashable, map_tensors, refill
from funcnet.compiler.simplify import remove_dead, unalias

Step = Callable[[list[Tensor], list[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]

# what torch, and its vmap, says where Python asks for values
_READS = (
    "data pointer",
    "not allocated",
    "unallocated",
    "data-dependent control flow",
    "calling .item()",
    "dynamic shape",
    "aten::equal",
    "torch.allclose",
)


@dataclass(frozen=True)
class Form:
    """What the staging of an argument depends on."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


def stage(f: Callable[[list[Tensor]], Sequence[Tensor]], signature: Sequence[Form]) -> Program:
    """Run f once on tensors of these forms that have no values, and return what it did.

    Args:
        f: Takes the list of tensors; returns a sequence of tensors.
        signature: One a tensor.
    Raises:
        StagingError: f reads values in Python, draws from torch's global generator, or writes to an argument.
    """
    staging = Staging()
    arguments = [staging.input(form, staging.root, "an argument") for form in signature]
    params = [a.value for a in arguments]
    with staging.active():
        results = staging.atoms(with_elements(f)([*arguments]))
    mutation.check_lost(staging)
    captures = list(staging.captured.values())
    staging.root.params = (*params, *(abstract.value for _, abstract in captures))
    staging.root.results = results
    unalias(staging.root)
    remove_dead(staging.root)
    return Program(staging.root, captures=tuple(tensor for tensor, _ in captures))


def current() -> "Staging | None":
    """Return the staging that runs, if any; in a thread of autograd's for some device, too, which has its modes."""
    modes = reversed(_get_current_dispatch_mode_stack())
    return next((mode for mode in modes if isinstance(mode, Staging)), None)


def loop() -> Callable[..., tuple[list[Tensor], list[Tensor]]] | None:
    """Return what runs a scan's loop as one operation of the program, or None where it is a Python loop.

    It is a Python loop outside of staging, and inside a transformation that differentiates.

    Returns:
        A function (step, init, xs, length, unroll) -> (carries, ys) of lists of tensors, where
        step(carries, slices) -> (carries, ys) keeps the shapes and dtypes of the carries.
    """
    staging, batches = current(), Batches.active()
    if staging is None or batches is None:
        return None
    return batched(staging.scan, batches) if batches.levels else staging.scan


def is_differentiating() -> bool:
    """Tell whether a function is being staged and a transformation inside of it differentiates."""
    return current() is not None and Batches.active() is None


class Staging(TorchDispatchMode):
    """The blocks under construction, outermost first, and where each value was made."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.is_inside_rule = False
        self.root = Block(())
        self.blocks = [self.root]
        self.home: dict[Var, Block] = {}
        self.lost: dict[int, tuple[Abstract, str]] = {}  # what was written to without effect, and by which line
        self.part_written: str | None = None  # by which line a part of complex numbers was written to, if any was
        self.captured: dict[int, tuple[Tensor, Abstract]] = {}
        self.known: dict[Any, tuple[Block, Any]] = {}  # operation and arguments -> where it was recorded, outputs

    @contextmanager
    def active(self) -> Iterator[None]:
        try:
            with self:
                yield
        except RuntimeError as error:
            if any(hint in str(error) for hint in _READS):
                raise reads_value("this operation", user_line(error)) from error
            if "called random operation" in str(error):
                raise draws_random("this operation", user_line(error)) from error
            raise

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch would import torch.compile's machinery, 0.7 s, to switch it off in here

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("device") == META:
            return func(*args, **kwargs)  # our own, made while the mode is on
        if not self.is_inside_rule:
            check_dtypes(func, args, kwargs)
        if func._schema.is_mutable and func not in decompositions.WRITING:
            return mutation.apply(self, func, args, kwargs)
        if func is torch.ops.aten.as_strided.default:
            mutation.check_strided(self)
        decomposition = decompositions.find(func)
        if decomposition is not None:
            with self.inside_rule():
                result = decomposition(*args, **kwargs)
            if result is not NotImplemented:
                return self.laid_out(result, func, args, kwargs)
        return self.record(func, args, kwargs)

    def laid_out(self, result: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Give results the strides that torch gives them, which a rule may not: they tell whether reshape copies."""
        given = [leaf for leaf in flat((args, [*kwargs.values()])) if isinstance(leaf, Tensor)]
        tensors = [leaf for leaf in (*given, *flat(result)) if isinstance(leaf, Tensor)]
        if func not in decompositions.table() or all(tensor.is_contiguous() for tensor in tensors):
            return result
        try:
            metas = forms.infer(func, self.lift(args), self.lift(kwargs))
        except StagingError:  # there is no such rule
            return result
        pairs = zip(flat(result), flat(metas), strict=True)
        return refill(metas, (self._as(meta, leaf) if _is_new(leaf, given) else leaf for leaf, meta in pairs))

    def _as(self, meta: Tensor, tensor: Abstract) -> Abstract:
        differs = meta.shape == tensor.shape and meta.stride() != tensor.stride()
        return self.wrap(meta, tensor.value) if differs else tensor

    @contextmanager
    def inside_rule(self) -> Iterator[None]:
        """Stage what a rule of torch's or ours does, which is not the user's choice of operations."""
        before, self.is_inside_rule = self.is_inside_rule, True
        try:
            with self:
                yield
        finally:
            self.is_inside_rule = before

    def record(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Add an operation to the program and return its results."""
        args, kwargs = self.lift(args), self.lift(kwargs)
        metas = forms.infer(func, args, kwargs)
        if is_check(func) and forms.holds_tensors((args, tuple(kwargs.values()))):
            self.apply(func, self.values(args), self.values(kwargs), [], forms.device(func, args, kwargs))
        leaves = flat(metas)
        if not any(isinstance(leaf, Tensor) for leaf in leaves):
            return metas
        outputs = self.apply(func, self.values(args), self.values(kwargs), leaves, forms.device(func, args, kwargs))
        results = [self.wrap(m, v) if m is not None else None for m, v in zip(leaves, outputs, strict=True)]
        if func.is_view:
            mutation.note_view(results, func, args, kwargs)
        return refill(metas, iter(results))

    def apply(
        self, func: Any, args: Any, kwargs: dict[str, Any], metas: Sequence[Tensor | None], device: torch.device
    ) -> tuple[Var, ...]:
        """Add an operation on values to the block where it belongs, unless it does nothing or is known already."""
        if decompositions.is_identity(func, args, kwargs, metas):
            return (args[0],)
        key = (func, hashable(args), hashable(tuple(kwargs.items())), device)
        block, outputs = self.known.get(key, (None, ()))
        if block not in self.blocks:
            block = self.innermost(variables((args, tuple(kwargs.values()))))
            outputs = tuple(self.var(*_shape_and_dtype(meta), device, block) for meta in metas)
            block.ops.append(Apply(func, args, kwargs, outputs))
            self.known[key] = block, outputs
        return outputs

    def scan(
        self, step: Step, init: Sequence[Tensor], xs: Sequence[Tensor], length: int, unroll: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Record a loop, its body staged once on carries and slices without values."""
        step = with_elements(step)
        if length == 1:
            last, ys = step([*init], [x[0] for x in xs])
            with DisableTorchFunction():  # no operations of the user's, which vmap watches to batch what they make
                # in memory of their own, row-major as those of a longer loop
                return [carry.contiguous().clone() for carry in last], [y[None].contiguous().clone() for y in ys]
        init_atoms, xs_atoms = self.atoms(init), self.atoms(xs)
        body = Block(())
        self.blocks.append(body)
        try:
            carries = [self.input(row_major(var, var.shape), body, "a carry of scan") for var in init_atoms]
            slices = [self.input(row_major(var, var.shape[1:]), body, "a slice of scan's xs") for var in xs_atoms]
            body.params = tuple(abstract.value for abstract in (*carries, *slices))
            last, ys = step([*carries], [*slices])
            body.results = self.atoms([*last, *ys])
        finally:
            self.blocks.pop()
        return self.close(Scan(length, unroll, init_atoms, xs_atoms, body, ()))

    def close(self, scan: Scan) -> tuple[list[Tensor], list[Tensor]]:
        """Add a finished scan to the block that is open now, and return its results."""
        block, carries = self.blocks[-1], len(scan.init)
        stacked = [row_major(y, (scan.length, *y.shape)) for y in scan.body.results[carries:]]
        like = [*(row_major(var, var.shape) for var in scan.init), *stacked]
        results = [self.input(form, block) for form in like]
        scan.outputs = tuple(abstract.value for abstract in results)
        block.ops.append(scan)
        return [*results[:carries]], [*results[carries:]]

    def input(self, form: Form, block: Block, source: str = "") -> Abstract:
        """Make a tensor of which nothing but the form is known."""
        meta = torch.empty_strided(form.shape, form.stride, dtype=form.dtype, device=META)
        return self.wrap(meta, self.var(form.shape, form.dtype, form.device, block), source)

    def wrap(self, meta: Tensor, var: Var, source: str = "") -> Abstract:
        check_dense(meta)
        return Abstract(meta, var, self, len(self.blocks), source)

    def var(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, block: Block) -> Var:
        var = Var(shape, dtype, device)
        self.home[var] = block
        return var

    def innermost(self, values: Iterable[Var]) -> Block:
        """Find the innermost block that one of the values belongs to."""
        return max((self.home[var] for var in values), key=self.blocks.index, default=self.root)

    def atoms(self, tensors: Sequence[Tensor]) -> tuple[Var, ...]:
        """Return what tensors stand for now."""
        return tuple(mutation.read(self, self.lift(tensor)) for tensor in tensors)

    def values(self, value: Any) -> Any:
        """Replace the tensors inside arguments by what they stand for now."""
        return map_tensors(lambda tensor: mutation.read(self, self.lift_tensor(tensor)), value)

    def lift(self, value: Any) -> Any:
        """Replace the closed-over tensors inside arguments by traced ones, which stand for extra parameters."""
        return map_tensors(self.lift_tensor, value)

    def lift_tensor(self, tensor: Tensor) -> Abstract:
        if isinstance(tensor, Abstract):
            return self.check(tensor)
        if id(tensor) not in self.captured:
            abstract = self.input(form_of(tensor), self.root, "a closed-over tensor")
            self.captured[id(tensor)] = tensor, abstract
        return self.captured[id(tensor)][1]

    def check(self, abstract: Abstract) -> Abstract:
        if abstract.owner is not self or self.home[abstract.value] not in self.blocks:
            raise StagingError(
                f"jit: a {abstract} is used outside of the function or scan body that made it{user_line()}."
                " Return it from there, as a result, a carry or an output."
            )
        return abstract


def _is_new(leaf: Any, given: Sequence[Tensor]) -> bool:
    """Tell whether a result is a tensor of its own, not a view or one of the arguments."""
    return isinstance(leaf, Abstract) and leaf.lineage is None and not any(leaf is tensor for tensor in given)


def form_of(tensor: Tensor) -> Form:
    """Return what staging needs to know of a tensor."""
    check_dense(tensor)
    return Form(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)


def _shape_and_dtype(meta: Tensor | None) -> tuple[tuple[int, ...], torch.dtype]:
    """Describe an output; one that the operation was asked to leave out still has its place."""
    return ((), torch.bool) if meta is None else (tuple(meta.shape), meta.dtype)


def row_major(like: Var, shape: tuple[int, ...]) -> Form:
    """Return the form of a tensor of this shape without gaps, with the dtype and device of a value."""
    return Form(shape, torch.zeros(shape, device=META).stride(), like.dtype, like.device)
