"""A small net, and JAX's values of its curvature: golden/curvature.json as trees of float64 tensors."""

import golden as reference
import torch

import funcnet as fn
from funcnet import tree

GOLDEN = reference.load("curvature")
EXACT = {"rtol": 1e-12, "atol": 1e-14}
KEY = fn.random.key(5)


def golden(name):
    """Return a reference value as a tree of float64 tensors."""

    def read(value):
        if isinstance(value, dict):
            return {key: read(inner) for key, inner in value.items()}
        nested = isinstance(value, list) and value and isinstance(value[0], dict)
        return [read(inner) for inner in value] if nested else torch.tensor(value, dtype=torch.float64)

    return read(GOLDEN[name])


PARAMS, V, HESSIAN = golden("params"), golden("v"), golden("hessian")
BATCH = X, Y = golden("x"), golden("y")


def mlp(params, x):
    first, second = params
    return torch.sigmoid(x @ first["w"] + first["b"]) @ second["w"] + second["b"]


def squared(params, x, y):
    return (mlp(params, x) - y).square().mean()


def loss(params):
    return squared(params, X, Y)


def outputs(params):
    return mlp(params, X)


def flat(values):
    return tree.ravel(values)[0]


def close(found, expected, rtol=1e-12, atol=1e-14):
    assert not (message := tree.difference(found, expected, rtol=rtol, atol=atol)), message
