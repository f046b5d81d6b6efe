"""Transformations of whole optimizers: masks, accumulated steps, averages, injected hyper-parameters."""

from functools import partial

import torch
from programs import first_update
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim, tree


def test_masks_and_labels_by_prefix_by_path_and_by_function():
    params = {"body": {"w": numbers(2, 2), "b": numbers(2), "name": "relu"}, "head": {"w": numbers(2), "b": None}}
    grads = tree.map(torch.ones_like, tree.partition(params, tree.is_floating)[0])
    for mask in (
        {"body": True, "head": False},
        optim.by_path(lambda path: path.startswith("body")),
        lambda p: {"body": True, "head": False},
    ):
        doubled, _ = first_update(optim.masked(optim.scale(2.0), mask), grads, params)
        assert tree.equal(doubled, {"body": tree.scale(2.0, grads["body"]), "head": grads["head"]})
        frozen, _ = first_update(optim.freeze(mask), grads, params)
        assert tree.equal(frozen, {"body": tree.zeros_like(grads["body"]), "head": grads["head"]})
    labels = {"body": "slow", "head": "fast"}
    for label in (labels, optim.by_path(lambda path: labels[path.split(".")[0]]), lambda p: labels):
        parts = {"slow": optim.sgd(0.1), "fast": optim.adam(0.5), "unused": optim.adam(1.0)}
        updates, state = first_update(optim.partition(parts, label), grads, params)
        assert_close(updates["body"]["w"], torch.full((2, 2), -0.1).double())
        assert_close(updates["head"]["w"], torch.full((2,), -0.5).double())
        assert tree.paths(state.inner_states["slow"]) == [] and len(tree.leaves(state.inner_states["fast"])) == 3


def test_multi_steps_equals_one_step_of_the_mean():
    grads = [{"w": numbers(3, seed=i)} for i in range(6)]
    for mean in (True, False):
        optimizer = optim.MultiSteps(optim.adam(0.1), 3, use_grad_mean=mean, accumulator_dtype=None)
        params = {"w": numbers(3)}
        ours, state = params, optimizer.init(params)
        for i, g in enumerate(grads):
            updates, state = optimizer.update(g, state, ours)
            assert bool(optimizer.has_updated(state)) == (i % 3 == 2)
            assert tree.equal(updates, tree.zeros_like(updates)) == (i % 3 != 2)
            ours = optim.apply_updates(ours, updates)
        single, its_state = params, optim.adam(0.1).init(params)
        for block in (grads[:3], grads[3:]):
            total = {"w": sum(g["w"] for g in block) / (3 if mean else 1)}
            updates, its_state = optim.adam(0.1).update(total, its_state, single)
            single = optim.apply_updates(single, updates)
        assert tree.allclose(ours, single, rtol=1e-12)
        assert state.gradient_step == 2
        assert tree.equal(
            first_update(optimizer.gradient_transformation(), grads[0], params)[0], {"w": torch.zeros(3).double()}
        )


def test_multi_steps_ignores_a_skipped_gradient():
    grads = [{"w": numbers(3, seed=i), "b": numbers(seed=i)} for i in range(4)]
    holed = {"w": torch.tensor([1.0, float("nan"), float("inf")]).double(), "b": numbers()}
    large = tree.scale(1e6, grads[0])
    params = tree.scale(0.5, grads[1])
    for skip, bad in (
        (optim.skip_not_finite, holed),
        (partial(optim.skip_large_updates, max_squared_norm=30.0), large),
        (partial(optim.skip_large_updates, max_squared_norm=30.0), holed),
    ):
        optimizer = optim.MultiSteps(optim.adam(0.1), 2, True, skip, torch.float64)
        without = optim.MultiSteps(optim.adam(0.1), 2, accumulator_dtype=torch.float64)
        state, expected = optimizer.init(params), without.init(params)
        for g in grads:
            before = state
            zeros, state = optimizer.update(bad, state, params)
            assert state.skip_state["should_skip"] and tree.equal(zeros, tree.zeros_like(params))
            assert tree.equal(state[:-1], before[:-1])
            updates, state = optimizer.update(g, state, params)
            its_updates, expected = without.update(g, expected, params)
            assert tree.equal(updates, its_updates) and tree.equal(state[:-1], expected[:-1])
            assert not state.skip_state["should_skip"]
    _, told = optim.skip_not_finite(holed, torch.tensor(0), None)
    assert told["num_not_finite"] == 2
    _, told = optim.skip_large_updates(grads[0], torch.tensor(0), None, 0.1)
    assert_close(told["norm_squared"], sum((g**2).sum() for g in grads[0].values()))
    assert optim.skip_large_updates(torch.tensor(2.0), torch.tensor(0), None, 4.0)[0]


