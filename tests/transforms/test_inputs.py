"""numpy arrays and Python numbers as inputs of the transformations behave as in JAX."""

import pytest
import torch

import funcnet as fn

X = torch.tensor([1.0, 2.0])


def square(x):
    return x**2


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_derivatives_at_python_numbers(wrap):
    assert wrap(fn.grad(square))(3.0).item() == 6.0
    assert wrap(fn.grad(fn.grad(lambda x: x**3)))(2.0).item() == 12.0
    value, grad = wrap(fn.value_and_grad(square))(3.0)
    assert (value.item(), grad.item(), grad.dtype) == (9.0, 6.0, torch.float32)
    assert [g.item() for g in wrap(fn.grad(lambda p: p[0] * p[1]))([2.0, 3.0])] == [3.0, 2.0]
    assert wrap(fn.hessian(lambda x: x**3))(2.0).item() == 12.0
    assert wrap(fn.jacfwd(lambda x: x * X))(2.0).tolist() == [1.0, 2.0]
    assert wrap(fn.grad(fn.remat(square)))(3.0).item() == 6.0


def test_numbers_as_primals_tangents_and_cotangents():
    assert [t.item() for t in fn.jvp(square, (3.0,), (2.0,))] == [9.0, 12.0]
    out, pullback = fn.vjp(square, 3.0)
    assert (out.item(), pullback(0.5)[0].item()) == (9.0, 3.0)
    out, pushforward = fn.linearize(square, 3.0)
    assert (out.item(), pushforward(2.0).item()) == (9.0, 12.0)
    assert fn.vjp(square, torch.tensor(3.0, dtype=torch.float64))[1](1.0)[0].dtype == torch.float64


def test_an_integer_has_no_gradient():
    with pytest.raises(TypeError, match=r"got 3 at path .*Make integers floating: 3\.0 for 3"):
        fn.grad(square)(3)
    grads = fn.grad(lambda p: p["x"] * p["n"])({"x": 2.0, "n": 3})
    assert (grads["x"].item(), grads["n"]) == (3.0, None)


def test_arrays_become_tensors_of_their_dtype():
    np = pytest.importorskip("numpy")
    for dtype in ("float32", "float64"):
        array = np.array([1.0, 2.0], dtype=dtype)
        got = fn.grad(lambda x: (x**2).sum())(array)
        assert (got.tolist(), got.dtype) == ([2.0, 4.0], getattr(torch, dtype))
        assert fn.jit(lambda x: x + 1)(array).dtype == getattr(torch, dtype)
        assert array.tolist() == [1.0, 2.0]
    matrix = np.arange(6.0).reshape(2, 3)
    assert fn.vmap(lambda x: x.sum())(matrix).tolist() == [3.0, 12.0]
    assert fn.jit(fn.vmap(lambda x, y: x.sum() + y, in_dims=(0, None)))(matrix, np.float64(1.0)).tolist() == [4.0, 13.0]
    assert fn.jacrev(square)(np.array([1.0, 2.0])).diagonal().tolist() == [2.0, 4.0]
    assert fn.grad(lambda x, y=None: (x * y).sum())(2.0, y=np.ones(2, dtype="float32")).item() == 2.0
    assert fn.scan(lambda c, x: (c + x, None), 0.0, np.arange(3, dtype="float32"))[0].item() == 3.0
    assert fn.jvp(square, (np.ones(2),), (np.full(2, 3.0),))[1].tolist() == [6.0, 6.0]


def test_arrays_of_every_layout():
    np = pytest.importorskip("numpy")
    base = np.arange(6.0).reshape(2, 3)
    read_only = np.broadcast_to(np.float64(1.0), (2, 2))
    for array in (base[::-1], base.T, base[:, ::2], read_only, np.array(5.0), np.zeros((0, 3)), np.array([True])):
        assert torch.equal(fn.jit(lambda x: x.clone())(array), torch.from_numpy(array.copy()))
    with pytest.raises(TypeError, match=r'at path "0": expected an array of a dtype that torch has, got .* <U1'):
        fn.grad(square)(np.array(["a"]))


def test_a_function_does_not_write_to_an_array():
    np = pytest.importorskip("numpy")
    array = np.ones(3)
    result = fn.jit(lambda x: x)(array)
    result += 1
    assert array.tolist() == [1.0] * 3


