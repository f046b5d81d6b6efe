# %% [markdown]
# # A first model
#
# Each chapter of this guide is a Python program and a notebook: `jupytext --to notebook first_model.py` converts it.
# A comment `# ->` below a statement is the output of that statement. The tests run every statement and compare.
#
# This chapter trains a small net on XOR, the exclusive or of two inputs.

# %%
from typing import Any

import torch
from torch import Tensor

import funcnet as fn

x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])

# %% [markdown]
# ## A model is two functions
#
# `init` makes parameters from a random key and an example input. `apply` computes the output from parameters and an
# input. The model itself holds no numbers, so that the parameters are an argument like any other.

# %%
model = fn.serial(fn.dense(4), torch.tanh, fn.dense(1))
print(model)
# -> serial(dense(4), tanh, dense(1))

# %%
params = model.init(fn.random.key(0), x)
print(fn.tree.map(lambda leaf: tuple(leaf.shape), params))
# -> ({'w': (2, 4), 'b': (4,)}, (), {'w': (4, 1), 'b': (1,)})
print(model.apply(params, x).shape)
# -> torch.Size([4, 1])

# %% [markdown]
# The layers are entries of a tuple, and each dense layer has a dict with its weights `w` and its offsets `b`. Any
# function of x, such as `torch.tanh`, is a layer without parameters.
#
# A notebook displays the value of the last line of a cell: here a table of the layers. A program prints it by
# `fn.report.show`.

# %%
fn.report.summary(model, params, x)

# %% [markdown]
# ## A loss and its gradient
#
# `fn.losses` returns one value per output; the mean is yours. `fn.grad(loss)` is a function that returns the gradient,
# in the structure of the parameters.


# %%
def loss(params: Any) -> Tensor:
    return fn.losses.sigmoid_binary_cross_entropy(model.apply(params, x), y).mean()


grads = fn.grad(loss)(params)
assert fn.tree.structure(grads) == fn.tree.structure(params)

# %% [markdown]
# A gradient is a prediction: a small step along it changes the loss by its squared norm times the length of the step.

# %%
after = fn.sgd_step(params, grads, learning_rate=1e-3)
decrease = (loss(params) - loss(after)).item()
predicted = 1e-3 * fn.tree.dot(grads, grads).item()
assert abs(decrease / predicted - 1) < 0.01

# %% [markdown]
# ## A training step
#
# A step is a function from parameters to parameters. Nothing is changed in place: `params` still has its old values.


# %%
def step(params: Any, _: Any) -> tuple[Any, Tensor]:
    value, grads = fn.value_and_grad(loss)(params)
    return fn.sgd_step(params, grads, learning_rate=1.0), value


trained = params
for _ in range(3):
    trained, value = step(trained, None)
assert loss(trained) < loss(params)

# %% [markdown]
# ## A training run
#
# `fn.scan` repeats a step and stacks what it returns, here the losses. `fn.jit` compiles the run, loop included, to one
# kernel, at the first call.


# %%
def run(key: Tensor) -> tuple[Any, Tensor]:
    return fn.scan(step, model.init(key, x), length=300)


trained, losses = fn.jit(run)(fn.random.key(0))
print(losses.shape, f"{losses[0]:.2f}, {losses[-1]:.2f}")
# -> torch.Size([300]) 0.75, 0.01
print((model.apply(trained, x) > 0).int().flatten().tolist())
# -> [0, 1, 1, 0]

# %% [markdown]
# A notebook shows curves and maps as figures, if the extra `plots` is installed.

# %%
fn.report.curve({"loss": losses}, x_label="step", y_label="cost (nats)")


# %%
def probability(x: Tensor) -> Tensor:
    return model.apply(trained, x).sigmoid()


fn.report.decision_map(probability, points=x, labels=y, quantity="P(XOR = 1)")

# %% [markdown]
# ## A hundred runs at once
#
# A run is a pure function of its key. `fn.vmap` maps it over a hundred keys, and trains a hundred nets in one kernel.

# %%
keys = fn.random.split(fn.random.key(0), 100)
many, losses = fn.jit(fn.vmap(run))(keys)
print(losses.shape, many[0]["w"].shape)
# -> torch.Size([100, 300]) torch.Size([100, 2, 4])
print((losses[:, -1] < 0.1).sum().item(), "of 100 nets solve XOR")
# -> 97 of 100 nets solve XOR

# %% [markdown]
# Next: [trees and keys](trees_and_keys.py), which carry the parameters and the random numbers.
