"""Checks of values: operations without results, which dead code elimination keeps.

torch checks values inside its operations. There are no values while a function is traced, so the checks become part of
the program. The native backend raises after the run, a replay at once. In the lanes of an outermost vmap, a check of
floating-point values fills the failed lane with NaN and the other lanes continue; other checks raise there, too.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import assert_async, decomposition, is_all_true
from funcnet.transforms import argument_checks
from funcnet.transforms.argument_checks import require

aten = torch.ops.aten

PROBABILITIES = {name: f"all elements of {name} should be between 0 and 1" for name in ("input", "target")}


def _one_hot(x: Tensor, num_classes: int = -1) -> Tensor:
    if x.dtype != torch.int64 or num_classes < 1:
        return torch.nn.functional.one_hot(x, num_classes)  # raises, or reads the largest label
    require((x >= 0).all(), "Class values must be non-negative.")
    require((x < num_classes).all(), "Class values must be smaller than num_classes.")
    return (x[..., None] == torch.arange(num_classes, device=x.device)).to(torch.int64)


def _of_quantile(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rule(x: Tensor, q: Any, *args: Any, **options: Any) -> Tensor:
        if isinstance(q, Tensor):
            require(((q >= 0) & (q <= 1)).all(), "quantile() q values must be in the range [0, 1]")
        return function(x, q, *args, **options)

    return rule


def _is_all_true(x: Tensor) -> Any:
    """Return True for a distribution's validation of its arguments, and record it as a check."""
    frame = sys._getframe(2)
    if not frame.f_globals.get("__name__", "").startswith("torch.distributions"):
        return is_all_true(x)
    seen = frame.f_locals
    kind = type(seen.get("self")).__name__
    parameter = (
        f"parameter {seen.get('param')} of distribution {kind} to satisfy the constraint {seen.get('constraint')}"
    )
    value = f"value argument to be within the support ({seen.get('support')}) of the distribution {kind}"
    require(x.all(), f"Expected {parameter if 'param' in seen else value}, but found invalid values")
    return True


# functions whose own checks would read values, or be dropped, during tracing
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    assert_async: require,
    aten._assert_async.default: require,
    aten._assert_async.msg: require,
    is_all_true: _is_all_true,
    torch.nn.functional.one_hot: _one_hot,
    **argument_checks.FUNCTIONS,
    **{f: _of_quantile(f) for f in (torch.quantile, torch.nanquantile, Tensor.quantile, Tensor.nanquantile)},
}


def is_check(func: Any) -> bool:
    """Tell whether an operation is a check of values: it has no results and reads more than shapes and dtypes."""
    return not func._schema.returns and func not in _STATIC


_STATIC = {aten._assert_tensor_metadata.default}


def _assertion(condition: Tensor, message: str, token: Tensor) -> Tensor:
    require(condition, message)
    return token.clone()


def _probabilities(function: Callable[..., Tensor], first: int) -> Callable[..., Tensor]:
    """Check the input and target of binary_cross_entropy; elements outside [0, 1] become NaN."""

    def rule(*args: Any) -> Tensor:
        pair = args[first : first + 2]
        valid = [(x >= 0) & (x <= 1) for x in pair]
        for ok, message in zip(valid, PROBABILITIES.values(), strict=True):
            require(ok.all(), message)
        x = torch.where(valid[0] & valid[1], pair[0], torch.nan)
        return function(*args[:first], x, *args[first + 1 :])

    return rule


def _factorisation(op: Any, name: str) -> Callable[..., Any]:
    """Record the check that an operation with check_errors=True makes."""

    def rule(x: Tensor, *args: Any, check_errors: bool = False, **options: Any) -> Any:
        if not check_errors:
            return NotImplemented
        results = op(x, *args, **options)
        aten._linalg_check_errors(results[-1], name, is_matrix=x.ndim == 2)
        return results

    return rule


def _cholesky(x: Tensor, upper: bool = False) -> Tensor:
    factor, info = aten.linalg_cholesky_ex(x, upper=upper)
    aten._linalg_check_errors(info, "cholesky", is_matrix=x.ndim == 2)
    return factor


def rules() -> dict[Any, Callable[..., Any]]:
    """Return the rules of operations that check values in torch: simpler operations and a check."""
    return {
        aten._functional_assert_async.msg: _assertion,
        aten.binary_cross_entropy.default: _probabilities(decomposition("binary_cross_entropy"), 0),
        aten.binary_cross_entropy_backward.default: _probabilities(decomposition("binary_cross_entropy_backward"), 1),
        aten.cholesky.default: _cholesky,
        **{op: _factorisation(op, name) for op, name in _FACTORISATIONS.items()},
    }


_FACTORISATIONS = {
    aten.linalg_cholesky_ex.default: "linalg.cholesky_ex",
    aten.linalg_inv_ex.default: "linalg.inv_ex",
    aten._linalg_solve_ex.default: "torch.linalg.solve_ex",
    aten.linalg_lu_factor_ex.default: "torch.linalg.lu_factor_ex",
    aten.linalg_ldl_factor_ex.default: "torch.linalg.ldl_factor_ex",
}
