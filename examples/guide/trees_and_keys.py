# %% [markdown]
# # Trees and keys
#
# Parameters, gradients and states of optimizers are trees. Random numbers come from keys. Both are plain values, which
# functions take and return.

# %%
import torch

import funcnet as fn

# %% [markdown]
# ## Trees
#
# A tree is a nest of dicts, lists, tuples, NamedTuples and registered classes; everything else in it is a leaf.

# %%
params = {"hidden": {"w": torch.ones(2, 3), "b": torch.zeros(3)}, "scale": torch.tensor(2.0)}
print(fn.tree.paths(params))
# -> ['hidden.b', 'hidden.w', 'scale']
print(sum(leaf.numel() for leaf in fn.tree.leaves(params)))
# -> 10

# %% [markdown]
# `fn.tree.map` applies a function to each leaf, and to the leaves at the same place of further trees.

# %%
halves = fn.tree.map(lambda leaf: leaf / 2, params)
sums = fn.tree.map(torch.add, params, halves)
print(sums["scale"])
# -> tensor(3.)
assert fn.tree.equal(sums, fn.tree.add(params, halves))

# %% [markdown]
# The order of keys in a dict does not matter. Trees of different structure are an error that names the place.

# %%
try:
    fn.tree.add({"w": torch.ones(2)}, {"v": torch.ones(2)})
except ValueError as error:
    print(error)
# -> tree.add: the trees differ in structure at the root: dict with entry w and dict with entry v.

# %% [markdown]
# ### One vector
#
# Methods for vectors, such as those of SciPy, work on trees by `ravel`, which also returns the way back.

# %%
vector, unravel = fn.tree.ravel(params)
print(vector.shape)
# -> torch.Size([10])
assert fn.tree.equal(unravel(vector), params)

# %% [markdown]
# ### Training a part
#
# `partition` splits a tree in two, with None in the place of the leaves of the other part; `combine` joins them. It
# takes a function of a leaf, or a tree of bools, here one per layer. The gradient with respect to one part leaves the
# other part fixed.

# %%
trained, fixed = fn.tree.partition(params, {"hidden": True, "scale": False})
print(trained["scale"], fixed["scale"])
# -> None tensor(2.)
grads = fn.grad(lambda part: fn.tree.norm(fn.tree.combine(part, fixed)))(trained)
print(grads["scale"])
# -> None

# %% [markdown]
# ### Stacks
#
# Two trees become one with a new leading axis. This is how an ensemble is kept, and `vmap` maps over it.

# %%
both = fn.tree.stack([params, halves])
print(both["hidden"]["w"].shape, fn.vmap(fn.tree.norm)(both).shape)
# -> torch.Size([2, 2, 3]) torch.Size([2])

# %% [markdown]
# ## Keys
#
# A key is a small integer tensor. The same key always gives the same numbers, on every device, jitted or not, and they
# are the numbers of JAX.

# %%
key = fn.random.key(0)
print(key)
# -> tensor([0, 0], dtype=torch.int32)
print(fn.random.normal(key, (3,)))
# -> tensor([ 1.6226,  2.0253, -0.4336])
assert torch.equal(fn.random.normal(key, (3,)), fn.random.normal(key, (3,)))

# %% [markdown]
# To draw twice, split the key. Using the same key for two draws gives equal numbers, which is almost never wanted.

# %%
of_weights, of_data = fn.random.split(key)
assert not torch.equal(fn.random.normal(of_weights, (3,)), fn.random.normal(of_data, (3,)))

# %% [markdown]
# `fold_in` makes a key from a key and a number, such as the number of a step: the step can then be repeated by itself.

# %%
noise = [fn.random.normal(fn.random.fold_in(key, step), ()).item() for step in range(3)]
assert len(set(noise)) == 3
assert fn.random.normal(fn.random.fold_in(key, 2), ()).item() == noise[2]

# %% [markdown]
# Many keys are a tensor of shape (n, 2). `vmap` gives each example its own key, and draws the same numbers as a loop.

# %%
keys = fn.random.split(key, 4)
draws = fn.vmap(lambda key: fn.random.uniform(key, (2,)))(keys)
assert torch.equal(draws, torch.stack([fn.random.uniform(each, (2,)) for each in keys]))

# %% [markdown]
# In layers, a key switches randomness on. Without a key, dropout does nothing, which is how a model is evaluated.

# %%
drop = fn.dropout(0.5)
print(drop.apply((), torch.ones(4)))
# -> tensor([1., 1., 1., 1.])
print(drop.apply((), torch.ones(4), key=key))
# -> tensor([0., 0., 2., 2.])

# %% [markdown]
# Next: [training loops](training_loops.py).
