"""jacfwd, jacrev and hessian: trees of trees, their modes, and chunks."""

import pytest
import torch
from tables import Point, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree


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


def test_jacobians_with_respect_to_several_dtypes():
    x, y = torch.ones(1), torch.ones(2).double()
    by_x, by_y = fn.jacfwd(lambda x, y: x * y * 2.0, (0, 1))(x, y)
    assert tree.equal((by_x, by_y), (2 * torch.ones(2, 1).double(), 2 * torch.eye(2).double()))


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


def test_hessian_of_a_tree():
    p = {"a": numbers(2), "b": numbers(seed=1), "n": 2}
    h = fn.hessian(lambda p: (p["a"] ** 3).sum() * p["b"] * p["n"])(p)
    assert_close(h["a"]["a"], 12 * p["b"] * torch.diag(p["a"]))
    assert_close(h["a"]["b"], 6 * p["a"] ** 2)
    assert_close(h["b"]["a"], 6 * p["a"] ** 2)
    assert_close(h["b"]["b"], torch.zeros(()).double())


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
