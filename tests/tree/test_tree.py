"""Laws of trees over a table of every kind of node, and over trees from hypothesis."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import TREES, Affine, Box, Point, numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import tree

trees = pytest.mark.parametrize("make", TREES.values(), ids=TREES)


@trees
def test_unflatten_undoes_flatten(make):
    leaves, structure = tree.flatten(make())
    assert tree.equal(tree.unflatten(structure, leaves), make())
    assert structure == tree.structure(make())
    assert hash(structure) == hash(tree.structure(make()))


@trees
def test_paths_name_every_leaf_once(make):
    paths = tree.paths(make())
    assert len(paths) == len(set(paths)) == len(tree.leaves(make()))


def test_paths_by_key_index_and_field():
    nested = {"net": [Point(1, Affine(2, 3)), (Box(4),)]}
    assert tree.paths(nested) == ["net.0.x", "net.0.y.w", "net.0.y.b", "net.1.0.content"]
    assert tree.paths(5) == [""]


@trees
def test_map_of_identity_and_of_a_composition(make):
    assert tree.equal(tree.map(lambda leaf: leaf, make()), make())
    once = tree.map(lambda leaf: str(leaf) + "!", make())
    twice = tree.map(lambda text: text + "!", tree.map(str, make()))
    assert tree.equal(once, twice)


@trees
def test_map_over_several_trees_and_with_paths(make):
    pairs = tree.map(lambda a, b, c: a is b and b is c, *[shared := make()] * 3)
    assert all(tree.leaves(pairs)) and tree.structure(shared) == tree.structure(pairs)
    assert tree.leaves(tree.map_with_path(lambda path, leaf: path, make())) == tree.paths(make())


def test_map_keeps_none_and_passes_subtrees():
    assert tree.map(lambda a, b: (a, b), {"a": None, "b": 1}, {"a": {"c": 2}, "b": [3, None]}) == {
        "a": None,
        "b": (1, [3, None]),
    }


def test_map_does_not_catch_errors_of_the_function():
    with pytest.raises(ValueError, match="from inside"):
        tree.map(lambda leaf: (_ for _ in ()).throw(ValueError("from inside")), [1])


@pytest.mark.parametrize(
    "other, message",
    [
        ({"w": 1}, r"at the root: dict with entries b, w and dict with entry w"),
        ({"w": [1, 2], "b": 1}, r'at path "w": list with entry 0 and list with entries 0, 1'),
        ({"w": (1,), "b": 1}, r'at path "w": list with entry 0 and tuple with entry 0'),
        ({"w": 3, "b": 1}, r'at path "w": list with entry 0 and 3'),
        (None, r"at the root: dict with entries b, w and None"),
    ],
)
def test_trees_of_another_structure_are_an_error_with_the_path(other, message):
    with pytest.raises(ValueError, match="tree.map: the trees differ in structure " + message):
        tree.map(lambda a, b: a, {"w": [1], "b": 1}, other)


@pytest.mark.parametrize(
    "operation, call",
    {
        "add": lambda a, b: tree.add(a, b),
        "sub": lambda a, b: tree.sub(a, b),
        "dot": lambda a, b: tree.dot(a, b),
        "combine": lambda a, b: tree.combine(a, b),
        "stack": lambda a, b: tree.stack([a, b]),
    }.items(),
)
def test_errors_name_the_operation(operation, call):
    with pytest.raises(ValueError, match=f"^tree.{operation}: the trees differ in structure at the root: list"):
        call([torch.ones(1)], [torch.ones(1), torch.ones(1)])


@pytest.mark.parametrize(
    "operation, other, got",
    [
        ("add", torch.ones(4), r"float32 tensor of shape \(4,\)"),
        ("sub", None, "None"),
        ("dot", torch.ones(3, device="meta"), r"float32 tensor of shape \(3,\) on meta"),
        ("stack", torch.ones(1), r"float32 tensor of shape \(1,\)"),
        ("stack", 3, "3"),
    ],
)
def test_leaves_that_do_not_fit_are_an_error_with_the_path(operation, other, got):
    a, b = ([torch.ones(2), {"w": leaf}] for leaf in (torch.ones(3), other))
    message = rf'^tree.{operation}: at path "1.w": expected leaves that fit together, got .*\(3,\) on cpu and {got}'
    with pytest.raises(ValueError, match=message):
        tree.stack([a, b]) if operation == "stack" else getattr(tree, operation)(a, b)


def test_errors_about_the_scalar_are_those_of_torch():
    with pytest.raises(RuntimeError, match="must match the size"):
        tree.scale(torch.ones(3), [torch.ones(2)])


@pytest.mark.parametrize("call", [tree.broadcast_prefix, lambda prefix, of: tree.partition(of, prefix)])
def test_a_tree_that_is_not_a_prefix_is_an_error_with_the_path(call):
    with pytest.raises(ValueError, match=r'tree.broadcast_prefix: .* at path "a": tuple .* 0, 1 and list with entry 0'):
        call({"a": (True, False)}, {"a": [torch.ones(1)]})


@trees
def test_combine_undoes_partition(make):
    for predicate in (tree.is_floating, lambda leaf: isinstance(leaf, str), lambda leaf: False):
        chosen, rest = tree.partition(make(), predicate)
        assert all(predicate(leaf) for leaf in tree.leaves(chosen))
        assert not any(predicate(leaf) for leaf in tree.leaves(rest))
        assert tree.equal(tree.combine(chosen, rest), make())
        assert tree.equal(tree.combine(rest, chosen), make())


def test_partition_by_a_prefix_of_bools():
    params = {"frozen": {"w": 1, "b": 2}, "head": {"w": 3}}
    trained, frozen = tree.partition(params, {"frozen": False, "head": True})
    assert trained == {"frozen": {"w": None, "b": None}, "head": {"w": 3}}
    assert frozen == {"frozen": {"w": 1, "b": 2}, "head": {"w": None}}


@trees
def test_unstack_undoes_stack(make):
    members = [tree.scale(factor, make()) for factor in (1.0, 2.0, -3.0)]
    stacked = tree.stack(members)
    if not any(tree.is_tensor(leaf) for leaf in tree.leaves(stacked)):
        with pytest.raises(ValueError, match=r"tree.unstack: expected one leading axis .* got no tensor"):
            tree.unstack(stacked)
        return
    for member, again in zip(members, tree.unstack(stacked), strict=True):
        assert tree.difference(again, member) is None


def test_stack_of_nothing_and_unstack_of_several_sizes_are_errors():
    with pytest.raises(ValueError, match=r"tree.stack: expected at least one tree"):
        tree.stack([])
    with pytest.raises(ValueError, match=r"tree.combine: expected at least one tree"):
        tree.combine()
    with pytest.raises(ValueError, match=r'got "a": \(2,\), "b": \(3,\)'):
        tree.unstack({"a": numbers(2), "b": numbers(3)})
    with pytest.raises(ValueError, match=r'got "1": \(2,\), "1": \(3,\)'):
        tree.unstack({1: numbers(2), "1": numbers(3)})


@trees
def test_unravel_undoes_ravel(make):
    vector, unravel = tree.ravel(make())
    assert vector.shape == (sum(leaf.numel() for leaf in tree.leaves(make()) if tree.is_floating(leaf)),)
    assert tree.equal(unravel(vector), make())
    with pytest.raises(ValueError, match=r"tree.unravel: expected a vector of shape"):
        unravel(torch.zeros(len(vector) + 1))


@trees
def test_arithmetic_equals_that_of_ravelled_vectors(make):
    a, b = make(), tree.scale(0.3, make())
    (u, unravel), (v, _) = tree.ravel(a), tree.ravel(b)
    close = {"rtol": 1e-6, "atol": 1e-7}
    assert tree.allclose(tree.add(a, b), unravel(u + v), **close)
    assert tree.allclose(tree.sub(a, b), unravel(u - v), **close)
    assert tree.allclose(tree.scale(2.5, a), unravel(2.5 * u), **close)
    assert tree.equal(tree.zeros_like(a), unravel(torch.zeros_like(u)))
    assert_close(tree.dot(a, b), u @ v, check_dtype=False, **close)
    assert_close(tree.norm(a), u.norm(), check_dtype=False, **close)


def test_arithmetic_is_differentiable():
    x = {"w": numbers(2), "b": numbers(1, seed=1)}
    fn.checking.check_grads(lambda x: tree.add(tree.scale(2.0, x), tree.sub(x, tree.scale(x["b"], x))), (x,), order=2)
    fn.checking.check_grads(lambda x: (tree.dot(x, x), tree.norm(x), tree.ravel(x)[0]), (x,), order=2)


def test_a_tree_without_numbers_gives_float32_for_any_default():
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            results = [tree.norm({}), tree.dot({"n": 1}, {"n": 2}), tree.ravel(())[0]]
    finally:
        torch.set_default_dtype(torch.float32)
    assert tree.equal(results, [torch.zeros(()), torch.zeros(()), torch.zeros(0)])


@pytest.mark.parametrize("leaf", [torch.ones(2).int(), torch.tensor(True)])
def test_arithmetic_takes_only_inexact_tensors(leaf):
    assert not tree.is_floating(leaf) and not tree.is_inexact(leaf)
    assert tree.scale(2.0, [leaf])[0] is leaf
    assert tree.norm([leaf]) == 0


def test_the_norm_has_a_gradient_at_zero():
    gradient = fn.grad(tree.norm)({"w": torch.zeros(2), "b": torch.zeros(())})
    assert tree.equal(gradient, {"w": torch.zeros(2), "b": torch.zeros(())})


@trees
def test_a_tree_equals_only_its_copy(make):
    assert tree.equal(make(), copy.deepcopy(make()))
    assert not tree.equal(make(), [make()])


@pytest.mark.parametrize(
    "a, b, message",
    [
        ([torch.zeros(2)], [torch.zeros(3)], r'at path "0": float32 tensor of shape \(2,\) on cpu and .*\(3,\)'),
        ([torch.zeros(2)], [torch.zeros(2).double()], 'at path "0": float32 .* and float64'),
        ([1, "relu"], [1, "tanh"], "at path \"1\": 'relu' and 'tanh'"),
        ([1], [True], 'at path "0": 1 and True'),
        ([1, 2], [1], r"at the root: list with entries 0, 1 and list with entry 0"),
        (torch.ones(2, 2), torch.tensor([[1.0, 1.0], [1.5, 1.0]]), r"at index \(1, 0\): 1.0 and 1.5"),
        (torch.zeros(2), torch.zeros(2, device="meta"), r"on cpu and .* on meta"),
        (torch.tensor(2**62), torch.tensor(2**62 + 1), r"by at most 1, at index \(\): 4611686018427387904 and .*905"),
        (torch.tensor([float("inf"), 1.0]), torch.tensor([float("inf"), 3.0]), r"by at most 2, at index \(1,\)"),
        (torch.tensor([3 + 4j]), torch.tensor([0j]), r"by at most 5, at index \(0,\): \(3\+4j\) and 0j"),
        (torch.tensor([True, False]), torch.tensor([True, True]), r"by at most 1, at index \(1,\): False and True"),
        (Affine(1, 2), Affine(1, 2, "other"), "at the root: Affine with entries w, b and Affine"),
    ],
)
def test_difference_names_the_first_path(a, b, message):
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(tree.difference(a, b))
    assert not tree.equal(a, b)


def test_nan_equals_nan_and_tolerances_are_respected():
    nan = torch.tensor([float("nan"), 1.0])
    assert tree.equal(nan, nan.clone())
    assert tree.equal(float("nan"), -float("nan")) and not tree.equal(float("nan"), 1.0)
    assert tree.equal(torch.tensor(0.0), torch.tensor(-0.0))
    assert tree.allclose(torch.tensor(1.0), torch.tensor(1.1), rtol=0.1)
    assert not tree.allclose(torch.tensor(1.0), torch.tensor(1.1), rtol=0.05)


nested = st.recursive(
    st.integers() | st.none() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Point, inner, inner)
        | st.builds(Affine, inner, inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(nested)
def test_laws_on_any_tree(anything):
    leaves, structure = tree.flatten(anything)
    assert tree.unflatten(structure, leaves) == anything
    assert len(tree.paths(anything)) == len(leaves)
    assert tree.map(lambda leaf: leaf, anything) == anything
    chosen, rest = tree.partition(anything, lambda leaf: isinstance(leaf, int))
    assert tree.combine(chosen, rest) == anything
    assert tree.difference(anything, anything) is None
