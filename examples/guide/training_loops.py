# %% [markdown]
# # Training loops
#
# A training loop repeats a step. Here are four ways to repeat it, from a Python loop to `fn.fit`, which shows progress
# and saves checkpoints. All repeat the same step.

# %%
from typing import Any

import torch
from torch import Tensor

import funcnet as fn

Carry = tuple[Any, Any]

# %% [markdown]
# The task: points in the plane are of class 1 inside a circle.

# %%
of_points, of_params, of_batches = fn.random.split(fn.random.key(0), 3)
points = fn.random.uniform(of_points, (240, 2), minval=-1.0, maxval=1.0)
labels = (points.square().sum(-1) < 0.5).float()
train, test = (points[:200], labels[:200]), (points[200:], labels[200:])

model = fn.mlp([16, 1], activation=torch.relu)
optimizer = fn.optim.adamw(0.1)


def loss(params: Any, x: Tensor, y: Tensor) -> Tensor:
    return fn.losses.sigmoid_binary_cross_entropy(model.apply(params, x)[:, 0], y).mean()


def accuracy(params: Any, x: Tensor, y: Tensor) -> Tensor:
    return ((model.apply(params, x)[:, 0] > 0) == (y > 0.5)).float().mean()


# %% [markdown]
# ## The step
#
# Everything that changes from step to step is in the carry: here the parameters and the state of the optimizer. The
# second argument of a step is its input: here the indices of a minibatch. A step returns the new carry and metrics.


# %%
def step(carry: Carry, block: Tensor) -> tuple[Carry, dict[str, Tensor]]:
    params, state = carry
    value, grads = fn.value_and_grad(loss)(params, *(part[block] for part in train))
    updates, state = optimizer.update(grads, state, params)
    return (fn.optim.apply_updates(params, updates), state), {"loss": value}


params = model.init(of_params, points)
start = params, optimizer.init(params)
blocks = fn.batches(of_batches, train, batch_size=20, epochs=8)
print(blocks.shape)
# -> torch.Size([80, 20])

# %% [markdown]
# ## A Python loop
#
# `fn.jit` compiles the step. Python runs between the steps, so that anything can happen there.

# %%
jitted, carry = fn.jit(step), start
for block in blocks:
    carry, metrics = jitted(carry, block)
by_loop = carry
print(accuracy(params, *test) < accuracy(by_loop[0], *test))
# -> tensor(True)

# %% [markdown]
# ## A scan
#
# `fn.scan` is the same loop as one operation. Jitted, the whole run is one kernel, and so can be mapped by `vmap` over
# keys and differentiated. It stacks the metrics.

# %%
by_scan, history = fn.jit(lambda carry, blocks: fn.scan(step, carry, blocks))(start, blocks)
print(history["loss"].shape)
# -> torch.Size([80])
assert fn.tree.allclose(by_scan[0], by_loop[0], rtol=1e-2, atol=1e-3)

# %% [markdown]
# ## A loop that ends by a condition
#
# `fn.while_loop` runs until its condition is false: here until the loss on the training set is small, or 200 steps.


# %%
def goes_on(carry: tuple[Carry, Tensor]) -> Tensor:
    (params, _), count = carry
    return (loss(params, *train) > 0.3) & (count < 200)


def advance(carry: tuple[Carry, Tensor]) -> tuple[Carry, Tensor]:
    inner, count = carry
    return step(inner, blocks[count % len(blocks)])[0], count + 1


until_small = fn.jit(lambda start: fn.while_loop(goes_on, advance, (start, torch.tensor(0))))
(found, _), count = until_small(start)
print(loss(found, *train) <= 0.3, count < 200)
# -> tensor(True) tensor(True)

# %% [markdown]
# ## fit
#
# `fn.fit` runs jitted scans chunk by chunk. Between chunks it draws a progress bar, calls functions of yours and writes
# checkpoints, from which a run that was killed goes on. The chunks do not change the numbers, not by a single bit.

# %%
seen: list[tuple[int, bool]] = []


def watch(count: int, carry: Carry, metrics: Any) -> None:
    seen.append((count, metrics["loss"].mean().item() < 0.7))


by_fit, history = fn.fit(step, start, blocks, every=40, on_chunk=[watch], progress=False)
print(seen)
# -> [(40, True), (80, True)]
assert fn.tree.equal(by_fit, fn.fit(step, start, blocks, every=27, progress=False)[0])
assert fn.tree.allclose(by_fit[0], by_scan[0], rtol=1e-2, atol=1e-3)

# %% [markdown]
# A function that returns `fn.STOP` ends the run. `fn.callbacks` has some that do, for early stopping.

# %%
_, history = fn.fit(step, start, blocks, every=10, on_chunk=[lambda *_: fn.STOP], progress=False)
print(history["loss"].shape)
# -> torch.Size([10])

# %% [markdown]
# ## Schedules and chains
#
# A learning rate may be a function of the number of updates. `chain` puts transformations of gradients in a row.

# %%
rate = fn.optim.warmup_cosine_decay_schedule(0.0, 0.1, warmup_steps=10, decay_steps=100)
print([round(float(rate(count)), 3) for count in (0, 5, 10, 55, 100)])
# -> [0.0, 0.05, 0.1, 0.05, 0.0]
careful = fn.optim.chain(fn.optim.clip_by_global_norm(1.0), fn.optim.sgd(rate, momentum=0.9))
state = careful.init(params)
updates, state = careful.update(fn.grad(loss)(params, *train), state, params)
print(fn.optim.global_norm(updates))  # the first rate is 0
# -> tensor(0.)

# %% [markdown]
# ## Layers with state
#
# `batch_norm` keeps running statistics. A model with such a layer takes and returns them, as one more part of the
# carry.

# %%
normed = fn.serial(fn.dense(8), fn.batch_norm(), torch.relu, fn.dense(1))
weights, statistics = normed.init_with_state(of_params, points)
y, after = normed.apply_with_state(weights, statistics, points, train=True)
assert not fn.tree.equal(after, statistics)
y, same = normed.apply_with_state(weights, after, points, train=False)
assert fn.tree.equal(same, after)

# %% [markdown]
# Next: [ensembles and sweeps](ensembles_and_sweeps.py).
