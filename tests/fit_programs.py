"""A training step for the tests of `fit`, and the run of it that is killed."""

import sys
import time

import torch
from tables import numbers

import funcnet as fn
from funcnet.checkpoint import Checkpoints

XS = numbers(20, 4, 3)


def training(optimizer):
    """Return a step, and the first carry."""

    def step(carry, x):
        params, state = carry
        loss = lambda w: ((x @ w - x.sum(-1)).sin() ** 2).mean()  # noqa: E731
        value, grads = fn.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=loss, obj_fn=loss)
        return (fn.optim.apply_updates(params, updates), state), {"loss": value, "norm": fn.tree.norm(grads)}

    params = numbers(3, seed=1)
    return step, (params, optimizer.init(params))


STEP, START = training(fn.optim.adam(0.1))


def whole(step, carry, xs, backend="eager"):
    """Run all steps as one jitted scan."""
    return fn.jit(lambda carry, xs: fn.scan(step, carry, xs), backend=backend)(carry, xs)


def fit(*args, **options):
    """Run STEP from START."""
    return fn.fit(STEP, START, *args, **{"backend": "eager", **options})


def killed(folder, *, pause=0.025, steps=400):
    """Run so slowly that a kill finds it somewhere between or inside its parts."""
    loader = torch.utils.data.DataLoader(XS, batch_size=None, shuffle=True, generator=torch.Generator().manual_seed(0))
    log = fn.callbacks.JsonLines(f"{folder}/metrics.jsonl")
    stopping = fn.callbacks.EarlyStopping("loss", patience=10**6)
    slow = lambda *_: time.sleep(pause)  # noqa: E731
    checkpoints = Checkpoints(f"{folder}/checkpoints", every=8, keep=2, keep_best="loss")
    return fit(loader, steps=steps, every=4, on_chunk=[log, stopping, slow], checkpoints=checkpoints), stopping


if __name__ == "__main__":
    print("started", flush=True)
    result, stopping = killed(sys.argv[1])
    fn.checkpoint.save(f"{sys.argv[1]}/result", (*result, stopping.best_carry, stopping.best))
