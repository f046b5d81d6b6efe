"""The operators, dtypes and samples of torch's own tests that are tried, and the values."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from opinfo.exceptions import (
    CANCELLING,
    FINITE_GRADIENTS_ONLY,
    FINITE_ONLY,
    FLOATS_ONLY,
    VALUES_ONLY,
    WORSE_THAN_FLOAT64,
)
from torch import Tensor
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import BinaryUfuncInfo, OpInfo, ReductionOpInfo, UnaryUfuncInfo
from torch.utils import _pytree as pytree

FLOATS = (torch.float32, torch.float64)
DTYPES = (*FLOATS, torch.int64, torch.int32, torch.uint8, torch.bool)
PER_DTYPE = 4  # samples per dtype
POOL, LARGEST = 200, 5_000  # number of samples to choose from, and largest size of a sample
SPECIAL = (math.nan, -0.0, math.inf, 0.0, -math.inf, 1.0, -2.5, 1e4, 1e-3, 0.5)


@dataclass(frozen=True)
class Case:
    """One sample as a function of its tensors, and three lists of such tensors.

    Attributes:
        name: The dtype and number of the sample.
        f: Takes the tensors; returns a list of tensors.
        lanes: The sample's own tensors, then others of the same shapes: special values, and different numbers.
        elementwise: Whether an element of the result depends on few of the arguments.
    """

    name: str
    op: OpInfo
    dtype: torch.dtype
    f: Callable[..., list[Tensor]]
    lanes: tuple[list[Tensor], ...]
    elementwise: bool

    @property
    def is_differentiable(self) -> bool:
        worse = self.dtype == torch.float64 and name_of(self.op) in WORSE_THAN_FLOAT64
        return self.dtype in FLOATS and self.op.supports_autograd and not worse

    def lanes_for(self, kind: str) -> tuple[list[Tensor], ...]:
        """Return the lanes that a transformation is tried on."""
        finite = name_of(self.op) in (FINITE_ONLY | FINITE_GRADIENTS_ONLY if "grad" in kind else FINITE_ONLY)
        return self.lanes[::2] if finite else self.lanes


def operators() -> dict[str, list[OpInfo]]:
    """Return every entry of torch's database, by the name of the operator and its variant."""
    found: dict[str, list[OpInfo]] = {}
    for op in op_db:
        found.setdefault(name_of(op), []).append(op)
    return dict(sorted(found.items()))


def name_of(op: OpInfo) -> str:
    return ".".join(filter(None, (op.name, op.variant_test_name)))


def cases(op: OpInfo, per_dtype: int = PER_DTYPE, dtypes: Sequence[torch.dtype] = DTYPES) -> Iterator[Case]:
    """Yield every case of an operator that is tried."""
    for dtype in dtypes:
        if not op.supports_dtype(dtype, "cpu") or (name_of(op) in FLOATS_ONLY and dtype not in FLOATS):
            continue
        torch.manual_seed(0)
        samples = chosen(list(islice(op.sample_inputs("cpu", dtype), POOL)), per_dtype)
        made = [case(op, dtype, f"{_short(dtype)}/{i}", sample) for i, sample in enumerate(samples)]
        yield from made
        if made and dtype is dtypes[0]:
            largest = max(made, key=lambda c: sum(t.numel() for t in c.lanes[0]))
            yield from _layouts(largest)


def chosen(samples: list[Any], count: int) -> list[Any]:
    """Choose the samples that differ most: each adds shapes, arguments and options that the earlier ones lack."""
    samples = [s for s in samples if all(t.layout == torch.strided for t in _tensors(s))]
    samples = [s for s in samples if sum(t.numel() for t in _tensors(s)) <= LARGEST] or samples[:1]
    seen: set[Any] = set()
    picked: list[int] = []
    traits = [_traits(sample) for sample in samples]
    for _ in range(min(count, len(samples))):
        rest = [i for i in range(len(samples)) if i not in picked]
        best = max(rest, key=lambda i: (len(traits[i] - seen), -i))
        picked.append(best)
        seen |= traits[best]
    return [samples[i] for i in sorted(picked)]


def case(op: OpInfo, dtype: torch.dtype, name: str, sample: Any) -> Case:
    """Return a sample as a function of the tensors in it."""
    leaves, spec = pytree.tree_flatten((sample.input, tuple(sample.args), dict(sample.kwargs)))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def f(*tensors: Tensor) -> list[Tensor]:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        given, args, kwargs = pytree.tree_unflatten(filled, spec)
        result = sample.output_process_fn_grad(op(given, *args, **kwargs))
        found = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        return found[:1] if name_of(op) in VALUES_ONLY else found

    own = [leaves[i].detach() for i in places]
    elementwise = isinstance(op, UnaryUfuncInfo | BinaryUfuncInfo) and name_of(op) not in CANCELLING
    lanes = own, [_special(t, i) for i, t in enumerate(own)], [_other(t) for t in own]
    return Case(name, op, dtype, f, lanes, elementwise)


def _layouts(case: Case) -> Iterator[Case]:
    """Return the same case with tensors of other strides, and with elements that share memory."""
    yield replace(case, name=f"{case.name}/strided", lanes=tuple([_strided(t) for t in lane] for lane in case.lanes))
    if isinstance(case.op, UnaryUfuncInfo | BinaryUfuncInfo | ReductionOpInfo):
        shared = tuple([_expanded(t) for t in lane] for lane in case.lanes)
        yield replace(case, name=f"{case.name}/expanded", lanes=shared)


def _special(x: Tensor, turn: int) -> Tensor:
    if not x.is_floating_point() or not x.numel():
        return x
    values = [float(torch.tensor(SPECIAL[(i + 3 * turn) % len(SPECIAL)])) for i in range(x.numel())]
    special = torch.tensor(values, dtype=x.dtype).reshape(x.shape)
    return special if x.numel() <= len(SPECIAL) else torch.where(_every(x, 3), special, x)


def _every(x: Tensor, n: int) -> Tensor:
    return (torch.arange(x.numel()) % n == 0).reshape(x.shape)


def _other(x: Tensor) -> Tensor:
    """Change numbers such that signs and order are kept, and probabilities and special matrices stay such."""
    if x.is_floating_point() or x.is_complex():
        return x * 0.75
    return x.flip(0) if x.ndim else x


def _strided(x: Tensor) -> Tensor:
    if x.ndim >= 2:
        return x.mT.contiguous().mT
    return torch.stack([x, x], -1)[..., 0] if x.ndim else x


def _expanded(x: Tensor) -> Tensor:
    return x[..., :1].expand(x.shape) if x.ndim and x.numel() else x


def _tensors(sample: Any) -> list[Tensor]:
    return [t for t in pytree.tree_leaves((sample.input, sample.args, sample.kwargs)) if isinstance(t, Tensor)]


def _traits(sample: Any) -> set[Any]:
    """Return the properties that distinguish one sample of an operator from another."""
    found: set[Any] = {(key, repr(value)[:40]) for key, value in sample.kwargs.items() if not isinstance(value, Tensor)}
    found |= {(i, repr(arg)[:40]) for i, arg in enumerate(sample.args) if not isinstance(arg, Tensor)}
    for i, x in enumerate(_tensors(sample)):
        found |= {(i, "axes", x.ndim), (i, "empty", not x.numel()), (i, "one", 1 in x.shape), (i, x.dtype)}
        found.add((i, "contiguous", x.is_contiguous()))
    return found | {("tensors", len(_tensors(sample)))}


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
