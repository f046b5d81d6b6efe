"""Traced Python numbers: the program has 0-d parameters of float64 or int64, and the function sees numbers.

The function receives a symbolic number of torch in place of a float or int. Python's operators on it are recorded, and
so are operations on it and tensors, with the dtypes that a Python number gives (`number_rules`). If Python needs its
value, as for a shape or a branch, tracing ends with an error that names the arguments that must be constants.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

import torch
from torch import SymBool, SymFloat, SymInt, Tensor

from funcnet._torch import Operation, on_values
from funcnet.compiler.errors import NumberNeededError
from funcnet.compiler.program import Var
from funcnet.compiler.tracing.arguments import SYMBOLS, Symbol, flat
from funcnet.compiler.tracing.recorder import Recorder
from funcnet.compiler.tracing.spec import META

aten = torch.ops.aten

DTYPES = {int: torch.int64, float: torch.float64, bool: torch.bool}
_KINDS = {dtype: kind for kind, dtype in DTYPES.items()}
_CPU = torch.device("cpu")


@cache
def _meta(dtype: torch.dtype) -> Tensor:
    with on_values():  # inside a transformation it would be a tensor of its level, which ends before the next trace
        return torch.zeros((), dtype=dtype, device=META)


class Number:
    """The node of a symbolic number: a 0-d value of the program, and the traced arguments that it depends on.

    Its operations are recorded without torch's dispatcher, so that no transformation applies to them.
    """

    def __init__(self, trace: Recorder, var: Var, sources: frozenset[int]) -> None:
        self.trace, self.var, self.sources = trace, var, sources
        self.kind = _KINDS[var.dtype]

    def tensor(self, dtype: torch.dtype) -> Tensor:
        """Return the number as a 0-d tensor."""
        result: Tensor = self.trace.wrap(_meta(dtype), self._as(dtype))
        return result

    def cast(self, kind: type) -> "Number":
        return Number(self.trace, self._as(DTYPES[kind]), self.sources)

    def _as(self, dtype: torch.dtype) -> Var:
        if dtype == self.var.dtype:
            return self.var
        (var,) = self.trace.apply(aten._to_copy.default, (self.var,), {"dtype": dtype}, [_meta(dtype)], _CPU)
        return var

    def constant(self, value: float) -> "Number":
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            self.needed()
        dtype = DTYPES[type(value)]
        (var,) = self.trace.apply(aten.full.default, ([], value), {"dtype": dtype}, [_meta(dtype)], _CPU)
        return Number(self.trace, var, frozenset())

    def apply(self, kind: type, func: Operation, operands: Sequence["Number"], **options: Any) -> "Number":
        args = tuple(number.var for number in operands)
        (var,) = self.trace.apply(func, args, options, [_meta(DTYPES[kind])], _CPU)
        return Number(self.trace, var, self.sources.union(*(number.sources for number in operands)))

    # The interface that torch's C++ code calls. Other methods of it ask for the value.

    def is_int(self) -> bool:
        return self.kind is int

    def is_float(self) -> bool:
        return self.kind is float

    def is_bool(self) -> bool:
        return self.kind is bool

    def is_symbolic(self) -> bool:
        return True

    def is_constant(self) -> bool:
        return False

    is_nested_int = has_hint = is_constant

    def maybe_as_int(self) -> None:
        """Say that the value is unknown, as the methods below do."""

    maybe_as_float = maybe_as_bool = constant_int = constant_bool = nested_int = maybe_as_int

    def __repr__(self) -> str:
        return f"traced {self.kind.__name__}"

    _graph_repr = __str__ = __repr__

    def needed(self, *_: object) -> NoReturn:
        need(self.trace, self.sources)

    def __getattr__(self, name: str) -> Any:
        if name == "str":  # the name would hide the type in this class
            return self.__repr__
        if name.startswith("__") or name in ("shape", "numel"):
            raise AttributeError(name)
        return self.needed


class _Arithmetic:
    """Python's operators on traced numbers; those of torch would import sympy, and refuse some powers."""

    node: Number

    def __neg__(self) -> Symbol:
        return _unary(aten.neg.default, self.node)

    def __abs__(self) -> Symbol:
        return _unary(aten.abs.default, self.node)

    def __pos__(self) -> "_Arithmetic":
        return self

    def __sym_float__(self) -> Symbol:
        return symbol(self.node.cast(float))

    def __bool__(self) -> NoReturn:
        self.node.needed()

    __float__ = __int__ = __index__ = __hash__ = __trunc__ = __floor__ = __ceil__ = __divmod__ = __bool__
    __str__ = __repr__ = __bool__  # a text may be a key, or decide a branch


class TracedFloat(_Arithmetic, SymFloat):
    """A Python float whose value is an argument of the program."""

    __class__ = property(lambda _: float)  # isinstance(x, float) holds as without jit


class TracedInt(_Arithmetic, SymInt):
    """A Python int whose value is an argument of the program."""

    __class__ = property(lambda _: int)  # isinstance(x, int) holds as without jit


class TracedBool(_Arithmetic, SymBool):
    """A comparison of traced numbers."""

    __class__ = property(lambda _: bool)  # isinstance(x, bool) holds as without jit


_CLASSES: dict[type, type[Symbol]] = {float: TracedFloat, int: TracedInt, bool: TracedBool}

