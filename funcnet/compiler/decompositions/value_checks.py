"""Checks of values: operations without results, which dead code elimination keeps.

torch checks values inside its operations. There are no values while a function is traced, so the checks become part of
the program. The native backend raises after the run, a replay at once. In the lanes of an outermost vmap, a check of
floating-point values fills the failed lane with NaN and the other lanes continue; other checks raise there, too.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet._torch import decomposition
from funcnet.compiler.decompositions import systems
from funcnet.transforms import argument_checks
from funcnet.transforms.requirements import require

aten = torch.ops.aten

PROBABILITIES = {name: f"all elements of {name} should be between 0 and 1" for name in ("input", "target")}


def _of_quantile(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rule(input: Tensor, q: Any, *args: Any, **options: Any) -> Tensor:
        if isinstance(q, Tensor):
            require(((q >= 0) & (q <= 1)).all(), "quantile() q values must be in the range [0, 1]")
        return function(input, q, *args, **options)

    return rule


# functions whose own checks would read values, or be dropped, during tracing
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **argument_checks.FUNCTIONS,
    **{f: _of_quantile(f) for f in (torch.quantile, torch.nanquantile, Tensor.quantile, Tensor.nanquantile)},
}


def is_check(func: Any) -> bool:
    """Tell whether an operation is a check of values: it has no results and reads more than shapes and dtypes."""
    return not func._schema.returns and func not in _STATIC


_STATIC = {aten._assert_tensor_metadata.default}


def _bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """Count, or sum the weights, up to minlength, which values must stay below."""
    if x.ndim != 1 or x.is_floating_point() or not minlength:
        return NotImplemented
    require((x >= 0).all(), "bincount only supports 1-d non-negative integral inputs.")
    require((x < minlength).all(), "jit: bincount expected values below minlength, which is the size of its result.")
    dtype = torch.int64 if weights is None else torch.float64 if weights.dtype != torch.float32 else torch.float32
    counted = torch.ones_like(x, dtype=dtype) if weights is None else weights.to(dtype)
    return torch.zeros(minlength, dtype=dtype, device=x.device).index_put((x,), counted, accumulate=True)


def _repeat_interleave(repeats: Tensor, *, output_size: int | None = None) -> Tensor:
    """Repeat each index as often as asked, to a size that is given."""
    if output_size is None or repeats.ndim != 1:
        return NotImplemented
    ends = repeats.cumsum(0)
    require((repeats >= 0).all(), "repeats can not be negative")
    require(repeats.sum() == output_size, "allocated size does not match required size")
    return torch.searchsorted(ends, torch.arange(output_size, device=ends.device), right=True).to(repeats.dtype)


# operations whose results have shapes that depend on values, unless an argument gives a size
SIZED: dict[Any, Callable[..., Any]] = {
    aten.bincount.default: _bincount,
    aten.repeat_interleave.Tensor: _repeat_interleave,
}


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
    """Record the check that an operation with check_errors=True makes; compute by simpler operations if possible."""
    simpler = _SIMPLER.get(op)

    def rule(x: Tensor, *args: Any, check_errors: bool = False, **options: Any) -> Any:
        if not check_errors:
            return simpler(x, *args, **options) if simpler else NotImplemented
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


_SIMPLER: dict[Any, Callable[..., Any]] = {
    aten.linalg_inv_ex.default: systems.inverse,
    aten._linalg_solve_ex.default: systems.solve,
}
_FACTORISATIONS = {
    aten.linalg_cholesky_ex.default: "linalg.cholesky_ex",
    aten.linalg_inv_ex.default: "linalg.inv_ex",
    aten._linalg_solve_ex.default: "torch.linalg.solve_ex",
    aten.linalg_lu_factor_ex.default: "torch.linalg.lu_factor_ex",
    aten.linalg_ldl_factor_ex.default: "torch.linalg.ldl_factor_ex",
}
