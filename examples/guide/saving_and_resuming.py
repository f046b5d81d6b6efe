# %% [markdown]
# # Saving and resuming
#
# A run is a loop over a carry. To save a run, save the carry: parameters, the state of the optimizer, and keys. A run
# that goes on from there has the same numbers as one that was never interrupted, to the last bit.

# %%
import tempfile
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import funcnet as fn

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
x = torch.linspace(-1.0, 1.0, 16)[:, None]
model = fn.mlp([8, 1], activation=torch.tanh)
optimizer = fn.optim.adam(0.01)


def loss(params: Any, noise: Tensor) -> Tensor:
    return fn.losses.l2_loss(model.apply(params, x), x.square() + 0.1 * noise).mean()


def step(carry: Any, _: Any) -> tuple[Any, dict[str, Tensor]]:
    params, state, key = carry
    key, of_noise = fn.random.split(key)
    value, grads = fn.value_and_grad(loss)(params, fn.random.normal(of_noise, (16, 1)))
    updates, state = optimizer.update(grads, state, params)
    return (fn.optim.apply_updates(params, updates), state, key), {"loss": value}


params = model.init(fn.random.key(0), x)
start = params, optimizer.init(params), fn.random.key(1)

# %% [markdown]
# ## A tree in a file
#
# `fn.checkpoint.save` writes any tree, with its structure, in the safetensors format. The file appears whole or not at
# all. `load` executes nothing that is in the file.

# %%
path = fn.checkpoint.save(folder / "start.safetensors", start, step=0, metadata={"rate": 0.01})
found = fn.checkpoint.load(path)
assert fn.tree.equal(found.tree, start)
print(found.step, found.metadata)
# -> 0 {'rate': 0.01}

# %% [markdown]
# With `like`, a file that does not fit is an error that names the path of the leaf.

# %%
try:
    fn.checkpoint.load(path, like=(fn.mlp([4, 1]).init(fn.random.key(0), x), *start[1:]))
except fn.checkpoint.CheckpointError as error:
    print(textwrap.fill(str(error), 80))
# -> checkpoint.load: at path "0.0.w": expected float32 tensor of shape (1, 4) on
# -> cpu, as in `like`, got float32 tensor of shape (1, 8) in the file. The file
# -> belongs to another model or optimizer: build `like` as the saved tree was built,
# -> or read the file without it.

# %% [markdown]
# A file that was damaged is found by its digests.

# %%
content = bytearray(path.read_bytes())
content[-1] ^= 1
damaged = folder / "damaged.safetensors"
assert damaged.write_bytes(content) == len(content)
try:
    fn.checkpoint.load(damaged)
except fn.checkpoint.DamagedCheckpointError as error:
    print(textwrap.fill(str(error).replace(str(damaged), damaged.name), 80))
# -> checkpoint.load: damaged.safetensors is not an intact checkpoint: the bytes of
# -> '2' have changed. Use an earlier one, or a copy.

# %% [markdown]
# ## A run that goes on
#
# `fn.fit` with a folder of checkpoints saves by itself. Called again with the same arguments, it goes on from the last
# checkpoint. Here a function stops the first run after 20 of 40 steps, as Ctrl-C or a crash would.


# %%
def interrupt(count: int, carry: Any, metrics: Any) -> None:
    if count == 20:
        raise ConnectionError("the machine is gone")


run = partial(fn.fit, step, start, steps=40, every=10, progress=False)
whole, history = run()
try:
    run(on_chunk=[interrupt], checkpoints=folder / "run")
except ConnectionError as error:
    print(error)
# -> the machine is gone
resumed, rest = run(checkpoints=folder / "run")
assert fn.tree.equal(resumed, whole)
assert torch.equal(rest["loss"], history["loss"])

# %% [markdown]
# `fn.checkpoint.Checkpoints` says which checkpoints of a folder are kept.

# %%
checkpoints = fn.checkpoint.Checkpoints(folder / "kept", keep=2)
for count in (10, 20, 30):
    checkpoints.save(start, step=count)
print(checkpoints.steps())
# -> [20, 30]

# %% [markdown]
# ## torch.save
#
# Trees of this library are also read by `torch.load` with its default, `weights_only=True`.

# %%
torch.save(start, folder / "start.pt")
assert fn.tree.equal(torch.load(folder / "start.pt"), start)
temporary.cleanup()

# %% [markdown]
# Next: [coming from JAX](coming_from_jax.py).
