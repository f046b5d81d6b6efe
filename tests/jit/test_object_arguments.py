"""A jitted function reads the current tensors of objects, or refuses an object that holds tensors."""

from collections import deque
from dataclasses import dataclass
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import pytest
import torch

import funcnet as fn

X = torch.ones(3)


def threes():
    return torch.full((3,), 3.0)


class Model:
    def __init__(self, w):
        self.w = w

    def predict(self, x):
        return self.w * x

    def __call__(self, x):
        return self.w * x

    @fn.jit
    def times(self, x):
        return self.w * x


class Slotted:
    __slots__ = ("w",)

    def __init__(self, w):
        self.w = w

    def predict(self, x):
        return self.w * x


class Table(dict):
    """A leaf: a subclass of dict is not a node."""

    __hash__ = object.__hash__


@dataclass(eq=False)
class Config:
    w: object


class Pair(NamedTuple):
    w: object


OBJECTS = {
    "a plain object": Model,
    "an object with slots": Slotted,
    "an object in an object": lambda w: SimpleNamespaceWithHash(inner=[{"model": Model(w)}]),
    "a dataclass that is not a node": Config,
    "a frozen set": lambda w: frozenset([w]),
    "a subclass of dict": lambda w: Table(w=w),
    "a module": lambda w: torch.nn.Linear(3, 3),
    "an object with a method of another": lambda w: Config(Model(w).predict),
}


