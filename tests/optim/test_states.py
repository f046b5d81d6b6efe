"""An optimizer refuses a missing state, and the state of another optimizer or of other parameters."""

import pytest
import torch
from tables import OPTIMIZERS, numbers

import funcnet as fn

PARAMS = {"w": numbers(3, 2), "b": numbers(2, seed=1)}
STATELESS = {"sgd", "adaptive_grad_clip"}
OTHERS = {
    "larger": {"w": numbers(4, 2), "b": numbers(5)},
    "of other rank": {"w": numbers(3), "b": numbers(2, 2)},
    "that would broadcast": {"w": numbers(1, 1), "b": numbers(1)},
}
MISFITS = [
    (torch.zeros(3, 4), torch.ones(1)),
    (torch.zeros(3), torch.ones(())),
    (torch.zeros(2, dtype=torch.int64), torch.ones(2)),
]


def update(optimizer, state, params):
    loss = lambda p: fn.tree.dot(p, p)  # noqa: E731
    value, grads = fn.value_and_grad(loss)(params)
    return optimizer.update(grads, state, params, value=value, grad=grads, value_fn=loss, obj_fn=loss)


def holds_shapes(state):
    """Tell whether a state holds a tensor per parameter, of its shape or of a row or column of it."""
    return any(leaf.numel() > 1 for leaf in fn.tree.leaves(state) if fn.tree.is_floating(leaf))


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in STATELESS])
def test_a_missing_state_is_an_error_that_names_init(name):
    with pytest.raises(ValueError, match="init"):
        update(OPTIMIZERS[name](), None, PARAMS)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_other_parameters_names_path_shapes_and_remedy(name, other):
    optimizer = OPTIMIZERS[name]()
    state = optimizer.init(OTHERS[other])
    if not holds_shapes(optimizer.init(PARAMS)):
        update(optimizer, state, PARAMS)
        return
    message = r'path "[wb]": expected \w+\.\w+ (of shape \(.*\)|without a tensor), for .*, got one .*call init'
    with pytest.raises(ValueError, match=message):
        update(optimizer, state, PARAMS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_another_structure_is_an_error(name):
    optimizer = OPTIMIZERS[name]()
    if holds_shapes(optimizer.init(PARAMS)):
        with pytest.raises(ValueError, match="differ in structure.*call init"):
            update(optimizer, optimizer.init({"v": numbers(3, 2)}), PARAMS)


def test_a_state_of_another_optimizer_is_an_error():
    with pytest.raises(ValueError, match="to be a ScaleByAdamState, got TraceState"):
        fn.optim.scale_by_adam().update(PARAMS, fn.optim.trace(0.9).init(PARAMS))
    with pytest.raises(ValueError, match="expected a state with the entries clip, sgd, got"):
        fn.optim.named_chain(("clip", fn.optim.clip(1.0)), ("sgd", fn.optim.sgd(0.1))).update(PARAMS, ())


def test_a_row_of_squares_of_other_parameters_is_an_error():
    optimizer = fn.optim.scale_by_factored_rms(min_dim_size_to_factor=2)
    with pytest.raises(
        ValueError,
        match=r"FactoredState.v_col of shape \(4,\), for an update of shape \(4, 3\), got one of shape \(5,\)",
    ):
        optimizer.update({"w": numbers(4, 3)}, optimizer.init({"w": numbers(5, 3)}))


def test_frozen_and_masked_leaves_may_have_any_gradient():
    optimizer = fn.optim.masked(fn.optim.trace(0.9), {"w": True, "b": False})
    grads = {"w": numbers(3, 2), "b": None}
    assert optimizer.update(grads, optimizer.init(PARAMS), PARAMS)[0]["b"] is None


@pytest.mark.parametrize("step", [fn.optim.apply_updates, lambda p, g: fn.sgd_step(p, g, 0.1)])
@pytest.mark.parametrize("param, update", MISFITS)
def test_updates_that_broadcast_or_meet_integers_are_refused(step, param, update):
    with pytest.raises(ValueError, match=r'at path "w": expected leaves that fit together'):
        step({"w": param}, {"w": update})


@pytest.mark.parametrize("build", [fn.optim.adam, fn.optim.lion, fn.optim.rmsprop, fn.optim.adagrad])
def test_errors_about_complex_parameters_explain_their_shapes(build):
    z, optimizer = torch.ones(3, dtype=torch.complex64), build(0.1)
    with pytest.raises(ValueError, match=r"of shape \(2, 2\).*a complex tensor has an extra last axis of 2"):
        optimizer.update({"w": z[:2]}, optimizer.init({"w": z}), {"w": z[:2]})
    with pytest.raises(ValueError) as error:
        optimizer.update({"w": z.real[:2]}, optimizer.init({"w": z.real}), {"w": z.real[:2]})
    assert "complex" not in str(error.value)