def test_lookahead_follows_the_paper():
    optimizer = optim.lookahead(optim.sgd(0.1, momentum=0.5), sync_period=3, slow_step_size=0.4, reset_state=True)
    params = optim.LookaheadParams.init_synced({"w": numbers(2)})
    fast = slow = numbers(2)
    state, momentum = optimizer.init(params), torch.zeros(2).double()
    for i in range(7):
        g = numbers(2, seed=i)
        updates, state = optimizer.update({"w": g}, state, params)
        params = optim.apply_updates(params, updates)
        momentum = g + 0.5 * momentum
        fast = fast - 0.1 * momentum
        if i % 3 == 2:
            fast = slow = slow + 0.4 * (fast - slow)
            momentum = torch.zeros(2).double()
        assert tree.allclose(params, optim.LookaheadParams({"w": fast}, {"w": slow}), rtol=1e-12)


def test_apply_if_finite_applies_an_update_after_too_many_errors():
    optimizer = optim.apply_if_finite(optim.sgd(0.1, momentum=0.5), 2)
    state = before = optimizer.init(numbers(2))
    for i in range(2):
        updates, state = optimizer.update(torch.tensor([1.0, float("nan")]).double(), state)
        assert tree.equal(updates, torch.zeros(2).double()) and state.notfinite_count == i + 1
        assert tree.equal(state.inner_state, before.inner_state) and not state.last_finite
    updates, state = optimizer.update(torch.tensor([1.0, float("inf")]).double(), state)
    assert updates[0] == -0.1 and updates[1].isinf() and state.total_notfinite == 3
    updates, state = optimizer.update(torch.ones(2).double(), state)
    assert state.total_notfinite == 3 and state.last_finite
    _, state = optimizer.update(torch.ones(2).double(), before._replace(notfinite_count=torch.tensor(2)))
    assert state.notfinite_count == 0 and state.last_finite


def test_hyper_parameters_are_read_replaced_and_mapped():
    build = optim.inject_hyperparams(optim.adamw, static_args="mask")
    optimizer = build(
        0.1, b1=optim.linear_schedule(0.5, 0.9, 4), weight_decay=0.1, mask=lambda p: tree.map(lambda _: True, p)
    )
    params = {"w": numbers(3)}
    state = optim.chain(optim.clip(1.0), optimizer).init(params)
    values = optim.get_hyperparams(state)
    assert set(values) == {"learning_rate", "b1", "b2", "eps", "eps_root", "weight_decay"}
    assert values["b1"] == 0.5 and {v.dtype for v in values.values()} == {torch.float64}

    def final(rate):
        state = optimizer.init(params)
        state = state._replace(hyperparams=state.hyperparams | {"learning_rate": rate})
        return optim.apply_updates(params, optimizer.update({"w": torch.ones(3).double()}, state, params)[0])["w"]

    rates = torch.tensor([0.1, 0.3]).double()
    swept = fn.vmap(final)(rates)
    expected = params["w"] - rates[:, None] * (1 / (1 + 1e-8) + 0.1 * params["w"])
    assert_close(swept, expected, rtol=1e-12, atol=0)


def test_schedule_free_evaluates_the_average():
    params, optimizer = numbers(3), optim.schedule_free_sgd(0.1, b1=0.8)
    state, iterates, z = optimizer.init(params), [], numbers(3)
    for i in range(5):
        g = numbers(3, seed=i)
        z = z - 0.1 * g
        iterates.append(z)
        updates, state = optimizer.update(g, state, params)
        params = optim.apply_updates(params, updates)
    average = optim.schedule_free_eval_params(state, params)
    assert_close(average, torch.stack(iterates).mean(0), rtol=1e-12, atol=0)
    assert_close(params, 0.8 * average + 0.2 * z, rtol=1e-12, atol=0)
