"""The metrics of steps: trees of tensors with a row per step."""

from collections.abc import Sequence

import torch
from torch import Tensor

from funcnet import tree
from funcnet.tree import Tree


def named(metrics: Tree) -> dict[str, Tensor]:
    """Return the metrics by their paths."""
    return dict(zip(tree.paths(metrics), tree.leaves(metrics), strict=True))


def columns(metrics: Tree) -> dict[str, Tensor]:
    """Return the metrics by names for a table: their paths, and "value" for a lone tensor."""
    return {path or "value": leaf for path, leaf in named(metrics).items()}


def mean(metric: Tensor) -> float:
    """Return the mean of a metric over all of its entries, in float64; NaN for complex numbers."""
    return float(metric.double().mean()) if not metric.is_complex() else torch.nan


def means(metrics: Tree) -> dict[str, float]:
    """Return the means of the metrics by their names."""
    return {name: mean(leaf) for name, leaf in columns(metrics).items()}


def joined(parts: Sequence[Tree]) -> Tree:
    """Join the metrics of successive steps; the result has the classes and devices of the last part.

    Raises:
        ValueError: The parts differ in structure, or their steps in shape or dtype.
    """
    *earlier, last = parts
    for part in earlier:
        check_alike(part, last)
    return tree.map(_concatenated, *(_with_classes(part, last) for part in earlier), last) if earlier else last


def _concatenated(*leaves: Tensor) -> Tensor:
    return torch.cat([leaf.to(leaves[-1].device) for leaf in leaves])


def _with_classes(metrics: Tree, like: Tree) -> Tree:
    """Return metrics in nodes of the classes of others, which a checkpoint may not know, by their paths."""
    if tree.structure(metrics) == tree.structure(like):
        return metrics
    found = named(metrics)
    return tree.unflatten(tree.structure(like), [found[path] for path in tree.paths(like)])


def check_alike(before: Tree, after: Tree) -> None:
    """Raise if the metrics of later steps are not like those of earlier ones."""
    sides = [{path: _described(leaf) for path, leaf in named(side).items()} for side in (before, after)]
    if sides[0] != sides[1]:
        raise ValueError(
            f"fit: expected steps that all return metrics of the same paths, shapes and dtypes, got {sides[0]}, then"
            f" {sides[1]}. Of batches that differ in size, return means. For another step function, use another folder"
            " of checkpoints."
        )


def _described(leaf: Tensor) -> str:
    return tree.describe(leaf[:1].squeeze(0)).partition(" on ")[0]
