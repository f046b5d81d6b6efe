"""The tables that laws are crossed with: a new tree, layer or optimizer adds one line and is held to every law."""

import dataclasses
from collections import OrderedDict
from typing import Any, NamedTuple

import optree
import torch

import funcnet as fn


class Point(NamedTuple):
    x: Any
    y: Any


@fn.tree.register_dataclass
@dataclasses.dataclass(frozen=True)
class Affine:
    w: Any
    b: Any
    name: str = dataclasses.field(default="affine", metadata={"static": True})


class Box:
    """A node that only optree knows, registered for everybody."""

    def __init__(self, content):
        self.content = content


optree.register_pytree_node(
    Box,
    lambda box: ((box.content,), None, ("content",)),
    lambda _, children: Box(*children),
    namespace=optree.registry.__GLOBAL_NAMESPACE,
)


def numbers(*shape, dtype=torch.float64, seed=0):
    """Numbers in (-1, 1) that differ from entry to entry."""
    return fn.random.uniform(fn.random.key(seed), shape, dtype, minval=-1.0, maxval=1.0)


TREES = {
    "leaf": lambda: numbers(2, 3),
    "dict": lambda: {"w": numbers(2, 3), "b": numbers(3, seed=1)},
    "list": lambda: [numbers(1), numbers(seed=1), numbers(0, 2)],
    "tuple": lambda: (numbers(3), (numbers(2, seed=1), ())),
    "NamedTuple": lambda: Point(numbers(2), {"z": numbers(1, 1, seed=1)}),
    "dataclass": lambda: Affine(numbers(2, 2), numbers(2, seed=1)),
    "OrderedDict": lambda: OrderedDict(z=numbers(2), a=numbers(3, seed=1)),
    "custom node": lambda: [Box(numbers(2)), Box(Box(numbers(seed=1)))],
    "None": lambda: {"w": numbers(2), "b": None, "more": [None, numbers(1, seed=1)]},
    "float32 and float64": lambda: (numbers(2), numbers(2, dtype=torch.float32, seed=1)),
    "strangers": lambda: {
        "w": numbers(3),
        "n": 3,
        "on": True,
        "name": "relu",
        "labels": torch.tensor([1, 2]),
        "mask": torch.tensor(True),
    },
    "empty": lambda: {},
}

# name: (layer, shape of one example)
LAYERS = {
    "dense": (fn.dense(3), (4,)),
    "dense without bias": (fn.dense(1, use_bias=False), (5,)),
    "dense of one": (fn.dense(2, b_init=fn.initializers.ones), (1,)),
    "dense on a matrix": (fn.dense(3, w_init=fn.initializers.normal(0.5)), (2, 4)),
    "dense, torch's start": (fn.dense(3, w_init=fn.initializers.torch_uniform()), (4,)),
    "dropout": (fn.dropout(0.4), (6,)),
    "dropout of 0": (fn.dropout(0.0), (6,)),
    "layer_norm": (fn.layer_norm(), (5,)),
    "layer_norm, large eps": (fn.layer_norm(eps=0.5), (2, 3)),
    "rms_norm": (fn.rms_norm(), (5,)),
    "rms_norm, large eps": (fn.rms_norm(eps=0.5), (2, 3)),
    "flatten": (fn.flatten(2), (2, 3)),
    "function": (fn.as_layer(torch.tanh), (3,)),
    "serial": (fn.serial(fn.dense(4), torch.sigmoid, fn.dropout(0.3), fn.dense(2)), (3,)),
    "serial by name": (fn.serial(hidden=fn.dense(4), act=torch.tanh, out=fn.dense(1)), (3,)),
    "serial of nothing": (fn.serial(), (3,)),
    "parallel": (fn.serial(fn.parallel(fn.dense(2), torch.sin), lambda ys: torch.cat(ys, -1)), (3,)),
    "parallel by name": (fn.serial(fn.parallel(a=fn.dense(2), b=fn.dense(2)), lambda ys: ys["a"] * ys["b"]), (3,)),
    "residual": (fn.residual(fn.serial(fn.layer_norm(), fn.dense(3), fn.dropout(0.2))), (3,)),
}

OPTIMIZERS = {
    "sgd": lambda: fn.optim.sgd(0.1),
    "sgd with momentum": lambda: fn.optim.sgd(0.05, momentum=0.8),
    "sgd with nesterov": lambda: fn.optim.sgd(0.05, momentum=0.7, nesterov=True),
    "sgd of tensors": lambda: fn.optim.sgd(torch.tensor(0.05), momentum=torch.tensor(0.7)),
}
