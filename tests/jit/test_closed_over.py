"""Closed-over tensors and the containers that hold them are read at each call, also on the short way of known calls."""

from collections import defaultdict, deque
from functools import partial

import pytest
import torch
from backends import BACKENDS

import funcnet as fn

X = torch.arange(6.0).reshape(2, 3) + 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_over_tensor_may_change_its_values_and_its_shape(backend):
    w, x = torch.arange(3.0), torch.ones(3)
    f = fn.jit(lambda x: x.sum() + w.sum(), backend=backend)
    assert f(x) == 6
    w.mul_(2)
    assert f(x) == 9
    w.data = torch.arange(3.0, dtype=torch.float64)
    assert torch.equal(f(x), torch.tensor(6.0, dtype=torch.float64))
    w.data = torch.ones(5)
    assert f(x) == 8


@pytest.mark.parametrize("is_known", [False, True])
def test_a_closed_over_container_may_change_its_length(is_known):
    weights, named, model = [torch.ones(3)], {"a": torch.ones(3)}, torch.nn.ParameterList([torch.ones(3)])
    model.requires_grad_(False)
    f = fn.jit(lambda x: x * sum([*weights, *named.values(), *model]), backend="eager")

    def assert_right():
        for _ in range(5 if is_known else 1):  # further calls take the short way
            assert torch.equal(f(torch.ones(3)), sum([*weights, *named.values(), *model]))

    assert_right()
    weights.append(torch.full((3,), 2.0))
    assert_right()
    named["b"] = torch.full((3,), 4.0)
    assert_right()
    model.append(torch.nn.Parameter(torch.full((3,), 8.0), requires_grad=False))
    assert_right()
    weights.pop()
    named.pop("a")
    assert_right()
    model.note = "further attributes are not part of the signature"
    before = len(f._programs)
    assert_right()
    assert len(f._programs) == before


def empty(kind, *others):
    return {"list": list, "dict": dict, "defaultdict": partial(defaultdict, list), "deque": deque}[kind](*others)


def put(container, key, value):
    container.update({key: value}) if isinstance(container, dict) else container.append(value)


def total(container):
    return sum(container.values() if isinstance(container, dict) else container)


@pytest.mark.parametrize("kind", ["list", "dict", "defaultdict", "deque"])
@pytest.mark.parametrize("where", ["a closure", "a global", "a default", "a function inside", "an item"])
def test_a_closed_over_container_may_be_empty_at_first(kind, where):
    container, x = empty(kind), torch.ones(3)
    inside = lambda x: x + total(container)  # noqa: E731
    nested = {"a": [container]}
    variables = {"container": container, "total": total}
    f = {
        "a closure": lambda x: x + total(container),
        "a global": eval("lambda x: x + total(container)", variables),
        "a default": lambda x, given=container: x + total(given),
        "a function inside": lambda x: inside(x),
        "an item": lambda x: x + total(nested["a"][0]),
    }[where]
    jitted = fn.jit(f, backend="eager")
    for _ in range(3):  # further calls take the short way
        assert torch.equal(jitted(x), x)
    put(container, "a", torch.full((3,), 2.0))
    assert torch.equal(jitted(x), x + 2)
    put(container, "b", torch.ones(3))
    for _ in range(3):
        assert torch.equal(jitted(x), x + 3)
    container.clear()
    assert torch.equal(jitted(x), x)


def test_the_order_of_the_keys_of_a_closed_over_dict_may_change():
    weights = {"a": torch.ones(3), "b": torch.zeros(3)}
    f = fn.jit(lambda x: x + 2 * next(iter(weights.values())), backend="eager")
    assert torch.equal(f(torch.ones(3)), torch.full((3,), 3.0))
    weights["a"] = weights.pop("a")
    assert torch.equal(f(torch.ones(3)), torch.ones(3))


def test_a_call_makes_no_items_of_a_closed_over_defaultdict():
    made, x = [], torch.ones(3)
    weights = defaultdict(lambda: made.append(1) or torch.zeros(3), a=x, b=x)
    f = fn.jit(lambda x: x + weights["a"] if "a" in weights else x - weights["b"], backend="eager")
    assert torch.equal(f(x), 2 * x)
    del weights["a"]
    assert torch.equal(f(x), 0 * x)
    assert not made


def test_a_list_that_a_callback_fills_is_traced_at_most_once_more():
    traces, seen = [0], []

    def f(x):
        traces[0] += 1
        fn.debug.callback(lambda x: seen.append(x), x)
        return x

    jitted = fn.jit(f)
    for _ in range(5):
        jitted(torch.ones(3))
    assert (len(seen), traces[0] <= 2) == (5, True)


def test_a_closed_over_tensor_is_read_at_each_known_call():
    held = {"w": torch.tensor(2.0)}
    jitted = fn.jit(lambda x: x * held["w"], backend="eager")
    for value in (torch.tensor(3.0), torch.tensor([1.0, 2.0, 3.0]), torch.tensor(5.0, requires_grad=True)):
        jitted(X), jitted(X)
        held["w"] = value
        torch.testing.assert_close(jitted(X), X * value)
        assert jitted(X).requires_grad == value.requires_grad
    del held["w"]
    with pytest.raises(KeyError):
        jitted(X)
    held["w"] = torch.tensor(2.0)
    with torch.no_grad():
        held["w"].fill_(7.0)
    torch.testing.assert_close(jitted(X), 7 * X)


def test_places_of_one_closed_over_tensor_may_come_apart():
    held = [torch.tensor(2.0)] * 2
    jitted = fn.jit(lambda x: x * held[0] + held[1], backend="eager")
    jitted(X), jitted(X)
    held[1] = torch.tensor(10.0)
    torch.testing.assert_close(jitted(X), 2 * X + 10)
