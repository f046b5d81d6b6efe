"""Trees of many leaves, and of many levels: their cost, and a clear error where they are too deep."""

import sys
import time

import pytest
import torch

import funcnet as fn
from funcnet import tree

DEEP = 900


def nested(levels, leaf):
    for level in range(levels):
        leaf = [leaf] if level % 2 else {"a": leaf}
    return leaf


def innermost(value):
    while not isinstance(value, torch.Tensor):
        value = value[0] if isinstance(value, list) else value["a"]
    return value


X = torch.tensor([1.0, 2.0])
OPERATIONS = {
    "map": lambda t: tree.map(lambda x: x * 2, t),
    "paths": tree.paths,
    "ravel": lambda t: tree.ravel(t)[0],
    "stack": lambda t: tree.stack([t, t]),
    "equal": lambda t: tree.equal(t, tree.map(torch.clone, t)),
    "grad": fn.grad(lambda t: innermost(t).square().sum()),
    "vmap": fn.vmap(lambda t: innermost(t) * 2),
    "jit": fn.jit(lambda t: tree.map(lambda x: x * 2, t), backend="eager"),
    "scan": lambda t: fn.scan(lambda c, _: (c, None), t, length=2),
    "adam": lambda t: fn.optim.adam(0.1).init(t),
}


def calls(f, *args):
    """The number of functions of Python and of C that f calls: a cost that no other process changes."""
    count = 0

    def counted(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        f(*args)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_tree_of_nine_hundred_levels(name):
    OPERATIONS[name](nested(3, X))
    half = calls(OPERATIONS[name], nested(DEEP // 2, X))
    assert calls(OPERATIONS[name], nested(DEEP, X)) < 2.5 * half


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_tree_that_is_too_deep_is_an_error(name):
    with pytest.raises(RecursionError, match="nested too deeply: expected at most about 1,000 levels"):
        OPERATIONS[name](nested(5000, X))


def test_the_difference_of_deep_trees_is_found():
    a, b, shorter = nested(DEEP, {"y": X}), nested(DEEP, {"z": X}), nested(DEEP - 1, X)
    assert tree.difference(a, b).endswith('.a": dict with entry y and dict with entry z')
    with pytest.raises(ValueError, match="tree.map: the trees differ in structure at"):
        tree.map(lambda x, y: x, a, b)
    with pytest.raises(ValueError, match="tree.map: the trees differ in structure at"):
        tree.map(lambda x, y: x, a, shorter)
    assert tree.difference({"b": [1, (2, 3)], "c": [4]}, {"b": [1, (2,)], "c": []}).startswith('at path "b.1": tuple')


@pytest.mark.slow
def test_the_gradient_of_ten_thousand_leaves():
    params = {f"layer{i}": torch.full((3,), float(i % 7)) for i in range(10_000)}

    def loss(params):
        return sum(value.square().sum() for value in params.values())

    times = {torch.func.grad: [], fn.grad: []}
    for _ in range(3):
        for grad, taken in times.items():
            start = time.process_time()
            grads = grad(loss)(params)
            taken.append(time.process_time() - start)
    assert min(times[fn.grad]) < 3 * min(times[torch.func.grad])
    assert tree.equal(grads, tree.map(lambda value: 2 * value, params))
