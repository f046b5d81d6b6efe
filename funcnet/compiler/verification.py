"""Check a program between passes: values are assigned once, read in scope, and have the shapes and dtypes of torch.

The tests set FUNCNET_VERIFY; without it nothing is checked.
"""

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from funcnet.compiler.errors import InternalError
from funcnet.compiler.program import Apply, Block, Op, Program, Scan, Switch, Var, While, blocks, inputs

VERIFYING = bool(os.environ.get("FUNCNET_VERIFY"))
Kind = tuple[tuple[int, ...], torch.dtype]


def checked(program: Program) -> Program:
    """Return a program, verified if the tests ask for it."""
    if VERIFYING:
        verify(program)
    return program


def verify(program: Program) -> None:
    """Check a program.

    Raises:
        InternalError: A pass has broken it; the message says where.
    """
    _Verifier().block(program.block, frozenset())
    for name, dims, values in (
        ("in_dims", program.in_dims, program.block.params),
        ("out_dims", program.out_dims, program.block.results),
    ):
        if dims is not None and len(dims) != len(values):
            raise InternalError(f"{name} has {len(dims)} entries for {len(values)} values")


class _Verifier:
    def __init__(self) -> None:
        self.assigned = set[Var]()

    def block(self, block: Block, outside: frozenset[Var]) -> None:
        """Check a block, which may read the values `outside`."""
        scope = {*outside, *self.assign(block.params, "a parameter")}
        for op in block.ops:
            self.in_scope(inputs(op), scope, _name(op))
            _check(op)
            for inner in blocks(op):
                self.block(inner, frozenset(scope))
            scope.update(self.assign(op.outputs, _name(op)))
        self.in_scope(block.results, scope, "a result")

    def assign(self, values: Sequence[Var], name: str) -> Sequence[Var]:
        for var in values:
            if var in self.assigned:
                raise InternalError(f"{name} assigns a value that has been assigned before: {_kind(var)}")
            self.assigned.add(var)
        return values

    def in_scope(self, values: Iterable[Var], scope: set[Var], name: str) -> None:
        for var in values:
            if var not in scope:
                raise InternalError(f"{name} reads a value that is not in scope: {_kind(var)}")


def _check(op: Op) -> None:
    match op:
        case Apply():
            _check_outputs(op)
        case Scan():
            _check_scan(op)
        case Switch():
            _check_switch(op)
        case While():
            _check_while(op)


def _check_switch(switch: Switch) -> None:
    """Check the index, and that all branches have results of the shapes and dtypes of the outputs."""
    if switch.index.shape or switch.index.dtype not in (torch.bool, torch.int64):
        raise InternalError(f"the index of a switch is not a 0-d bool or int64: {_kind(switch.index)}")
    _same(
        "a switch",
        {f"result of branch {i}": branch.results for i, branch in enumerate(switch.branches)},
        switch.outputs,
    )
    if any(branch.params for branch in switch.branches):
        raise InternalError("a branch of a switch has parameters")


def _check_while(loop: While) -> None:
    """Check that carries keep their shapes and dtypes, and that the test is a 0-d bool."""
    if [*map(_kind, loop.test.results)] != [((), torch.bool)]:
        raise InternalError(f"the test of a while is not a 0-d bool: {[*map(_kind, loop.test.results)]}")
    carries = {
        "carry": loop.body.params,
        "carry of the test": loop.test.params,
        "new carry": loop.body.results,
        "last carry": loop.outputs,
    }
    _same("a while", carries, loop.init)


def _same(op: str, groups: Mapping[str, Sequence[Var]], like: Sequence[Var]) -> None:
    want = [*map(_kind, like)]
    for name, values in groups.items():
        if want != (got := [*map(_kind, values)]):
            raise InternalError(f"a {name} of {op} has another shape or dtype: expected {want}, got {got}")


def _check_scan(scan: Scan) -> None:
    """Check that carries keep their shapes and dtypes, and that slices and outputs have those of one step."""
    carries, stacked = len(scan.init), [_stacked(var, scan.length) for var in scan.body.results[len(scan.init) :]]
    kinds = [*map(_kind, scan.init)]
    slices = [_stacked(var, scan.length) for var in scan.body.params[carries:]]
    pairs = {
        "a carry": (kinds, [*map(_kind, scan.body.params[:carries])]),
        "a new carry": (kinds, [*map(_kind, scan.body.results[:carries])]),
        "a last carry": (kinds, [*map(_kind, scan.outputs[:carries])]),
        "an input": ([*map(_kind, scan.xs)], slices),
        "an output": (stacked, [*map(_kind, scan.outputs[carries:])]),
    }
    for name, (want, got) in pairs.items():
        if want != got:
            raise InternalError(f"{name} of a scan has another shape or dtype: expected {want}, got {got}")


def _check_outputs(op: Apply) -> None:
    """Check outputs against torch's shape rules; outputs that an operation omits are not checked."""
    if not op.outputs:
        return
    key = op.target, _hashable(op.args), _hashable(tuple(op.kwargs.items())), torch.get_default_dtype()
    if key not in _known:
        _known[key] = _inferred(op)
    got = [*map(_kind, op.outputs)]
    if len(got) != len(_known[key]) or any(b is not None and a != b for a, b in zip(got, _known[key], strict=True)):
        raise InternalError(f"{op.target} has outputs of another shape or dtype: expected {_known[key]}, got {got}")


_known: dict[Hashable, list[Kind | None]] = {}


def _inferred(op: Apply) -> list[Kind | None]:
    options = {name: torch.device("meta") if name == "device" else _meta(value) for name, value in op.kwargs.items()}
    if any(argument.name == "device" for argument in op.target._schema.arguments):
        options["device"] = torch.device("meta")
    try:
        results = op.target(*_meta(op.args), **options)
    except NotImplementedError:  # torch has no shape rule for it; tracing used one of ours
        return [None] * len(op.outputs)
    except Exception as error:
        raise InternalError(f"{op.target} refuses its arguments: {error}") from error
    listed = results if isinstance(results, tuple | list) else [results]
    leaves = [leaf for item in listed for leaf in (item if isinstance(item, tuple | list) else [item])]
    return [(tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else None for leaf in leaves]


def _meta(value: Any) -> Any:
    if isinstance(value, Var):
        return torch.empty(value.shape, dtype=value.dtype, device="meta")
    return type(value)([_meta(item) for item in value]) if isinstance(value, tuple | list) else value


def _hashable(value: Any) -> Hashable:
    if isinstance(value, Var):
        return _kind(value)
    return tuple(map(_hashable, value)) if isinstance(value, tuple | list) else (type(value), repr(value))


def _kind(var: Var) -> Kind:
    return var.shape, var.dtype


def _stacked(var: Var, length: int) -> Kind:
    return (length, *var.shape), var.dtype


def _name(op: Op) -> str:
    return str(op.target) if isinstance(op, Apply) else f"a {type(op).__name__.lower()}"
