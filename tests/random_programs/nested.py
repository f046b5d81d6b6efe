"""Statements of random programs that define functions and pass them to loops, batches and derivatives."""

import re
from collections.abc import Sequence

from torch import Tensor

from random_programs.expressions import templates
from random_programs.operands import fills
from random_programs.scope import INTEGERS, Rule, Scope, SkipError

DERIVATIVES = """
fn.grad({g})({x}) ; fn.value_and_grad({g})({x}) ; fn.grad(lambda x: fn.grad({g})(x).square().sum())({x})
fn.grad(lambda x: (fn.grad({g})(x) * {x}).sum())({x}) ; fn.hessian({g})({x}) ; fn.jacfwd(fn.grad({g}))({x})
fn.jvp(fn.grad({g}), ({x},), (torch.ones_like({x}),)) ; fn.jvp({g}, ({x},), ({x}.cos(),)) ; fn.grad(fn.remat({g}))({x})
fn.grad(lambda x: fn.jvp({g}, (x,), (torch.ones_like(x),))[1])({x}) ; fn.linearize({g}, {x})[1](torch.ones_like({x}))
fn.grad(lambda x: fn.grad(fn.remat({g}))(x).sin().sum())({x}) ; fn.vjp({g}, {x})[1](torch.full_like({g}({x}), 2))
"""
JACOBIANS = "fn.jacrev({g})({x}) ; fn.jacfwd({g})({x}) ; fn.jacrev(fn.jacfwd({g}))({x}) ; fn.remat({g})({x})"
KEYS = "key ; fn.random.fold_in(key, 3) ; fn.random.split(key)[1]"
DRAWS = """
fn.random.normal({key}, (2, 3), torch.float64) ; fn.random.uniform({key}, (3,)) ; fn.random.randint({key}, (), -5, 9)
fn.random.permutation({key}, 5) ; fn.random.bernoulli({key}, 0.5, (3,)) ; fn.random.bits({key}, (0,))
"""


def block(s: Scope, params: dict[str, Tensor], most: int, owned: bool = False) -> Scope:
    """Generate a function body that uses at least one of the parameters, and may write to those that it owns."""
    if s.depth >= 2:
        raise SkipError
    inner = s.inner({name: value.detach().clone() for name, value in params.items()}, owned)
    inner.grow(s.rng.randint(1, most))
    if not any(re.search(rf"\b{name}\b", line) for name in params for line in inner.lines):
        raise SkipError
    return inner


