"""Errors that pass through transformations show the user's frames; FUNCNET_TRACEBACK=full shows all."""

import traceback

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
