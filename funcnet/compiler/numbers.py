"""Python numbers among the arguments of a jitted function, traced so that a new value is not a new program.

A traced number is a parameter of the program, a 0-d tensor of float64 or int64. The function sees torch's symbolic
number in its place, a `torch.SymFloat` or `torch.SymInt`: arithmetic on it and operations that take it beside tensors
are recorded, with the dtypes that a Python number gives. Where Python asks for its value, as for a shape or a branch,
the function is traced again with the arguments concerned as constants.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache
from typing import Any, NoReturn

import torch
from torch import SymBool, SymFloat, SymInt, Tensor

from funcnet import tree
from funcnet.compiler.abstract import StagingError
from funcnet.compiler.forms import META, SYMBOLS, plain
from funcnet.compiler.graph import Var
from funcnet.compiler.nested import flat

aten = torch.ops.aten


_DTYPES = {int: torch.int64, float: torch.float64, bool: torch.bool}
_KINDS = {dtype: kind for kind, dtype in _DTYPES.items()}
_CPU = torch.device("cpu")
_BOUND = 2**63


class NumberNeededError(StagingError):
    """A function cannot be traced with these of its traced numbers.

    Attributes:
        numbers: Their positions among the traced numbers.
    """

    def __init__(self, numbers: frozenset[int]) -> None:
        super().__init__("jit: Python needs the value of a number that is traced.")
        self.numbers = numbers


class Traced:
    """Which leaves of the arguments are traced numbers: floats, and ints once they have had a second value.

    A number whose value a function needed stays a constant from then on, as those of static arguments do.
    """

    def __init__(self, argnums: int | Sequence[int] = (), argnames: str | Sequence[str] = ()) -> None:
        self._argnums = {argnums} if isinstance(argnums, int) else set(argnums)
        self._argnames = {argnames} if isinstance(argnames, str) else set(argnames)
        self._first: dict[Hashable, int] = {}
        self._constant: set[Hashable] = set()
        self._known: set[Hashable] = set()  # structures whose static leaves are among the constants

    def positions(
        self, structure: Hashable, leaves: Sequence[Any], numbers: Sequence[int], args: Any, kwargs: Any
    ) -> tuple[int, ...]:
        """Return which of the leaves that are numbers are traced."""
        if (self._argnums or self._argnames) and structure not in self._known:
            self._known.add(structure)
            self.fix(structure, self._static(args, kwargs))
        free = (i for i in numbers if (structure, i) not in self._constant)
        return tuple(i for i in free if self._varies(structure, i, leaves[i]))

    def _static(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
        """List the leaves of static arguments."""
        static = [i in self._argnums or i - len(args) in self._argnums for i in range(len(args))]
        marks = (
            [tree.map(lambda _, mark=mark: mark, arg) for arg, mark in zip(args, static, strict=True)],
            {name: tree.map(lambda _, name=name: name in self._argnames, arg) for name, arg in kwargs.items()},
        )
        return [i for i, mark in enumerate(tree.leaves(marks)) if mark]

    def _varies(self, structure: Hashable, i: int, value: float) -> bool:
        if isinstance(value, float):
            return True
        if not -_BOUND <= value < _BOUND:
            return False
        first = self._first.setdefault((structure, i), value)
        if first != value:
            self._first[structure, i] = _BOUND  # which no value equals
        return first != value

    def fix(self, structure: Hashable, positions: Iterable[int]) -> None:
        """Make leaves constants from now on."""
        self._constant.update((structure, i) for i in positions)


def parameter(value: float) -> Tensor:
    """Return a traced number's value as the tensor that the program takes."""
    return torch.tensor(value, dtype=_DTYPES[type(value)], device="cpu")


@cache
def _meta(dtype: torch.dtype) -> Tensor:
    return torch.zeros((), dtype=dtype, device=META)


