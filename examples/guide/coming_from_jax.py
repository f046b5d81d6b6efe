# %% [markdown]
# # Coming from JAX
#
# Most programs are ported by their import lines: `import jax` becomes `import funcnet as fn`, and `jax.numpy`,
# `jax.lax` and `jax.nn` become `fn.numpy`, `fn.lax` and `fn.nn`. [A table](jax_names.md) has the names of JAX, Optax,
# Equinox and Flax. This chapter is about the differences.

# %%
from typing import Any

import torch
from torch import Tensor

import funcnet as fn
import funcnet.numpy as jnp
from funcnet import lax

# %% [markdown]
# ## A program
#
# Only the imports differ from a program for JAX. The value and the gradient are those of JAX 0.10.


# %%
def predict(params: Any, x: Tensor) -> Tensor:
    return jnp.tanh(x @ params["w"]) + params["b"]


def loss(params: Any, x: Tensor, y: Tensor) -> Tensor:
    return jnp.mean(jnp.square(predict(params, x) - y))


key = fn.random.PRNGKey(0)
params = {"w": fn.random.normal(key, (3, 1)), "b": jnp.zeros(1)}
x = jnp.arange(6.0).reshape(2, 3)
value, grads = fn.jit(fn.value_and_grad(loss))(params, x, jnp.ones((2, 1)))
print(value, grads["b"])
# -> tensor(0.0161) tensor([-0.1796])

# %% [markdown]
# ## Arrays are tensors
#
# An array is a `torch.Tensor`. `fn.numpy` has jax.numpy's functions and its promotion of dtypes; methods and operators
# of a tensor are torch's. Arrays of integers are int32 in `fn.numpy`, as in JAX, and int64 in torch.

# %%
print(type(x).__name__, jnp.arange(3).dtype, torch.arange(3).dtype)
# -> Tensor torch.int32 torch.int64
print(jnp.sum(x, axis=0), torch.sum(x, dim=0))
# -> tensor([3., 5., 7.]) tensor([3., 5., 7.])

# %% [markdown]
# These methods differ: `x.var()` and `x.std()` of torch divide by n - 1, without an error; `x.max(0)` is a pair of
# values and indices; `x.mean()` refuses integers and bools; `x.astype`, `x.transpose(1, 0, 2)` and `x[::-1]` raise
# errors, which name the function to use if they pass a transformation. The functions of `fn.numpy` are as in JAX.

# %%
print(x.var(), jnp.var(x))
# -> tensor(3.5000) tensor(2.9167)
print(jnp.max(x, axis=0), jnp.mean(x > 2), jnp.flip(x, axis=1)[0])
# -> tensor([3., 4., 5.]) tensor(0.5000) tensor([2., 1., 0.])

# %% [markdown]
# `x.at[i].set(v)` is `fn.at(x)[i].set(v)`. Writing in place, `x[i] = v`, works, too, also under transformations, if the
# tensor was made in the function; the transformations make a pure function of it.

# %%
print(fn.at(jnp.zeros(3))[1].set(2.0))
# -> tensor([0., 2., 0.])


def in_place(v: Tensor) -> Tensor:
    x = torch.zeros(3)
    x[1] = v
    return (x * x).sum()


print(fn.jit(fn.grad(in_place))(torch.tensor(2.0)))
# -> tensor(4.)

# %% [markdown]
# ## Keys are the same
#
# Keys are int32 tensors of two words. Splits, bits and uniforms are JAX's bit for bit, other draws up to rounding. The
# numbers below are those of JAX 0.10.

# %%
print(fn.random.uniform(fn.random.key(42), (3,)))
# -> tensor([0.4887, 0.6798, 0.6163])
print(fn.random.normal(fn.random.split(fn.random.key(42))[1], (2,)))
# -> tensor([0.6058, 0.7990])

# %% [markdown]
# ## Gradients
#
# In a tree with other leaves than floating-point tensors, these leaves get the gradient None, and pass through `vmap`,
# `jit` and optimizers. `equinox.filter_grad` and its relatives are not needed.

# %%
mixed = {"w": jnp.ones(2), "steps": 3, "name": "layer"}
print(fn.grad(lambda p: p["steps"] * jnp.sum(p["w"] ** 2))(mixed))
# -> {'w': tensor([6., 6.]), 'steps': None, 'name': None}

# %% [markdown]
# ## Loops
#
# `scan`, `cond` and `while_loop` are JAX's. Outside of `jit` they are Python loops, so that prints and debuggers work.


# %%
def step(total: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return total + x, total


print(lax.scan(step, jnp.zeros(()), jnp.arange(4.0)))
# -> (tensor(6.), tensor([0., 0., 1., 3.]))

# %% [markdown]
# ## Layers
#
# A layer is a pair of functions, `init` and `apply`, as in `stax`; it has neither fields nor a `setup`. Its parameters
# are a dict. A kernel is stored as (in, out); a convolution has its channel axis in front of the space, as in torch.

# %%
layer = fn.dense(4)
weights = layer.init(fn.random.key(0), jnp.zeros(3))
print({name: tuple(leaf.shape) for name, leaf in weights.items()})
# -> {'w': (3, 4), 'b': (4,)}

# %% [markdown]
# ## Optimizers
#
# `fn.optim` has Optax's names, arguments and numbers. The loss after three steps is that of Optax.

# %%
optimizer = fn.optim.adam(0.1)
state = optimizer.init(params)
for _ in range(3):
    grads = fn.grad(loss)(params, x, jnp.ones((2, 1)))
    updates, state = optimizer.update(grads, state, params)
    params = fn.optim.apply_updates(params, updates)
print(f"{loss(params, x, jnp.ones((2, 1))):.6f}")
# -> 0.005392

# %% [markdown]
# Next: [how jit works](how_jit_works.py).
