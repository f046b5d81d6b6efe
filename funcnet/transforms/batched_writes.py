"""Buffers under vmap: tensors that all examples share until the function writes one example's value to them.

torch.func.vmap refuses such a write, as the tensor has no batch axis. In that case the function runs again, and every
tensor that is created by the same operation and with the same dtype as the refused one gets a batch axis at its
creation. A function that needs no such writes, and no values, runs once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, TypeVar

import torch
import torch.func
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from funcnet import _torch, tree
from funcnet.transforms.argument_checks import CORRECTED, FUNCTIONS
from funcnet.transforms.flatten import Function
from funcnet.transforms.mapped_views import Views
from funcnet.transforms.refusals import refusal

Result = TypeVar("Result")

# torch.func.vmap's error messages for a write of batched values to a tensor without a batch axis
_REFUSALS = (
    "is not possible because there exists a Tensor `other` in extra_args",
    "doesn't match the broadcast shape",
    "doesn't work on out=",
)
# and its messages for indexing by a mask, for a value that a function reads, for a 0-d index of rows, and for CTC
# losses of different lengths
_READS = (
    "Attempting to batch over indexing with a boolean mask",
    "dynamic shape",
    "data-dependent control flow",
    "aten::equal",
    "Number of indices",
    "data pointer",
    "stack expects each tensor to be equal size",
)
_SHARED = "a tensor that the examples share, an argument with in_dims None or a closed-over one"
_OUT_DIMS: Any = (0, None)
_DIFFERENT = (
    "vmap: out_dims is None for a result of shape {}, which depends on the mapped arguments. "
    "Set out_dims to an axis there."
)
_DATA: Any = Tensor.data
_DETACHED = (Tensor.detach, torch.detach, _DATA.__get__)  # views that torch does not track


def vmap_with_buffers(f: Function, in_dims: tuple[int, ...]) -> Function:
    """Map f over tensors; return (results per example, shared results). f may write to tensors that it creates."""

    def run(*tensors: Tensor) -> Any:
        first = _corrected(f)
        return _attempts(lambda: _batched(first, in_dims, tensors), lambda makers: _run(f, in_dims, makers, tensors))

    return run


def _batched(f: Function, in_dims: tuple[int, ...], tensors: Sequence[Tensor]) -> Any:
    """Run f once for all examples, as torch.func.vmap does, but without flattening trees, which takes it longer."""
    if torch.compiler.is_compiling():  # it can trace torch's function only
        return torch.func.vmap(f, in_dims, _OUT_DIMS)(*tensors)
    size = tensors[0].shape[in_dims[0]]
    with _with_versions(), _torch.new_batch(size) as level:
        stacked, shared = f(*(_torch.add_batch(x, level, axis) for x, axis in zip(tensors, in_dims, strict=True)))
        for tensor in shared:
            if level in _torch.levels(tensor):
                raise ValueError(_DIFFERENT.format(tuple(tensor.shape)))
        return tuple(_torch.remove_batch(tensor, level, size) for tensor in stacked), shared


@contextmanager
def _with_versions() -> Iterator[None]:
    """Let torch count the writes to each tensor, which it does not in inference mode."""
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False), torch.no_grad():
            yield
    else:
        yield


def _attempts(first: Callable[[], Any], again: Callable[[set[Any]], Any]) -> Any:
    """Run a function, and again with a growing set of makers if it needs writes or values."""
    try:
        return first()
    except RuntimeError as error:
        if not _is_refusal(error) and not any(text in str(error) for text in _READS):
            raise
    makers: set[Any] = set()
    while True:
        try:
            return again(makers)
        except _AgainError as needed:
            if needed.makers is not makers:
                raise


def _corrected(f: Function) -> Function:
    """Run f with replacements for functions whose batching rules are wrong."""
    if torch.compiler.is_compiling():
        return f

    def run(*tensors: Tensor) -> Any:
        with _Corrected() as mode:
            return mode.refreshed(f(*tensors))

    return run


class _Mode(TorchFunctionMode):
    """A mode that calls functions with the semantics that they have in one example."""

    def __init__(self) -> None:
        super().__init__()
        self.views = Views()

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.views.run(self.replaced, func, args, kwargs or {})

    def refreshed(self, results: Result) -> Result:
        if self.views.is_used:
            self.views.refresh(self.replaced, results)
        return results

    def replaced(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError


_CHANGED = {*CORRECTED, Tensor.__getitem__}  # by _Corrected, or seen by Views


class _Corrected(_Mode):
    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.views.is_used and func not in _CHANGED and not _torch.is_function_call(func):  # most calls
            return func(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)

    def replaced(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        rule = func if "out" in kwargs else CORRECTED.get(func, func)  # torch refuses out=, so that f runs again
        return rule(*_with_modes(func, args), **kwargs)


def _run(f: Function, in_dims: tuple[int, ...], makers: set[Any], tensors: Sequence[Tensor]) -> Any:
    each = tensors[0].new_ones(tensors[0].shape[in_dims[0]], dtype=torch.bool)

    def run(each: Tensor, *tensors: Tensor) -> Any:
        with _Buffers(each, makers) as mode:
            return mode.refreshed(f(*tensors))

    return _batched(run, (0, *in_dims), (each, *tensors))


class _AgainError(Exception):
    """The function has to run again: `makers` has a new member."""

    def __init__(self, makers: set[Any]) -> None:
        self.makers = makers


class _Buffers(_Mode):
    """Add a batch axis to the tensors that some functions create, and find out which functions these are.

    Attributes:
        each: A batched True; selecting by it adds the batch axis.
        makers: The (function, dtype) pairs whose new tensors get a batch axis. The dtype keeps an index tensor that is
            copied by the same function as a buffer shared by all examples.
        made_by: The pair that created a tensor, or the tensor that it views.
    """

    def __init__(self, each: Tensor, makers: set[Any]) -> None:
        super().__init__()
        self.each, self.makers = each, makers
        self.made_by: Any = WeakIdKeyDictionary()

    def replaced(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if func is Tensor.__setitem__ and _is_choice(*args):
            return self.call(Tensor.copy_, (args[0], _chosen(*args)), {})
        args = _with_modes(func, args)
        func, options = FUNCTIONS.get(func, func), dict(kwargs)
        if isinstance(out := options.pop("out", None), Tensor):
            return self.call(Tensor.copy_, (out, self.call(func, args, options)), {})
        return self.call(func, args, kwargs)

    def call(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        try:
            result = func(*args, **kwargs)
        except RuntimeError as error:
            if _is_refusal(error) and args and isinstance(args[0], Tensor):
                self.give_room(args[0], error)
            raise
        given = {id(_base(leaf)): leaf for leaf in tree.leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        return tree.map(partial(self.note, func, args, given), result)

    def give_room(self, target: Tensor, error: RuntimeError) -> None:
        """Ask for another run in which the target has a batch axis."""
        if self.has_room(target):
            return
        if (maker := self.made_by.get(target)) is None:
            raise refusal("vmap", f"{_SHARED} ({tree.describe(target)})") from error
        if maker in self.makers:
            return
        self.makers.add(maker)
        raise _AgainError(self.makers) from error

    def has_room(self, tensor: Tensor) -> bool:
        """Tell whether a tensor has the axes of this vmap, or in an autograd.Function of all vmaps."""
        return {*_torch.levels(self.each)} <= {*_torch.levels(tensor)}

    def note(self, func: Any, args: Any, given: dict[int, Tensor], leaf: Any) -> Any:
        """Record which function created a result, and add the batch axis if needed."""
        if not isinstance(leaf, Tensor) or any(leaf is tensor for tensor in given.values()):
            return leaf
        viewed = args[0] if func in _DETACHED else given.get(id(_base(leaf)))
        maker = (func, leaf.dtype) if viewed is None else self.made_by.get(viewed)
        if viewed is None and maker in self.makers and not self.has_room(leaf):
            leaf = torch.where(self.each, leaf, leaf)
        if maker is not None:
            self.made_by[leaf] = maker
        return leaf


def _with_modes(func: Any, args: Any) -> Any:
    """Give the methods of an autograd.Function modes of their own: torch switches modes off inside of it."""
    if not _torch.is_function_call(func) or getattr(args[0], "resumes_modes", False):
        return args
    return _resumed(args[0]), *args[1:]


@lru_cache(maxsize=256)
def _resumed(cls: Any) -> Any:
    names = ["forward", "backward", *(["vmap"] if cls.vmap is not torch.autograd.Function.vmap else [])]
    methods = {name: staticmethod(partial(_run_method, getattr(cls, name))) for name in names}
    return type(cls.__name__, (cls,), {**methods, "resumes_modes": True})


def _run_method(method: Callable[..., Any], *args: Any) -> Any:
    device = next((arg.device for arg in args if isinstance(arg, Tensor)), None)
    if device is None or (each := _torch.example_mask(device)) is None:
        return method(*args)

    def again(makers: set[Any]) -> Any:
        with _Buffers(each, makers):
            return method(*args)

    return _attempts(lambda: _corrected(method)(*args), again)


def _is_refusal(error: RuntimeError) -> bool:
    return any(text in str(error) for text in _REFUSALS)


def _is_choice(x: Tensor, index: Any, value: Any) -> bool:
    """Tell whether x[index] = value chooses between x and one number, element by element."""
    by_mask = isinstance(index, Tensor) and index.dtype == torch.bool
    return by_mask and not (isinstance(value, Tensor) and value.ndim)


def _chosen(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Return x after x[mask] = value."""
    return torch.where(mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim)), value, x)


def _base(tensor: Tensor) -> Tensor:
    """Return the base of a view, inside torch.func's wrappers, or the tensor itself if it is not a view."""
    return _torch.viewed(_torch.unwrapped(tensor))
