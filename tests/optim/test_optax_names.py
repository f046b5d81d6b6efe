"""Programs for Optax find its names in fn.optim, and transformations of their own work in its chains."""

from functools import partial

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import optim as optax

G, VALUE = torch.tensor([1.0, -2.0]), torch.tensor(3.0)


def halve(accepts):
    """Return a transformation whose update takes no extra arguments, or `value` alone."""

    def init(params: optax.Params) -> optax.OptState:
        return optax.EmptyState()

    def plain(updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None):
        return fn.tree.scale(0.5, updates), state

    def by_value(updates, state, params=None, *, value):
        return fn.tree.scale(0.5 * value, updates), state

    return optax.GradientTransformationExtraArgs(init, by_value if accepts else plain)


@pytest.mark.parametrize("accepts, factor", [(False, 0.5), (True, 1.5)])
def test_a_chain_passes_the_extra_arguments_that_a_part_names(accepts, factor):
    chain = optax.chain(halve(accepts), optax.scale(-1.0))
    updates, state = chain.update(G, chain.init(G), G, value=VALUE, grad=G)
    assert_close(updates, -factor * G)
    assert state == (optax.EmptyState(), ())
    named = optax.named_chain(("half", halve(accepts)))
    assert_close(named.update(G, named.init(G), G, value=VALUE, grad=G)[0], factor * G)


WRAPPERS = {
    "masked": lambda part: optax.masked(part, True),
    "masked partial": lambda part: optax.masked(optax.GradientTransformation(part.init, partial(part.update)), True),
    "partition": lambda part: optax.partition({"all": part}, "all"),
    "MultiSteps": lambda part: optax.MultiSteps(part, 1),
    "apply_if_finite": lambda part: optax.apply_if_finite(part, 3),
    "schedule_free": lambda part: optax.schedule_free(part, 1.0, b1=1.0),
    "inject_hyperparams": lambda part: optax.inject_hyperparams(lambda step: part)(1.0),
}


@pytest.mark.parametrize("accepts, factor", [(False, 0.5), (True, 1.5)])
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_pass_the_extra_arguments_that_a_part_names(name, accepts, factor):
    wrapped = WRAPPERS[name](halve(accepts))
    updates, _ = wrapped.update(G, wrapped.init(G), G, value=VALUE, grad=G)
    assert_close(updates, factor * G)


def test_an_update_may_be_an_object():
    class Halve:
        def __call__(self, updates, state, params=None):
            return fn.tree.scale(0.5, updates), state

    chain = optax.chain(optax.GradientTransformation(lambda params: (), Halve()))
    assert_close(chain.update(G, chain.init(G), G, value=VALUE)[0], 0.5 * G)


def test_wrappers_of_two_optimizers_pass_the_extra_arguments_that_each_names():
    params = optax.LookaheadParams.init_synced(G)
    for accepts, factor in ((False, 0.5), (True, 1.5)):
        optimizer = optax.lookahead(halve(accepts), 2, 0.5)
        updates, _ = optimizer.update(G, optimizer.init(params), params, value=VALUE, grad=G)
        assert_close(updates.fast, factor * G)
        climbing = optax.sam(halve(False), halve(accepts))
        climb, _ = climbing.update(G, climbing.init(G), G, value=VALUE, grad=G)
        assert_close(climb, -factor * G)


def test_a_transformation_that_takes_everything_is_returned_unchanged():
    for optimizer in (optax.adam(0.1), optax.chain(optax.sgd(0.1)), optax.MultiSteps(optax.sgd(0.1), 2)):
        assert optax.with_extra_args_support(optimizer) is optimizer


def test_losses_by_their_top_level_names():
    for name in fn.losses.__all__:
        assert getattr(optax, name) is getattr(fn.losses, name) is getattr(optax.losses, name)
    with pytest.raises(AttributeError, match="module 'funcnet.optim' has no attribute 'adm'"):
        optax.adm  # noqa: B018