class Number:
    """A 0-d value of the program, and which traced arguments it depends on: the node of a symbolic number.

    Its operations are recorded without torch's dispatcher, so that no transformation around them takes part.
    """

    def __init__(self, trace: Any, var: Var, sources: frozenset[int]) -> None:
        self.trace, self.var, self.sources = trace, var, sources
        self.kind = _KINDS[var.dtype]

    def tensor(self, dtype: torch.dtype) -> Tensor:
        """Return the number as a 0-d tensor."""
        result: Tensor = self.trace.wrap(_meta(dtype), self._as(dtype))
        return result

    def cast(self, kind: type) -> "Number":
        return Number(self.trace, self._as(_DTYPES[kind]), self.sources)

    def _as(self, dtype: torch.dtype) -> Var:
        if dtype == self.var.dtype:
            return self.var
        (var,) = self.trace.apply(aten._to_copy.default, (self.var,), {"dtype": dtype}, [_meta(dtype)], _CPU)
        return var

    def constant(self, value: float) -> "Number":
        dtype = _DTYPES[type(value)]
        (var,) = self.trace.apply(aten.full.default, ([], value), {"dtype": dtype}, [_meta(dtype)], _CPU)
        return Number(self.trace, var, frozenset())

    def apply(self, kind: type, func: Any, operands: Sequence["Number"], **options: Any) -> "Number":
        args = tuple(number.var for number in operands)
        (var,) = self.trace.apply(func, args, options, [_meta(_DTYPES[kind])], _CPU)
        return Number(self.trace, var, self.sources.union(*(number.sources for number in operands)))

    # What torch's C++ asks of a node. It asks for the value by further names.

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
        """Say that the value is not known, as the questions below do."""

    maybe_as_float = maybe_as_bool = constant_int = constant_bool = nested_int = maybe_as_int

    def str(self) -> str:
        return f"traced {self.kind.__name__}"

    _graph_repr = __repr__ = __str__ = str

    def needed(self, *_: Any) -> NoReturn:
        need(self.trace, self.sources)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("shape", "numel"):
            raise AttributeError(name)
        return self.needed


class _Arithmetic:
    """Python's operators on traced numbers; torch's own would load its symbolic algebra, and refuse some powers."""

    node: Number

    def __neg__(self) -> Any:
        return symbol(self.node.apply(self.node.kind, aten.neg.default, [self.node]))

    def __abs__(self) -> Any:
        return symbol(self.node.apply(self.node.kind, aten.abs.default, [self.node]))

    def __pos__(self) -> Any:
        return self

    def __sym_float__(self) -> Any:
        return symbol(self.node.cast(float))

    def __bool__(self) -> bool:
        self.node.needed()

    __float__ = __int__ = __index__ = __hash__ = __trunc__ = __floor__ = __ceil__ = __divmod__ = __bool__


class TracedFloat(_Arithmetic, SymFloat):
    """A Python float whose value is an argument of the program."""


class TracedInt(_Arithmetic, SymInt):
    """A Python int whose value is an argument of the program."""


class TracedBool(_Arithmetic, SymBool):
    """A comparison of traced numbers."""


_CLASSES: dict[type, Any] = {float: TracedFloat, int: TracedInt, bool: TracedBool}

