"""Laws of control flow: eager, jit, vmap, and jit of vmap equal plain Python; derivatives equal finite differences."""

import pytest
import torch
from control_flow_programs import FORWARD, PROGRAMS, XS, W

import funcnet as fn
from funcnet import tree

REVERSE = [name for name in PROGRAMS if name not in FORWARD]


def same(got, want, rtol=1e-12, atol=0.0):
    assert tree.difference(got, want, rtol=rtol, atol=atol) is None


def in_python(name):
    return [PROGRAMS[name][1](x, W) for x in XS]


def together(names=PROGRAMS, derive=lambda f: f):
    """Return all programs as one function, which is compiled once."""
    return lambda x, w: {name: derive(PROGRAMS[name][0])(x, w) for name in names}


def stacked(names, f):
    return {name: tree.stack(f(name)) for name in names}


def total(f):
    """Return the sum of the floating results, and derivatives with respect to x and w."""

    def of(x, w):
        leaves = filter(tree.is_floating, tree.leaves(f(x, w)))
        return sum((leaf.sin().sum() for leaf in leaves), torch.zeros(()).double())

    return of


def differences(f, x, w, step=1e-6):
    """Return the derivative along (1, 1, 1, 1) by central differences of a function of plain Python."""
    return (f(x + step, w + step) - f(x - step, w - step)) / (2 * step)


@pytest.mark.parametrize("name", PROGRAMS)
def test_eager_and_vmap_equal_python(name):
    f, want = PROGRAMS[name][0], in_python(name)
    for x, each in zip(XS, want, strict=True):
        same(f(x, W), each)
    same(fn.vmap(f, (0, None))(XS, W), tree.stack(want))
    nested = fn.vmap(fn.vmap(f, (0, None)), (None, 0))(XS, torch.stack([W, W]))
    same(nested, tree.stack([tree.stack(want)] * 2))


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_jit_equals_python(backend):
    run = fn.jit(together(), backend=backend)
    for i, x in enumerate(XS):
        same(run(x, W), {name: in_python(name)[i] for name in PROGRAMS})


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_jit_of_vmap_equals_python(backend):
    same(fn.jit(fn.vmap(together(), (0, None)), backend=backend)(XS, W), stacked(PROGRAMS, in_python))


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_jit_of_nested_vmaps_equals_python(name):
    f = PROGRAMS[name][0]
    run = fn.jit(fn.vmap(fn.vmap(f, (0, None)), (None, 0)), backend="native")
    same(run(XS, torch.stack([W, W])), tree.stack([tree.stack(in_python(name))] * 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["branch", "several", "newton", "prefixes", "branch_in_scan", "mapped_loop"])
def test_inductor_equals_python(name):
    f = PROGRAMS[name][0]
    for x, want in zip(XS[1:3], in_python(name)[1:3], strict=True):
        same(fn.jit(f, backend="inductor")(x, W), want)


def gradients(name, grad=fn.grad):
    """Return the derivative along (1, 1, 1, 1) from the gradient."""

    def along(x, w):
        by_x, by_w = grad(total(PROGRAMS[name][0]), (0, 1))(x, w)
        return by_x + by_w.sum()

    return along


def tangents(f):
    return lambda x, w: fn.jvp(total(f), (x, w), (torch.ones_like(x), torch.ones_like(w)))[1]


@pytest.mark.few(6)
@pytest.mark.parametrize("name", REVERSE)
def test_gradients_equal_finite_differences(name):
    want = torch.stack([differences(total(PROGRAMS[name][1]), x, W) for x in XS])
    along = gradients(name)
    same(torch.stack([along(x, W) for x in XS]), want, rtol=1e-6, atol=1e-8)
    same(fn.vmap(along, (0, None))(XS, W), want, rtol=1e-6, atol=1e-8)
    by_x, by_w = fn.grad(lambda xs, w: fn.vmap(total(PROGRAMS[name][0]), (0, None))(xs, w).sum(), (0, 1))(XS, W)
    same(by_x.sum() + by_w.sum(), want.sum(), rtol=1e-6, atol=1e-8)


@pytest.mark.few(7)
@pytest.mark.parametrize("name", PROGRAMS)
def test_tangents_equal_finite_differences(name):
    want = torch.stack([differences(total(PROGRAMS[name][1]), x, W) for x in XS])
    along = tangents(PROGRAMS[name][0])
    same(torch.stack([along(x, W) for x in XS]), want, rtol=1e-6, atol=1e-8)
    same(fn.vmap(along, (0, None))(XS, W), want, rtol=1e-6, atol=1e-8)
    batched = fn.vmap(total(PROGRAMS[name][0]), (0, None))
    same(fn.jvp(batched, (XS, W), (torch.ones_like(XS), torch.ones_like(W)))[1], want, rtol=1e-6, atol=1e-8)


FEW = ("branch", "backwards", "scan_in_branch", "mapped_branch"), ("newton", "loop_in_branch", "loop_in_scan")


@pytest.mark.parametrize("names", [FEW[0], pytest.param(REVERSE, marks=pytest.mark.slow)], ids=["few", "all"])
def test_compiled_gradients(names):
    want = {name: torch.stack([gradients(name)(x, W) for x in XS]) for name in names}
    run = lambda x, w: {name: gradients(name)(x, w) for name in names}  # noqa: E731
    same(fn.jit(fn.vmap(run, (0, None)), backend="native")(XS, W), want)
    single = fn.jit(run, backend="eager")
    for i, x in enumerate(XS):
        same(single(x, W), tree.map(lambda rows, i=i: rows[i], want))


@pytest.mark.parametrize("names", [FEW[1], pytest.param(PROGRAMS, marks=pytest.mark.slow)], ids=["few", "all"])
def test_compiled_tangents(names):
    want = {name: torch.stack([tangents(PROGRAMS[name][0])(x, W) for x in XS]) for name in names}
    run = fn.vmap(together(names, tangents), (0, None))
    same(fn.jit(run, backend="native")(XS, W), want)


@pytest.mark.slow
@pytest.mark.parametrize("name", REVERSE)
def test_gradients_of_batches_and_second_derivatives_in_jit(name):
    f = total(PROGRAMS[name][0])
    batch = lambda xs, w: fn.vmap(f, (0, None))(xs, w).sum()  # noqa: E731
    same(fn.jit(fn.grad(batch, (0, 1)), backend="native")(XS, W), fn.grad(batch, (0, 1))(XS, W))
    second = fn.grad(lambda w: fn.grad(f, 1)(XS[2], w).square().sum())
    same(fn.jit(second, backend="native")(W), second(W), rtol=1e-9)


@pytest.mark.parametrize("name", sorted(FORWARD - {"search"}))
def test_a_loop_with_a_condition_has_no_reverse_derivative(name):
    f = total(PROGRAMS[name][0])
    calls = {"grad": fn.grad(f), "jit": fn.jit(fn.grad(f), backend="eager")}
    for call in calls.values():
        with pytest.raises(
            ValueError, match=r"while_loop: reverse-mode differentiation .* does not work .* Use scan, or"
        ):
            call(XS[4], W)