def test_differentiated_scalars_keep_their_dtype():
    np = pytest.importorskip("numpy")
    for dtype in ("float16", "float32", "float64"):
        number, own = np.dtype(dtype).type(3.0), getattr(torch, dtype)
        for value in (number, np.array(number), np.array([number])[0]):
            wanted = torch.tensor(6.0, dtype=own)
            for transform in (fn.grad, fn.jacfwd, fn.jacrev):
                torch.testing.assert_close(transform(square)(value), wanted)
            torch.testing.assert_close(fn.value_and_grad(square)(value)[0], wanted + 3)
            torch.testing.assert_close(fn.jvp(square, (value,), (number,))[1], 3 * wanted)
            torch.testing.assert_close(fn.vjp(square, value)[1](number)[0], 3 * wanted)
            assert fn.scan(lambda c, _: (c * 2, None), value, length=2)[0].dtype == own
        tree = fn.grad(lambda p: p["a"] * p["b"][0])({"a": number, "b": [2.0]})
        assert (tree["a"].dtype, tree["b"][0].dtype) == (own, torch.float32)
    assert fn.grad(lambda z: abs(z) ** 2)(np.complex128(1 + 2j)).dtype == torch.complex128
    assert fn.grad(square)(3.0).dtype == torch.float32
    for wrong in (np.int64(3), np.bool_(True), np.array(3)):
        with pytest.raises(
            TypeError, match=r'expected a floating-point or complex tensor .* at path "0". Make integers'
        ):
            fn.grad(square)(wrong)


def test_scalars_of_a_dtype_that_torch_does_not_have():
    np = pytest.importorskip("numpy")
    for f in (fn.grad(square), fn.jit(square), fn.vmap(square)):
        with pytest.raises(TypeError, match=r'at path "0(\.0)?": expected an array of a dtype that torch has'):
            f(np.longdouble(3.0))


def test_other_numpy_scalars_are_numbers():
    np = pytest.importorskip("numpy")
    rate = fn.jit(lambda x, a: x * a)
    assert rate(X, np.float64(0.5)).dtype == torch.float32
    assert rate(X, np.float32(0.25)).tolist() == [0.25, 0.5]
    assert rate(X, np.int64(3)).tolist() == [3.0, 6.0]


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_numbers_in_the_carry_of_a_scan(wrap):
    def run(start):
        return fn.scan(lambda c, x: ((c[0] + x, c[1] + 1), c[0]), (start, 0), torch.arange(3.0))

    (total, count), ys = wrap(run)(0.5)
    assert (total.item(), count.item(), ys.tolist()) == (3.5, 3, [0.5, 0.5, 1.5])
    assert (total.dtype, count.dtype) == (torch.float32, torch.int64)
    last, ys = wrap(lambda: fn.scan(lambda c, x: (0.0, c), torch.ones((), dtype=torch.float64), torch.arange(2.0)))()
    assert (last.item(), last.dtype, ys.tolist()) == (0.0, torch.float64, [1.0, 0.0])
    flag, _ = wrap(lambda: fn.scan(lambda c, x: (c | (x > 1), None), False, torch.arange(3.0)))()
    assert flag.item() is True


def test_the_derivative_of_a_scan_from_a_number():
    assert fn.grad(lambda a: fn.scan(lambda c, x: (c * a, None), 1.0, length=3)[0])(2.0).item() == 12.0


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_an_integer_carry_that_becomes_floating_is_named(wrap):
    with pytest.raises(ValueError, match=r"An integer became floating at path 'n': start from a float, such as 0\.0"):
        wrap(lambda: fn.scan(lambda c, x: ({"n": c["n"] + x}, None), {"n": 0}, torch.arange(3.0)))()


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit], ids=["eager", "jit"])
def test_keyword_arguments_of_vmap_are_mapped(wrap):
    f = wrap(fn.vmap(lambda x, *, y: x.sum() * y, in_dims=1))
    assert f(torch.ones(2, 3), y=torch.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
    assert wrap(fn.vmap(lambda *, a: a + 1))(a=torch.zeros(2)).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"got \{'0': 3, 'y': 2\}"):
        f(torch.ones(2, 3), y=torch.ones(2))
    with pytest.raises(ValueError, match=r'keyword arguments are mapped over axis 0, but the one at path "y" is a 0-d'):
        f(torch.ones(2, 3), y=torch.tensor(1.0))
