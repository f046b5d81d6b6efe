"""Writes to an argument or a closed-over tensor are errors in every transformation, unless .data hides them."""

from types import SimpleNamespace

import pytest
import torch

import funcnet as fn
from funcnet.compiler.errors import StagingError
from funcnet.transforms.refusals import ImpureError


def with_add_(x):
    x.add_(1)


def with_no_grad(x):
    with torch.no_grad():
        x.add_(1)


WRITES = {
    "add_": with_add_,
    "detach": lambda x: x.detach().mul_(2),
    "no_grad": with_no_grad,
    "setitem": lambda x: x.detach()[1:].__setitem__(0, 5.0),
    "out": lambda x: torch.add(torch.ones(3), 1, out=x.detach()),
    "data": lambda x: x.data.add_(1),
    "data_setitem": lambda x: x.data.__setitem__(0, 5.0),
}
TRANSFORMATIONS = {
    "grad": lambda f, x: fn.grad(f)(x),
    "value_and_grad": lambda f, x: fn.value_and_grad(f)(x),
    "vjp": lambda f, x: fn.vjp(f, x),
    "linearize": lambda f, x: fn.linearize(f, x),
    "jvp": lambda f, x: fn.jvp(f, (x,), (x,)),
    "jacfwd": lambda f, x: fn.jacfwd(f)(x),
    "jacrev": lambda f, x: fn.jacrev(f)(x),
    "hessian": lambda f, x: fn.hessian(f)(x),
    "vmap_grad": lambda f, x: fn.vmap(fn.grad(f))(x[None]),
    "remat_grad": lambda f, x: fn.remat(fn.grad(f))(x),
    "jit": lambda f, x: fn.jit(f)(x),
    "jit_grad": lambda f, x: fn.jit(fn.grad(f))(x),
}


# torch itself refuses .data under vmap
PAIRS = [(w, t) for w in [*WRITES, "out_itself"] for t in TRANSFORMATIONS if not ("data" in w and "vmap" in t)]


@pytest.mark.parametrize("write, transform", [(write, transform) for write, transform in PAIRS if write in WRITES])
def test_a_write_to_an_argument_is_refused(write, transform):
    def f(x):
        WRITES[write](x)
        return (x * x).sum()

    with pytest.raises((ImpureError, StagingError), match="writes in place to an argument|writes to an argument"):
        TRANSFORMATIONS[transform](f, torch.arange(3.0))


@pytest.mark.parametrize("write, transform", PAIRS)
def test_a_write_to_a_closed_over_tensor_is_refused(write, transform):
    held = torch.ones(3)

    def f(x):
        if write == "out_itself":
            torch.add(torch.ones(3), 1, out=held)
        else:
            WRITES[write](held)
        return (x * held).sum()

    with pytest.raises((ImpureError, StagingError), match="closed-over tensor"):
        TRANSFORMATIONS[transform](f, torch.arange(3.0))


@pytest.mark.parametrize("place", ["another argument", "a keyword", "an attribute", "a list"])
def test_out_writes_to_tensors_that_are_not_differentiated(place):
    holder, buffers, buffer = SimpleNamespace(buffer=torch.zeros(3)), [torch.zeros(3)], torch.zeros(3)

    def f(x, buffer=None):
        target = {"an attribute": holder.buffer, "a list": buffers[0]}.get(place, buffer)
        torch.mul(torch.ones(3), 2, out=target)
        return (x * target).sum()

    args = (buffer,) if place == "another argument" else ()
    options = {"buffer": buffer} if place == "a keyword" else {}
    with pytest.raises(ImpureError, match="an argument" if args or options else "a closed-over tensor"):
        fn.grad(f)(torch.ones(3), *args, **options)


def test_out_may_be_a_tensor_that_the_function_creates():
    held = torch.ones(3)

    def f(x):
        buffer = torch.empty(3)
        torch.add(held, 1, out=buffer)
        return (x * buffer).sum()

    assert fn.grad(f)(torch.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.parametrize("transform", [fn.vmap, fn.remat, lambda f: lambda x: fn.scan(lambda c, x: (c, f(x)), 0, x)[1]])
def test_data_of_a_closed_over_tensor_hides_a_write(transform):
    """As documented: the tensor changes, as it does without the transformation."""
    held = torch.zeros(3)

    def f(x):
        held.data.add_(1)
        return x + held

    assert (transform(f)(torch.ones(1, 3)) == 2).all()
    assert held.tolist() == [1, 1, 1]


def test_jit_refuses_a_write_before_it_happens():
    held, x = torch.ones(3), torch.zeros(3)
    for write in (lambda x: x.add_(1), lambda x: held.data.add_(1), lambda x: torch.add(x, 1, out=held)):
        with pytest.raises(StagingError):
            fn.jit(write)(x)
    assert held.tolist() == [1, 1, 1] and x.tolist() == [0, 0, 0]


def test_an_index_out_of_range_is_reported_where_its_result_is_read():
    def f(x, i, is_read):
        y = x[i]
        return y + x if is_read else x * 1

    x, i = torch.ones(1), torch.tensor([7])
    assert fn.jit(f)(x, i, False) == 1
    with pytest.raises(IndexError):
        fn.jit(f)(x, i, True)
