# %% [markdown]
# # Writing a layer
#
# A layer is a pair of functions, `init(key, x) -> params` and `apply(params, x, *, key=None) -> y`. Write it for one
# example; `vmap` and leading axes make batches.

# %%
from functools import partial
from typing import Any

import torch
from torch import Tensor

import funcnet as fn

# %% [markdown]
# ## A function of x
#
# Any function is a layer without parameters.

# %%
model = fn.serial(fn.dense(4), lambda x: x.square(), fn.dense(1))
print(fn.tree.paths(model.init(fn.random.key(0), torch.zeros(3))))
# -> ['0.b', '0.w', '2.b', '2.w']

# %% [markdown]
# ## Parameters
#
# Here is a layer of Gaussian bumps: y[j] = exp(-scale[j] |x - centre[j]|²). The builder returns `fn.Layer` with
# `partial` over functions of a module, so that the layer can be pickled. Every draw in `init` has a key of its own.


# %%
def bumps(count: int) -> fn.Layer:
    """Compute exp(-scale |x - centre|²) for `count` centres: (*, features) -> (*, count)."""
    return fn.Layer(init=partial(bumps_init, count=count), apply=bumps_apply)


def bumps_init(key: Tensor, x: Tensor, *, count: int) -> dict[str, Tensor]:
    centre = fn.random.normal(key, (count, x.shape[-1]), x.dtype)
    return {"centre": centre, "scale": torch.ones(count, dtype=x.dtype)}


def bumps_apply(params: dict[str, Tensor], x: Tensor, *, key: Tensor | None = None) -> Tensor:
    distance = (x[..., None, :] - params["centre"]).square().sum(-1)
    return torch.exp(-params["scale"] * distance)


# %% [markdown]
# It is a layer like any other: a part of models, differentiable, batched and compiled.

# %%
model = fn.serial(features=bumps(5), out=fn.dense(1))
x = fn.random.normal(fn.random.key(1), (7, 2))
params = model.init(fn.random.key(0), x)
print(fn.tree.paths(params))
# -> ['features.centre', 'features.scale', 'out.b', 'out.w']
y = model.apply(params, x)
torch.testing.assert_close(fn.vmap(model.apply, in_dims=(None, 0))(params, x), y)
torch.testing.assert_close(fn.jit(model.apply)(params, x), y)

# %% [markdown]
# `check_grads` compares its derivatives with finite differences.

# %%
double = fn.tree.map(lambda leaf: leaf.double(), params)
fn.checking.check_grads(lambda params: model.apply(params, x.double()), (double,))

# %% [markdown]
# ## Randomness
#
# The key of `apply` switches randomness on. A layer must do without it, as in evaluation.


# %%
def noise(scale: float) -> fn.Layer:
    def apply(params: Any, x: Tensor, *, key: Tensor | None = None) -> Tensor:
        return x if key is None else x + scale * fn.random.normal(key, x.shape, x.dtype)

    return fn.Layer(init=lambda key, x: (), apply=apply)


noisy = fn.serial(noise(0.1), fn.dense(1))
params = noisy.init(fn.random.key(0), x)
assert torch.equal(noisy.apply(params, x), noisy.apply(params, x))
assert not torch.equal(noisy.apply(params, x), noisy.apply(params, x, key=fn.random.key(2)))

# %% [markdown]
# ## State
#
# A layer that remembers something takes its state and returns the new one. `fn.stateful` makes a layer of two
# functions.


# %%
def largest_init(key: Tensor, x: Tensor) -> tuple[Any, Tensor]:
    return (), torch.ones((), dtype=x.dtype)


def largest_apply(
    params: Any, state: Tensor, x: Tensor, *, key: Tensor | None = None, train: bool
) -> tuple[Tensor, Tensor]:
    state = torch.maximum(state, x.abs().max()) if train else state
    return x / state, state


scaled = fn.serial(fn.stateful("by_largest", largest_init, largest_apply), fn.dense(1))
params, state = scaled.init_with_state(fn.random.key(0), x)
_, state = scaled.apply_with_state(params, state, 8 * torch.ones(2), train=True)
_, state = scaled.apply_with_state(params, state, 9 * torch.ones(2), train=False)
print(state[0])
# -> tensor(8.)

# %% [markdown]
# ## Errors
#
# `fn.LayerError` takes the operation, the path of the parameter and a message. Models put their own path in front.


# %%
def strict_apply(params: Any, x: Tensor, *, key: Tensor | None = None) -> Tensor:
    if x.shape[-1] != 2:
        message = f"expected a last axis of 2, got x of shape {tuple(x.shape)}."
        raise fn.LayerError("strict", "", message)
    return x


strict = fn.serial(first=fn.Layer(init=lambda key, x: (), apply=strict_apply), out=fn.dense(1))
try:
    strict.init(fn.random.key(0), torch.zeros(5, 3))
except fn.LayerError as error:
    print(error)
# -> strict: at params path "first": expected a last axis of 2, got x of shape (5, 3).

# %% [markdown]
# A layer for the library itself: the docstring of `funcnet.layers` lists the files to touch.
#
# Next: [writing an optimizer](writing_an_optimizer.py).
