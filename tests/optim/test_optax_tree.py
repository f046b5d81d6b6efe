"""Optax's functions of trees, numbers and steps, with the values that Optax gives in float64."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim
from funcnet.optim import tree, tree_utils

X = torch.tensor([[1.5, -2.0], [0.0, 3.0]], dtype=torch.float64)
T = {"a": torch.tensor([1.0, -2.0]).double(), "b": torch.tensor([[3.0], [0.5]]).double()}
M = {"a": torch.tensor([0.25, 0.5]).double(), "b": torch.tensor([[1.0], [-1.5]]).double()}


def check(got, *expected):
    """Compare trees, or tensors, with lists of numbers."""
    for x, want in zip(got, expected, strict=True):
        wanted = fn.tree.map(lambda leaf, values: torch.tensor(values, dtype=leaf.dtype), x, want)
        assert fn.tree.difference(x, wanted, rtol=1e-12) is None


def test_safe_norms_and_their_gradients():
    inf = float("inf")
    check(
        [optim.safe_norm(X, 0.1), optim.safe_norm(X, 10.0), optim.safe_norm(X, 2.6, axis=1)],
        3.905124837953327, 10.0, [2.6, 3.0],
    )  # fmt: skip
    check([optim.safe_norm(X, 2.6, ord=1, axis=1, keepdims=True)], [[3.5], [3.0]])
    check([optim.safe_norm(X, 0.0, ord=inf, axis=0)], [1.5, 3.0])
    check([fn.grad(lambda v: optim.safe_norm(v, 0.0))(0 * X[0])], [0.0, 0.0])
    check([fn.grad(lambda v: optim.safe_norm(v, 2.6, axis=1).sum())(X)], [[0.0, 0.0], [0.0, 1.0]])
    check(
        [optim.safe_root_mean_squares(X, 0.1), fn.grad(lambda v: optim.safe_root_mean_squares(v, 0.1))(X)],
        1.9525624189766635, [[0.19205531989934396, -0.25607375986579195], [0.0, 0.3841106397986879]],
    )  # fmt: skip
    assert fn.grad(lambda v: optim.safe_root_mean_squares(v, 0.1))(0 * X).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_counters_stay_at_the_largest_number():
    for dtype in (torch.int32, torch.int64, torch.uint8):
        most = torch.iinfo(dtype).max
        counts = torch.tensor([0, most - 1, most], dtype=dtype)
        assert optim.safe_increment(counts).tolist() == [1, most, most]
    assert optim.safe_int32_increment(torch.tensor(3.0)) == 4.0


def test_moments():
    check(
        [
            optim.update_moment(T, M, 0.9, 2),
            optim.update_infinity_moment(T, M, 0.9, 1e-3),
            optim.update_moment_per_elem_norm(T, M, 0.9, 4),
            optim.bias_correction(M, 0.9, torch.tensor(3)),
        ],
        {"a": [0.325, 0.85], "b": [[1.8], [-1.325]]},
        {"a": [1.001, 2.001], "b": [[3.001], [0.501]]},
        {"a": [0.325, 2.05], "b": [[9.0], [-1.34375]]},
        {"a": [0.9225092250922512, 1.8450184501845024], "b": [[3.690036900369005], [-5.535055350553508]]},
    )


def test_arithmetic():
    check(
        [
            tree.add_scale(T, 0.5, M), tree.vdot(T, M), tree.sum(T), tree.max(T), tree.min(T), tree.norm(T),
            tree.norm(T, ord=1), tree.norm(T, ord=torch.inf, squared=True), tree.mul(T, M), tree.div(T, M),
            tree.clip(T, -1, 1), tree.where(torch.tensor(False), T, M), tree.add(T, M, M), tree.sub(T, M),
        ],
        {"a": [1.125, -1.75], "b": [[3.5], [-0.25]]}, 1.5, 2.5, 3.0, -2.0, 3.774917217635375,
        6.5, 9.0, {"a": [0.25, -1.0], "b": [[3.0], [-0.75]]}, {"a": [4.0, -4.0], "b": [[3.0], [-1 / 3]]},
        {"a": [1.0, -1.0], "b": [[1.0], [0.5]]}, {"a": [0.25, 0.5], "b": [[1.0], [-1.5]]},
        {"a": [1.5, -1.0], "b": [[5.0], [-2.5]]}, {"a": [0.75, -2.5], "b": [[2.0], [2.0]]},
    )  # fmt: skip
    assert tree.size(T) == 4 and tree.allclose(T, tree.scale(1 + 1e-7, T)) and not tree.allclose(T, M)
    assert tree.batch_shape(T, (3,))["b"].shape == (3, 2, 1) and tree.full_like(T, 2.5)["a"].tolist() == [2.5, 2.5]
    z = torch.tensor([1 + 2j])
    assert (
        tree.vdot(z, z) == 5 and tree.real(tree.conj(z)) == 1 and tree.norm(z, squared=True).item() == pytest.approx(5)
    )
    assert tree.max({}) == -torch.inf and tree.sum({}) == 0 and tree.min(torch.zeros(0)) == torch.inf


def test_dtypes():
    mixed = {"half": torch.ones(1, dtype=torch.float16), "single": torch.ones(2)}
    assert tree.dtype(T) == torch.float64 and tree.dtype(mixed, "lowest") == torch.float16
    assert tree.dtype(mixed, "highest") == tree.dtype(mixed, "promote") == torch.float32
    halves = {"a": torch.ones(1, dtype=torch.float16), "b": torch.ones(1, dtype=torch.bfloat16)}
    assert tree.dtype(halves, "promote") == torch.float32
    for handler in (None, "highest", "lowest", "other"):
        with pytest.raises(ValueError, match="tree.dtype: expected one dtype, or a mixed_dtype_handler"):
            tree.dtype(halves, handler)
    assert tree.cast(T, torch.float32)["a"].dtype == torch.float32 and tree.cast(T, None) is T
    assert tree.dtype(tree.cast_like(T, fn.tree.map(torch.Tensor.half, T))) == torch.float16


def test_random_trees_are_those_of_optax():
    single = tree.cast(T, torch.float32)
    got = tree.random_like(fn.random.key(3), single)
    want = {"a": [-2.3783397674560547, -1.7061667442321777], "b": [[-1.9432215690612793], [0.10481610149145126]]}
    assert_close(got, fn.tree.map(lambda x, values: torch.tensor(values), single, want), rtol=3e-7, atol=0)


def test_parts_of_a_state_by_name():
    optimizer = optim.chain(optim.add_noise(1.0, 0.9, 0), optim.scale_by_adam())
    state = optimizer.init(T)
    assert tree.get(state, "mu") is state[1].mu and tree.get(state, "AddNoiseState") is state[0]
    assert tree.get(state, "absent", default=3) == 3
    with pytest.raises(KeyError, match=r"expected one part named 'count', got \[0\]\.count, \[1\]\.count"):
        tree.get(state, "count")
    assert [fn.tree.keystr(path) for path, _ in tree.get_all_with_path(state, "a")] == ["[1].mu['a']", "[1].nu['a']"]
    adam = lambda path, part: path[0].idx == 1  # noqa: E731
    assert tree.get(state, "count", filtering=adam) is state[1].count
    changed = tree.set(state, adam, count=torch.tensor(7))
    assert changed[1].count == 7 and changed[0].count == 0 and fn.tree.structure(changed) == fn.tree.structure(state)
    with pytest.raises(KeyError, match="expected a part named 'momentum', got none"):
        tree.set(state, momentum=0.0)


STATES = {
    "adam": optim.adam(0.1),
    "lion": optim.lion(0.1),
    "inject_hyperparams": optim.inject_hyperparams(optim.rmsprop)(0.1),
    "MultiSteps": optim.MultiSteps(optim.sgd(0.1, 0.9), 2),
}


@pytest.mark.parametrize("optimizer", STATES.values(), ids=STATES)
def test_functions_of_the_parts_of_a_state_that_are_like_the_parameters(optimizer):
    state, names = optimizer.init(T), {"a": "first", "b": "second"}
    mapped = optim.tree_map_params(optimizer, lambda x, name: name, state, names, transform_non_params=lambda x: None)
    found = [leaf for leaf in fn.tree.leaves(mapped) if leaf is not None]
    of_params = sum(x.shape == (2, 1) for x in fn.tree.leaves(state))
    assert found == ["first", "second"] * of_params and of_params
    same = optim.tree_map_params(optimizer.init, torch.clone, state)
    assert fn.tree.equal(same, state)


def test_gradients_can_be_scaled():
    gradient = fn.grad(lambda v: (optim.scale_gradient(v, 0.3) ** 3).sum())(X)
    check([gradient], [[2.025, 3.6], [0.0, 8.1]])
    assert fn.jit(fn.grad(lambda v, s: optim.scale_gradient({"v": v}, s)["v"].sum()))(X, 0.25).unique() == 0.25
    assert optim.scale_gradient(X, 1.0) is X and not fn.grad(lambda v: optim.scale_gradient(v, 0.0).sum())(X).any()


def test_conditional_transformations_over_five_steps():
    optimizer = optim.chain(
        optim.conditionally_transform(optim.trace(0.9), lambda step: step % 3 != 1),
        optim.conditionally_mask(optim.scale_by_adam(), lambda step, value: value > 1.5, forward_extra_args=True),
    )
    state, outputs = optimizer.init(T), []
    for i in range(5):
        g, value = fn.tree.scale(i + 1, T), torch.tensor(1 + i * 0.4, dtype=torch.float64)
        updates, state = optimizer.update(g, state, T, value=value)
        outputs.append(updates["a"])
    check(
        outputs,
        [0.0, 0.0], [0.0, 0.0], [0.9999999974358975, -0.9999999987179488], [0.9691553037829317, -0.9691553045926402],
        [0.9699931903392983, -0.9699931911939045],
    )  # fmt: skip


def test_periodic_updates_under_jit():
    update = fn.jit(lambda step: optim.periodic_update(T, M, step, 3))
    assert fn.tree.equal(update(torch.tensor(6)), T) and fn.tree.equal(update(torch.tensor(7)), M)


def test_names_of_tree_utils():
    for name in tree.__all__:
        assert getattr(tree_utils, f"tree_{name}") is getattr(tree, name)
