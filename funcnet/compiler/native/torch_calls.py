"""Operations that torch computes within the run of a kernel: C calls Python with the addresses of the arrays.

Operations of other libraries (`torch.library.custom_op`) are called on copies, because they may keep their arguments,
and their results are checked, because the shapes of a program are those of their fake implementations.
"""

import ctypes
import math
import threading
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from funcnet._torch import Operation
from funcnet.compiler.program import Apply, Var, substitute, variables

_BORROWING = ("aten", "funcnet_distributed")  # operations that do not keep their arguments
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, ctypes.POINTER(ctypes.c_size_t))


class Caller:
    """Makes the calls of a kernel in one thread. C ends the run after a call that failed, and `error` is its error."""

    def __init__(self, ops: Sequence[Apply], is_stopped: Callable[[], bool]) -> None:
        self.calls, self.is_stopped = [_Call(op) for op in ops], is_stopped
        self.error: BaseException | None = None

    def __call__(self, position: int, addresses: "ctypes._Pointer[ctypes.c_size_t]") -> int:
        """Make a call; tell whether it succeeded."""
        outer, _present.caller = _present.caller, self
        try:
            self.calls[position](addresses)
        except BaseException as error:
            self.error = error
            return 0
        finally:
            _present.caller = outer
        return 1

    def take_error(self) -> BaseException:
        """Return the error that ended a run: that of a call, or an interrupt that Python raised before the call."""
        error, self.error = self.error, None
        return KeyboardInterrupt() if error is None else error


class _Present(threading.local):
    """The caller that makes a call in a thread; that of a run inside of a call is the innermost one."""

    caller: Caller | None = None


_present = _Present()


def is_stopped() -> bool:
    """Tell whether the call that this thread makes, if any, is to end because Ctrl-C has stopped its run."""
    return _present.caller is not None and _present.caller.is_stopped()


class _Call:
    """One operation, and tensors at the addresses of its last call."""

    def __init__(self, op: Apply) -> None:
        self.op, self.inputs = op, call_inputs(op)
        self.values, self.is_of_torch = (*self.inputs, *op.outputs), op.target.namespace in _BORROWING
        nowhere = [-1] * len(self.values), [torch.empty(0, device="cpu")] * len(self.values)
        self.bound: tuple[list[int], list[Tensor], Callable[[], object]] = *nowhere, partial(op.target)

    def __call__(self, addresses: "ctypes._Pointer[ctypes.c_size_t]") -> None:
        found = addresses[: len(self.values)]
        if found != self.bound[0]:
            self.bind(found)
        _, tensors, run = self.bound
        results = run()
        if not self.op.outputs:
            return
        for out, result in zip(tensors[len(self.inputs) :], _flat(results), strict=True):
            if result is None:  # of a derivative that is not needed
                continue
            if not self.is_of_torch and (result.shape, result.dtype) != (out.shape, out.dtype):
                raise RuntimeError(_unlike(self.op, result, out))
            out.copy_(result)

    def bind(self, addresses: list[int]) -> None:
        """Make tensors at new addresses."""
        before = zip(*self.bound[:2], strict=True)
        pairs = zip(self.values, addresses, before, strict=True)
        tensors = [tensor if new == old else _tensor(var, new) for var, new, (old, tensor) in pairs]
        inputs = dict(zip(self.inputs, tensors, strict=False))
        kwargs = {name: substitute(value, inputs) for name, value in self.op.kwargs.items()}
        args = substitute(self.op.args, inputs)
        run = self.op.target if self.is_of_torch else partial(_on_copies, self.op.target)
        self.bound = addresses, tensors, partial(run, *args, **kwargs)


def _on_copies(target: Operation, *args: object, **kwargs: object) -> object:
    return target(*map(_copied, args), **{name: _copied(value) for name, value in kwargs.items()})


def _copied(value: object) -> object:
    if isinstance(value, tuple | list):
        return [*map(_copied, value)]
    return value.clone() if isinstance(value, Tensor) else value


def _unlike(op: Apply, result: Tensor, out: Tensor) -> str:
    got, want = (f"{x.dtype} of shape {tuple(x.shape)}" for x in (result, out))
    return f"jit: {op.target} returned a tensor of {got}, but its fake implementation one of {want}."


def call_inputs(op: Apply) -> list[Var]:
    """List the values that an operation reads, each once."""
    return [*dict.fromkeys(variables((op.args, tuple(op.kwargs.values()))))]


def _tensor(var: Var, address: int) -> Tensor:
    """Return a tensor whose elements are at an address; its memory belongs to the kernel."""
    if torch.is_inference_mode_enabled():  # its tensors cannot be written to outside of it
        with torch.inference_mode(False):
            return _tensor(var, address)
    size = math.prod(var.shape)
    if not size:
        return torch.empty(var.shape, dtype=var.dtype, device="cpu")
    memory = (ctypes.c_char * (size * var.dtype.itemsize)).from_address(address)
    return torch.frombuffer(memory, dtype=var.dtype).view(var.shape)


def _flat(results: object) -> list[Tensor | None]:
    """List the results of an operation, of which some may be lists."""
    if isinstance(results, tuple | list):
        return [tensor for item in results for tensor in _flat(item)]
    return [results if isinstance(results, Tensor) else None]
