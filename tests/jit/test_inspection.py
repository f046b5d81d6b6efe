"""eval_shape, make_program, and the arguments of jit that JAX has."""

import pytest
import torch

import funcnet as fn

X = torch.ones(2, 3)
LIKE = fn.ShapeDtypeStruct((2, 3), torch.float32)


def layered(x, n):
    return {"y": x.sin() @ x.T, "mean": x.double().mean(0), "n": n, "none": None, "index": x.argmax()}


@pytest.mark.parametrize("x", [X, LIKE], ids=["tensor", "struct"])
def test_eval_shape_agrees_with_the_result(x):
    found = fn.eval_shape(layered, x, n=3)
    expected = layered(X, n=3)
    assert fn.tree.structure(found) == fn.tree.structure(expected)
    for a, b in zip(fn.tree.leaves(found), fn.tree.leaves(expected), strict=True):
        if isinstance(b, torch.Tensor):
            assert a == fn.ShapeDtypeStruct(b.shape, b.dtype, b.device)
        else:
            assert a == b


def test_eval_shape_computes_nothing():
    huge = fn.ShapeDtypeStruct((1_000_000, 1_000_000), torch.float32)
    found = fn.eval_shape(fn.vmap(fn.grad(lambda x: (x @ x).exp())), huge)
    assert found == huge


def test_eval_shape_of_transformed_loops():
    def f(x):
        return fn.scan(lambda c, row: (c + row.sum(), c * row), torch.tensor(0.0), x)

    total, ys = fn.eval_shape(fn.jacrev(f), LIKE)
    assert (total.shape, ys.shape) == ((2, 3), (2, 3, 2, 3))
    assert fn.eval_shape(fn.vmap(fn.jit(f)), fn.ShapeDtypeStruct((4, 2, 3), torch.float32))[1].shape == (4, 2, 3)


def test_eval_shape_reports_wrong_shapes_and_values_read():
    with pytest.raises(RuntimeError, match="must have same reduction dim"):
        fn.eval_shape(torch.matmul, LIKE, LIKE)
    with pytest.raises(fn.StagingError, match="needs the values"):
        fn.eval_shape(lambda x: 1 if x.sum() > 0 else 2, LIKE)
    with pytest.raises(TypeError, match=r"eval_shape: expected f to be callable"):
        fn.eval_shape(3, LIKE)


def test_a_program_prints_its_operations():
    program = fn.make_program(fn.vmap(lambda x, s: torch.exp(x) * s, in_dims=(0, None)))(LIKE, 2.0)
    assert repr(program) == (
        "(v0: float32[2, 3]) ->\n  v1: float32[2, 3] = aten.exp(v0)\n"
        "  v2: float32[2, 3] = aten.mul.Tensor(v1, 2.0)\n  return [v2]"
    )


def test_hints_of_jax_are_accepted():
    f = fn.jit(
        lambda a, b: a + b, donate_argnums=(0,), donate_argnames="b", inline=True, keep_unused=True, backend="eager"
    )
    assert f(X, X).sum() == 12 and X.sum() == 6


@pytest.mark.parametrize("options", [{"static_argnums": 1}, {"static_argnames": "n"}, {"static_argnums": (-1,)}])
def test_static_arguments_by_position_and_by_keyword(options):
    seen = []

    def power(x, n):
        seen.append(type(n))
        return x**n

    f = fn.jit(power, backend="eager", **options)
    assert f(X, 2).sum() == f(X, n=2).sum() == 6 and f(X, n=3).sum() == f(X, 4).sum() == 6
    assert seen == [int] * 4


def test_static_arguments_must_be_hashable():
    f = fn.jit(lambda x, option: x * len(option), static_argnums=1, backend="eager")
    assert f(X, (1, 2)).sum() == 12 and f(X, "abc").sum() == 18
    for option, name in (([1, 2], "list"), (torch.ones(2), "float32 tensor"), ({"a": 1}, "dict")):
        with pytest.raises(ValueError, match=rf"jit: expected the static argument 1 to be hashable.*got {name}"):
            f(X, option)
    with pytest.raises(ValueError, match="static argument 'option'"):
        f(X, option=[1, 2])


def test_a_program_comes_with_the_shapes_of_its_results():
    program, shapes = fn.make_program(lambda x, n: {"y": x * n}, static_argnums=(1,), return_shape=True)(
        torch.ones(3), 2
    )
    assert "aten.mul.Tensor(v0, 2)" in str(program)
    assert shapes == {"y": fn.ShapeDtypeStruct((3,), torch.float32)}


@pytest.mark.parametrize("dtype", ["int32", int, torch.int32])
def test_dtypes_of_shapes_have_several_names(dtype):
    assert fn.eval_shape(lambda x: x + 1, fn.ShapeDtypeStruct([2], dtype)).dtype == torch.int32


def test_a_shape_needs_a_dtype():
    with pytest.raises(TypeError, match="ShapeDtypeStruct: expected a dtype, .* got 'tensor'"):
        fn.ShapeDtypeStruct((2,), "tensor")


def test_options_of_jit_may_be_none():
    options = {"static_argnums": None, "static_argnames": None, "donate_argnums": None, "donate_argnames": None}
    assert fn.jit(lambda x, n: x * n, backend=None, **options)(torch.ones(1), 3).item() == 3