# operator -> kind of the result (None: float if an operand is one), kind of the operands, operation, options
_OPERATORS: dict[str, tuple[type | None, type | None, Operation, dict[str, Any]]] = {
    "add": (None, None, aten.add.Tensor, {}),
    "sub": (None, None, aten.sub.Tensor, {}),
    "mul": (None, None, aten.mul.Tensor, {}),
    "mod": (None, None, aten.remainder.Tensor, {}),
    "floordiv": (None, None, aten.div.Tensor_mode, {"rounding_mode": "floor"}),
    "truediv": (float, float, aten.div.Tensor, {}),
    "pow": (float, float, aten.pow.Tensor_Tensor, {}),
    "eq": (bool, None, aten.eq.Tensor, {}),
    "ne": (bool, None, aten.ne.Tensor, {}),
    "lt": (bool, None, aten.lt.Tensor, {}),
    "le": (bool, None, aten.le.Tensor, {}),
    "gt": (bool, None, aten.gt.Tensor, {}),
    "ge": (bool, None, aten.ge.Tensor, {}),
}
_GROWING = ("add", "sub", "mul")
_OVERFLOW = (
    "jit: the result of a Python int does not fit into 64 bits. Pass a float, or make the argument static by"
    " static_argnums, so that Python computes it."
)
_REFLECTED = ("add", "sub", "mul", "mod", "floordiv", "truediv", "pow")


def _operate(name: str, x: Any, y: Any) -> Any:
    """Apply an operator to two numbers, at least one of them traced."""
    node = x.node if isinstance(x, SYMBOLS) else y.node
    if not all(isinstance(value, (int, float, *SYMBOLS)) for value in (x, y)):
        return NotImplemented
    left, right = (value.node if isinstance(value, SYMBOLS) else node.constant(value) for value in (x, y))
    kind, common, func, options = _OPERATORS[name]
    if name == "pow" and float not in (left.kind, right.kind):
        return _integer_power(left, x, y)
    common = common or (float if float in (left.kind, right.kind) else int)
    operands = [left.cast(common), right.cast(common)]
    result = node.apply(kind or common, func, operands, **options)
    if name in _GROWING and common is int:
        _check_range(result, func, operands)
    return symbol(result)


def _unary(func: Operation, number: Number) -> Symbol:
    result = number.apply(number.kind, func, [number])
    if number.kind is int:
        _check_range(result, func, [number])
    return symbol(result)


def _check_range(result: Number, func: Operation, operands: Sequence[Number]) -> None:
    """Let the run fail if an int has wrapped around: it is then far from the result in float64, or has another sign."""
    if result.trace.is_tolerant:
        return
    wide, zero = result.apply(float, func, [number.cast(float) for number in operands]), result.constant(0)
    size = wide.apply(float, aten.abs.default, [wide])
    signs = [number.apply(bool, aten.lt.Tensor, [number, zero.cast(number.kind)]) for number in (wide, result)]
    near = size.apply(bool, aten.lt.Tensor, [size, result.constant(1.25 * 2**63)])
    fits = near.apply(bool, aten.logical_and.default, [near, near.apply(bool, aten.eq.Tensor, signs)])
    result.trace.apply(aten._assert_async.msg, (fits.var, _OVERFLOW), {}, [], _CPU)


def _integer_power(base: Number, x: Any, y: Any) -> Any:
    """Raise an int to a power. Python needs the exponent's value: with a negative one the result is a float."""
    if not isinstance(y, int):
        y.node.needed()
    if y < 0:
        return _operate("pow", symbol(base.cast(float)), float(y))
    operands = [base.cast(int), base.constant(int(y))]
    power = base.apply(int, aten.pow.Tensor_Tensor, operands)
    _check_range(power, aten.pow.Tensor_Tensor, operands)
    return symbol(power)


for _name in _OPERATORS:
    setattr(_Arithmetic, f"__{_name}__", lambda self, other, name=_name: _operate(name, self, other))
for _name in _REFLECTED:
    setattr(_Arithmetic, f"__r{_name}__", lambda self, other, name=_name: _operate(name, other, self))


def need(trace: Recorder, numbers: frozenset[int]) -> NoReturn:
    """Raise because Python needs these numbers' values; record them, as the user's code may catch the error."""
    trace.needed |= numbers
    raise NumberNeededError(numbers)


def symbol(number: Number) -> Symbol:
    """Return the symbolic number that Python sees."""
    return _CLASSES[number.kind](number)


def argument(trace: Recorder, var: Var, position: int) -> Symbol:
    """Return the symbolic number of a parameter of the program."""
    return symbol(Number(trace, var, frozenset([position])))


def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Symbol]:
    """List the symbolic numbers among the arguments of an operation."""
    return [leaf for leaf in flat((args, [*kwargs.values()])) if isinstance(leaf, SYMBOLS)]


def revive(value: Any) -> Any:
    """Restore the class of symbolic numbers, which is lost in torch's C++ code."""
    if isinstance(value, SYMBOLS):
        return symbol(value.node)
    if isinstance(value, dict):
        return {name: revive(item) for name, item in value.items()}
    return type(value)([revive(item) for item in value]) if isinstance(value, tuple | list) else value


def index(value: Any) -> Any:
    """Replace symbolic numbers in an index by 0-d tensors."""
    if isinstance(value, SYMBOLS):
        return value.node.tensor(DTYPES[value.node.kind])
    return type(value)(map(index, value)) if isinstance(value, tuple | list) else value
