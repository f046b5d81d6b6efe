# %% [markdown]
# # Ensembles and sweeps
#
# A training run is a pure function of a key and of its settings. `fn.vmap` maps it over many of them, and `fn.jit`
# compiles the whole to one kernel, in which each lane of the processor's vectors trains a net of its own.

# %%
from typing import Any

import torch
from torch import Tensor

import funcnet as fn

x = torch.linspace(-2.0, 2.0, 32)[:, None]
y = torch.sin(2 * x)
model = fn.mlp([12, 1], activation=torch.tanh)


def loss(params: Any) -> Tensor:
    return fn.losses.l2_loss(model.apply(params, x), y).mean()


def run(key: Tensor, rate: Tensor) -> tuple[Any, Tensor]:
    optimizer = fn.optim.adam(rate)

    def step(carry: Any, _: Any) -> tuple[Any, Tensor]:
        params, state = carry
        value, grads = fn.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), value

    params = model.init(key, x)
    (params, _), losses = fn.scan(step, (params, optimizer.init(params)), length=150)
    return params, losses


# %% [markdown]
# ## A sweep
#
# The inner `vmap` maps over keys and keeps the rate (None), the outer one maps over rates. Hyperparameters are tensors,
# so that they need not be fixed at compilation.

# %%
keys = fn.random.split(fn.random.key(0), 6)
rates = torch.tensor([1e-4, 3e-3, 3e-2])
over_keys = fn.vmap(run, in_dims=(0, None))
params, losses = fn.jit(fn.vmap(over_keys, in_dims=(None, 0)))(keys, rates)
print(losses.shape)
# -> torch.Size([3, 6, 150])

# %%
final = losses[:, :, -1].mean(1)
print(final.argmin().item())
# -> 2
assert final[0] > final[1] > final[2]

# %% [markdown]
# One of these runs, run by itself, has the same losses up to rounding, which grows from step to step:
# lanes do not see each other.

# %%
alone = fn.jit(run)(keys[4], rates[1])[1]
torch.testing.assert_close(losses[1, 4, :50], alone[:50], rtol=1e-3, atol=1e-5)

# %% [markdown]
# ## An ensemble
#
# The trees of parameters have leading axes for the rate and the key. Select the best rate with `tree.map`, and let all
# its nets predict at once. Their spread is a measure of uncertainty: it is larger outside of the data.

# %%
best = fn.tree.map(lambda leaf: leaf[2], params)
grid = torch.tensor([[0.0], [1.0], [4.0]])
predictions = fn.vmap(model.apply, in_dims=(0, None))(best, grid)
print(predictions.shape)
# -> torch.Size([6, 3, 1])
spread = predictions.std(0)[:, 0]
assert spread[2] > 3 * spread[1]

# %% [markdown]
# ## Gradients per example
#
# `vmap` of `grad` gives the gradient of each example. Their mean is the gradient of the mean.

# %%
one = fn.tree.map(lambda leaf: leaf[0], best)


def example_loss(params: Any, x: Tensor, y: Tensor) -> Tensor:
    return fn.losses.l2_loss(model.apply(params, x), y).mean()


each = fn.vmap(fn.grad(example_loss), in_dims=(None, 0, 0))(one, x, y)
mean = fn.tree.map(lambda leaf: leaf.mean(0), each)
assert fn.tree.allclose(mean, fn.grad(loss)(one), rtol=1e-4, atol=1e-6)

# %% [markdown]
# `fn.per_example_grads` is this as one function, and `fn.curvature.per_example_grad_norms` computes the norms alone,
# which takes far less memory.

# %%
norms = fn.curvature.per_example_grad_norms(example_loss)(one, x, y)
torch.testing.assert_close(norms, fn.vmap(fn.tree.norm)(each), rtol=1e-4, atol=1e-5)

# %% [markdown]
# ## Gradients through training
#
# A run can be differentiated: here the final loss with respect to the learning rate, checked by a finite difference.


# %%
def final_loss(rate: Tensor) -> Tensor:
    def step(params: Any, _: Any) -> tuple[Any, None]:
        return fn.tree.map(lambda p, g: p - rate * g, params, fn.grad(loss)(params)), None

    return loss(fn.scan(step, one_start, length=20)[0])


one_start = model.init(keys[0], x)
slope = fn.jit(fn.grad(final_loss))(torch.tensor(0.05))
difference = (final_loss(torch.tensor(0.055)) - final_loss(torch.tensor(0.045))) / 0.01
torch.testing.assert_close(slope, difference, rtol=0.05, atol=1e-3)

# %% [markdown]
# Next: [bringing a torch module](torch_modules.py).
