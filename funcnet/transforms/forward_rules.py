"""Replacements for operations whose forward derivatives torch 2.13 computes or differentiates incorrectly.

torch's forward derivatives of solve, det, slogdet, logdet and tensorsolve treat the LU factors as constants, so the
next derivative lacks a term: jacfwd(jacfwd(f)) and jacrev(jacfwd(f)) are wrong, while hessian(f), forward over reverse
mode, is right. householder_product and cholesky_inverse have similar faults. While a function is differentiated in
forward mode, a torch function mode replaces these operations by others whose derivatives of every order are right.
"""

# ruff: noqa: N803  argument names of torch, which callers may use as keywords

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor, linalg
from torch.overrides import TorchFunctionMode

from funcnet import _torch, tree
from funcnet.transforms.scattered_products import scatter_reduce, scatter_reduce_
from funcnet.transforms.wrapped import wrapped

_TYPES: Any = torch.return_types


def with_forward_rules(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return f with the replacements in effect while it is differentiated in forward mode."""
    return wrapped(_with_rules, f)


def _with_rules(f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    with _Rules():
        return f(*args, **kwargs)


class _Rules(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        rule = _RULES.get(name)
        if rule is None or kwargs.get("out") is not None:
            return function(*args, **kwargs)
        if name not in _WITHOUT and not _is_differentiated_again((args, kwargs)):
            return function(*args, **kwargs)
        return rule(*args, **kwargs)


def _is_differentiated_again(arguments: Any) -> bool:
    """Tell whether another level of differentiation, including torch.autograd, is outside the current one."""
    if _torch.derivative_levels() > 1:
        return True
    return torch.is_grad_enabled() and any(map(_is_recorded, tree.leaves(arguments)))


def _is_recorded(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and _torch.unwrapped(leaf).requires_grad


def _solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    x, info = _solve_ex(A, B, left=left)
    torch.ops.aten._linalg_check_errors(info, "torch.linalg.solve", is_matrix=A.ndim == 2)
    return x


def _solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    is_vector = B.ndim == 1 or B.shape == A.shape[:-1]
    b = B[..., None] if is_vector else B
    batch = torch.broadcast_shapes(A.shape[:-2], b.shape[:-2])
    lu, pivots, info = linalg.lu_factor_ex(A.expand(*batch, *A.shape[-2:]), check_errors=check_errors)
    x = linalg.lu_solve(lu, pivots, b, left=left)
    return _TYPES.linalg_solve_ex((x.squeeze(-1) if is_vector else x, info))


def _tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    a = reduce(lambda a, dim: a.movedim(dim, -1), dims or (), A)
    return _solve(a.reshape(B.numel(), B.numel()), B.reshape(-1)).reshape(a.shape[B.ndim :])


def _slogdet(A: Tensor) -> Any:
    lu, pivots, _ = linalg.lu_factor_ex(A)
    diagonal = lu.diagonal(dim1=-2, dim2=-1)
    return _TYPES.linalg_slogdet((diagonal.sgn().prod(-1) * _parity(pivots), diagonal.abs().log().sum(-1)))


def _det(A: Tensor) -> Tensor:
    lu, pivots, _ = linalg.lu_factor_ex(A)
    return lu.diagonal(dim1=-2, dim2=-1).prod(-1) * _parity(pivots)


def _logdet(A: Tensor) -> Tensor:
    sign, value = _slogdet(A)
    return value + sign.log() if A.is_complex() else torch.where(sign == -1, torch.nan, value)


def _parity(pivots: Tensor) -> Tensor:
    """Return 1 for an even number of row exchanges and -1 for an odd number."""
    exchanges = (pivots != torch.arange(1, 1 + pivots.shape[-1], device=pivots.device)).sum(-1)
    return 1 - 2 * (exchanges % 2)


def _cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    eye = torch.eye(input.shape[-1], dtype=input.dtype, device=input.device).expand(input.shape)
    return torch.cholesky_solve(eye, input, upper)


def _householder_product(input: Tensor, tau: Tensor) -> Tensor:
    eye = torch.eye(*input.shape[-2:], dtype=input.dtype, device=input.device)
    vectors, product = input.tril(-1) + eye, eye.expand(input.shape)
    for i in reversed(range(tau.shape[-1])):
        v = vectors[..., i : i + 1]
        product = product - tau[..., i, None, None] * (v @ (v.mH @ product))
    return product


def _cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = None) -> Tensor:
    return linalg.vector_norm(x1[..., :, None, :] - x2[..., None, :, :], p, -1)


def _pdist(input: Tensor, p: float = 2.0) -> Tensor:
    rows, columns = torch.triu_indices(len(input), len(input), 1, device=input.device)
    return linalg.vector_norm(input[rows] - input[columns], p, -1)


_WITHOUT = ("cdist", "pdist", "scatter_reduce", "scatter_reduce_")  # without a forward derivative

_RULES: dict[str, Callable[..., Any]] = {
    "cdist": _cdist,
    "pdist": _pdist,
    "scatter_reduce": scatter_reduce,
    "scatter_reduce_": scatter_reduce_,
    "linalg_solve": _solve,
    "linalg_solve_ex": _solve_ex,
    "linalg_tensorsolve": _tensorsolve,
    "tensorsolve": _tensorsolve,
    "linalg_slogdet": _slogdet,
    "slogdet": _slogdet,
    "linalg_det": _det,
    "det": _det,
    "logdet": _logdet,
    "cholesky_inverse": _cholesky_inverse,
    "linalg_householder_product": _householder_product,
    "orgqr": _householder_product,
}
