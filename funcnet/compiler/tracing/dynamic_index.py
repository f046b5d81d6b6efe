"""x[i] for a 0-d integer tensor i while tracing, where torch would read i as a number, in Python.

Each such index becomes one of a single element along its axis, and that element is then taken by 0: the place of an
axis and the shape of the result stay those of an index by a number. What is taken is a copy, though, where torch has a
view: a write to it that x[i] = y does not bring back to its place is an error.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor
from torch.overrides import TorchFunctionMode

from funcnet._torch import is_batched, is_batching, is_wrapped, on_values, unwrap, unwrapped
from funcnet.compiler.decompositions import value_checks
from funcnet.compiler.errors import reads_value
from funcnet.compiler.tracing import number_rules, numbers
from funcnet.compiler.tracing.functionalize import Storage, root
from funcnet.compiler.tracing.shape_inference import MASKS
from funcnet.compiler.tracing.tracer import Tracer
from funcnet.transforms import argument_checks

Result = TypeVar("Result")

# what a user writes where Python asks a tensor for its value
_READERS = {
    Tensor.__bool__: "`if` or bool()",
    Tensor.__float__: "float()",
    Tensor.__int__: "int()",
    Tensor.__index__: "range(), a shape or the index of a list",
    Tensor.__complex__: "complex()",
    Tensor.__contains__: "`in`",
    Tensor.item: ".item()",
    Tensor.tolist: "tolist()",
    Tensor.numpy: "numpy()",
    Tensor.__array__: "a numpy array",
}


def with_elements(f: Callable[..., Result], storage: Storage) -> Callable[..., Result]:
    """Let a function read and write elements at computed places, wherever it is called.

    A pass backwards, and torch.autograd's functions, are one call for such a mode, which is off inside: the body of a
    scan is called from there, too, and so has its own.
    """

    def run(*args: Any) -> Result:
        with _Elements(storage):
            return f(*args)

    return run


class _Elements(TorchFunctionMode):
    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__:
            return _take(self.storage, args[0], numbers.index(args[1]))
        if func is Tensor.__setitem__:
            return _put(self.storage, args[0], numbers.index(args[1]), args[2])
        if func in _READERS and isinstance(args[0], Tensor):
            if (value := self.value(args[0])) is not None:
                with on_values():
                    return func(value, *args[1:], **(kwargs or {}))
            if func is not Tensor.__bool__ or (answer := argument_checks.assumed(args[0])) is None:
                raise reads_value(_READERS[func])
            return answer
        if func in number_rules.FUNCTIONS:
            return number_rules.FUNCTIONS[func](*args, **(kwargs or {}))
        return value_checks.FUNCTIONS.get(func, func)(*args, **(kwargs or {}))

    def value(self, x: Tensor) -> Tensor | None:
        """Return the value of a tensor that Python asks for; None if it depends on anything but constants."""
        while is_wrapped(x) and not is_batched(x):
            x = unwrap(x)
        recorder = self.storage.recorder
        return None if is_wrapped(x) else recorder.constants.find(self.storage.read(recorder.lift_tensor(x)))


def _take(storage: Storage, x: Tensor, index: Any) -> Tensor:
    if (found := _first(x, index)) is None:
        return x[index]
    where, rest = found
    part = x[where]
    if isinstance(traced := unwrapped(part), Tracer) and not is_batching():
        traced.taken = _place(storage, x, where)
    return _take(storage, part, rest)


def _put(storage: Storage, x: Tensor, index: Any, value: Any) -> None:
    if (found := _first(x, index)) is None:
        x[index] = value
        return
    where, rest = found
    part = x[where]
    _put(storage, part, rest, value)
    if isinstance(traced := unwrapped(value), Tracer) and root(traced).taken[1:] == _place(storage, x, where)[1:]:
        storage.lost.pop(id(root(traced)), None)  # as x[i] += y does, having written to what it took
    x[where] = part


def _place(storage: Storage, x: Tensor, where: tuple[Any, ...]) -> tuple[Any, ...]:
    """Identify a part of a tensor, as long as nothing is written to that."""
    held, at = unwrapped(x), unwrapped(where[-1])
    values = [storage.read(t) if isinstance(t, Tracer) else id(t) for t in (held, at)]
    return held, *values, len(where)


def _first(x: Tensor, index: Any) -> tuple[Any, Any] | None:
    """Split the first index that is a 0-d tensor of integers from the others, among which 0 takes its place."""
    parts = index if isinstance(index, tuple) else (index,)
    for position, part in enumerate(parts):
        if isinstance(part, Tensor) and not part.ndim and not part.is_floating_point() and part.dtype not in MASKS:
            where = (slice(None),) * _axis(x, parts, position) + (part.reshape(1),)
            return where, (*parts[:position], 0, *parts[position + 1 :])
    return None


def _axis(x: Tensor, parts: tuple[Any, ...], position: int) -> int:
    """Find the axis that an index is for."""
    if any(part is ... for part in parts[:position]):
        return x.ndim - sum(map(_width, parts[position:]))
    return sum(map(_width, parts[:position]))


def _width(part: Any) -> int:
    """Count the axes that an index stands for."""
    if part is None or isinstance(part, bool):
        return 0
    return part.ndim if isinstance(part, Tensor) and part.dtype in MASKS else 1
