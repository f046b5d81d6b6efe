"""Programs for Optax find its names in fn.optim, and transformations of their own work in its chains."""

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


def test_a_transformation_that_takes_everything_is_returned_unchanged():
    for optimizer in (optax.adam(0.1), optax.chain(optax.sgd(0.1)), optax.MultiSteps(optax.sgd(0.1), 2)):
        assert optax.with_extra_args_support(optimizer) is optimizer


def test_losses_by_their_top_level_names():
    for name in fn.losses.__all__:
        assert getattr(optax, name) is getattr(fn.losses, name) is getattr(optax.losses, name)
    with pytest.raises(AttributeError, match="module 'funcnet.optim' has no attribute 'adm'"):
        optax.adm  # noqa: B018
