"""Outputs without a cotangent take no part in a derivative: zero times an infinite derivative would be NaN."""

import pytest
import torch

import funcnet as fn

W = torch.ones(2, dtype=torch.float64)


def distance(w):
    return (w - 1.0).square().sum().sqrt()  # 0 at first, where sqrt has no derivative


ZERO = torch.zeros((), dtype=torch.float64)


def scanned(step, start=lambda w: w, length=3):
    return lambda w: fn.scan(lambda c, _: step(c, w), start(w), length=length)


def inner(c, w):
    return fn.scan(lambda c, _: (c * 0.9 * w, distance(c)), c, length=2)


def with_inner(c, w):
    new, seen = inner(c[0], w)
    return (new, c[1] + seen.sum()), seen


METRIC = scanned(lambda c, w: (0.9 * c, distance(c)))
LOSSES = {
    "an output": lambda w: METRIC(w)[0].sum(),
    "one of several outputs": lambda w: scanned(lambda c, w: (0.9 * c, {"d": distance(c), "l": (c**2).sum()}))(w)[1][
        "l"
    ].sum(),
    "a carry": lambda w: scanned(lambda c, w: ((0.9 * c[0] * w, c[1] + distance(c[0])), c[0]), lambda w: (w, ZERO))(w)[
        0
    ][0].sum(),
    "a carry of which the last is used": lambda w: scanned(
        lambda c, w: ((0.9 * c[0] * w, distance(c[0])), None), lambda w: (w, ZERO)
    )(w)[0][1],
    "carries of which the last but one is used": lambda w: scanned(
        lambda c, w: ((0.9 * c[0] * w, distance(c[0]), c[1]), None), lambda w: (w, ZERO, ZERO), length=5
    )(w)[0][2],
    "an output of an inner scan": lambda w: scanned(inner)(w)[0].sum(),
    "a carry that sums up an inner scan": lambda w: scanned(with_inner, lambda w: (w, ZERO))(w)[0][0].sum(),
    "a result of remat": lambda w: fn.remat(lambda w: (0.9 * w, distance(w)))(w)[0].sum(),
    "a result of remat in a step": lambda w: scanned(lambda c, w: fn.remat(lambda c: (0.9 * c * w, distance(c)))(c))(w)[
        0
    ].sum(),
    "remat of a scan": lambda w: fn.remat(METRIC)(w)[0].sum(),
    "a detached carry": lambda w: scanned(
        lambda c, w: ((0.9 * c[0] * w + c[1].detach(), c[1] + distance(c[0])), None), lambda w: (w, ZERO)
    )(w)[0][0].sum(),
}
# the expected gradients by the chain rule at w = 1: 0.9^3; 2 (1 + 0.9^2 + 0.9^4); 4 * 0.9^3
VALUES = {
    "an output": 0.729,
    "one of several outputs": 2 * (1 + 0.81 + 0.6561),
    "a carry": 4 * 0.729,
    "an output of an inner scan": 7 * 0.9**6,
    "a result of remat": 0.9,
    "a result of remat in a step": 4 * 0.729,
}
MODES = {
    "jit": lambda g: fn.jit(g),
    "jit, op by op": lambda g: fn.jit(g, backend="eager"),
    "jit of vmap": lambda g: lambda w: fn.jit(fn.vmap(g))(torch.stack([w, w]))[1],
    "vmap in jit": lambda g: lambda w: fn.jit(lambda w: fn.vmap(g)(torch.stack([w, w]))[1], backend="eager")(w),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_and_alike_in_every_mode(name):
    loss = LOSSES[name]
    expected = fn.grad(loss)(W)
    assert expected.isfinite().all()
    if name in VALUES:
        assert torch.allclose(expected, torch.full_like(W, VALUES[name]), rtol=1e-12)
    for mode in ("jit", "vmap in jit"):
        assert torch.allclose(MODES[mode](fn.grad(loss))(W), expected, rtol=1e-12), mode
    over_a_batch = fn.grad(lambda w: fn.vmap(loss)(torch.stack([w, w])).sum())
    assert torch.allclose(fn.jit(over_a_batch, backend="eager")(W), 2 * expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["an output", "a carry of which the last is used", "an output of an inner scan"])
def test_gradients_in_lanes_and_op_by_op(name):
    expected = fn.grad(LOSSES[name])(W)
    for mode in ("jit of vmap", "jit, op by op"):
        assert torch.allclose(MODES[mode](fn.grad(LOSSES[name]))(W), expected, rtol=1e-12), mode


@pytest.mark.parametrize("name", ["an output", "one of several outputs", "a carry", "an output of an inner scan"])
def test_second_derivatives_and_tangents(name):
    loss = LOSSES[name]
    hessian = fn.hessian(loss)(W)
    assert hessian.isfinite().all()
    assert torch.allclose(fn.jit(fn.hessian(loss), backend="eager")(W), hessian, rtol=1e-12)
    twice = fn.grad(lambda w: fn.grad(loss)(w).sum())
    assert torch.allclose(fn.jit(twice, backend="eager")(W), hessian.sum(0), rtol=1e-12)
    pushed = fn.jit(lambda w: fn.jvp(loss, (w,), (w,))[1], backend="eager")(W)
    assert torch.allclose(pushed, (fn.grad(loss)(W) * W).sum(), rtol=1e-12)


def test_metrics_as_auxiliary_values():
    def loss(w):
        last, distances = METRIC(w)
        return last.sum(), distances

    (value, distances), grads = fn.jit(fn.value_and_grad(loss, has_aux=True))(W)
    assert torch.allclose(grads, torch.full_like(W, 0.729), rtol=1e-12)
    assert distances[0] == 0 and torch.allclose(value, 2 * torch.tensor(0.729, dtype=torch.float64))


def test_a_tensor_without_tangent_takes_no_part_in_forward_mode():
    def f(w):
        return fn.scan(lambda c, _: ((c[0] * w, c[1]), c[1].sqrt() * c[0]), (w, ZERO), length=3)[0][0]

    pushed = fn.jit(lambda w: fn.jvp(f, (w,), (torch.ones_like(w),))[1])(W[0])
    assert torch.allclose(pushed, torch.tensor(4.0, dtype=torch.float64))


def test_a_used_output_keeps_its_infinite_derivative():
    loss = lambda w: METRIC(w)[1].sum()  # noqa: E731
    assert not fn.jit(fn.grad(loss))(W).isfinite().any() and not fn.grad(loss)(W).isfinite().any()
