"""Transformations on pytrees: against torch.func on plain tensors, known formulas, each other, finite differences."""

import pytest
import torch
from programs import cubes
from tables import TREES, Point, numbers
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


@pytest.mark.parametrize("jacobian", [fn.jacfwd, fn.jacrev])
def test_jacobians_are_trees_of_trees(jacobian):
    def f(p):
        return {"product": p.x * p.y, "sum": (p.x.sum() + p.y, "label")}

    at = Point(numbers(3), numbers(seed=1))
    rows = jacobian(f)(at)
    assert_close(rows["product"].x, at.y * torch.eye(3).double())
    assert_close(rows["product"].y, at.x)
    assert_close(rows["sum"][0].x, torch.ones(3).double())
    assert_close(rows["sum"][0].y, torch.ones(()).double())
    assert rows["sum"][1] is None


def test_jacobian_with_aux_several_arguments_and_chunks():
    x, y = numbers(4), numbers(4, seed=1)
    (by_x, by_y), aux = fn.jacrev(lambda x, y: (x * y**2, {"n": 3, "x": x}), (0, 1), has_aux=True, chunk_size=2)(x, y)
    assert_close(by_x, torch.diag(y**2))
    assert_close(by_y, torch.diag(2 * x * y))
    assert tree.equal(aux, {"n": 3, "x": x})
    assert tree.equal(fn.jacfwd(lambda x, y: (x * y, 7), -1, has_aux=True)(x, y), (torch.diag(x), 7))


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


def test_jacobians_with_respect_to_several_dtypes():
    x, y = torch.ones(1), torch.ones(2).double()
    by_x, by_y = fn.jacfwd(lambda x, y: x * y * 2.0, (0, 1))(x, y)
    assert tree.equal((by_x, by_y), (2 * torch.ones(2, 1).double(), 2 * torch.eye(2).double()))


def test_derivatives_with_respect_to_empty_tensors():
    nothing = torch.zeros(0, 2)
    assert fn.jacfwd(lambda x: x**2)(nothing).shape == (0, 2, 0, 2)
    assert fn.hessian(lambda x: (x**2).sum())(nothing).shape == (0, 2, 0, 2)
    assert fn.grad(lambda x: (x**2).sum())(nothing).shape == (0, 2)


@pytest.mark.parametrize("chunk_size, expected", [(None, [6]), (4, [4, 2]), (6, [6]), (9, [6])])
def test_jacrev_runs_at_most_chunk_size_passes_at_once(chunk_size, expected):
    sizes = []

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x**2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, cotangent):
            return Pull.apply(ctx.saved_tensors[0], cotangent)

    class Pull(torch.autograd.Function):
        @staticmethod
        def forward(x, cotangent):
            return 2 * x * cotangent

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, x, cotangent):
            sizes.append(info.batch_size)
            return Pull.apply(x, cotangent), 0

    x = numbers(6)
    assert_close(fn.jacrev(Square.apply, chunk_size=chunk_size)(x), torch.diag(2 * x))
    assert sizes == expected


class Push(torch.autograd.Function):
    """Computes x^3 with a derivative in forward mode only."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx, tangent):
        return 3 * ctx.saved_tensors[0] ** 2 * tangent


class PushOfPull(torch.autograd.Function):
    """Computes x^4 / 4, whose derivative is `Push`, so it can be differentiated again in forward mode only."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**4 / 4

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx, tangent):
        return Push.apply(ctx.saved_tensors[0]) * tangent

    @staticmethod
    def backward(ctx, cotangent):
        return Push.apply(ctx.saved_tensors[0]) * cotangent


def test_jacfwd_uses_forward_mode_and_hessian_forward_over_reverse():
    x = numbers(3)
    assert_close(fn.jacfwd(Push.apply)(x), torch.diag(3 * x**2))
    with pytest.raises(NotImplementedError):
        fn.jacrev(Push.apply)(x)
    assert_close(fn.hessian(lambda x: PushOfPull.apply(x).sum())(x), torch.diag(3 * x**2))


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


def test_hessian_of_a_tree():
    p = {"a": numbers(2), "b": numbers(seed=1), "n": 2}
    h = fn.hessian(lambda p: (p["a"] ** 3).sum() * p["b"] * p["n"])(p)
    assert_close(h["a"]["a"], 12 * p["b"] * torch.diag(p["a"]))
    assert_close(h["a"]["b"], 6 * p["a"] ** 2)
    assert_close(h["b"]["a"], 6 * p["a"] ** 2)
    assert_close(h["b"]["b"], torch.zeros(()).double())


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


@pytest.mark.parametrize(
    "chunk_size, wrap", [(1, lambda f: f), (2, lambda f: f), (6, lambda f: f), (100, lambda f: f), (5, fn.jit)]
)
def test_chunks_of_forward_passes(chunk_size, wrap):
    """jacfwd and hessian compute the same in chunks, of complex numbers and trees as well."""
    x, y = numbers(4), {"a": numbers(2, seed=1), "n": 3, "b": numbers(seed=2)}

    def f(x, y):
        return {"sum": (x.sin() * y["a"].sum() * y["b"]), "z": torch.complex(x, x * y["b"])}, {"x": x.cos(), "n": 7}

    options = {"argnums": (0, 1), "has_aux": True}
    found = wrap(fn.jacfwd(f, chunk_size=chunk_size, **options))(x, y)
    assert_close(found, fn.jacfwd(f, **options)(x, y), rtol=0, atol=1e-15)

    def scalar(x, y):
        return (x.sin() * y["b"]).prod() + y["a"].square().sum() * x[0], (x[0], 5)

    found = wrap(fn.hessian(scalar, chunk_size=chunk_size, **options))(x, y)
    hessian = fn.hessian(lambda x, y: scalar(x, y)[0], (0, 1))(x, y)
    assert_close(found, (hessian, (x[0], 5)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("chunk_size, passes", [(None, 1), (4, 2), (1, 6), (6, 1)])
def test_jacfwd_runs_the_function_once_per_chunk(chunk_size, passes):
    calls = []
    x = numbers(6)
    assert_close(fn.jacfwd(lambda x: calls.append(x) or x**2, chunk_size=chunk_size)(x), torch.diag(2 * x))
    assert len(calls) == passes