# operator -> kind of the result (None: float if an operand is one), kind of the operands, operation, options
_OPERATORS: dict[str, tuple[type | None, type | None, Any, dict[str, Any]]] = {
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
_REFLECTED = ("add", "sub", "mul", "mod", "floordiv", "truediv", "pow")


def _operate(name: str, x: Any, y: Any) -> Any:
    """Carry out an operator on two numbers, one of which is traced."""
    node = x.node if isinstance(x, SYMBOLS) else y.node
    if not all(isinstance(value, (int, float, *SYMBOLS)) for value in (x, y)):
        return NotImplemented
    left, right = (value.node if isinstance(value, SYMBOLS) else node.constant(value) for value in (x, y))
    kind, common, func, options = _OPERATORS[name]
    if name == "pow" and float not in (left.kind, right.kind):
        return _integer_power(left, x, y)
    common = common or (float if float in (left.kind, right.kind) else int)
    return symbol(node.apply(kind or common, func, [left.cast(common), right.cast(common)], **options))


def _integer_power(base: Number, x: Any, y: Any) -> Any:
    """Raise an int to a power, whose value Python needs: that of a negative one is a float."""
    if not isinstance(y, int):
        y.node.needed()
    if y < 0:
        return _operate("pow", symbol(base.cast(float)), float(y))
    exponent = base.constant(int(y))
    return symbol(base.apply(int, aten.pow.Tensor_Tensor, [base.cast(int), exponent]))


for _name in _OPERATORS:
    setattr(_Arithmetic, f"__{_name}__", lambda self, other, name=_name: _operate(name, self, other))
for _name in _REFLECTED:
    setattr(_Arithmetic, f"__r{_name}__", lambda self, other, name=_name: _operate(name, other, self))


def need(trace: Any, numbers: frozenset[int]) -> NoReturn:
    """Give up tracing numbers, whose values Python asks for; note which, as the user's code may catch the error."""
    trace.needed |= numbers
    raise NumberNeededError(numbers)


def symbol(number: Number) -> Any:
    """Return what Python sees of a number."""
    return _CLASSES[number.kind](number)


def argument(trace: Any, var: Var, position: int) -> Any:
    """Return the symbolic number of a parameter of the program."""
    return symbol(Number(trace, var, frozenset([position])))


def find(args: Any, kwargs: dict[str, Any]) -> list[Any]:
    """List the symbolic numbers among the arguments of an operation."""
    return [leaf for leaf in flat((args, [*kwargs.values()])) if isinstance(leaf, SYMBOLS)]


def revive(value: Any) -> Any:
    """Give symbolic numbers that have been through torch's C++ their class again."""
    if isinstance(value, SYMBOLS):
        return symbol(value.node)
    if isinstance(value, dict):
        return {name: revive(item) for name, item in value.items()}
    return type(value)([revive(item) for item in value]) if isinstance(value, tuple | list) else value


def index(value: Any) -> Any:
    """Replace symbolic numbers in an index by 0-d tensors."""
    if isinstance(value, SYMBOLS):
        return value.node.tensor(_DTYPES[value.node.kind])
    return type(value)(map(index, value)) if isinstance(value, tuple | list) else value


def beside(x: Any, number: Any) -> Any:
    """Return a symbolic number as a 0-d tensor of the dtype in which an operation on it and x computes."""
    if not isinstance(number, SYMBOLS):
        return number
    return number.node.tensor(torch.result_type(plain(x), plain(number)))


def cast(number: Any, dtype: torch.dtype | None) -> Tensor:
    """Return a number as a 0-d tensor; by default of the dtype of a tensor made from it."""
    kind = number.node.kind
    made: Tensor = number.node.tensor(dtype or (torch.get_default_dtype() if kind is float else _DTYPES[kind]))
    return made


def rule(func: Any) -> Callable[..., Any] | None:
    """Return how an operation is done with symbolic numbers among its arguments."""
    return _RULES.get(func.overloadpacket)


def _binary(packet: Any) -> Callable[..., Any]:
    def run(x: Any, y: Any, *, alpha: Any = None, **options: Any) -> Any:
        y = y if alpha is None else y * alpha
        return packet(beside(y, x), beside(x, y), **options)

    return run


def _arithmetic(packet: Any) -> Callable[..., Any]:
    """Compute in float32 where torch's kernels for 16 bits do."""
    run = _binary(packet)

    def wide(x: Any, y: Any, **options: Any) -> Any:
        halves = {t.dtype for t in (x, y) if isinstance(t, Tensor)} & _HALF
        if not halves:
            return run(x, y, **options)
        return run(*(t.float() if isinstance(t, Tensor) else t for t in (x, y)), **options).to(*halves)

    return wide


def _rsub(x: Any, y: Any, alpha: Any = 1) -> Any:
    return aten.sub(beside(x, y), x * alpha)


def _clamp(x: Any, low: Any = None, high: Any = None) -> Any:
    bounds = [torch.full_like(x, b) if isinstance(b, int | float) else beside(x, b) for b in (low, high)]
    return aten.clamp.Tensor(x, *bounds)


def _full(shape: Sequence[int], number: Any, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return cast(number, dtype).expand(shape).clone(memory_format=torch.contiguous_format)


def _full_like(x: Tensor, number: Any, **options: Any) -> Any:
    return _fill(torch.zeros_like(x, **options), number)


def _new_full(x: Tensor, shape: Sequence[int], number: Any, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return _full(shape, number, dtype=dtype or x.dtype)


def _fill(x: Tensor, number: Any) -> Any:
    return aten.fill.Tensor(x, cast(number, x.dtype))


def _scalar_tensor(number: Any, *, dtype: torch.dtype | None = None, **_: Any) -> Any:
    return cast(number, dtype).clone()


def _masked_fill(x: Tensor, mask: Tensor, number: Any) -> Any:
    return aten.masked_fill.Tensor(x, mask, cast(number, x.dtype))


def _where(mask: Tensor, x: Any, y: Any) -> Any:
    return aten.where.self(mask, beside(y, x), beside(x, y))


def _addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Any:
    return x + value * a * b


def _addcdiv(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Any:
    return x + value * (a / b)


def _lerp(x: Tensor, y: Tensor, weight: Any) -> Any:
    return aten.lerp.Tensor(x, y, cast(weight, x.dtype))


_HALF = {torch.float16, torch.bfloat16}
_ARITHMETIC = "add sub mul div true_divide"
_SIMPLE = (
    "floor_divide remainder fmod pow eq ne lt le gt ge maximum minimum fmax fmin atan2"
    " copysign xlogy hypot clamp_min clamp_max"
)
_RULES: dict[Any, Callable[..., Any]] = {
    **{(packet := getattr(aten, name)): _arithmetic(packet) for name in _ARITHMETIC.split()},
    **{(packet := getattr(aten, name)): _binary(packet) for name in _SIMPLE.split()},
    aten.rsub: _rsub,
    aten.clamp: _clamp,
    aten.full: _full,
    aten.full_like: _full_like,
    aten.new_full: _new_full,
    aten.fill: _fill,
    aten.scalar_tensor: _scalar_tensor,
    aten._to_copy: _scalar_tensor,
    aten.masked_fill: _masked_fill,
    aten.where: _where,
    aten.addcmul: _addcmul,
    aten.addcdiv: _addcdiv,
    aten.lerp: _lerp,
}


def _power(x: Any, y: Any) -> Any:
    """Raise to a power that is a tensor, whose derivative does not ask for its value."""
    return torch.pow(beside(y, x), beside(x, y))


def _scaled(func: Any) -> Callable[..., Any]:
    """Multiply by alpha first: torch's derivative asks whether it is 1."""

    def run(x: Any, y: Any, *, alpha: Any = 1, **options: Any) -> Any:
        return func(x, y * alpha, **options) if isinstance(alpha, SYMBOLS) else func(x, y, alpha=alpha, **options)

    return run


def _tensor(data: Any, *, dtype: torch.dtype | None = None, **options: Any) -> Tensor:
    """Make a tensor of a number."""
    if isinstance(data, SYMBOLS):
        full: Any = torch.full  # whose types do not know symbolic numbers
        return full((), data, dtype=dtype, **options)
    return torch.tensor(data, dtype=dtype, **options)


# what a function calls, done otherwise above torch's derivatives
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    torch.pow: _power,
    Tensor.pow: _power,
    Tensor.__pow__: _power,
    Tensor.__rpow__: lambda x, y: _power(y, x),
    torch.tensor: _tensor,
    torch.as_tensor: _tensor,
    **{f: _scaled(f) for f in (torch.add, torch.sub, Tensor.add, Tensor.sub, Tensor.add_, Tensor.sub_)},
}
