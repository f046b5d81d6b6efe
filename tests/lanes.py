"""The native backend against eager torch: alone, and over lanes that all differ or share all arguments but one."""

import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler import jit

LANES = 18  # a ragged block for vectors of 8 and of 16


def check(f, *args: Tensor, bound: float = 0.0) -> None:
    """f: tensors to a tensor or a list of them. A lane's arguments have the same elements in another order."""
    same(jit(f, backend="native")(*args), f(*args), bound)
    lanes = [torch.stack([arg.roll(lane) if arg.ndim else arg for lane in range(LANES)]) for arg in args]
    mapped = [(0,) * len(args), *(tuple(0 if k == one else None for k in range(len(args))) for one in range(len(args)))]
    for dims in mapped if len(args) > 1 else mapped[:1]:
        given = [some if dim == 0 else arg for some, arg, dim in zip(lanes, args, dims, strict=True)]
        want = [f(*(x if d is None else x[i] for x, d in zip(given, dims, strict=True))) for i in range(LANES)]
        same(jit(fn.vmap(f, in_dims=dims), backend="native")(*given), stack(want), bound)


def stack(results: list) -> list[Tensor]:
    return [torch.stack(column) for column in zip(*map(listed, results), strict=True)]


def listed(result) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def same(got, want, bound: float = 0.0) -> None:
    for i, (a, b) in enumerate(zip(listed(got), listed(want), strict=True)):
        message = lambda text, i=i: f"result {i}: {text}"  # noqa: E731
        torch.testing.assert_close(a, b, rtol=bound, atol=bound, equal_nan=True, msg=message)
        assert a.dtype != torch.bool or not (a.view(torch.uint8) > 1).any(), (
            f"result {i}: a truth that is not 1 in memory"
        )
