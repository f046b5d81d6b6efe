"""Errors that pass through transformations show the user's frames; FUNCNET_TRACEBACK=full shows all."""

import traceback
from operator import attrgetter

import pytest
import torch

import funcnet as fn

X = torch.ones(5)
ROWS = torch.ones(3, 4)


def product(y, x):
    return (y @ x).sum()


def branch(y, x):
    return y.sum() if y.sum() > 0 else x.sum()


def steps(loss):
    return lambda y: fn.scan(lambda c, x: (c + fn.grad(lambda z: loss(z, x))(c), None), y, ROWS)


CALLS = {
    "jit of scan of grad": lambda: fn.jit(steps(product))(X),
    "jit of scan of grad, a branch": lambda: fn.jit(steps(branch))(X),
    "scan of grad": lambda: steps(product)(X),
    "vmap of grad": lambda: fn.vmap(fn.grad(product), in_dims=(0, None))(torch.ones(2, 3), X),
    "jit of vmap": lambda: fn.jit(fn.vmap(product, in_dims=(0, None)))(torch.ones(2, 3), X),
    "hessian": lambda: fn.hessian(product)(X, ROWS),
    "jvp": lambda: fn.jvp(lambda y: product(y, ROWS), (X,), (X,)),
    "linearize": lambda: fn.linearize(lambda y: product(y, ROWS), X),
    "value_and_grad of remat": lambda: fn.value_and_grad(fn.remat(product))(X, ROWS),
}


def frames(call):
    with pytest.raises((RuntimeError, ValueError)) as caught:
        call()
    return traceback.extract_tb(caught.value.__traceback__)


def libraries(found):
    return [frame for frame in found if "/funcnet/" in frame.filename or "/torch/" in frame.filename]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_only_the_users_frames_are_shown(call):
    found = frames(call)
    assert len(libraries(found)) <= 2  # the outermost call of the library
    assert found[-1].name in ("product", "branch")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_all_frames_on_request(call, monkeypatch):
    short = frames(call)
    monkeypatch.setenv("FUNCNET_TRACEBACK", "full")
    assert len(libraries(frames(call))) > len(libraries(short)) + 2


def test_an_error_keeps_its_cause():
    def f(x):
        try:
            return x @ ROWS
        except RuntimeError as error:
            raise KeyError("mine") from error

    with pytest.raises(KeyError, match="mine") as caught:
        fn.grad(lambda x: f(x).sum())(X)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert len(libraries(traceback.extract_tb(caught.value.__cause__.__traceback__))) == 0


READERS = {
    "if": (lambda x: x.sum() if x.sum() > 0 else -x.sum(), r"`if` or bool\(\)"),
    "float": (lambda x: x.sum() * float(x.sum()), r"float\(\)"),
    "int": (lambda x: x.sum() * int(x.sum()), r"int\(\)"),
    "range": (lambda x: sum(x.sum() for _ in range(x.sum().long())), r"range\(\), a shape or the index of a list"),
    "list": (lambda x: [x.sum(), -x.sum()][x.sum().long()], r"range\(\), a shape or the index of a list"),
    "item": (lambda x: x.sum() * x.sum().item(), r"\.item\(\)"),
    "in": (lambda x: x.sum() * (1.0 in x), "`in`"),
}
MODES = {
    "jit": fn.jit,
    "jit of vmap": lambda f: fn.jit(fn.vmap(lambda x: f(x * torch.ones(2)))),
    "jit of grad": lambda f: fn.jit(fn.grad(f)),
    "vmap in jit": lambda f: fn.jit(lambda x: fn.vmap(lambda y: f(y * torch.ones(2)))(x)),
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("reader", READERS)
def test_the_error_names_the_operation_that_reads_a_value(reader, mode):
    f, name = READERS[reader]
    with pytest.raises(
        fn.compiler.StagingError, match=rf"jit: {name} needs the values of a tensor in <lambda>, .*test_tra"
    ):
        mode(f)(torch.ones(3))


ARRAY_METHODS = {  # of JAX's arrays, and the function to use
    "astype": (lambda x: x.astype(torch.float64), "numpy.astype"),
    "at": (lambda x: x.at[0].set(1.0), "at"),
    "transpose": (lambda x: x.transpose(1, 2, 0), "numpy.transpose"),
    "max": (lambda x: x.max(0) + 1, "numpy.max"),
    "mean of bools": (lambda x: (x > 0).mean(), "numpy.mean"),
    "round": (lambda x: x.round(2), "numpy.round"),
    "cumsum": (lambda x: x.cumsum(), "numpy.cumsum"),
    "std": (lambda x: x.std(0, ddof=1), "numpy.std"),
    "max over two axes": (lambda x: x.max(axis=(0, 1)), "numpy.max"),
    "initial": (lambda x: x.min(axis=0, initial=1.0), "numpy.min"),
    "dtype": (lambda x: fn.numpy.float32(x), "numpy.asarray"),
    "reversed": (lambda x: x[::-1], "numpy.flip"),
    "order": (lambda x: x.reshape(-1, order="F"), "numpy.reshape"),
    "repeat": (lambda x: x.repeat(2, axis=0), "numpy.repeat"),
}


def loss(x):
    return x


class Model:
    def sum(self, x):
        return x


OTHERS = {  # errors of the user's code with similar messages
    "option": lambda x: loss(x, axis=0),
    "option of a method": lambda x: Model().sum(x, axis=0),
    "concatenation": lambda x: (x, x) + [x],
}


@pytest.mark.parametrize("name", OTHERS)
def test_an_error_of_the_users_code_is_left_alone(name):
    with pytest.raises(TypeError) as caught:
        fn.jit(OTHERS[name])(torch.ones(3))
    assert "JAX" not in str(caught.value)


@pytest.mark.parametrize("transform", [fn.jit, fn.vmap, fn.grad])
@pytest.mark.parametrize("name", ARRAY_METHODS)
def test_an_error_of_a_method_names_the_function(name, transform):
    f, function = ARRAY_METHODS[name]
    with pytest.raises(Exception, match=rf"torch's, not those of JAX's arrays: use funcnet.{function}\(x"):
        transform(f)(torch.ones(2, 3, 4, 5))
    assert callable(attrgetter(function)(fn))


def test_other_errors_of_attributes_get_no_remedy():
    with pytest.raises(AttributeError, match="no attribute 'astype'$"):
        fn.jit(lambda x: [x].astype)(X)
    with pytest.raises(AttributeError, match="no attribute 'shap'$"):
        fn.jit(lambda x: x.shap)(X)
