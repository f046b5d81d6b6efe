"""Transformations on pytrees: against torch.func on plain tensors, known formulas, each other, finite differences."""

import pytest
import torch
from programs import cubes
from tables import TREES, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

trees = pytest.mark.parametrize("make", [make for name, make in TREES.items() if name != "empty"])


def slope(params):
    return tree.map(lambda x: 3 * x**2, tree.partition(params, tree.is_floating)[0])


@trees
def test_gradients_are_like_the_argument_with_none_at_other_leaves(make):
    params = make()
    value, gradient = fn.value_and_grad(cubes)(params)
    assert_close(value, cubes(params))
    assert tree.difference(gradient, slope(params), rtol=1e-6) is None
    assert tree.equal(fn.grad(cubes)(params), gradient)
    assert tree.structure(tree.map(lambda _: 0, gradient)) == tree.structure(
        tree.map(lambda _: 0, tree.partition(params, tree.is_floating)[0])
    )


@trees
def test_forward_and_reverse_agree_on_any_tree(make):
    params = make()
    direction = tree.scale(0.5, params)
    value, tangent = fn.jvp(cubes, (params,), (direction,))
    assert_close(value, cubes(params))
    assert_close(tangent, tree.dot(slope(params), direction).double(), rtol=1e-6, atol=1e-8)
    _, pullback = fn.vjp(cubes, params)
    assert tree.difference(pullback(torch.tensor(2.0).double())[0], tree.scale(2.0, slope(params)), rtol=1e-6) is None
    _, pushforward = fn.linearize(cubes, params)
    assert_close(pushforward(direction), tangent, rtol=1e-6, atol=1e-8)


def test_forward_mode_with_elements_that_share_memory():
    x, tangent = numbers(1).expand(3), numbers(3, seed=1)
    assert_close(fn.jvp(torch.sin, (x,), (tangent,))[1], x.cos() * tangent)
    assert_close(fn.jacfwd(torch.sin)(x), torch.diag(x.cos()))
    rows = numbers(2, 1).expand(2, 3)
    assert_close(fn.vmap(lambda x: fn.jvp(torch.sin, (x,), (tangent,))[1])(rows), rows.cos() * tangent)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_derivatives_of_a_0d_tensor_and_a_number_keep_the_dtype(dtype):
    def f(x):
        return {"times": x.mean() * 0.5, "plus": x.sum() + 1.0}

    x = torch.ones(3, dtype=dtype)
    expected = {"times": torch.tensor(0.5, dtype=dtype), "plus": torch.tensor(3.0, dtype=dtype)}
    assert tree.allclose(fn.jvp(f, (x,), (x,))[1], expected, rtol=1e-3)
    assert tree.allclose(fn.vmap(lambda x: fn.jvp(f, (x,), (x,))[1])(x[None]), tree.stack([expected]), rtol=1e-3)
    assert {leaf.dtype for leaf in tree.leaves((fn.jacfwd(f)(x), fn.jacrev(f)(x)))} == {dtype}
    assert fn.hessian(lambda x: (x**2).sum() * 2.0)(x).dtype == dtype


def test_derivatives_with_respect_to_empty_tensors():
    nothing = torch.zeros(0, 2)
    assert fn.jacfwd(lambda x: x**2)(nothing).shape == (0, 2, 0, 2)
    assert fn.hessian(lambda x: (x**2).sum())(nothing).shape == (0, 2, 0, 2)
    assert fn.grad(lambda x: (x**2).sum())(nothing).shape == (0, 2)


@pytest.mark.slow
def test_transformed_functions_compile():
    def f(params, x):
        def loss(params, x):
            return (torch.tanh(x @ params["w"]) ** params["power"]).sum()

        grads = fn.vmap(lambda row: fn.grad(loss)(params, row)["w"], chunk_size=2)(x)
        return grads, fn.hessian(lambda w: loss({"w": w, "power": 2}, x))(params["w"])

    params, x = {"w": numbers(3), "power": 2}, numbers(4, 3, seed=1)
    torch._dynamo.reset()
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")(params, x)
    assert tree.difference(compiled, f(params, x), rtol=1e-12, atol=1e-12) is None


@pytest.mark.parametrize("transform", [fn.grad, fn.value_and_grad, fn.jacfwd, fn.jacrev, fn.hessian, fn.remat])
def test_transformed_functions_keep_name_and_docstring(transform):
    assert (transform(cubes).__name__, transform(cubes).__doc__) == ("cubes", cubes.__doc__)


