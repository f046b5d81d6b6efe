# %% [markdown]
# # Bringing a torch module
#
# `fn.from_module` turns any `torch.nn.Module` into a pure function and its parameters and buffers into trees. What
# works on a model of this library works on it, too: gradients per example, ensembles, curvature, compiled training
# runs.

# %%
from typing import Any

import torch
from torch import Tensor, nn

import funcnet as fn

# %% [markdown]
# ## A module as a function

# %%
module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
with torch.no_grad():  # the same numbers in every run
    for parameter in module.parameters():
        parameter.copy_(torch.linspace(-1.0, 1.0, parameter.numel()).reshape(parameter.shape))
apply, params, buffers = fn.from_module(module)
print(fn.tree.paths(params))
# -> ['0.bias', '0.weight', '2.bias', '2.weight']
x = torch.linspace(-1.0, 1.0, 12).reshape(4, 3)
y, _ = apply(params, buffers, x)
assert torch.equal(y, module(x))

# %% [markdown]
# The parameters are copies: training them leaves the module alone. The function returns the output and the new buffers.


# %%
def loss(params: Any, x: Tensor, target: Tensor) -> Tensor:
    y, _ = apply(params, buffers, x)
    return fn.losses.l2_loss(y, target).mean()


target = x.sum(-1, keepdim=True)
grads = fn.grad(loss)(params, x, target)
fn.losses.l2_loss(module(x), target).mean().backward()
for part, number in (("0", 0), ("2", 2)):
    torch.testing.assert_close(grads[part]["weight"], module[number].weight.grad)

# %% [markdown]
# ## A compiled run
#
# The steps of the module's training run without Python.


# %%
def step(params: Any, _: Any) -> tuple[Any, Tensor]:
    value, grads = fn.value_and_grad(loss)(params, x, target)
    return fn.sgd_step(params, grads, 0.1), value


trained, losses = fn.jit(lambda params: fn.scan(step, params, length=100))(params)
assert losses[-1] < 0.1 * losses[0]

# %% [markdown]
# The same run by `torch.optim`, which changes the module in place, ends at the same loss.

# %%
optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
for _ in range(100):
    optimizer.zero_grad()
    value = fn.losses.l2_loss(module(x), target).mean()
    value.backward()
    optimizer.step()
torch.testing.assert_close(losses[-1], value.detach(), rtol=1e-3, atol=1e-6)

# %% [markdown]
# ## Back to a module
#
# `fn.to_module` builds a module of the same class that holds the trained parameters: to save its `state_dict`, to
# export it, or to go on with other libraries.

# %%
back = fn.to_module(apply, trained)
print(type(back).__name__, list(back.state_dict()))
# -> Sequential ['0.weight', '0.bias', '2.weight', '2.bias']
torch.testing.assert_close(back(x), apply(trained, buffers, x)[0])

# %% [markdown]
# ## Modes, buffers and randomness
#
# The function computes in the mode, train or eval, that the module was in when it was converted. Its random numbers
# come from a key, and its buffers are an argument and a result.

# %%
noisy = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
apply_noisy, weights, statistics = fn.from_module(noisy)
print(fn.tree.paths(statistics))
# -> ['1.num_batches_tracked', '1.running_mean', '1.running_var']
_, after = apply_noisy(weights, statistics, x, key=fn.random.key(0))
print(statistics["1"]["num_batches_tracked"].item(), after["1"]["num_batches_tracked"].item())
# -> 0 1
one, two = (apply_noisy(weights, statistics, x, key=fn.random.key(seed))[0] for seed in (1, 1))
assert torch.equal(one, two)
evaluate, *_ = fn.from_module(noisy.eval())  # no key: dropout does nothing
assert torch.equal(evaluate(weights, after, x)[0], evaluate(weights, after, x)[0])

# %% [markdown]
# ## A model of this library as a module
#
# The other way round: parameters of a layer become those of a module, for `torch.optim` or a `DataLoader` loop.

# %%
model = fn.serial(fn.dense(4), torch.tanh, fn.dense(1))
held = fn.to_module(model, model.init(fn.random.key(0), x))
print(list(held.state_dict()), tuple(held(x).shape))
# -> ['0.b', '0.w', '2.b', '2.w'] (4, 1)

# %% [markdown]
# `fn.bridge.from_sequential` converts an `nn.Sequential` to layers of this library, if there is a layer for each part.

# %%
layers, of_layers = fn.bridge.from_sequential(module)
torch.testing.assert_close(layers.apply(of_layers, x), module(x))

# %% [markdown]
# Next: [saving and resuming](saving_and_resuming.py).
