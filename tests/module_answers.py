"""Two outputs of a module with state, and one output out of a batch."""

import torch

import funcnet as fn

X = torch.tensor([0.5, -1.0, 2.0])


def two_answers(module, call, params, state):
    first, state = call(params, state, X)
    second, state = call(params, state, 2 * X)
    with torch.no_grad():
        want = module(X).clone(), module(2 * X).clone()
    torch.testing.assert_close((first, second), want)
    return state


def one_of_a_batch(f, params, state, x):
    y, after = fn.vmap(f, in_dims=(None, None, 0))(params, state, torch.stack([x, x]))
    return fn.tree.map(lambda leaf: leaf[0], (y, after))
