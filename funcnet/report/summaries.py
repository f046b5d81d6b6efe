"""Summaries of a model: its parameters, or its layers in the order of their computation."""

import reprlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor

from funcnet import random, tree
from funcnet.bridge.twin import kind
from funcnet.combinators import parallel, serial
from funcnet.compiler import eval_shape
from funcnet.layers import Layer, as_layer
from funcnet.report.display import Table
from funcnet.report.tables import build, number
from funcnet.tree import Tree

_SERIAL, _PARALLEL = kind(serial())[0], kind(parallel())[0]
_WIDTH = 40  # characters of a layer's repr


def summary(model: Any, params: Tree, x: Any = None) -> Table:
    """List every parameter of a model with its shape, dtype, number of entries and bytes, and the totals.

    Args:
        model: Its name is the title: its repr, or the name of its type if the repr shows a memory address.
        params: Any tree. A leaf that is not a tensor is shown by its type and value, and is not counted.
        x: An example of the input of a `Layer`. If it is given, the rows are the layers of the model instead, with the
            shapes of their outputs and the numbers of their parameters.
    Example:
        >>> fn.report.show(fn.report.summary("perceptron", {"w": torch.zeros(2, 1), "b": torch.zeros(1)}))
        perceptron
        path    shape    dtype     count   bytes
        ────────────────────────────────────────
        b       (1,)     float32       1       4
        w       (2, 1)   float32       2       8
        ────────────────────────────────────────
        total                          3      12
        >>> model, x = fn.serial(fn.dense(2), torch.tanh, fn.dense(1)), torch.zeros(4, 2)
        >>> fn.report.show(fn.report.summary(model, model.init(fn.random.key(0), x), x))
        serial(dense(2), tanh, dense(1))
        path    layer      output   parameters
        ──────────────────────────────────────
        0       dense(2)   (4, 2)            6
        1       tanh       (4, 2)            0
        2       dense(1)   (4, 1)            3
        ──────────────────────────────────────
        total                                9
    """
    if x is not None:
        return _of_layers(model, params, x)
    leaves = tree.leaves(params)
    rows = [_leaf_row(path, leaf) for path, leaf in zip(tree.paths(params), leaves, strict=True)]
    tensors = [leaf for leaf in leaves if tree.is_tensor(leaf)]
    total = ["total", "", "", number(sum(map(Tensor.numel, tensors))), number(sum(map(_bytes, tensors)))]
    return build(["path", "shape", "dtype", "count", "bytes"], rows, title=_name(model), total=total, right={3, 4})


def _leaf_row(path: str, leaf: Any) -> list[str]:
    path = path or "(the tree itself)"
    if not tree.is_tensor(leaf):
        return [path, "-", f"{type(leaf).__name__} {reprlib.repr(leaf)}", "-", "-"]
    dtype = str(leaf.dtype).removeprefix("torch.")
    return [path, str(tuple(leaf.shape)), dtype, number(leaf.numel()), number(_bytes(leaf))]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _name(model: Any) -> str:
    if isinstance(model, str):
        return model
    name = str(getattr(model, "__name__", None) or repr(model))
    return type(model).__name__ if " at 0x" in name else name


class _Row(NamedTuple):
    """A layer that is not made of others by `serial` or `parallel`."""

    path: str
    layer: str
    output: Tree  # the specs of its tensors
    parameters: int


def _of_layers(model: Any, params: Tree, x: Any) -> Table:
    layers = [*_rows(as_layer(model), params, x)]
    rows = [[row.path, row.layer, _shapes(row.output), number(row.parameters)] for row in layers]
    total = ["total", "", "", number(sum(row.parameters for row in layers))]
    return build(["path", "layer", "output", "parameters"], rows, title=_name(model), total=total, right={3})


def _rows(model: Layer, params: Tree, x: Any, path: str = "") -> Iterator[_Row]:
    """Yield the layers of a model for an input like x; no numbers are computed."""
    function, options = kind(model)
    if function not in (_SERIAL, _PARALLEL):
        count = sum(leaf.numel() for leaf in tree.leaves(params) if tree.is_tensor(leaf))
        yield _Row(path or "(the model itself)", _shortened(repr(model)), _output(model, params, x), count)
        return
    names = options["names"] or range(len(options["children"]))
    for name, child in zip(names, options["children"], strict=True):
        yield from _rows(child, params[name], x, f"{path}.{name}" if path else str(name))
        x = _output(child, params[name], x) if function is _SERIAL else x


def _output(layer: Layer, params: Tree, x: Any) -> Tree:
    """Return the specs of the output of a layer."""

    def run(params: Tree, x: Any) -> Any:
        state = layer.init_with_state(random.key(0), x)[1]
        return layer.apply_with_state(params, state, x, train=False)[0]

    return eval_shape(run, params, x)


def _shapes(output: Tree) -> str:
    """Format the shapes of an output: those of a tree by their paths."""
    shapes = [str(tuple(leaf.shape)) if hasattr(leaf, "shape") else repr(leaf) for leaf in tree.leaves(output)]
    paths = tree.paths(output)
    return ", ".join(f"{path}: {shape}" if path else shape for path, shape in zip(paths, shapes, strict=True))


def _shortened(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
