"""Functions that are jitted again see every change of what their traces depend on."""

import math
from array import array
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch

import funcnet as fn
from funcnet.compiler.errors import NoCompilerError

RATE = 2.0
X = torch.arange(3.0)


def by_global(x):
    return RATE * x


class Model:
    def __init__(self, rate):
        self.rate, self.weight = rate, torch.full((3,), rate)

    def apply(self, x):
        return self.rate * x + self.weight


def changed_cell(value):
    return lambda x: x * value


def changed_default(value):
    def f(x, factor=value):
        return x * factor

    return f


def changed_item(value):
    options = {"rate": value, "on": True}
    return lambda x: x * options["rate"]


def changed_length(value):
    weights = [torch.ones(3)] * int(value)
    return lambda x: sum(weights, x)


def changed_function(value):
    inner = torch.sin if value == 1 else torch.cos
    return lambda x: inner(x)


def changed_attribute(value):
    options = SimpleNamespace(rate=value)
    return lambda x: x * options.rate


def changed_method(value):
    return Model(value).apply


def changed_class(value):
    class Options:
        rate = value

    return lambda x: x * Options.rate


def changed_axis(value):
    return fn.vmap(lambda x: x, out_dims=0) if value == 1 else fn.vmap(lambda x: x + 1, out_dims=0)


def changed_order(value):
    numbers = {0.0, 8.0} if value == 1 else {8.0, 0.0}  # equal sets whose elements follow each other differently

    def f(x):
        for number in numbers:
            x = 2 * x + number
        return x

    return f


def changed_range(value):
    steps = range(0, 2 + int(value), 2)
    return lambda x: x * steps.stop


def changed_requires_grad(value):
    weight = torch.nn.Parameter(X, requires_grad=value == 1)
    return lambda x: x * 2 if weight.requires_grad else x


def changed_attribute_of_tensor(value):
    weight = torch.ones(3)
    weight.rate = value
    return lambda x: x * weight * weight.rate


class Mean(IntEnum):
    ONE = 1


class Sum(IntEnum):
    SINGLE = 1


def changed_enum(value):
    mode = Mean.ONE if value == 1 else Sum.SINGLE
    return lambda x: x * len(mode.name)


class Numbers(array):
    """A class of Python whose instances hold numbers in C."""


def changed_array(value):
    numbers = Numbers("d", [value])
    return lambda x: x * numbers[0]


def changed_keyword(value):
    add = partial(torch.add, other=X)
    add.rate = value
    return lambda x: add(x * add.rate)


CHANGES = [
    changed_cell, changed_default, changed_item, changed_length, changed_function, changed_attribute, changed_method,
    changed_class, changed_axis, changed_order, changed_range, changed_requires_grad, changed_attribute_of_tensor,
    changed_enum, changed_array, changed_keyword,
]  # fmt: skip


@pytest.mark.parametrize("make", CHANGES)
@torch.no_grad()
def test_a_change_is_seen(make):
    for value in (1.0, 2.0, 1.0, math.inf, -0.0) if make is changed_cell else (1.0, 2.0, 1.0):
        f = make(value)
        torch.testing.assert_close(fn.jit(f)(X + 1), f(X + 1))


@dataclass(frozen=True)
class Frozen:
    rate: float
    hidden: float = field(default=1.0, compare=False)

    def scale(self):
        return RATE * self.hidden


class Scale(Enum):
    ONE = 1

    def scale(self):
        return RATE


class Pair(NamedTuple):
    rate: float

    def scale(self):
        return RATE


OWNERS = {"dataclass": Frozen(1.0), "enum": Scale.ONE, "named tuple": Pair(1.0)}


def scaled(owner, x):
    return owner.scale() * x


@pytest.mark.parametrize("name", ["by_global", *OWNERS])
def test_a_global_number_is_read_again(name, monkeypatch):
    f = partial(scaled, OWNERS[name]) if name in OWNERS else by_global
    args = (OWNERS[name],) if name in OWNERS else ()
    for rate in (2.0, 5.0):
        monkeypatch.setitem(globals(), "RATE", rate)
        assert torch.equal(fn.jit(f)(X), rate * X)
        assert torch.equal(fn.jit(scaled if args else f)(*args, X), rate * X)


def test_constant_arguments_are_compared_in_all_fields():
    for owner in (Frozen(1.0), Frozen(1.0, 3.0)):
        assert torch.equal(fn.jit(scaled)(owner, X), RATE * owner.hidden * X)


def test_classes_are_compared_by_the_names_of_their_attributes():
    class Options:
        a, b = 2.0, 1.0

    def f(x):
        return Options.a * x + Options.b

    assert torch.equal(fn.jit(f)(X), 2 * X + 1)
    del Options.a
    Options.b, Options.a = 2.0, 1.0
    assert torch.equal(fn.jit(f)(X), X + 2)


PATCHES = {
    "a function": (torch, "relu", lambda x: torch.relu(x)),
    "a function of a submodule": (torch.nn.functional, "silu", lambda x: torch.nn.functional.silu(x)),
    "a method": (torch.Tensor, "softmax", lambda x: x.softmax(0)),
    "a method of a class": (torch.nn.LeakyReLU, "forward", torch.nn.LeakyReLU(0.5)),
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_replaced_function_of_torch_is_called(name, monkeypatch):
    owner, attribute, f = PATCHES[name]
    fn.jit(f)(X)
    for rate in (2.0, 3.0):
        monkeypatch.setattr(owner, attribute, lambda *args, rate=rate: rate * next(filter(torch.is_tensor, args)))
        assert torch.equal(fn.jit(f)(X), f(X))


def test_hooks_of_all_modules_run():
    f = torch.nn.LeakyReLU()
    assert torch.equal(fn.jit(f)(X), X)
    with torch.nn.modules.module.register_module_forward_hook(lambda module, args, y: 3 * y):
        assert torch.equal(fn.jit(f)(X), 3 * X)


def test_the_seed_of_torch_and_checks_of_distributions_are_read_again():
    for seed in (1, 2):
        torch.manual_seed(seed)
        assert torch.equal(fn.jit(lambda x: x * torch.initial_seed())(X), seed * X)

    def f(x):
        return torch.distributions.Normal(x, -torch.ones(3)).mean

    checks = torch.distributions.Distribution
    try:
        checks.set_default_validate_args(False)
        fn.jit(f)(X)
        checks.set_default_validate_args(True)
        with pytest.raises((RuntimeError, ValueError), match="scale"):
            fn.jit(f)(X)
    finally:
        checks.set_default_validate_args(True)


def test_another_compiler_is_asked_again(monkeypatch):
    f = changed_cell(2.0)
    fn.jit(f, backend="native")(X)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoCompilerError, match="no-such-compiler"):
        fn.jit(f, backend="native")(X)
