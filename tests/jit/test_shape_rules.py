"""Shapes, dtypes and layouts of a trace are those of torch, whichever rule infers them."""

import itertools
import random

import pytest
import torch
from torch.nn import functional

import funcnet as fn
from funcnet.compiler.tracing import shape_rules

aten = torch.ops.aten
SHAPES = [(), (1,), (4,), (3, 1), (3, 4), (2, 3, 4), (2, 1, 4), (0, 4), (2, 3, 4, 5), (2, 1, 1, 5)]

LAYOUTS = {
    "row-major": lambda s: torch.ones(s),
    "sliced": lambda s: torch.ones([2 * n + 1 for n in s])[tuple(slice(1, None, 2) for _ in s)],
    "reversed": lambda s: torch.ones(s[::-1]).permute([*reversed(range(len(s)))]),
    "expanded": lambda s: torch.ones(()).expand(s),
    "expanded rows": lambda s: torch.ones(s[1:]).expand(s),
    "expanded columns": lambda s: torch.ones([*s[:-1], *(1 for _ in s[-1:])]).expand(s),
    "windows": lambda s: torch.ones([n + 1 for n in s[:-1]] + [*s[-1:]])[tuple(slice(1, None) for _ in s[:-1])],
}

ONE = [aten.sin.default, aten.sum.default, aten.mean.default, aten.isnan.default]
TWO = [aten.add.Tensor, aten.lt.Tensor, aten.div.Tensor, aten.copysign.Tensor]
REDUCTIONS = [
    lambda x, axes, keep: (aten.sum.dim_IntList, (x, axes, keep), {}),
    lambda x, axes, keep: (aten.mean.dim, (x, axes, keep), {}),
    lambda x, axes, keep: (aten.amax.default, (x, axes, keep), {}),
    lambda x, axes, keep: (aten.var_mean.correction, (x, axes), {"correction": 0, "keepdim": keep}),
]


def laid_out(shapes, layout):
    return [LAYOUTS[layout](shape) for shape in shapes]


def calls(layout):
    xs = laid_out(SHAPES, layout)
    yield from ((op, (x,), {}) for op in ONE for x in xs)
    yield from ((op, pair, {}) for op in TWO for pair in itertools.product(xs, laid_out(SHAPES, "row-major")))
    for x, keep in itertools.product(xs, (False, True)):
        for axes in ([], [0], [-1], [0, -1]):
            yield from (make(x, axes[: x.ndim], keep) for make in REDUCTIONS)
        yield aten.stack.default, ([x, x], -1 if keep else 0), {}
        yield aten.cat.default, ([x, x, x], -1), {}
    a, b = laid_out([(3, 4), (4, 0)], layout)
    yield from ((aten.mm.default, pair, {}) for pair in [(a, a.mT), (a.mT, a), (a, b)])
    c = LAYOUTS[layout]((2, 3, 4))
    yield from ((aten.bmm.default, pair, {}) for pair in [(c, c.mT), (c.mT, c), (c, c)])


def meta(value):
    if isinstance(value, torch.Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return [*map(meta, value)] if isinstance(value, list) else value


def spec(result):
    """Describe tensors; strides matter where there is more than one element."""
    if not isinstance(result, torch.Tensor):
        return [*map(spec, result)]
    strides = [step for size, step in zip(result.shape, result.stride(), strict=True) if size > 1]
    return result.shape, result.dtype, strides if result.numel() else []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_formula_agrees_with_torchs_shape_rule(layout):
    inferred = 0
    for op, args, options in calls(layout):
        args = tuple(map(meta, args))
        if (found := shape_rules.infer(op, args, options)) is not None:
            assert spec(found) == spec(op(*args, **options)), (op, args, options)
            inferred += 1
    assert inferred > 30


@pytest.mark.parametrize(
    "op", [aten.add.Tensor, aten.div.Tensor, aten.maximum.default, aten.eq.Tensor, aten.atan2.default]
)
def test_promotion_agrees_with_torchs_rule(op):
    for first, second in itertools.product([torch.float32, torch.int64, torch.bool, torch.bfloat16], repeat=2):
        for shapes in [((2, 1), (3,)), ((2,), ()), ((), (2,)), ((), ())]:
            args = tuple(torch.empty(s, dtype=d, device="meta") for s, d in zip(shapes, (first, second), strict=True))
            assert spec(shape_rules.infer(op, args, {})) == spec(op(*args)), (first, second, shapes)


ERRORS = {
    "sizes": (lambda x: x[:2] + x[:3], "must match the size|Attempting to broadcast"),
    "inner sizes": (lambda x: x @ x, "4x3|must have same reduction dim"),
    "an axis": (lambda x: x.sum(2), "Dimension out of range"),
    "unequal parts": (lambda x: torch.cat([x, x[:, :2]]), "except"),
    "unequal entries": (lambda x: torch.stack([x, x[:2]]), "equal size"),
    "a number": (lambda x: functional.softshrink(x, 1.0) + functional.softshrink(x, -1.0), "lambda must be"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_torch(name):
    f, message = ERRORS[name]
    for call in (f, fn.jit(f, backend="eager")):
        with pytest.raises((RuntimeError, IndexError), match=message):
            call(torch.ones(4, 3))


def test_a_layout_decides_whether_reshape_copies():
    def f(x):
        y = (x + 1).view(-1)  # torch raises here if x + 1 is not row-major
        return y * 2

    for layout in ("row-major", "sliced", "windows"):
        x = LAYOUTS[layout]((2, 3, 4))
        assert torch.equal(fn.jit(f, backend="eager")(x), f(x))
    with pytest.raises(RuntimeError, match="view"):
        fn.jit(f, backend="eager")(torch.ones(4, 3).T)


def test_random_broadcasts_agree_with_torch():
    source = random.Random(0)
    for _ in range(300):
        shape = [source.randint(0, 3) for _ in range(source.randint(0, 4))]
        shapes = [[1 if source.random() < 0.3 else n for n in shape][source.randint(0, 1) :] for _ in range(3)]
        args = tuple(meta(torch.ones(each)) for each in shapes)
        found = shape_rules.infer(aten.addcmul.default, args, {})
        assert spec(found) == spec(aten.addcmul.default(*args))


def test_promotion_follows_the_default_dtype():
    integers = torch.arange(3)
    try:
        for dtype in (torch.float32, torch.float64, torch.float32):
            torch.set_default_dtype(dtype)
            for f in (torch.sin, lambda x: x / 2, lambda x: x * 1.5):
                assert fn.jit(f, backend="eager")(integers).dtype == dtype
    finally:
        torch.set_default_dtype(torch.float32)
