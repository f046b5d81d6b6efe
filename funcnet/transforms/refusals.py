"""Errors of torch.func that name a flag or function which this library does not have, in this library's terms."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any

from funcnet import _torch

REMEDY = (
    "Write to a copy made inside the function, such as x.clone() or torch.zeros_like(x), or use the operation that"
    " returns a new tensor; and return the result."
)


class ImpureError(RuntimeError):
    """A function writes in place to an argument or to a tensor that it closes over."""


def refusal(name: str, target: str) -> ImpureError:
    """Build the error for a write to a tensor that a function did not create."""
    return ImpureError(f"{name}: the function writes in place to {target}, but it has to be pure. {REMEDY}")


@dataclass(frozen=True)
class _Reason:
    """Why torch refuses, with the remedy: for errors whose message holds one of the texts."""

    message: str
    texts: tuple[str, ...]


_WRITES = (
    "a leaf Variable that requires grad is being used in an in-place",
    "would mutate a captured Tensor",
)
_DERIVATIVES = (
    _Reason(
        "the function calls backward(), which accumulates into `.grad`. Use fn.grad or fn.vjp inside the function; "
        "they may be nested.",
        ("backward() called inside a functorch transform",),
    ),
    _Reason(
        "the function calls requires_grad_(). Remove the call: fn.grad differentiates with respect to its arguments.",
        ("You are attempting to call Tensor.requires_grad_()",),
    ),
    _Reason(
        "the function uses hooks on saved tensors, as torch.utils.checkpoint does. Use fn.remat instead.",
        ("don't yet support saved tensor hooks",),
    ),
    _Reason(
        "an autograd.Function of the function has a forward that takes ctx, and torch.func cannot transform it. Define "
        "forward(*args) and a staticmethod setup_context(ctx, inputs, output), and, for vmap, set "
        "generate_vmap_rule = True.",
        ("it must override the setup_context staticmethod",),
    ),
)
_NUMPY = _Reason(
    "the function converts a tensor to numpy or reads its memory otherwise, so that derivatives would be lost. Use the "
    "operations of torch; or x.detach().numpy() for numbers that are not differentiated.",
    ("Can't call numpy() on Tensor that requires grad", "Cannot access data pointer of Tensor"),
)
_BATCHES = (
    _Reason(
        "the function draws from torch's global generator, whose state all examples would share. Pass one key per "
        "example, as in fn.vmap(f)(fn.random.split(key, n), x), and draw from it by fn.random; or draw before vmap.",
        ("called random operation while in randomness error mode", "not yet support aten::rrelu"),
    ),
    _Reason(
        "the function asks for a result whose shape depends on the values, as of nonzero, unique or a boolean mask, so "
        "that it would differ between examples. Use torch.where(mask, x, 0), which keeps the shape.",
        ("dynamic shape", "differently shaped Tensor", "stack expects each tensor to be equal size"),
    ),
    _Reason(
        "the function needs the values of a tensor in Python, as `if`, float(), .item() and numpy() do, but they "
        "differ between examples. Use fn.cond for a branch and fn.while_loop or fn.scan for a loop, or compute the "
        "value before vmap.",
        (
            "data-dependent control flow",
            "calling .item() on a Tensor",
            "not implemented for aten::equal",
            "vmap over torch.allclose",
            "Cannot access data pointer of Tensor",
            "Cannot access storage of BatchedTensorImpl",
            "not implemented for aten::narrow.Tensor",
        ),
    ),
    _Reason(
        "torch has no batching rule for the kernels of nn.LSTM, nn.GRU and nn.RNN. Convert the module by "
        "fn.from_module, whose function runs them as a scan; or pass the batch to the module itself.",
        ("not implemented for aten::lstm", "not implemented for aten::gru", "not implemented for aten::rnn_"),
    ),
)


_COPIES = _Reason(
    "the function copies a tensor by torch.tensor(x), copy.deepcopy(x) or a file, which reads its memory. Use "
    "x.clone(), or x.detach().clone() without its derivative.",
    ("Can't detach views in-place", "Cannot access storage of TensorWrapper"),
)


class Refusals:
    """Context manager that replaces torch.func's errors by those that name a remedy."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, RuntimeError):  # NotImplementedError is one
            return
        text = str(error)
        if any(part in text for part in _WRITES):
            raise refusal(self.name, "an argument or a closed-over tensor") from error
        known = _DERIVATIVES if _torch.is_transforming() else (*_DERIVATIVES, _NUMPY)  # it may run the function again
        for reason in (*(_BATCHES if self.name == "vmap" else ()), *known, _COPIES):
            if any(part in text for part in reason.texts):
                raise RuntimeError(f"{self.name}: {reason.message}") from error
