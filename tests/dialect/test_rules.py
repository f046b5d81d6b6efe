"""Rules of the dialect: dtypes, numpy arrays, names, derivatives, and errors that say what was expected."""

import pickle

import pytest
import torch

import funcnet as fn
from funcnet import numpy as jnp

X = torch.tensor([[1.5, -2.0, 0.25], [3.0, 0.5, -1.25]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floating_tensors_keep_their_dtype(dtype):
    x = X.to(dtype)
    calls = {
        "exp": jnp.exp(x), "add": jnp.add(x, 1.5), "where": jnp.where(x > 0, x, 0.5), "mean": jnp.mean(x, axis=0),
        "std": jnp.std(x), "max": jnp.max(x, initial=0), "clip": jnp.clip(x, -1, 1), "cumsum": jnp.cumsum(x),
        "median": jnp.median(x), "pad": jnp.pad(x, 1), "gelu": fn.nn.gelu(x), "softmax": fn.nn.softmax(x, where=x > 0),
        "rsqrt": fn.lax.rsqrt(x), "norm": fn.scipy.stats.norm.logpdf(x, 0.5, 2), "zeros_like": jnp.zeros_like(x),
        "linspace": jnp.linspace(x[0], 1, 3), "average": jnp.average(x, weights=x[:, 0], axis=0),
    }  # fmt: skip
    assert {name: value.dtype for name, value in calls.items()} == dict.fromkeys(calls, dtype)


def test_long_tensors_keep_their_dtype_and_positions_are_int32():
    i = torch.arange(4)
    for value in (jnp.sum(i), jnp.cumsum(i), jnp.add(i, 1), jnp.maximum(i, 2), jnp.prod(i), jnp.where(i > 1, i, 0)):
        assert value.dtype == torch.int64
    for value in (jnp.argmax(i), jnp.argsort(i), jnp.searchsorted(i, i), jnp.nonzero(i)[0], jnp.count_nonzero(i)):
        assert value.dtype == torch.int32


def test_number_and_tensor_operands_of_a_float64_program_are_exact():
    x = torch.tensor([0.1], dtype=torch.float64)
    assert jnp.add(x, 0.1).item() == 0.1 + 0.1 and jnp.maximum(x, 0.3).item() == 0.3
    assert fn.scipy.stats.norm.logpdf(x, 0.1, 0.3).item() == pytest.approx(0.2850342711, abs=1e-9)


def test_the_default_dtype_of_torch_has_no_effect():
    torch.set_default_dtype(torch.float64)
    try:
        values = [jnp.array([1.5]), jnp.array(2.5), jnp.zeros(2), jnp.exp(1), jnp.arange(3.0), jnp.linspace(0, 1, 3)]
        values += [jnp.eye(2), jnp.add(torch.arange(2), 0.5), jnp.divide(1, 2), fn.nn.one_hot([0], 2), jnp.mean([1, 2])]
        assert {value.dtype for value in values} == {torch.float32}
    finally:
        torch.set_default_dtype(torch.float32)


def test_numpy_arrays_are_narrowed_unless_a_dtype_is_given():
    np = pytest.importorskip("numpy")
    array = np.arange(6.0).reshape(2, 3)[:, ::-1] / 7
    assert jnp.asarray(array).dtype == torch.float32 and jnp.asarray(np.arange(3)).dtype == torch.int32
    assert jnp.asarray(array, dtype=jnp.float64).tolist() == array.tolist()
    assert jnp.mean(array, axis=np.int64(1)).shape == (2,) and jnp.zeros((np.int32(2),)).shape == (2,)
    assert jnp.add(torch.ones(3, dtype=torch.float64), np.float32(1)).dtype == torch.float64
    assert jnp.array([np.float64(1.5), 2]).dtype == torch.float32
    assert jnp.zeros(1, np.float32).dtype == jnp.zeros(1, np.dtype("float32")).dtype == torch.float32


@pytest.mark.parametrize("a", [torch.bool, torch.uint8, torch.int8, torch.int64, torch.float16, torch.float64])
@pytest.mark.parametrize("b", [torch.int32, torch.bfloat16, torch.float32, torch.complex64])
def test_tensors_promote_by_dtype_even_without_axes(a, b):
    x, y = torch.ones(3, dtype=a), torch.ones((), dtype=b)
    assert jnp.multiply(x, y).dtype == jnp.multiply(y, x).dtype == jnp.promote_types(a, b) == torch.promote_types(a, b)


def test_functions_print_and_pickle_by_name():
    for module in (jnp, fn.nn, fn.lax, fn.scipy.special):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not isinstance(value, type):
                assert value.__doc__ and pickle.loads(pickle.dumps(value)) is value, name


def test_names_are_listed_once():
    for module in (fn.nn, fn.lax, fn.scipy.special, fn.scipy.linalg, fn.scipy.stats, jnp.linalg, jnp.fft, jnp):
        assert len(set(module.__all__)) == len(module.__all__) and all(hasattr(module, name) for name in module.__all__)


GRADIENTS = {
    "std": lambda x: jnp.std(x, axis=1).sum(),
    "var where": lambda x: jnp.var(x, where=x > 0),
    "median": lambda x: jnp.median(x, axis=1).sum(),
    "quantile": lambda x: jnp.quantile(x, 0.3),
    "interp": lambda x: jnp.interp(x, jnp.arange(-3.1, 5), jnp.arange(-3.0, 6) ** 2).sum(),
    "cbrt": lambda x: jnp.cbrt(x).sum(),
    "sinc": lambda x: jnp.sinc(x).sum(),
    "take": lambda x: (jnp.take(x, jnp.array([0, 2, 2]), axis=1) ** 2).sum(),
    "logsumexp": lambda x: fn.nn.logsumexp(x, axis=1, b=x * x).sum(),
    "elu": lambda x: fn.nn.elu(x).sum(),
    "standardize": lambda x: (fn.nn.standardize(x) ** 3).sum(),
    "log_ndtr": lambda x: fn.scipy.special.log_ndtr(3 * x).sum(),
    "gamma": lambda x: fn.scipy.stats.gamma.logpdf(abs(x), 2.5, scale=0.5).sum(),
    "normal": lambda x: fn.scipy.stats.multivariate_normal.logpdf(x, x[0], 2.0).sum(),
    "dynamic_update_slice": lambda x: (fn.lax.dynamic_update_slice(x, x[:1, :2], (1, 5)) ** 2).sum(),
    "cholesky": lambda x: jnp.linalg.cholesky(x @ x.mT + torch.eye(2)).sum(),
    "convolution": lambda x: (fn.lax.conv(x[None], x[None, :, :2], (1,), "SAME") ** 2).sum(),
    "cov": lambda x: jnp.cov(x)[0, 1],
}


@pytest.mark.parametrize("f", GRADIENTS.values(), ids=GRADIENTS)
def test_derivatives_are_those_of_finite_differences(f):
    fn.checking.check_grads(f, (X.double(),))


def test_the_derivative_of_a_large_logsumexp_adds_up_to_one():
    x = X.double() + 1e6
    for f in (fn.nn.logsumexp, fn.scipy.special.logsumexp):
        grads = fn.jit(fn.grad(lambda x, f=f: f(x, axis=-1).sum()))(x)
        torch.testing.assert_close(grads, torch.softmax(x, -1), rtol=1e-14, atol=0)
    assert fn.nn.logsumexp(torch.zeros(0)) == -torch.inf and fn.nn.logsumexp(x[:, :0], axis=0).shape == (0,)


def test_derivatives_at_the_edges_are_finite():
    zero = torch.zeros((), dtype=torch.float64)
    assert fn.grad(jnp.sinc)(zero) == 0 and fn.grad(fn.grad(jnp.sinc))(zero).item() == pytest.approx(-(torch.pi**2) / 3)
    assert fn.grad(fn.nn.elu)(zero + 1e4) == 1 and fn.grad(fn.nn.celu)(zero + 1e4) == 1
    assert fn.grad(fn.scipy.special.log_ndtr)(zero + 50) == 0
    assert fn.grad(fn.scipy.special.log_ndtr)(zero - 50).item() == pytest.approx(50.02, abs=1e-3)


ERRORS = [
    (lambda: jnp.sum(X, axis=2), ValueError, "sum: axis 2 is out of bounds for an array of 2 axes"),
    (lambda: jnp.max(X, axis="a"), TypeError, "max: expected axis to be an int, got 'a'"),
    (lambda: jnp.mean(X, axis=(0, 0)), ValueError, "mean: expected each axis once"),
    (lambda: jnp.zeros(2, dtype="float31"), TypeError, "zeros: expected a dtype such as jnp.float32, .* got 'float31'"),
    (lambda: jnp.zeros((2, "a")), TypeError, "zeros: expected shape to be an int or a sequence of ints"),
    (lambda: jnp.exp(None), TypeError, "exp: expected a tensor, a number, .* got None"),
    (lambda: jnp.exp(y=1), TypeError, "exp.* got an unexpected keyword argument 'y'|exp.* missing 1 required"),
    (lambda: jnp.sum(X, dim=0), TypeError, "unexpected keyword argument 'dim'"),
    (lambda: jnp.max(jnp.zeros(0)), ValueError, "max: an empty maximum or minimum is not defined"),
    (lambda: jnp.split(jnp.arange(5), 2), ValueError, "split: expected an axis of a multiple of 2, got 5"),
    (lambda: jnp.squeeze(X, 0), ValueError, "squeeze: expected axes of length 1, got axis 0"),
    (lambda: jnp.take(X, 0.5), TypeError, "take: expected integers as indices, got a torch.float32 tensor"),
    (lambda: jnp.take(X, 0, mode="raise"), ValueError, "take: expected mode to be one of fill, .* got 'raise'"),
    (lambda: jnp.pad(X, 1, mode="no"), ValueError, "pad: expected mode to be one of constant, .* got 'no'"),
    (lambda: jnp.pad(X, ((1, 1),) * 3), ValueError, "pad: expected pad_width as .before, after. for each of 2 axes"),
    (lambda: jnp.dot(X, X), ValueError, "dot: expected summed axes of equal length, got 3 and 2"),
    (lambda: jnp.matmul(X, 2.0), ValueError, "matmul: expected arrays of at least one axis"),
    (lambda: jnp.subtract(X > 0, X > 1), TypeError, "subtract: expected numbers, got bools"),
    (lambda: jnp.where(X > 0, X), ValueError, "where: expected both x and y"),
    (lambda: jnp.concatenate([]), ValueError, "concatenate: expected at least one array"),
    (lambda: jnp.concatenate([X, X[0]]), ValueError, "concatenate: expected arrays of the same number of axes"),
    (lambda: jnp.linalg.inv(X), ValueError, r"inv: expected square matrices, got shape \(2, 3\)"),
    (lambda: jnp.quantile(X, 0.5, method="x"), ValueError, "quantile: expected method to be one of linear"),
    (lambda: jnp.vectorize(jnp.dot, signature="(n)->()")(X, X), ValueError, "vectorize: expected a signature of 2"),
    (lambda: jnp.transpose(X, (0,)), ValueError, "transpose: expected the 2 axes of the array"),
    (lambda: fn.nn.glu(X), ValueError, "glu: expected an axis of even length, got 3"),
    (lambda: fn.lax.top_k(X, 4), ValueError, "top_k: expected k from 0 to 3"),
    (lambda: fn.lax.dynamic_slice(X, (0,), (1,)), ValueError, "dynamic_slice: expected a start and a size for each of"),
    (lambda: fn.lax.dynamic_slice(X, (0, 0), (1, 4)), ValueError, "dynamic_slice: expected a slice of at most"),
    (lambda: fn.lax.conv(X, X, (1,), "SAME"), ValueError, "conv_general_dilated: expected an input and a kernel of 3"),
    (lambda: fn.scipy.stats.t.ppf(X, 3), NotImplementedError, "t: expected logpdf or pdf, got ppf"),
]


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


DIGITS = 0.1234567890123456789
EXACT = {  # expressions of a float64 or int64 tensor x and a number, whose result holds all digits of the number
    "array": lambda x, v: jnp.array([v], dtype=x.dtype),
    "asarray": lambda x, v: jnp.asarray([[v]], dtype=x.dtype),
    "full_like": lambda x, v: jnp.full_like(x, v),
    "set": lambda x, v: fn.at(x)[0].set(v),
    "set a list": lambda x, v: fn.at(x)[:1].set([v]),
    "get": lambda x, v: fn.at(x)[torch.tensor([9])].get(mode="fill", fill_value=v),
    "take": lambda x, v: jnp.take(x, torch.tensor([9]), fill_value=v),
    "fill_diagonal": lambda x, v: jnp.fill_diagonal(jnp.outer(x, x), v, inplace=False)[0],
    "pad": lambda x, v: fn.lax.pad(x, v, [(1, 0, 0)]),
    "piecewise": lambda x, v: jnp.piecewise(x, [x == 0], [v, 0]),
    "unique": lambda x, v: jnp.unique(x, size=4, fill_value=v)[-1:],
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("x, value", [(X[0].double() * 0, DIGITS), (torch.tensor([0, 0, 0]), 2**40 + 1)])
def test_numbers_keep_their_digits_next_to_64_bits(name, jit, x, value):
    f = lambda x: EXACT[name](x, value)  # noqa: E731
    result = (fn.jit(f) if jit else f)(x)
    assert result.dtype == x.dtype and value in result.flatten().tolist()


def test_indices_out_of_range_give_the_least_integer():
    for dtype in (torch.int8, torch.int16, torch.int32, torch.int64):
        x, least, outside = torch.arange(3, dtype=dtype), torch.iinfo(dtype).min, torch.tensor([1, 3])
        for got in (jnp.take(x, outside), jnp.take_along_axis(x, outside, 0), fn.at(x)[outside].get(mode="fill")):
            assert got.dtype == dtype and got.tolist() == [1, least]


def test_numbers_that_do_not_fit_a_dtype_are_wrapped_as_in_jax():
    assert fn.at(torch.zeros(2, dtype=torch.uint8))[0].set(300).tolist() == [44, 0]
    assert jnp.full_like(torch.zeros(2, dtype=torch.int8), 200).tolist() == [-56, -56]


def test_an_array_is_a_copy_of_one_of_numpy():
    numpy = pytest.importorskip("numpy")
    for dtype in (numpy.float32, numpy.float64):
        array = numpy.zeros(2, dtype)
        made = jnp.array(array), jnp.array(array, dtype=str(array.dtype))
        array[0] = 1.0
        assert [x.tolist() for x in made] == [[0.0, 0.0]] * 2
