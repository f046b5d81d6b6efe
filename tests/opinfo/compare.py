"""Comparison of results: a result is right if it is about as close to float64 as torch's own."""

from dataclasses import dataclass

import torch
from torch import Tensor

FACTOR, ULPS = 4, 16  # the allowed multiple of torch's own error, and the allowed error besides
DOUBLE = 2e-13  # the bound for a float64 result, which has no more precise reference
CANCELLED = 1e-9  # the same where terms cancel: that many digits show that all arithmetic is float64


@dataclass(frozen=True)
class Rule:
    """Options of the comparison of a program.

    Attributes:
        elementwise: Whether errors are relative to each number instead of the largest number of the result.
        signed: Whether zeros must have the signs of torch's.
        floor: The largest result that counts as zero, in units of rounding.
    """

    elementwise: bool
    signed: bool
    floor: float


def difference(got: list[Tensor], want: list[Tensor], exact: list[Tensor] | Exception, rule: Rule) -> str:
    """Describe how results differ from torch's; "" if they do not."""
    if len(got) != len(want):
        return f"{len(got)} results instead of {len(want)}"
    better = [None] * len(want) if isinstance(exact, Exception) or len(exact) != len(want) else exact
    texts = (_difference(*each, rule) for each in zip(got, want, better, strict=True))
    return next((f"result {i}: {text}" for i, text in enumerate(texts) if text), "")


def _difference(got: Tensor, want: Tensor, exact: Tensor | None, rule: Rule) -> str:
    if (got.shape, got.dtype) != (want.shape, want.dtype):
        return f"{got.dtype} {list(got.shape)} instead of {want.dtype} {list(want.shape)}"
    if got.dtype == torch.bool and (got.contiguous().view(torch.uint8) > 1).any():
        return "a bool that is neither 0 nor 1"
    if got.is_complex():
        got, want, exact = (x if x is None else torch.view_as_real(x.resolve_conj()) for x in (got, want, exact))
    if not got.is_floating_point():
        return _show(got != want, got, want, exact)
    if exact is None or exact.shape != want.shape or not exact.is_floating_point():
        exact = want
    return _show(~_right(got, want, exact.double(), rule), got, want, exact)


def _right(got: Tensor, want: Tensor, exact: Tensor, rule: Rule) -> Tensor:
    rounded = exact.to(got.dtype)
    same = (got == want) | (got == rounded) | (got.isnan() & (want.isnan() | rounded.isnan()))
    near = got.isfinite() & ((got.double() - exact).abs() <= _tolerance(got, want.double(), exact, rule))
    signs = (got != 0) | (got.signbit() == want.signbit()) | (got.signbit() == rounded.signbit())
    signs |= (want != 0) & (rounded != 0)  # a number too small for the dtype may have become a zero of either sign
    return (same | near) & (signs | (not rule.signed))


def _tolerance(got: Tensor, want: Tensor, exact: Tensor, rule: Rule) -> Tensor:
    info = torch.finfo(got.dtype)
    own = torch.nan_to_num((want - exact).abs(), 0.0, 0.0, 0.0)
    size = torch.nan_to_num(exact.abs(), 0.0, 0.0, 0.0)
    relative = ULPS * info.eps
    if got.dtype == torch.float64:
        relative = DOUBLE if rule.elementwise else CANCELLED
    if not rule.elementwise and own.numel():
        own, size = own.amax().expand_as(own), size.amax().expand_as(size)
    return FACTOR * own + relative * size + rule.floor * info.eps + info.tiny


def _show(bad: Tensor, got: Tensor, want: Tensor, exact: Tensor | None) -> str:
    if not bad.any():
        return ""
    count, first = int(bad.sum()), tuple(bad.nonzero()[0].tolist())
    true = "" if exact is None or exact is want else f" (float64: {exact[first].item()!r})"
    return f"{count} of {bad.numel()}, at {first} {got[first].item()!r} instead of {want[first].item()!r}{true}"