def test_remat_passes_integers_through_derivatives():
    def f(x):
        return x**2, (x > 0).sum()

    x = numbers(3)
    (y, count), (tangent, nothing) = fn.jvp(fn.remat(f), (x,), (x,))
    assert tree.equal((y, count, tangent, nothing), (*f(x), 2 * x**2, None))
    x.requires_grad_()
    y, count = fn.remat(f)(x)
    assert y.requires_grad and not count.requires_grad


def test_the_pair_with_aux_may_be_a_list():
    assert fn.grad(lambda x: [x**2, "aux"], has_aux=True)(torch.tensor(3.0)) == (torch.tensor(6.0), "aux")


def test_aux_may_hold_anything():
    def f(x):
        return (x**2).sum(), {"count": (x > 0).sum(), "name": "squares", "none": None, "inner": [x * 2]}

    x = numbers(3)
    gradient, aux = fn.grad(f, has_aux=True)(x)
    assert_close(gradient, 2 * x)
    assert tree.equal(aux, f(x)[1])
    (value, aux), gradient = fn.value_and_grad(f, has_aux=True)(x)
    assert_close(value, (x**2).sum())
    assert tree.equal(aux, f(x)[1])
    assert tree.equal(fn.jvp(f, (x,), (x,), has_aux=True)[2], f(x)[1])
    assert tree.equal(fn.vjp(f, x, has_aux=True)[2], f(x)[1])


def test_gradients_with_respect_to_several_arguments_and_the_last():
    x, y = numbers(2), numbers(2, seed=1)
    assert tree.equal(fn.grad(lambda x, y, k: (x * y).sum() * k, (0, 1))(x, y, k=2), (2 * y, 2 * x))
    assert tree.equal(fn.grad(lambda x, y: (x * y).sum(), -1)(x, y), x)


NESTINGS = {
    "grad of grad": (lambda f: fn.grad(lambda x: fn.grad(f)(x).sum()), lambda x: 6 * x),
    "vmap of grad": (lambda f: fn.vmap(fn.grad(f)), lambda x: 3 * x**2),
    "grad of vmap": (lambda f: fn.grad(lambda x: fn.vmap(f)(x).sum()), lambda x: 3 * x**2),
    "jvp of grad": (lambda f: lambda x: fn.jvp(fn.grad(f), (x,), (torch.ones_like(x),))[1], lambda x: 6 * x),
    "vjp of vmap": (lambda f: lambda x: fn.vjp(fn.vmap(f), x)[1](torch.ones_like(x))[0], lambda x: 3 * x**2),
    "vmap of hessian": (lambda f: fn.vmap(fn.hessian(f)), lambda x: 6 * x),
    "jacfwd of jacrev of grad": (lambda f: fn.vmap(fn.jacfwd(fn.jacrev(fn.grad(f)))), lambda x: 6 + 0 * x),
    "grad of jvp": (lambda f: fn.grad(lambda x: fn.jvp(f, (x,), (x,))[1].sum()), lambda x: 9 * x**2),
    "vmap of linearize": (lambda f: fn.vmap(lambda x: fn.linearize(f, x)[1](x)), lambda x: 3 * x**3),
    "grad of linearize": (lambda f: fn.grad(lambda x: fn.linearize(f, x)[1](x)), lambda x: 9 * x**2),
    "linearize of grad": (lambda f: lambda x: fn.linearize(fn.grad(f), x)[1](x), lambda x: 6 * x**2),
    "vmap of vmap": (lambda f: lambda x: fn.vmap(fn.vmap(f))(x[None])[0], lambda x: x**3),
}


@pytest.mark.parametrize("rematerialise", [False, True])
@pytest.mark.parametrize("transform, expected", NESTINGS.values(), ids=NESTINGS)
def test_transformations_nest_in_any_order(transform, expected, rematerialise):
    def cube(x):
        return (x**3).sum()

    x = numbers(4)
    assert_close(transform(fn.remat(cube) if rematerialise else cube)(x), expected(x))


@pytest.mark.parametrize("how", ["mean", "prod"])
def test_forward_derivatives_of_scattered_values(how):
    index, ones = torch.tensor([0, 2, 0]), torch.ones(4, dtype=torch.float64)

    def f(x):
        written = torch.ones_like(x).scatter_reduce_(0, index, x[1:] * x[0], how, include_self=False)
        return (x * x).scatter_reduce(0, index, x[1:].sin(), how) + written

    x = numbers(4)
    assert_close(fn.jvp(f, (x,), (ones,))[1], fn.jacrev(f)(x) @ ones)
    hessians = [t(fn.grad(lambda x: f(x).sum())) for t in (fn.jacfwd, fn.jacrev)]
    assert_close(hessians[0](x), hessians[1](x))
    assert_close(fn.jit(hessians[0])(x), hessians[1](x))
