"""Elementwise functions on lists of leaves: the bits of the leaf by leaf results, and when leaves are not listed."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import funcnet as fn
from funcnet import tree
from funcnet.tree import elementwise

LEAVES = 12
SHAPES = [(), (1,), (0,), (7,), (3, 5), (2, 3, 4)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
OPTIMIZERS = {
    "adam": fn.optim.adam(1e-3),
    "adam of tensors": fn.optim.adam(torch.tensor(1e-3), torch.tensor(0.8), eps_root=1e-9),
    "float32 moments": fn.optim.adam(1e-3, mu_dtype=torch.float32),
    "nadamw": fn.optim.nadamw(lambda count: 1e-3 / (1 + count)),
    "adamw": fn.optim.adamw(1e-3, weight_decay=0.1),
    "momentum": fn.optim.sgd(0.1, momentum=0.9, nesterov=True),
    "adabelief": fn.optim.adabelief(1e-3),
}


def leaves_of(dtype, seed, count=LEAVES):
    generator = torch.Generator().manual_seed(seed)
    shapes = [SHAPES[i % len(SHAPES)] for i in range(count)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def steps(optimizer, params, gradients):
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update(gradients, state, params)
        params = fn.optim.apply_updates(params, updates)
    return params, state


def leaf_by_leaf(monkeypatch, f, *args):
    with monkeypatch.context() as patch:
        patch.setattr(elementwise, "_FEW", float("inf"))
        return f(*args)


@pytest.fixture
def listed(monkeypatch):
    """Return the lengths of the lists that `Column` gets."""
    lengths, make = [], elementwise.Column.__init__
    monkeypatch.setattr(
        elementwise.Column, "__init__", lambda self, tensors: (lengths.append(len(tensors)), make(self, tensors))[1]
    )
    return lengths


def assert_same_bits(a, b):
    assert tree.structure(a) == tree.structure(b)
    for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        assert torch.equal(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_steps_have_the_bits_of_the_leaf_by_leaf_path(optimizer, dtype, monkeypatch, listed):
    args = optimizer, leaves_of(dtype, 0), leaves_of(dtype, 1)
    by_lists = steps(*args)
    assert LEAVES in listed
    assert_same_bits(by_lists, leaf_by_leaf(monkeypatch, steps, *args))


def test_a_list_is_split_at_a_number_of_elements(monkeypatch, listed):
    monkeypatch.setattr(elementwise, "_MOST", 30)
    args = fn.optim.adam(1e-3), leaves_of(torch.float32, 0), leaves_of(torch.float32, 1)
    by_lists = steps(*args)
    assert max(listed) < LEAVES
    assert_same_bits(by_lists, leaf_by_leaf(monkeypatch, steps, *args))


@pytest.mark.parametrize("operation", [tree.add, tree.sub, lambda a, b: tree.scale(0.3, tree.add(a, b))])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic_has_the_bits_of_the_leaf_by_leaf_path(operation, dtype, monkeypatch, listed):
    args = leaves_of(dtype, 0), leaves_of(dtype, 1)
    by_lists = operation(*args)
    assert LEAVES in listed
    assert_same_bits(by_lists, leaf_by_leaf(monkeypatch, operation, *args))


MIXED = {
    "dtypes": lambda leaf, i: leaf.to(DTYPES[i % 3]),
    "None": lambda leaf, i: None if i == 4 else leaf,
    "complex": lambda leaf, i: leaf.to(torch.complex64) if i == 4 else leaf,
}


@pytest.mark.parametrize("change", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_mixed_trees_have_the_bits_of_the_leaf_by_leaf_path(optimizer, change, monkeypatch):
    params, gradients = ([change(x, i) for i, x in enumerate(leaves_of(torch.float32, seed))] for seed in (0, 1))
    args = optimizer, params, gradients
    assert_same_bits(steps(*args), leaf_by_leaf(monkeypatch, steps, *args))


def test_other_dtypes_in_a_second_tree_promote_as_for_single_leaves(monkeypatch):
    args = leaves_of(torch.float32, 0), leaves_of(torch.float64, 1)
    assert_same_bits(tree.add(*args), leaf_by_leaf(monkeypatch, tree.add, *args))
    assert_same_bits(tree.sub(*args), leaf_by_leaf(monkeypatch, tree.sub, *args))


def test_a_leaf_that_does_not_fit_is_named():
    a, b = leaves_of(torch.float32, 0), leaves_of(torch.float32, 1)
    b[3] = torch.zeros(8)
    with pytest.raises(ValueError, match=r'tree\.add: at path "3": expected leaves that fit together'):
        tree.add(a, b)
    with pytest.raises(ValueError, match=r'optim\.apply_updates: at path "4"'):
        fn.optim.apply_updates(a, [x[..., None] if i == 4 else x for i, x in enumerate(a)])


def test_dicts_keep_their_class_and_order():
    from collections import OrderedDict

    params = OrderedDict((f"{9 - i}", x) for i, x in enumerate(leaves_of(torch.float32, 0, 10)))
    optimizer = fn.optim.adam(1e-3)
    state = optimizer.init(params)
    updates, (after, _) = optimizer.update(dict(params), state, params)
    assert type(updates) is dict
    assert list(after.mu) == list(params)
    assert type(after.mu) is OrderedDict
    assert torch.equal(after.mu["9"], torch.lerp(torch.zeros_like(params["9"]), params["9"], 1 - 0.9))


class Seen(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def test_derivatives_transformations_and_modes_see_single_leaves(listed):
    params = leaves_of(torch.float32, 0)
    with Seen() as seen:
        fn.tree.add(params, params)
    assert seen.names == ["aten::add.Tensor"] * LEAVES
    batched = [torch.stack([x, x]) for x in params]
    fn.vmap(tree.add)(batched, batched)
    fn.grad(lambda p: tree.dot(tree.scale(2.0, p), p))(params)
    tree.add([x.requires_grad_() for x in leaves_of(torch.float32, 0)], params)
    fn.jit(tree.add)(params, params)
    assert not listed
