"""Shape inference: operations run on meta tensors, by torch's own shape rules."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import Operation
from funcnet.compiler.errors import StagingError, draws_random, user_line
from funcnet.compiler.tracing import shape_rules
from funcnet.compiler.tracing.arguments import SEQUENCES, SYMBOLS, plain
from funcnet.compiler.tracing.spec import META
from funcnet.compiler.tracing.tracer import Tracer

aten = torch.ops.aten

MASKS = (torch.bool, torch.uint8)


def infer(func: Operation, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return the operation's results as meta tensors.

    Raises:
        StagingError: The operation is random, or torch has no shape rule for it.
    """
    _check(func)
    values, options = _meta(args), {name: _meta(value) for name, value in kwargs.items()}
    if (result := shape_rules.infer(func, values, options)) is not None:
        return result
    if any(argument.name == "device" for argument in func._schema.arguments):
        options["device"] = META
    try:
        return _physical(_rule(func, args, kwargs)(*values, **options))
    except RuntimeError as error:
        if isinstance(error, NotImplementedError) or _NO_FAKE in str(error):
            raise _no_shape_rule(func) from error
        raise
    except ZeroDivisionError as error:
        raise RuntimeError(f"{func}: expected sizes greater than 0, got an empty axis{user_line()}.") from error


_NO_FAKE = "no fake impl registered"


def _no_shape_rule(func: Operation) -> StagingError:
    remedy = ""
    if func.namespace != "aten":
        remedy = f" Give it one by torch.library.register_fake({func._schema.name!r}), or call it by fn.pure_callback."
    return StagingError(f"jit: torch has no shape rule for {func}{user_line()}, so it cannot be traced.{remedy}")


def device(func: Operation, args: Any, kwargs: dict[str, Any]) -> torch.device:
    """Return the device of an operation's results; 0-d CPU tensors may be combined with tensors on any device."""
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"])
    tensors = _tensors((args, tuple(kwargs.values())))
    if len(tensors) == 1:
        return tensors[0].device
    devices = {t.device for t in tensors if t.ndim or t.device.type != "cpu"} or {t.device for t in tensors}
    if len(devices) > 1:
        names = " and ".join(sorted(map(str, devices)))
        raise RuntimeError(f"jit: {func} expected all tensors on one device, got {names}{user_line()}.")
    return next(iter(devices), torch.device("cpu"))


def holds_tensors(value: object) -> bool:
    """Tell whether there is a tensor inside nested arguments."""
    return bool(_tensors(value))


def _lstsq(a: Tensor, b: Tensor, rcond: float | None = None, driver: str | None = None) -> tuple[Tensor, ...]:
    """Return the shapes of the default driver on the CPU, whose residuals and singular values are empty."""
    is_vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    given = b[..., None] if is_vector else b
    if a.ndim < 2 or a.ndim != given.ndim or a.shape[-2] != given.shape[-2] or a.dtype != b.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: expected matrices (*, m, n) and (*, m, k) or (*, m) of one dtype, got"
            f" {tuple(a.shape)} of {a.dtype} and {tuple(b.shape)} of {b.dtype}{user_line()}."
        )
    batch = torch.broadcast_shapes(a.shape[:-2], given.shape[:-2])
    solution = a.new_empty(*batch, a.shape[-1], *(() if is_vector else b.shape[-1:]))
    none = a.new_empty(0, dtype=a.real.dtype if a.is_complex() else a.dtype)
    return solution, none, a.new_empty(a.shape[:-2], dtype=torch.int64), none.clone()


def _geqrf(a: Tensor) -> tuple[Tensor, ...]:
    """Return the shapes of reflectors in columns of memory, and of their scales."""
    if a.ndim < 2:
        raise RuntimeError(f"torch.geqrf: input must have at least 2 dimensions{user_line()}.")
    *batch, m, n = a.shape
    return a.new_empty(*batch, n, m).mT, a.new_empty(*batch, min(m, n))


def _in_place(function: Operation) -> Callable[..., Tensor]:
    """Return a shape rule that raises torch's errors for a result that does not fit the target in shape or dtype.

    torch's own rules resize the target. That of lerp_ formats its arguments, which fails inside forward derivatives and
    then breaks all derivatives of the process.
    """

    def rule(x: Tensor, *args: Any) -> Tensor:
        result = function(x, *args)
        if not torch.can_cast(result.dtype, x.dtype):
            raise RuntimeError(f"result type {result.dtype} can't be cast to the desired output type {x.dtype}")
        return x.mul_(result)

    return rule


_SHAPES = {
    aten.linalg_lstsq.default: _lstsq,
    aten.geqrf.default: _geqrf,
    aten._efficientzerotensor.default: torch.empty,  # torch's rule returns a tensor that it treats as zero
    aten.atan2_.default: _in_place(aten.atan2.default),
    aten.copysign_.Tensor: _in_place(aten.copysign.Tensor),
    aten.hypot_.default: _in_place(aten.hypot.default),
    aten.lerp_.Tensor: _in_place(aten.lerp.Tensor),
    aten.nextafter_.default: _in_place(aten.nextafter.default),
    aten.xlogy_.Tensor: _in_place(aten.xlogy.Tensor),
}


def _rule(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return our rule for the shapes of an operation's results, or the operation itself."""
    is_other_driver = kwargs.get("driver", "gelsy") not in (None, "gelsy")
    if func not in _SHAPES or is_other_driver or any(tensor.device.type != "cpu" for tensor in _tensors(args)):
        return func
    return _SHAPES[func]


def _check(func: Any) -> None:
    if _is_random(func):
        raise draws_random(str(func), user_line())


@cache
def _is_random(func: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags


def reads_values(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Tell whether the results of an operation, or their shapes, depend on the values of its arguments."""
    if not _may_read_values(func) or _rule(func, args, kwargs) is not func:
        return False
    return func is not aten.index.Tensor or _has_mask(args)


@cache
def _may_read_values(func: Any) -> bool:
    return torch.Tag.dynamic_output_shape in func.tags or torch.Tag.data_dependent_output in func.tags


def _has_mask(args: Any) -> bool:
    return any(t is not None and t.dtype in MASKS for t in args[1])


def _meta(value: Any) -> Any:
    if isinstance(value, Tracer):
        return value.meta
    if isinstance(value, SYMBOLS):
        return plain(value)
    return type(value)([_meta(item) for item in value]) if isinstance(value, SEQUENCES) else value


def _physical(value: Any) -> Any:
    """Resolve conjugate and negative views, which a program computes, so that no result carries their bits."""
    if isinstance(value, SEQUENCES):
        return type(value)([_physical(item) for item in value])
    return value.resolve_conj().resolve_neg() if isinstance(value, Tensor) else value


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, SEQUENCES):
        return [tensor for item in value for tensor in _tensors(item)]
    return [value] if isinstance(value, Tensor) else []
