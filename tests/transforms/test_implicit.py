"""Implicit derivatives against mathematics and against derivatives of the solver's steps."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

DOUBLE = torch.float64


def number(value):
    return torch.tensor(value, dtype=DOUBLE)


def newton(f, x):
    return fn.scan(lambda x, _: (x - f(x) / fn.grad(f)(x), None), x, length=12)[0]


def square_root(a):
    return fn.custom_root(lambda x: x * x - a, a, newton, lambda g, y: y / g(1.0))


def push(f):
    return lambda x: fn.jvp(f, (x,), (torch.ones_like(x),))[1]


ORDERS = {
    "grad": (fn.grad, lambda a: 0.5 * a**-0.5),
    "jvp": (push, lambda a: 0.5 * a**-0.5),
    "grad of grad": (lambda f: fn.grad(fn.grad(f)), lambda a: -0.25 * a**-1.5),
    "jvp of jvp": (lambda f: push(push(f)), lambda a: -0.25 * a**-1.5),
    "jvp of grad": (lambda f: push(fn.grad(f)), lambda a: -0.25 * a**-1.5),
    "grad of jvp": (lambda f: fn.grad(push(f)), lambda a: -0.25 * a**-1.5),
    "third": (lambda f: fn.grad(push(fn.grad(f))), lambda a: 0.375 * a**-2.5),
}


@pytest.mark.parametrize("order", ORDERS)
def test_derivatives_of_a_square_root(order):
    transform, exact = ORDERS[order]
    a = torch.tensor([1.0, 2.0, 9.0], dtype=DOUBLE)
    assert_close(transform(square_root)(a[1]), exact(a[1]), rtol=1e-10, atol=0)
    assert_close(fn.vmap(transform(square_root))(a), exact(a), rtol=1e-10, atol=0)
    mapped = transform(lambda x: fn.vmap(square_root)(x * a).sum())(number(1.0))
    order_of = {"grad": 1, "jvp": 1, "third": 3}.get(order, 2)
    assert_close(mapped, (exact(a) * a**order_of).sum(), rtol=1e-10, atol=0)


def test_jitted_derivatives_of_a_square_root_are_native():
    a = torch.tensor([1.0, 2.0, 9.0], dtype=DOUBLE)
    derivative = fn.jit(fn.vmap(fn.grad(fn.grad(square_root))))
    assert_close(derivative(a), -0.25 * a**-1.5, rtol=1e-10, atol=0)
    assert derivative.explain(a).backend == "native"


def deep_equilibrium(params, x, solve):
    """The fixed point z = tanh(W z + U x + b), and a linear read-out of it."""

    def residual(z):
        return torch.tanh(params["w"] @ z + params["u"] @ x + params["b"]) - z

    return params["out"] @ solve(residual, torch.zeros_like(params["b"]))


def iterate(residual, z):
    return fn.scan(lambda z, _: (z + residual(z), None), z, length=80)[0]


def implicit(residual, z):
    def tangent_solve(g, y):
        return torch.linalg.solve(fn.jacrev(g)(y), y)

    return fn.custom_root(residual, z, iterate, tangent_solve)


def equilibrium_inputs():
    keys = fn.random.split(fn.random.key(0), 5)
    shapes = {"w": (5, 5), "u": (5, 3), "b": (5,), "out": (5,), "x": (3,)}
    drawn = {
        name: fn.random.normal(key, shape, dtype=DOUBLE) / 4
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    return drawn, drawn.pop("x")


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_a_deep_equilibrium_has_the_gradient_of_the_unrolled_loop(wrap):
    params, x = equilibrium_inputs()
    found = wrap(fn.grad(lambda p, x: deep_equilibrium(p, x, implicit)))(params, x)
    assert_close(found, fn.grad(lambda p, x: deep_equilibrium(p, x, iterate))(params, x), rtol=1e-8, atol=1e-10)
    xs = torch.stack([x, 2 * x])
    batch = wrap(fn.vmap(fn.grad(lambda p, x: deep_equilibrium(p, x, implicit)), in_dims=(None, 0)))(params, xs)
    assert_close(tree.unstack(batch)[0], found)


def ridge(data, log_penalty):
    """The minimiser of |X w - y|² + penalty |w|², by conjugate gradients."""
    x, y = data

    def matvec(w):
        return x.T @ (x @ w) + torch.exp(log_penalty) * w

    def solve(matvec, b):
        return fn.curvature.cg(matvec, b, tol=1e-13, maxiter=40).x

    return fn.custom_linear_solve(matvec, x.T @ y, solve, symmetric=True)


def ridge_inputs():
    keys = fn.random.split(fn.random.key(1), 3)
    x = fn.random.normal(keys[0], (20, 4), dtype=DOUBLE)
    y = x @ fn.random.normal(keys[1], (4,), dtype=DOUBLE) + fn.random.normal(keys[2], (20,), dtype=DOUBLE)
    return (x[:12], y[:12]), (x[12:], y[12:])


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_the_gradient_of_a_ridge_penalty(wrap):
    train, (x, y) = ridge_inputs()

    def validation(log_penalty, train):
        return (x @ ridge(train, log_penalty) - y).square().mean()

    def exact(log_penalty, train):
        a = train[0].T @ train[0] + torch.exp(log_penalty) * torch.eye(4, dtype=DOUBLE)
        return (x @ torch.linalg.solve(a, train[0].T @ train[1]) - y).square().mean()

    at = number(0.5), train
    assert_close(wrap(fn.grad(validation, (0, 1)))(*at), fn.grad(exact, (0, 1))(*at), rtol=1e-8, atol=1e-10)
    assert_close(fn.hessian(validation)(*at), fn.hessian(exact)(*at), rtol=1e-8, atol=1e-10)
    penalties = torch.linspace(-1.0, 1.0, 3, dtype=DOUBLE)
    found = wrap(fn.vmap(fn.grad(validation), in_dims=(0, None)))(penalties, train)
    assert_close(found, torch.stack([fn.grad(exact)(p, train) for p in penalties]), rtol=1e-8, atol=1e-10)


def triangular(entries, b, transpose_solve=True):
    a = torch.tril(entries)

    def solve(upper):
        def solve(matvec, b):
            return torch.linalg.solve_triangular(a.T if upper else a, b[:, None], upper=upper)[:, 0], matvec

        return lambda matvec, b: solve(matvec, b)[0]

    return fn.custom_linear_solve(
        lambda v: a @ v, b, solve(upper=False), solve(upper=True) if transpose_solve else None
    )


ENTRIES = torch.linspace(0.5, 2.0, 9, dtype=DOUBLE).reshape(3, 3)
B = torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE)


def test_a_system_that_is_not_symmetric():
    def exact(entries, b):
        return torch.linalg.solve(torch.tril(entries), b)

    for transform in (
        lambda f: fn.jacrev(f, (0, 1)),
        lambda f: fn.jacfwd(f, (0, 1)),
        lambda f: fn.jacfwd(fn.jacrev(f)),
    ):
        assert_close(transform(triangular)(ENTRIES, B), transform(exact)(ENTRIES, B))
    with pytest.raises(TypeError, match="expected transpose_solve, which reverse mode needs, got None"):
        fn.jacrev(lambda e: triangular(e, B, transpose_solve=False))(ENTRIES)
    forward = fn.jacfwd(lambda e: triangular(e, B, transpose_solve=False))(ENTRIES)
    assert_close(forward, fn.jacfwd(exact)(ENTRIES, B))


def test_auxiliary_results_have_no_derivative():
    def root(a):
        def solve(f, x):
            return newton(f, x), {"steps": 12, "residual": f(x)}

        return fn.custom_root(lambda x: x * x - a, a, solve, lambda g, y: y / g(1.0), has_aux=True)

    gradient, aux = fn.grad(root, has_aux=True)(number(4.0))
    assert gradient == 0.25 and aux == {"steps": 12, "residual": 12}
    assert fn.jvp(lambda a: root(a)[0], (number(4.0),), (number(1.0),))[1] == 0.25

    def system(a):
        def solve(matvec, b):
            return b / a, torch.tensor(5)

        return fn.custom_linear_solve(lambda v: a * v, number(3.0), solve, symmetric=True, has_aux=True)

    assert fn.grad(system, has_aux=True)(number(2.0)) == (-0.75, 5)


def test_the_solver_may_iterate_until_it_has_converged():
    calls = []

    def bisect(f, x):
        low, high = torch.zeros_like(x), x + 1
        while high - low > 1e-13:
            calls.append(middle := (low + high) / 2)
            low, high = (low, middle) if f(middle) > 0 else (middle, high)
        return low

    def root(a):
        return fn.custom_root(lambda x: x * x - a, a, bisect, lambda g, y: y / g(1.0))

    assert_close(fn.grad(root)(number(2.0)), number(0.5 * 2**-0.5)) and calls


ERRORS = {
    "not callable": (
        lambda: fn.custom_root(1.0, B, newton, newton),
        TypeError,
        "custom_root: expected f to be callable",
    ),
    "integers": (
        lambda: fn.custom_root(lambda x: x, {"n": torch.tensor(1)}, newton, newton),
        TypeError,
        r'custom_root: at path "n": expected a floating-point or complex tensor, got int64 tensor',
    ),
    "shape": (
        lambda: fn.custom_linear_solve(lambda v: v, B, lambda matvec, b: b[:1]),
        ValueError,
        r"custom_linear_solve: expected solve to return a tree like its start, but they differ",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    call, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        call()