class SimpleNamespaceWithHash(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("transform", [lambda f: f, lambda f: fn.vmap(f, in_dims=(None, 0)), fn.grad])
def test_an_object_that_holds_tensors_is_refused(name, transform):
    jitted = fn.jit(transform(lambda model, x: x.sum()))
    value = OBJECTS[name](threes())
    message = rf"at path '0\.0' .* class {type(value).__name__}, which holds tensors .*register_dataclass"
    for call in (jitted, jitted.explain):
        with pytest.raises(TypeError, match=message):
            call(value, X)
    with pytest.raises(TypeError, match=r"at path '1\.model'"):
        fn.jit(lambda x, model: x)(X, model=value)


def test_an_object_is_refused_when_it_gets_its_tensor_later():
    model, f = Model(2.0), fn.jit(lambda model, x: model.w * x)
    assert torch.equal(f(model, X), 2 * X)
    model.w = threes()
    with pytest.raises(TypeError, match="class Model, which holds tensors"):
        f(model, X)


def test_nodes_and_objects_without_tensors_are_accepted():
    f = fn.jit(lambda model, x: model.w * x)
    assert torch.equal(f(Pair(threes()), X), 3 * X)
    assert torch.equal(f(Pair(2 * threes()), X), 6 * X)
    assert torch.equal(f(Config(2.0), X), 2 * X)


FUNCTIONS = {
    "a bound method": lambda model: model.predict,
    "a partial": lambda model: partial(Model.predict, model),
    "a closure": lambda model: lambda x: model.w * x,
    "a default": lambda model: lambda x, model=model: model.w * x,
    "a function in a function": lambda model: partial(lambda f, x: f(x), model.predict),
    "a slotted object's method": lambda model: model.predict,
}


@pytest.mark.parametrize("call", ["as the function", "as an argument", "in a vmap", "as a callable object"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_current_tensor_is_read_wherever_a_function_holds_it(name, call):
    model = (Slotted if "slotted" in name else Model)(threes())
    f = FUNCTIONS[name](model)
    mapped = fn.jit(fn.vmap(lambda row: f(row)))
    ways = {
        "as the function": fn.jit(f),
        "as an argument": partial(fn.jit(lambda f, x: f(x)), f),
        "in a vmap": lambda x: mapped(x[None])[0],
        "as a callable object": fn.jit(SimpleNamespaceCalling(f)),
    }
    predict = ways[call]
    assert torch.equal(predict(X), 3 * X)
    model.w.add_(1.0)
    assert torch.equal(predict(X), 4 * X)
    model.w = torch.full((3,), 7.0)
    assert torch.equal(predict(X), 7 * X)
    model.w = torch.full((1,), 8.0)  # another shape: traced again
    assert torch.equal(predict(X), 8 * X)


class SimpleNamespaceCalling(SimpleNamespace):
    def __init__(self, f):
        super().__init__(f=f)

    def __call__(self, x):
        return self.f(x)


def test_a_replaced_tensor_is_not_traced_again():
    traces, model = [], Model(threes())
    f = fn.jit(lambda x: (traces.append(0), model.w * x)[1])
    for value in range(4):
        model.w = torch.full((3,), float(value))
        assert torch.equal(f(X), value * X)
    assert len(traces) == 1


def test_a_jitted_method_reads_its_instance():
    model, other = Model(threes()), Model(2 * threes())
    assert torch.equal(model.times(X), 3 * X) and torch.equal(other.times(X), 6 * X)
    model.w = torch.full((3,), 5.0)
    assert torch.equal(model.times(X), 5 * X) and torch.equal(Model.times(model, X), 5 * X)
    assert torch.equal(other.times(X), 6 * X)
    assert model.times.explain(X).operations == {"aten.mul.Tensor": 1}
    with pytest.raises(TypeError, match="class Model, which holds tensors"):
        model.times(other)


def test_a_closed_over_tensor_under_two_names_of_which_one_is_replaced():
    model = SimpleNamespace(a=threes())
    model.b = model.a
    f = fn.jit(lambda x: model.a * x + 10 * model.b)
    assert torch.equal(f(X), torch.full((3,), 33.0))
    model.b = torch.ones(3)
    assert torch.equal(f(X), torch.full((3,), 13.0))


def test_a_variable_and_a_container_are_read_again():
    w, table = threes(), {"rows": [threes()]}
    f = fn.jit(lambda x: w * x + table["rows"][0])
    assert torch.equal(f(X), torch.full((3,), 6.0))
    w, table["rows"][0] = torch.ones(3), torch.zeros(3)
    assert torch.equal(f(X), torch.ones(3))


class Shared:
    scale = threes()


class Heir(Shared):
    def times(self, x):
        return self.scale * x


def test_attributes_of_classes_and_items_of_deques_are_read_again(monkeypatch):
    class Local:
        scale = threes()

    queue, heir = deque([threes()]), Heir()
    places = {
        "class": (lambda x: Shared.scale * x, lambda w: monkeypatch.setattr(Shared, "scale", w)),
        "local class": (lambda x: Local.scale * x, lambda w: setattr(Local, "scale", w)),
        "method": (heir.times, lambda w: setattr(Heir, "scale", w)),
        "instance": (heir.times, lambda w: setattr(heir, "scale", w)),
        "deque": (lambda x: queue[0] * x, lambda w: (queue.popleft(), queue.append(w))),
    }
    for name, (f, change) in places.items():
        jitted = fn.jit(f, backend="eager")
        for factor in (None, 5.0, 7.0):
            if factor is not None:
                change(torch.full((3,), factor))
            assert torch.equal(jitted(X), f(X)), name


settings = ModuleType("settings")


def test_attributes_of_modules_are_read_again():
    settings.table, settings.inner = {"w": threes()}, ModuleType("inner")
    settings.inner.w = threes()
    jitted = fn.jit(lambda x: settings.table["w"] * x + settings.inner.w, backend="eager")
    assert torch.equal(jitted(X), torch.full((3,), 6.0))
    settings.inner.w = torch.ones(3)
    assert torch.equal(jitted(X), torch.full((3,), 4.0))
    settings.table = {"w": torch.zeros(3)}
    assert torch.equal(jitted(X), torch.ones(3))


def test_a_removed_tensor_is_traced_again():
    model = Model(threes())
    f = fn.jit(lambda x: x if model.w is None else model.w * x)
    assert torch.equal(f(X), 3 * X)
    model.w = None
    assert torch.equal(f(X), X)


def test_a_parameter_that_autograd_records_is_not_a_constant():
    model = Model(threes())
    f = fn.jit(lambda x: (model.w * x).sum())
    assert not f(X).requires_grad
    model.w = torch.nn.Parameter(threes())
    (gradient,) = torch.autograd.grad(f(X), model.w)
    assert torch.equal(gradient, X)


class Lazy(dict):
    """Loads more in its own items() and values(), as transformers' tables of models do."""

    def items(self):
        raise ImportError("not installed")

    values = items


class Holder:
    table = Lazy(scale=torch.tensor(2.0))

    def scaled(self, x):
        return x * self.table["scale"]


def test_a_lazy_table_in_a_class_is_not_loaded():
    holder, x = Holder(), torch.ones(3)
    f = fn.jit(lambda x: holder.scaled(x), backend="eager")
    assert torch.equal(f(x), 2 * x)
    assert torch.equal(fn.grad(lambda x: holder.scaled(x).sum())(x), torch.full((3,), 2.0))
    Holder.table["scale"] = torch.tensor(3.0)
    assert torch.equal(f(x), 3 * x)
