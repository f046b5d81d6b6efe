"""Each construct of control flow inside each other one: all pairs equal plain Python and JAX.

A construct is a function of a body and a number, written with funcnet and in plain Python; it applies the body in
some branch or at some steps, which depend on the number.
"""

import math
from itertools import product

import golden
import pytest
import torch

import funcnet as fn
from funcnet import tree

XS = torch.tensor([-2.63, -0.71, 0.32, 1.24, 2.85], dtype=torch.float64)
W = torch.tensor([0.91, -0.43, 1.77], dtype=torch.float64)


def cond(g, x):
    return fn.cond(x > 0, g, lambda c: c * 0.5, x)


def cond_in_python(g, x):
    return g(x) if x > 0 else x * 0.5


def switch(g, x):
    return fn.switch((2 * x).floor().long(), [torch.sin, g, lambda c: g(c) + c], x)


def switch_in_python(g, x):
    return (torch.sin, g, lambda c: g(c) + c)[min(max(math.floor(2 * x), 0), 2)](x)


def select(g, x):
    return fn.select(x > 0.5, g(x), x - 1)


def select_in_python(g, x):
    return g(x) if x > 0.5 else x - 1


def while_loop(g, x):
    return fn.while_loop(lambda s: s[0] < x.abs(), lambda s: (s[0] + 1, g(s[1])), (0.0, x))[1]


def while_loop_in_python(g, x):
    c = x
    for _ in range(math.ceil(x.abs())):
        c = g(c)
    return c


def fori_loop(g, x):
    return fn.fori_loop(0, 3, lambda i, c: g(c) + i, x)


def fori_loop_in_python(g, x):
    for i in range(3):
        x = g(x) + i
    return x


def scan(g, x):
    last, steps = fn.scan(lambda c, v: (g(c) + v, c), x, W, reverse=True)
    return last + steps.prod()


def scan_in_python(g, x):
    steps = [x]
    for v in reversed(W):
        steps.append(g(steps[-1]) + v)
    return steps[-1] + torch.stack(steps[:-1]).prod()


def map_(g, x):
    return fn.map(lambda v: g(v * x), W, batch_size=2).sum()


def map_in_python(g, x):
    return torch.stack([g(v * x) for v in W]).sum()


def associative_scan(g, x):
    return fn.associative_scan(lambda a, b: a * b, fn.vmap(g)(W + x)).sum()


def associative_scan_in_python(g, x):
    return torch.stack([g(v + x) for v in W]).cumprod(0).sum()


def remat(g, x):
    return fn.remat(lambda x: g(x) * x)(x)


def remat_in_python(g, x):
    return g(x) * x


OURS = (cond, switch, select, while_loop, fori_loop, scan, map_, associative_scan, remat)
CONSTRUCTS = {f.__name__.strip("_"): (f, globals()[f"{f.__name__.strip('_')}_in_python"]) for f in OURS}
PAIRS = [f"{inner} in {outer}" for outer, inner in product(CONSTRUCTS, CONSTRUCTS)]
JAX = golden.load("control_flow_pairs")["pairs"]
REVERSE = [pair for pair in PAIRS if "while" not in pair]


def body(c):
    return (1.3 * c).sin() + 0.4


def nested(pair, which):
    """Return a pair as a function of a number; which is 0 for funcnet and 1 for plain Python."""
    inner, outer = (CONSTRUCTS[name][which] for name in pair.split(" in "))
    return lambda x: outer(lambda c: inner(body, c), x)


def in_jax(pair, which):
    return torch.tensor(JAX[pair][which], dtype=XS.dtype)


def in_python(pair):
    return torch.stack([nested(pair, 1)(x) for x in XS])


def slopes(pair, step=1e-6):
    f = nested(pair, 1)
    return torch.stack([(f(x + step) - f(x - step)) / (2 * step) for x in XS])


def tangent(f):
    return lambda x: fn.jvp(f, (x,), (torch.ones_like(x),))[1]


def same(got, want, rtol=1e-12, atol=1e-13):
    assert tree.difference(got, want, rtol=rtol, atol=atol) is None


@pytest.mark.few(5)
@pytest.mark.parametrize("pair", PAIRS)
def test_eager_and_vmap_equal_python(pair):
    f = nested(pair, 0)
    same(torch.stack([f(x) for x in XS]), in_python(pair))
    same(fn.vmap(f)(XS), in_python(pair))


@pytest.mark.few(5)
@pytest.mark.parametrize("pair", PAIRS)
def test_derivatives_equal_finite_differences_and_those_of_jax(pair):
    f, want = nested(pair, 0), in_jax(pair, "derivatives")
    same(want, slopes(pair), rtol=1e-6, atol=1e-8)
    same(fn.vmap(tangent(f))(XS), want)
    if pair in REVERSE:
        same(fn.vmap(fn.grad(f))(XS), want)


@pytest.mark.slow
@pytest.mark.parametrize("outer", CONSTRUCTS)
def test_kernels_equal_jax(outer):
    """One kernel holds all pairs of an outer construct: JAX's values, tangents and, where they exist, gradients."""
    pairs = [pair for pair in PAIRS if pair.endswith(f" in {outer}")]

    def all_of(x):
        fs = {pair: nested(pair, 0) for pair in pairs}
        grads = {pair: fn.grad(fs[pair])(x) for pair in pairs if pair in REVERSE}
        return {pair: f(x) for pair, f in fs.items()}, {pair: tangent(f)(x) for pair, f in fs.items()}, grads

    values, tangents, grads = together = fn.jit(fn.vmap(all_of), backend="native")(XS)
    derivatives = {pair: in_jax(pair, "derivatives") for pair in pairs}
    same(values, {pair: in_jax(pair, "values") for pair in pairs})
    same(tangents, derivatives)
    same(grads, {pair: derivatives[pair] for pair in grads})
    run = fn.jit(all_of, backend="eager")
    same(tree.stack([run(x) for x in XS]), together)
    alone = fn.jit(lambda x: {pair: nested(pair, 0)(x) for pair in pairs}, backend="native")
    same(tree.stack([alone(x) for x in XS]), values)