def define(name: str, params: Sequence[str], lines: Sequence[str], result: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"def {name}({', '.join(params)}):\n{body}    return {result}"


def made_by(inner: Scope, s: Scope) -> list[str]:
    return [name for name in inner.recent if name not in s.recent]


def scalar(s: Scope, inner: Scope) -> str:
    """Return a scalar sum of a function's parameter or its last results, which can be differentiated."""
    made = [name for name in made_by(inner, s) if inner.values[name].is_floating_point()]
    if len(made) < 2:
        raise SkipError
    pair = (made[0], made[-1]) if s.rng.random() < 0.3 else made[-2:]
    return " + ".join(f"({x} * {s.rng.choice((1.5, f'torch.cos({x})', 0.5))}).sum()" for x in pair)


def gradient(s: Scope) -> str:
    """Generate first and second derivatives of a number."""
    x, g, p = s.pick(lambda x: x.is_floating_point() and x.numel() <= 16), s.fresh("g"), s.fresh()
    inner = block(s, {p: s.values[x]}, 5)
    return define(g, [p], inner.lines, scalar(s, inner)) + "\n" + s.rng.choice(templates(DERIVATIVES)).format(g=g, x=x)


def jacobian(s: Scope) -> str:
    """Generate Jacobians of a function with several results."""
    x, g, p = s.pick(lambda x: x.is_floating_point() and x.numel() <= 8), s.fresh("g"), s.fresh()
    inner = block(s, {p: s.values[x]}, 4)
    result = inner.pick(lambda y: y.is_floating_point() and y.numel() <= 8)
    return define(g, [p], inner.lines, result) + "\n" + s.rng.choice(templates(JACOBIANS)).format(g=g, x=x)


def batch(s: Scope) -> str:
    """Generate a vmap over an axis of one tensor, and the first axis of another or none."""
    x, y, g, p, q = s.pick(lambda x: x.ndim > 0 and x.numel() > 0), s.pick(), s.fresh("g"), s.fresh(), s.fresh()
    axis, other = s.rng.randrange(s.values[x].ndim), s.values[y]
    both = other.ndim > 0 and other.shape[0] == s.values[x].shape[axis] and s.rng.random() < 0.7
    inner = block(s, {p: s.values[x].select(axis, 0), q: other[0] if both else other}, 4)
    mapped, result, out = g, ", ".join(made_by(inner, s)[-2:]), s.rng.choice((0, 0, -1))
    if s.rng.random() < 0.25:
        mapped, result, out = f"fn.grad({g})", scalar(s, inner), 0
    dims = f"in_dims=({axis}, {0 if both else None}), out_dims={out}"
    return f"{define(g, [p, q], inner.lines, result)}\nfn.vmap({mapped}, {dims})({x}, {y})"


def loop(s: Scope) -> str:
    """Generate a scan with a nested carry, with or without slices; its outputs may be unused."""
    g, c, d, x, carry, result = s.fresh("g"), s.fresh(), s.fresh(), s.fresh(), s.fresh(), s.fresh("r")
    first, second = s.pick(), s.pick()
    params, over = {c: s.values[first], d: s.values[second]}, f"length={s.rng.choice((0, 1, 2, 2, 3))}"
    if s.rng.random() < 0.75:
        rows = s.pick(lambda t: t.ndim > 0 and t.shape[0] < 5)
        example = s.values[rows]
        params[x], over = example[0] if len(example) else example.new_zeros(example.shape[1:]), f"xs={rows}"
    inner = block(s, params, 5, owned=s.depth == 0)  # a scan passes copies
    last = made_by(inner, s)[-1]
    y = s.rng.choice((last, last, f"({last}, {c})", "None"))
    lines = [f"{c}, {d} = {carry}[0], {carry}[1]['d']", *inner.lines]
    body = define(g, [carry, x], lines, f"({carried(inner, c)}, {{'d': {carried(inner, d)}}}), {y}")
    call = f"{result} = fn.scan({g}, ({first}, {{'d': {second}}}), {over}{s.rng.choice(('', '', ', unroll=2'))})"
    carries = f"{result}[0][0], {result}[0][1]['d']"
    return f"{body}\n{call}\n({carries}, {'' if y == 'None' else f'{result}[1]'})"


def carried(inner: Scope, name: str) -> str:
    """Generate a bounded tensor of the shape and dtype of a carry."""
    like = inner.values[name]
    found = inner.pick(lambda y: fills(y, like.shape))
    same = inner.values[found].shape == like.shape and inner.values[found].dtype == like.dtype
    text = found if same else f"{found}.to({like.dtype}).expand({tuple(like.shape)})"
    choices = [text, name, f"{name} ^ {text}", f"{text} & {name}"]
    if like.is_floating_point():
        choices = [f"({name} + {text}).tanh()", f"{text}.sin()", f"{name} * 0.5 + {text}.cos()", name, text]
    if like.dtype in INTEGERS:
        choices = [f"({name} + {text}) % 7", text, name, f"{name} ^ {text}"]
    return inner.rng.choice(choices)


def draw(s: Scope) -> str:
    """Generate random numbers from a key."""
    return s.rng.choice(templates(DRAWS)).format(key=s.rng.choice(templates(KEYS)))


NESTED: dict[Rule, float] = {gradient: 3, jacobian: 1, batch: 2, loop: 3.5, draw: 0.3}  # with their frequencies
