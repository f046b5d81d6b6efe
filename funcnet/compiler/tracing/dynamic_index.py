"""x[i] for a 0-d integer tensor i while tracing, where torch would read the value of i in Python.

Each such index is replaced by a 1-d index of one element, and the new axis is then indexed by 0, so that the result has
the axes and the shape of an index by a number. The result is a copy where torch returns a view, so a write to it is an
error unless x[i] = y copies it back.
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
from funcnet.transforms.mapped_indices import set_items

Result = TypeVar("Result")

# methods by which Python reads the value of a tensor, and the code that calls them
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
    Tensor.__dlpack__: "from_dlpack()",  # torch would give out the address of no memory
    Tensor.__dlpack_device__: "from_dlpack()",
}

_PRINTERS = (Tensor.__repr__, Tensor.__format__)

# the other functions only need what is done for the argument `out`
_HANDLED = {
    *(Tensor.__getitem__, Tensor.__setitem__),
    *_PRINTERS,
    *_READERS,
    *number_rules.FUNCTIONS,
    *value_checks.FUNCTIONS,
}


def with_elements(f: Callable[..., Result], storage: Storage) -> Callable[..., Result]:
    """Let a function index by tensors, wherever it is called.

    A backward pass and a function of torch.autograd are each one call for a torch function mode, and the mode is off
    inside it. The body of a scan may be called from there, so it gets a mode of its own.
    """

    def run(*args: Any) -> Result:
        with _Elements(storage):
            return f(*args)

    return run


class _Elements(TorchFunctionMode):
    """A torch function mode that handles indices by tensors, and reads of values by Python."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage

    def __torch_function__(self, func: Callable[..., Any], types: object, args: Any = (), kwargs: Any = None) -> Any:
        if func not in _HANDLED and not kwargs:
            return func(*args)
        if func is Tensor.__getitem__:
            return _take(self.storage, args[0], numbers.index(args[1]))
        if func is Tensor.__setitem__:
            return _put(self.storage, args[0], numbers.index(args[1]), args[2])
        if func in _PRINTERS:
            return _text(args[0], self.value(args[0]), *args[1:])
        if func in _READERS and isinstance(args[0], Tensor):
            if (value := self.value(args[0])) is not None:
                with on_values():
                    return func(value, *args[1:], **(kwargs or {}))
            if func is not Tensor.__bool__ or (answer := argument_checks.assumed(args[0])) is None:
                raise reads_value(_READERS[func])
            return answer
        if func in number_rules.FUNCTIONS:
            return number_rules.FUNCTIONS[func](*args, **(kwargs or {}))
        func, kwargs = value_checks.FUNCTIONS.get(func, func), kwargs or {}
        try:
            return func(*args, **kwargs)
        except RuntimeError as error:
            if "out" not in kwargs or "out=... arguments don't support automatic differentiation" not in str(error):
                raise
            return _into(error, func, args, dict(kwargs))

    def value(self, x: Tensor) -> Tensor | None:
        """Return the value of a tensor that Python asks for; None if it depends on anything but constants."""
        while is_wrapped(x) and not is_batched(x):
            x = unwrap(x)
        recorder = self.storage.recorder
        return None if is_wrapped(x) else recorder.constants.find(self.storage.read(recorder.lift_tensor(x)))


def _text(x: Tensor, value: Tensor | None, spec: str | None = None) -> str:
    """Print the values of a constant, and describe other tensors; a spec is that of a format."""
    if value is not None:
        with on_values():
            return repr(value) if spec is None else format(value, spec)
    if spec:
        raise reads_value(f"formatting by {spec!r}")
    return repr(x)


def _into(error: RuntimeError, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Tensor:
    """Write a result to `out`, which torch refuses where it differentiates.

    The derivative of a loop is traced with respect to all its inputs, those that nobody differentiates included.
    """
    out: Tensor = kwargs.pop("out")
    result = func(*args, **kwargs)
    if not isinstance(result, Tensor) or (result.shape, result.dtype) != (out.shape, out.dtype):
        raise error
    return out.copy_(result)


def _take(storage: Storage, x: Tensor, index: Any) -> Tensor:
    """Return x[index]; each 0-d tensor in it selects a part of x in turn."""
    if (found := _first(x, index)) is None:
        return x[index]
    where, rest = found
    part = x[where]
    if isinstance(traced := unwrapped(part), Tracer) and not is_batching():
        traced.taken = _place(storage, x, where)
    return _take(storage, part, rest)


def _put(storage: Storage, x: Tensor, index: Any, value: Any) -> None:
    """Set x[index] = value: write to a copy of the part of x, then write the copy back."""
    if (found := _first(x, index)) is None:
        set_items(x, index, value)
        return
    where, rest = found
    part = x[where]
    _put(storage, part, rest, value)
    if isinstance(traced := unwrapped(value), Tracer) and root(traced).taken[1:] == _place(storage, x, where)[1:]:
        storage.lost.pop(id(root(traced)), None)  # as in x[i] += y, which first writes to the copy x[i]
    x[where] = part


def _place(storage: Storage, x: Tensor, where: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a key of a part of a tensor; a write to the tensor changes the key."""
    held, at = unwrapped(x), unwrapped(where[-1])
    values = [storage.read(t) if isinstance(t, Tracer) else id(t) for t in (held, at)]
    return held, *values, len(where)


def _first(x: Tensor, index: Any) -> tuple[Any, Any] | None:
    """Split off the first index that is a 0-d integer tensor; 0 replaces it among the others."""
    parts = index if isinstance(index, tuple) else (index,)
    for position, part in enumerate(parts):
        if isinstance(part, Tensor) and not part.ndim and not part.is_floating_point() and part.dtype not in MASKS:
            where = (slice(None),) * _axis(x, parts, position) + (part.reshape(1),)
            return where, (*parts[:position], 0, *parts[position + 1 :])
    return None


def _axis(x: Tensor, parts: tuple[Any, ...], position: int) -> int:
    """Return the axis that an index applies to."""
    if any(part is ... for part in parts[:position]):
        return x.ndim - sum(map(_width, parts[position:]))
    return sum(map(_width, parts[:position]))


def _width(part: object) -> int:
    """Return the number of axes that an index consumes."""
    if part is None or isinstance(part, bool):
        return 0
    return part.ndim if isinstance(part, Tensor) and part.dtype in MASKS else 1
