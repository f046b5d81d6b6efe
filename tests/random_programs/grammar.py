"""The grammar of random programs: the statements, their frequencies and their arguments."""

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from random_programs.checking import copies
from random_programs.control import CONTROL
from random_programs.expressions import ELEMENTWISE, GATHERS, MOVES, REDUCTIONS, VIEWS, expression
from random_programs.functions import HALVES, LINEAR_ALGEBRA, STATISTICS, TRACED_INDICES, TRANSFORMS, WINDOWS
from random_programs.nested import NESTED
from random_programs.scope import INTEGERS, Program, Rule, Scope
from random_programs.writes import write

SHAPES = [(), (1,), (3,), (5,), (2, 3), (3, 4), (1, 4), (3, 1), (4, 4), (7, 3), (2, 3, 4), (3, 1, 2), (2, 2, 3, 2)]
SHAPES = [
    *SHAPES,
    *SHAPES,
    (17,),
    (33,),
    (1, 1),
    (2, 3, 1, 4),
    (0,),
    (0, 3),
    (2, 0),
    (3, 4),
    (4, 4),
    (2, 3),
    (67,),
    (5, 40),
]
SPECIAL = (float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1e-310)

RULES: dict[Rule, float] = {
    expression(ELEMENTWISE): 6,
    expression(VIEWS): 6,
    expression(MOVES): 2.5,
    expression(GATHERS): 3,
    expression(REDUCTIONS): 4,
    write: 7,
    **{rule: 0.4 * often for rule, often in NESTED.items()},
}
WIDE = {
    **RULES,
    **{expression(table): 1.5 for table in (LINEAR_ALGEBRA, TRANSFORMS, WINDOWS, STATISTICS, TRACED_INDICES, HALVES)},
    **CONTROL,
}


def generate(seed: int, rules: Mapping[Rule, float] = RULES) -> Program:
    """Generate the program of a seed."""
    rng = random.Random(seed)
    special = rng.random() < 0.06
    args = arguments(rng, SPECIAL if special else ())
    scope = Scope(rng, ([*rules], [*rules.values()]), dict(zip(args, copies([*args.values()]), strict=True)), special)
    scope.grow(rng.randint(25, 40) if rng.random() < 0.06 else min(rng.randint(3, 14), rng.randint(3, 14)))
    made = [name for name in scope.recent if name not in args] or ["a"]
    results = [*dict.fromkeys([*made[-3:], *rng.sample(made, min(2, len(made)))])]
    shared = frozenset(name for name in [*args][1:] if rng.random() < 0.3)
    return Program(args, scope.lines, results, scope.known, shared)


def arguments(rng: random.Random, special: Sequence[float]) -> dict[str, Tensor]:
    """Make some tensors, the first one floating, and a key."""
    generator = torch.Generator().manual_seed(rng.randrange(10**6))
    first = rng.choice([torch.float64] * 4 + [torch.float32])
    others = [first] * 8 + [torch.float64, torch.float32, *INTEGERS, torch.bool, torch.int64, torch.bool]
    shapes = rng.sample(SHAPES, 3)
    dtypes = [first, *rng.choices(others, k=rng.randint(1, 3))]
    made = [_argument(rng, generator, rng.choice(shapes), dtype, special) for dtype in dtypes]
    key = torch.randint(0, 99, (2,), generator=generator).int()
    return {**dict(zip("abcd", made, strict=False)), "key": key}


def _argument(
    rng: random.Random, generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype, special: Sequence[float]
) -> Tensor:
    x = torch.randn(shape, dtype=torch.float64, generator=generator)
    for value in special:
        x = torch.where(torch.rand(x.shape, generator=generator) < 0.06, value, x)
    if dtype == torch.bool:
        return _laid_out(rng, x > 0)
    if dtype in INTEGERS:
        whole = (x.nan_to_num(0, 0, 0) * 3).round()
        return _laid_out(rng, (whole.abs() if dtype == torch.uint8 else whole).to(dtype))
    return _laid_out(rng, x.to(dtype))


def _laid_out(rng: random.Random, x: Tensor) -> Tensor:
    """Choose a memory layout: mostly rows; or columns, gaps, an offset, or repeated elements."""
    way = rng.randrange(12) if x.ndim else 0
    if way == 1:
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if way == 2:
        return torch.stack([x, x], -1)[..., 1]
    if way == 3:
        return torch.cat([x, x])[len(x) :]
    return x[:1].expand(x.shape) if way == 4 and len(x) else x
