"""The programs derived from each case, and their results in eager torch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from opinfo.exceptions import UNDEFINED
from opinfo.samples import Case, name_of
from torch import Tensor

import funcnet as fn

KINDS = ("f", "vmap", "grad", "vmap(grad)", "scan")
Result = list[Tensor] | Exception


@dataclass(frozen=True)
class Member:
    """A case under a transformation: a function of tensors, whether it has lanes, and the expected results.

    Attributes:
        kind: One of KINDS.
        f: The function of the tensors of one example; `vmap` is added outside.
        calls: Arguments, and the results of eager torch for each example in them, in float64 as well.
    """

    case: Case
    kind: str
    f: Callable[..., list[Tensor]]
    mapped: bool
    calls: tuple["Call", ...]

    @property
    def name(self) -> str:
        return f"{self.kind} {self.case.name}"


@dataclass(frozen=True)
class Call:
    args: list[Tensor]
    want: Result
    exact: Result


def members(case: Case) -> list[Member]:
    """Return every transformation of a case that eager torch can compute."""
    made = [_alone(case, "f", case.f)]
    made += _together(case, "vmap", case.f) + _together(case, "scan", case.f)
    if case.is_differentiable and by(case):
        gradient = gradient_of(case)
        made += [_alone(case, "grad", gradient), *_together(case, "vmap(grad)", gradient)]
    return [member for member in made if member.calls]


def by(case: Case) -> tuple[int, ...]:
    """Return the tensors to differentiate with respect to."""
    return tuple(i for i, t in enumerate(case.lanes[0]) if t.is_floating_point())


def gradient_of(case: Case) -> Callable[..., list[Tensor]]:
    """Compute the gradient of a weighted sum of all floating-point results with respect to all floating tensors."""

    def scalar(*tensors: Tensor) -> Tensor:
        outs = [out for out in case.f(*tensors) if out.is_floating_point() or out.is_complex()]
        if not outs:
            raise NoGradientError
        return sum((_weighted(out) for out in outs), start=torch.zeros((), dtype=case.dtype))

    return lambda *tensors: list(fn.grad(scalar, by(case))(*tensors))


class NoGradientError(Exception):
    """The function has no differentiable result."""


def _weighted(out: Tensor) -> Tensor:
    out = torch.view_as_real(out) if out.is_complex() else out
    weights = torch.cos(1 + torch.arange(out.numel(), dtype=torch.float64)).reshape(out.shape).to(out.dtype)
    return (out * weights).sum()


def _alone(case: Case, kind: str, f: Callable[..., list[Tensor]]) -> Member:
    calls = [Call(lane, eager(case, kind, lane), exactly(case, kind, lane)) for lane in case.lanes_for(kind)]
    if isinstance(calls[0].want, Exception):
        calls = []
    return Member(case, kind, f, False, tuple(calls))


def _together(case: Case, kind: str, f: Callable[..., list[Tensor]]) -> list[Member]:
    """Stack all lanes, except those for which torch raises an error."""
    if not case.lanes[0]:
        return []
    lanes = [lane for lane in case.lanes_for(kind) if not isinstance(eager(case, kind, lane), Exception)]
    if not lanes or lanes[0] is not case.lanes[0]:
        return []
    wants, exacts = ([run(case, kind, lane) for lane in lanes] for run in (eager, exactly))
    want = _stacked(wants)
    if want is None:
        return []
    args = [torch.stack(column) for column in zip(*lanes, strict=True)]
    call = Call(args, want, _stacked(exacts) or ValueError())
    return [Member(case, kind, _scanned(f) if kind == "scan" else f, kind != "scan", (call,))]


def _scanned(f: Callable[..., list[Tensor]]) -> Callable[..., list[Tensor]]:
    def run(*xs: Tensor) -> list[Tensor]:
        return fn.scan(lambda count, x: (count + 1, f(*x)), torch.tensor(0), list(xs))[1]

    return run


def _stacked(results: list[Result]) -> list[Tensor] | None:
    if any(isinstance(result, Exception) for result in results):
        return None
    columns = list(zip(*results, strict=True))
    if any(len({(t.shape, t.dtype) for t in column}) > 1 for column in columns):
        return None
    return [torch.stack(column) for column in columns]


def eager(case: Case, kind: str, tensors: list[Tensor]) -> Result:
    """Compute the results for one example in torch, without funcnet."""
    try:
        with torch.no_grad():
            held = [_copied(t) for t in tensors]
            found = _gradient(case, held) if "grad" in kind else [t.clone() for t in case.f(*held)]
            return [torch.zeros_like(t) for t in found] if name_of(case.op) in UNDEFINED else found
    except Exception as error:  # torch may raise anything
        return error


def exactly(case: Case, kind: str, tensors: list[Tensor]) -> Result:
    """Compute the results in float64, also for elementwise operators on integers, which torch computes in float32."""
    less = (torch.float32, *((torch.int64, torch.int32, torch.uint8) if case.elementwise else ()))
    if not any(t.dtype in less for t in tensors):
        return ValueError()
    return eager(case, kind, [t.double() if t.dtype in less else t for t in tensors])


def _copied(x: Tensor) -> Tensor:
    """Copy a tensor with its strides, so that an operator that writes to its argument does not modify the sample."""
    if 0 in x.stride() and x.numel() > 1:
        return x
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).copy_(x)


def _gradient(case: Case, tensors: list[Tensor]) -> list[Tensor]:
    with torch.enable_grad():
        tensors = [t.detach().requires_grad_() if i in by(case) else t for i, t in enumerate(tensors)]
        outs = [out for out in case.f(*tensors) if out.is_floating_point() or out.is_complex()]
        if not outs:
            raise NoGradientError
        total = sum(_weighted(out) for out in outs)
        wanted = [tensors[i] for i in by(case)]
        grads = torch.autograd.grad(total, wanted, allow_unused=True) if total.requires_grad else [None] * len(wanted)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(grads, wanted, strict=True)]
