"""Optimizers, transformations and schedules against Optax, and what each promises beyond its numbers."""

from functools import partial

import golden
import pytest
import torch
from tables import numbers
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim, tree

OPTAX, SCHEDULES, MORE = (golden.load(name) for name in ("optimizers", "schedules", "transformations"))
NAMES = {name: getattr(optim, name) for name in optim.__all__}


def tensors(values):
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def path(optimizer, loss_at=lambda i: None):
    """The parameters after each of the gradients."""
    params = tensors(OPTAX["params"])
    state = optimizer.init(params)
    for i, grads in enumerate(OPTAX["grads"]):
        updates, state = optimizer.update(tensors(grads), state, params, value=loss_at(i))
        params = optim.apply_updates(params, updates)
        yield params


@pytest.mark.parametrize("name", OPTAX["trajectories"])
def test_whole_trajectories_are_optax(name):
    for ours, theirs in zip(path(eval(name, dict(NAMES))), OPTAX["trajectories"][name], strict=True):
        assert tree.difference(ours, tensors(theirs), atol=1e-12) is None


@pytest.mark.parametrize("name", MORE["finals"])
def test_trajectories_end_where_those_of_optax_end(name):
    *_, ours = path(eval(name, dict(NAMES)), lambda i: torch.tensor(5 - 0.01 * (i // 4), dtype=torch.float64))
    assert tree.difference(ours, tensors(MORE["finals"][name]), atol=1e-12) is None


@pytest.mark.parametrize("name", [*SCHEDULES["values"], *MORE["schedules"]])
@pytest.mark.parametrize("count", [int, torch.tensor], ids=["int", "tensor"])
def test_schedules_are_optax(name, count):
    schedule, values = eval(name, dict(NAMES)), (SCHEDULES["values"] | MORE["schedules"])[name]
    ours = torch.stack([schedule(count(step)) for step in range(len(values))])
    assert_close(ours, torch.tensor(values, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_schedule_is_mapped_and_differentiated():
    def at(peak, step):
        return optim.warmup_cosine_decay_schedule(0.0, peak, 5, 20, 0.1)(step)

    peaks, steps = torch.tensor([0.5, 2.0]).double(), torch.arange(24)
    mapped = fn.vmap(fn.vmap(at, in_dims=(None, 0)), in_dims=(0, None))(peaks, steps)
    assert_close(mapped, torch.stack([torch.stack([at(p, int(s)) for s in steps]) for p in peaks]))
    fn.checking.check_grads(lambda peak: at(peak, torch.tensor(9)), (peaks[0],))


def test_a_decay_without_steps_or_by_nothing_stays():
    for options in ((0, 0.5, 0, False, 2.0), (4, 0.0, 0, False, 2.0), (0, 2.0, 3, True, None)):
        schedule = optim.exponential_decay(1.1, *options)
        assert {schedule(step).item() for step in range(6)} == {1.1}
    slope = fn.grad(lambda steps: optim.exponential_decay(1.1, steps, 0.5)(torch.tensor(3)))(torch.tensor(0.0).double())
    assert slope.isfinite()


@pytest.mark.parametrize("name", ["adam", "adamw", "amsgrad", "nadam", "nadamw"])
def test_bfloat16_parameters_with_float32_moments(name):
    """b2 = 0.999 rounds to 1 in bfloat16, so that only wide moments follow a gradient that shrinks."""
    optimizer = getattr(optim, name)(1e-2, mu_dtype=torch.float32)
    exact = getattr(optim, name)(1e-2)
    params, wide = numbers(4).bfloat16(), numbers(4)
    state, wide_state = optimizer.init(params), exact.init(wide)
    for i in range(50):
        grads = numbers(4, seed=i).bfloat16()
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply_updates(params, updates)
        _, wide_state = exact.update(grads.double(), wide_state, wide)
    assert params.dtype == torch.bfloat16 and {state[0].mu.dtype, state[0].nu.dtype} == {torch.float32}
    assert_close(state[0].nu.double(), wide_state[0].nu, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["lion", "muon"])
def test_bfloat16_parameters_with_a_float32_mean(name):
    optimizer, params = getattr(optim, name)(1e-2, mu_dtype=torch.float32), numbers(4, 3).bfloat16()
    state, mean = optimizer.init(params), torch.zeros(4, 3)
    decay = {"lion": 0.99, "muon": 0.95}[name]
    for i in range(20):
        grads = numbers(4, 3, seed=i).bfloat16()
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply_updates(params, updates)
        mean = decay * mean + (1 - decay) * grads.float()
    assert params.dtype == torch.bfloat16
    found = state[0] if name == "lion" else state.inner_states["muon"][0]
    assert found.mu.dtype == torch.float32 and found.count == 20
    assert_close(found.mu, mean)


def test_narrow_mu_leaves_nu_wide():
    state = optim.scale_by_adam(mu_dtype=torch.bfloat16).init(numbers(2))
    assert (state.mu.dtype, state.nu.dtype) == (torch.bfloat16, torch.float64)


def test_bias_correction_is_exact_in_half_precision():
    updates, _ = optim.scale_by_adam().update(*_first(torch.tensor([2.0], dtype=torch.bfloat16)))
    assert_close(updates, torch.ones(1, dtype=torch.bfloat16))


def _first(grads):
    return grads, optim.scale_by_adam().init(grads)


def test_a_leaf_without_gradient_keeps_its_state():
    params = {"w": numbers(2), "b": numbers(3)}
    for optimizer in (
        optim.adam(0.1),
        optim.sgd(0.1, 0.9),
        optim.adafactor(0.1),
        optim.adagrad(0.1),
        optim.amsgrad(0.1),
    ):
        state = optimizer.init(params)
        updates, after = optimizer.update({"w": numbers(2), "b": None}, state, params)
        assert updates["b"] is None
        assert tree.structure(after) == tree.structure(state)


def test_masks_and_labels_by_prefix_by_path_and_by_function():
    params = {"body": {"w": numbers(2, 2), "b": numbers(2), "name": "relu"}, "head": {"w": numbers(2), "b": None}}
    grads = tree.map(torch.ones_like, tree.partition(params, tree.is_floating)[0])
    for mask in (
        {"body": True, "head": False},
        optim.by_path(lambda path: path.startswith("body")),
        lambda p: {"body": True, "head": False},
    ):
        doubled, _ = _update(optim.masked(optim.scale(2.0), mask), grads, params)
        assert tree.equal(doubled, {"body": tree.scale(2.0, grads["body"]), "head": grads["head"]})
        frozen, _ = _update(optim.freeze(mask), grads, params)
        assert tree.equal(frozen, {"body": tree.zeros_like(grads["body"]), "head": grads["head"]})
    labels = {"body": "slow", "head": "fast"}
    for label in (labels, optim.by_path(lambda path: labels[path.split(".")[0]]), lambda p: labels):
        parts = {"slow": optim.sgd(0.1), "fast": optim.adam(0.5), "unused": optim.adam(1.0)}
        updates, state = _update(optim.partition(parts, label), grads, params)
        assert_close(updates["body"]["w"], torch.full((2, 2), -0.1).double())
        assert_close(updates["head"]["w"], torch.full((2,), -0.5).double())
        assert tree.paths(state.inner_states["slow"]) == [] and len(tree.leaves(state.inner_states["fast"])) == 3


def _update(optimizer, grads, params):
    return optimizer.update(grads, optimizer.init(params), params)


def test_multi_steps_is_one_step_of_the_mean():
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
            _update(optimizer.gradient_transformation(), grads[0], params)[0], {"w": torch.zeros(3).double()}
        )


def test_multi_steps_goes_on_as_if_a_skipped_gradient_had_never_been():
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


def test_apply_if_finite_gives_in_after_so_many():
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


def test_projections_are_the_nearest_points():
    params = {"a": 2 * numbers(4), "b": [2 * numbers(2, 2, seed=1)], "n": 3}
    point, unravel = tree.ravel(params)
    inside = torch.stack(
        [fn.random.uniform(key, (8,), torch.float64) for key in fn.random.split(fn.random.key(1), 500)]
    )
    sets = {
        "non_negative": (optim.projections.projection_non_negative(params), inside * 3),
        "box": (optim.projections.projection_box(params, -0.5, torch.tensor(0.7)), inside * 1.2 - 0.5),
        "simplex": (optim.projections.projection_simplex(params, 1.5), 1.5 * inside / inside.sum(1, keepdim=True)),
        "l2_ball": (optim.projections.projection_l2_ball(params, 0.8), 0.8 * inside / inside.norm(dim=1, keepdim=True)),
    }
    for name, (projected, others) in sets.items():
        vector, _ = tree.ravel(projected)
        assert projected["n"] == 3
        assert ((vector - point) @ (others - vector).T >= -1e-12).all(), name  # the angle to every other point
    lowest, highest = (f(tree.ravel(sets["box"][0])[0]) for f in (torch.min, torch.max))
    assert (lowest, highest) == (-0.5, torch.tensor(0.7).double())
    assert tree.ravel(sets["non_negative"][0])[0].min() == 0
    assert_close(tree.norm(sets["l2_ball"][0]), torch.tensor(0.8).double())
    simplex, _ = tree.ravel(sets["simplex"][0])
    assert (simplex >= 0).all() and (simplex == 0).any()
    assert_close(simplex.sum(), torch.tensor(1.5).double())
    assert tree.allclose(optim.projections.projection_l2_ball(unravel(point / 10), 5.0), unravel(point / 10))
    for f in (optim.projections.projection_simplex, optim.projections.projection_l2_ball):
        fn.checking.check_grads(lambda p, f=f: tree.ravel(f(p))[0].sin().sum(), (point,))
        assert_close(fn.vmap(f)(torch.stack([point, -point])), torch.stack([f(point), f(-point)]))


def test_a_simplex_is_exact_among_large_values():
    far = optim.projections.projection_simplex(torch.tensor([1e9, 1e9 + 0.25, -1e9, 0.0], dtype=torch.float64), 1.3)
    near = optim.projections.projection_simplex(torch.tensor([1.0, 0.0004, 0.0]).double())
    assert_close(near, torch.tensor([0.9998, 0.0002, 0.0]).double(), rtol=1e-3, atol=0)
    assert_close(far, torch.tensor([0.525, 0.775, 0.0, 0.0], dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("case", MORE["adaptive_grad_clip"]["cases"])
def test_units_of_every_shape_are_clipped_as_in_optax(case):
    axis = tuple(case["axis"]) if isinstance(case["axis"], list) else case["axis"]
    grad, params, expected = (torch.tensor(case[k], dtype=torch.float64) for k in ("grad", "params", "update"))
    updates, _ = _update(optim.adaptive_grad_clip(0.1, 0.2, axis), grad, params)
    assert_close(updates, expected, rtol=0, atol=1e-14)


def test_a_unit_at_0_moves_by_a_fraction_of_eps():
    updates, _ = _update(optim.adaptive_grad_clip(0.01, 1e-3), torch.tensor([1e-4]).double(), torch.zeros(1).double())
    assert_close(updates, torch.tensor([1e-5]).double())


def test_adagrad_without_eps_stays_where_there_was_no_gradient():
    updates, _ = _update(optim.adagrad(0.1, 0.0, 0.0), torch.tensor([0.0, 2.0]), torch.zeros(2))
    assert_close(updates, torch.tensor([0.0, -0.1]))


def test_a_trust_ratio_has_finite_derivatives_where_it_is_not_defined():
    part = optim.scale_by_trust_ratio()
    for g, p in ((torch.zeros(2), numbers(2)), (numbers(2), torch.zeros(2))):
        g, p = g.double(), p.double()
        jacobian = fn.jacrev(lambda g, p=p: _update(part, g, p)[0])(g)
        assert tree.equal(_update(part, g, p)[0], g) and jacobian.isfinite().all()


def test_no_patience_reduces_at_every_loss_that_does_not_improve():
    optimizer = optim.reduce_on_plateau(0.5, patience=0, cooldown=1)
    state, scales = optimizer.init(numbers(1)), []
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 1.0):
        _, state = optimizer.update(numbers(1), state, value=torch.tensor(loss))
        scales.append(state.scale.item())
    assert scales == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_adafactor_knows_its_axes_by_their_sizes(axes):
    def run(turn):
        params, optimizer = turn(numbers(2, 3, 5)), optim.adafactor(0.1, min_dim_size_to_factor=2)
        state = optimizer.init(params)
        for i in range(3):
            updates, state = optimizer.update(turn(numbers(2, 3, 5, seed=i)), state, params)
            params = optim.apply_updates(params, updates)
        return params

    assert_close(run(lambda x: x.permute(axes)), run(lambda x: x).permute(axes), rtol=1e-12, atol=1e-12)


def test_a_plateau_knows_the_best_loss_of_its_cooldown():
    optimizer = optim.reduce_on_plateau(0.5, patience=1, cooldown=1)
    state, scales = optimizer.init(numbers(1)), []
    for loss in (4.0, 4.0, 1.0, 2.0):
        _, state = optimizer.update(numbers(1), state, value=torch.tensor(loss))
        scales.append(state.scale.item())
    assert scales == [1.0, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    "rtol, atol, losses, scales",
    [
        (0.1, 0.0, (4.0, 3.7, 3.5), [1.0, 0.5, 0.5]),
        (0.0, 0.5, (4.0, 3.7, 3.4), [1.0, 0.5, 0.5]),
        (0.1, 0.2, (4.0, 3.5, 3.45), [1.0, 0.5, 0.25]),
        (0.0, 0.0, (4.0, 3.99, 4.0), [1.0, 1.0, 0.5]),
    ],
)
def test_a_plateau_ends_by_more_than_both_tolerances(rtol, atol, losses, scales):
    optimizer = optim.reduce_on_plateau(0.5, patience=1, rtol=rtol, atol=atol)
    state, found = optimizer.init(numbers(1)), []
    for loss in losses:
        _, state = optimizer.update(numbers(1), state, value=torch.tensor(loss))
        found.append(state.scale.item())
    assert found == scales


def test_a_target_network_follows():
    new, old = {"w": numbers(2), "n": 1}, {"w": numbers(2, seed=1), "n": 2}
    moved = optim.incremental_update(new, old, 0.25)
    assert_close(moved["w"], 0.25 * new["w"] + 0.75 * old["w"])
    assert moved["n"] == 2


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


def test_muon_moves_along_an_orthogonal_matrix():
    matrix = numbers(4, 3)
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    assert_close(optim.orthogonalize(matrix, [(1.5, -0.5, 0.0)] * 40), u @ vt, rtol=1e-9, atol=1e-9)
    polynomials = [(2.0, -1.5, 0.5), (1.5, -0.5, 0.0), (1.875, -1.25, 0.375)]  # of more than there are steps the last
    ours, _ = _update(optim.scale_by_muon(polynomials, 2, nesterov=False, eps=0.0), matrix, matrix)
    assert_close(ours, optim.orthogonalize(matrix, polynomials[1:], eps=0.0), rtol=1e-12, atol=0)
    singular = torch.linalg.svdvals(optim.orthogonalize(matrix, [optim.muon.__defaults__[0]] * 5))
    assert singular.min() > 0.6 and singular.max() < 1.3


ERRORS = {
    "no params": (
        lambda: optim.adamw(0.1).update(numbers(2), optim.adamw(0.1).init(numbers(2))),
        "add_decayed_weights: expected the parameters, got None",
    ),
    "state of another chain": (
        lambda: optim.chain(optim.clip(1.0), optim.sgd(0.1)).update(numbers(2), ((),)),
        "chain: expected a state of 2 entries, one per transformation, got tuple with entry 0",
    ),
    "name twice": (
        lambda: optim.named_chain(("a", optim.clip(1.0)), ("a", optim.clip(1.0))),
        r"named_chain: expected names that differ, got \['a', 'a'\]",
    ),
    "label without transformation": (
        lambda: optim.partition({"a": optim.sgd(0.1)}, {"w": "a", "b": "c"}).init({"w": numbers(1), "b": numbers(1)}),
        r"""partition: at path "b": expected a label among \['a'\], got 'c'.""",
    ),
    "boundaries": (
        lambda: optim.join_schedules([optim.constant_schedule(1.0)], [3]),
        "join_schedules: expected one boundary less than schedules, got 1 schedules and 1 boundaries",
    ),
    "no decay": (
        lambda: optim.cosine_decay_schedule(1.0, 0),
        "cosine_decay_schedule: expected at least 1 of decay_steps",
    ),
    "all warmup": (
        lambda: optim.warmup_cosine_decay_schedule(0.0, 1.0, 5, 5),
        "expected decay_steps, which count the warmup, to be more than warmup_steps 5, got 5",
    ),
    "interpolation": (
        lambda: optim.piecewise_interpolate_schedule("cubic", 1.0),
        r"piecewise_interpolate_schedule: expected one of \['linear', 'cosine'\], got 'cubic'",
    ),
    "plateau without loss": (
        lambda: _update(optim.reduce_on_plateau(), numbers(2), numbers(2)),
        "reduce_on_plateau: expected the loss, got none",
    ),
    "search without loss": (
        lambda: _update(optim.lbfgs(), numbers(2), numbers(2)),
        "linesearch: expected the loss, its gradient and the loss as a function",
    ),
    "strategy": (
        lambda: optim.scale_by_zoom_linesearch(3, initial_guess_strategy="two"),
        "linesearch: expected the strategy 'one' or 'keep', got 'two'",
    ),
    "memory": (lambda: optim.lbfgs(memory_size=0), "lbfgs: expected a memory_size of at least 1, got 0"),
    "no search in the state": (
        lambda: optim.value_and_grad_from_state(torch.sum)(numbers(2), state=()),
        "value_and_grad_from_state: expected a state of a line search",
    ),
    "unknown static argument": (
        lambda: optim.inject_hyperparams(optim.clip, static_args="norm"),
        r"inject_hyperparams: expected static_args among \['max_delta'\], got \['norm'\]",
    ),
    "no hyper-parameters": (lambda: optim.get_hyperparams(((), ())), "get_hyperparams: the state holds none"),
    "no average": (
        lambda: optim.schedule_free_eval_params((), numbers(2)),
        "schedule_free_eval_params: expected a state of schedule_free",
    ),
    "fast parameters alone": (
        lambda: optim.lookahead(optim.sgd(0.1), 2, 0.5).init(numbers(2)),
        "lookahead: expected LookaheadParams, got float64 tensor",
    ),
    "period": (
        lambda: optim.lookahead(optim.sgd(0.1), 0, 0.5),
        "lookahead: expected a sync_period of at least 1, got 0",
    ),
    "polynomials": (
        lambda: optim.muon(0.1, [(1.0, 2.0, 3.0)], ns_steps=2),
        "muon: expected a polynomial for each of 2 steps, got 1",
    ),
    "six axes": (
        lambda: _update(optim.adaptive_grad_clip(0.1), torch.ones((2,) * 6), torch.ones((2,) * 6)),
        "adaptive_grad_clip: expected leaves of at most 5 axes",
    ),
}


@pytest.mark.parametrize("call, message", ERRORS.values(), ids=ERRORS)
def test_errors_teach(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_public_name_is_documented():
    for name in optim.__all__:
        assert (getattr(optim, name).__doc__ or "").strip(), name
