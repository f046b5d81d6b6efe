# %% [markdown]
# # Writing an optimizer
#
# An optimizer is a pair of functions, as in Optax: `init(params) -> state`, and `update(grads, state, params) ->
# (updates, state)`. `fn.optim.apply_updates` adds the updates to the parameters.

# %%
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

import funcnet as fn

params = {"w": torch.tensor([3.0, -4.0]), "b": torch.tensor(0.5)}


def loss(params: Any) -> Tensor:
    return fn.tree.dot(params, params) / 2


# %% [markdown]
# ## Without a state
#
# `fn.optim.stateless` makes a transformation of a function of updates and parameters.

# %%
signs = fn.optim.stateless(lambda grads, params: fn.tree.map(torch.sign, grads))
updates, _ = signs.update(fn.grad(loss)(params), signs.init(params), params)
print(updates["w"])
# -> tensor([ 1., -1.])

# %% [markdown]
# ## With a state
#
# The state is a NamedTuple that says what its tensors are. Here is momentum, m = decay m + g, which `fn.optim.trace`
# also computes.


# %%
class MomentumState(NamedTuple):
    mean: Any  # like params


def momentum(decay: float | Tensor) -> fn.optim.GradientTransformation:
    update = partial(momentum_update, decay=decay)
    return fn.optim.GradientTransformation(init=momentum_init, update=update)


def momentum_init(params: Any) -> MomentumState:
    return MomentumState(fn.tree.zeros_like(params))


def momentum_update(
    grads: Any, state: MomentumState, params: Any = None, *, decay: float | Tensor
) -> tuple[Any, MomentumState]:
    mean = fn.tree.map(lambda m, g: decay * m + g, state.mean, grads)
    return mean, MomentumState(mean)


# %% [markdown]
# `chain` makes a whole optimizer of it: the last part multiplies by minus the learning rate.


# %%
def with_momentum(decay: float | Tensor) -> fn.optim.GradientTransformation:
    return fn.optim.chain(momentum(decay), fn.optim.scale_by_learning_rate(0.1))


reference = fn.optim.sgd(0.1, momentum=0.9)


def train(optimizer: fn.optim.GradientTransformation, params: Any) -> tuple[Any, Tensor]:
    def step(carry: Any, _: Any) -> tuple[Any, Tensor]:
        params, state = carry
        value, grads = fn.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), value

    (params, _), losses = fn.scan(step, (params, optimizer.init(params)), length=30)
    return params, losses


by_mine, by_reference = train(with_momentum(0.9), params), train(reference, params)
assert fn.tree.allclose(by_mine, by_reference, rtol=1e-5, atol=1e-6)

# %% [markdown]
# It agrees with `torch.optim.SGD`, too.

# %%
leaf = params["w"].clone().requires_grad_()
theirs = torch.optim.SGD([leaf], lr=0.1, momentum=0.9)
for _ in range(30):
    theirs.zero_grad()
    (leaf.square().sum() / 2).backward()
    theirs.step()
torch.testing.assert_close(by_mine[0]["w"], leaf.detach(), rtol=1e-4, atol=1e-6)

# %% [markdown]
# ## Hyperparameters as tensors
#
# As the update has no branch on `decay`, it may be a tensor: one compiled sweep covers many decays.

# %%
decays = torch.tensor([0.0, 0.5, 0.9])
sweep = fn.vmap(lambda decay: train(with_momentum(decay), params)[1])
losses = fn.jit(sweep)(decays)
print(losses.shape)
# -> torch.Size([3, 30])
torch.testing.assert_close(losses[2], by_mine[1], rtol=1e-4, atol=1e-6)

# %% [markdown]
# ## Wrappers
#
# What works on any optimizer works on yours: masks, accumulation over minibatches, hyperparameters in the state.

# %%
only_w = fn.optim.masked(momentum(0.9), {"w": True, "b": False})
state = only_w.init(params)
for _ in range(2):
    updates, state = only_w.update(params, state, params)
print(updates)  # b has no momentum
# -> {'w': tensor([ 5.7000, -7.6000]), 'b': tensor(0.5000)}
tunable = fn.optim.inject_hyperparams(momentum)(decay=0.9)
print(tunable.init(params).hyperparams)
# -> {'decay': tensor(0.9000)}

# %% [markdown]
# An optimizer for the library itself: the docstring of `funcnet.optim` lists the files to touch.
#
# Next: [writing an operation](writing_an_operation.py).
