"""Statements of random programs with branches, loops with a condition, custom derivatives and nested jits."""

import torch

from random_programs.expressions import templates
from random_programs.nested import block, carried, define, made_by, scalar
from random_programs.scope import FLOATS, INTEGERS, Rule, Scope, SkipError

CONDITIONS = """
{x}.sum() > 0.2 ; {x}.amax() < 1 ; {x}.flatten()[0] > 0 ; ({x} > 0).any() ; ({x} == 1).all() ; {x}.abs().sum() > 2
"""
COUNTS = "{n} ; {n} ; {i}.sum().long() % 4 ; {i}.flatten()[0].long().clamp(0, 3)"
CALLS = """
fn.jit({g})({x}) ; fn.grad(fn.jit({g}))({x}) ; fn.jit(fn.grad({g}))({x})
fn.grad(lambda x: fn.jit(fn.grad({g}))(x).sin().sum())({x}) ; torch.func.grad({g})({x}) ; torch.func.jacrev({g})({x})
fn.jvp(fn.jit({g}), ({x},), ({x}.cos(),)) ; fn.hvp({g}, {x}, {x}.cos())
fn.vmap(fn.jit({g}))(torch.stack([{x}, {x}.cos()])) ; fn.jit(fn.vmap({g}))(torch.stack([{x}.sin(), {x}]))
fn.grad(lambda x: fn.jit(fn.vmap({g}))(x).sum())(torch.stack([{x}.sin(), {x}]))
fn.vmap(fn.grad({g}), in_dims=-1)(torch.stack([{x}, {x}.cos()], -1))
fn.grad(fn.checkpoint({g}, policy=fn.checkpoint_policies.dots_saveable))({x}) ; fn.jacfwd(fn.jit({g}))({x})
fn.value_and_grad(fn.jit({g}))({x}) ; fn.vmap(fn.vmap({g}))(torch.stack([{x}, {x}.cos()])[None])
fn.vmap(fn.hessian({g}))(torch.stack([{x}, {x}.cos()])) ; fn.map({g}, torch.stack([{x}, {x}.cos()]))
fn.map({g}, torch.stack([{x}, {x}.cos(), {x} * 2]), batch_size=2)
"""
COMBINATIONS = "torch.add ; torch.maximum ; torch.minimum ; torch.mul ; lambda a, b: b"

RULES = """
defvjp(lambda p: ({g}(p), (p, {g}(p))), lambda r, t: (r[0].cos() * t.sum() + r[1].sum(),))
defjvp(lambda p, t: ({g}(*p), {g}(*p) * t[0].sum() * 0.5))
"""
USES = """
{h}({x}) ; fn.grad(lambda x: {h}(x).sin().sum())({x}) ; fn.vmap({h})(torch.stack([{x}, {x}.cos()]))
fn.vmap(fn.grad(lambda x: {h}(x).sum()))(torch.stack([{x}, {x}.cos()])) ; fn.jacrev({h})({x})
fn.value_and_grad(lambda x: ({h}(x) * {h}(x)).sum())({x})
fn.grad(lambda x: fn.grad(lambda x: {h}(x).sum())(x).square().sum())({x})
fn.grad(lambda x: fn.scan(lambda c, _: (c + {h}(x).sum(), c), {x}.flatten()[:1].sum(), length=3)[0])({x})
"""


def branch(s: Scope) -> str:
    """Generate two or three branches, which return tensors like the operands."""
    x, y, p, q = s.pick(), s.pick(), s.fresh(), s.fresh()
    bodies, names = list[str](), list[str]()
    for _ in range(s.rng.choice((2, 2, 3))):
        inner = block(s, {p: s.values[x], q: s.values[y]}, 3)
        names.append(s.fresh("g"))
        bodies.append(define(names[-1], [p, q], inner.lines, f"({carried(inner, p)}, ({carried(inner, q)}).sum())"))
    if len(names) == 2:
        condition = s.rng.choice(templates(CONDITIONS)).format(x=s.pick(lambda t: t.numel() > 0))
        return "\n".join([*bodies, f"fn.cond({condition}, {names[0]}, {names[1]}, {x}, {y})"])
    index = f"{number(s)} - {s.rng.randint(0, 1)}"
    return "\n".join([*bodies, f"fn.switch({index}, [{', '.join(names)}], {x}, {y})"])


def number(s: Scope) -> str:
    """Return a small number: a constant, or a computed integer."""
    row = s.rng.choice(templates(COUNTS))
    found = s.pick(lambda y: y.dtype in INTEGERS and y.numel() > 0) if "{i}" in row else ""
    return row.format(n=s.rng.randint(0, 3), i=found)


def repeated(s: Scope) -> str:
    """Generate a loop with a constant or computed number of steps, or with a condition on its carry."""
    g, c, i, x = s.fresh("g"), s.fresh(), s.fresh(), s.pick()
    inner = block(s, {c: s.values[x], i: torch.tensor(1)}, 4)
    body = define(g, [i, c], inner.lines, carried(inner, c))
    if s.rng.random() < 0.5:
        return f"{body}\nfn.fori_loop({s.rng.randint(0, 1)}, {number(s)}, {g}, {x})"
    condition = s.rng.choice(("c[1].abs().sum() < 9", "(c[1] > 0).any()", "c[1].sum() > -1", "c[0] >= 0"))
    test = f"lambda c: (c[0] < {s.rng.randint(1, 4)}) & ({condition})"
    return f"{body}\nfn.while_loop({test}, lambda c: (c[0] + 1, {g}(c[0], c[1])), (torch.tensor(0), {x}))"


def nested_call(s: Scope) -> str:
    """Generate a number and its derivatives, through nested jits, batches and maps."""
    x, g, p = s.pick(lambda x: x.dtype in FLOATS and x.numel() <= 16), s.fresh("g"), s.fresh()
    inner = block(s, {p: s.values[x]}, 5)
    return define(g, [p], inner.lines, scalar(s, inner)) + "\n" + s.rng.choice(templates(CALLS)).format(g=g, x=x)


def combined(s: Scope) -> str:
    """Generate an associative scan."""
    x = s.pick(lambda t: t.ndim > 0 and t.dtype in FLOATS and t.numel() > 0)
    axis, f = s.rng.randrange(s.values[x].ndim), s.rng.choice(templates(COMBINATIONS))
    return f"fn.associative_scan({f}, {x}, {s.rng.random() < 0.5}, {axis})"


def custom(s: Scope) -> str:
    """Generate a function with a derivative of its own, and a use of it."""
    x, g, h, p = s.pick(lambda x: x.dtype in FLOATS and x.numel() <= 16), s.fresh("g"), s.fresh("h"), s.fresh()
    inner = block(s, {p: s.values[x]}, 3)
    result = made_by(inner, s)[-1]
    if inner.values[result].dtype not in FLOATS:
        raise SkipError
    rule, use = s.rng.choice(templates(RULES)), s.rng.choice(templates(USES))
    made = f"{h} = fn.custom_{'vjp' if 'vjp' in rule else 'jvp'}({g})\n{h}.{rule.format(g=g)}"
    return f"{define(g, [p], inner.lines, f'{result} * 1')}\n{made}\n{use.format(h=h, x=x)}"


# with their frequencies
CONTROL: dict[Rule, float] = {branch: 2, repeated: 2.5, nested_call: 2, combined: 0.7, custom: 1.5}
