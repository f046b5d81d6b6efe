"""A deep network of small layers, whose kernel has many sections, and its training."""

import torch
from programs import train
from tables import numbers
from torch import Tensor


def layers(depth: int, *lanes: int) -> list[dict[str, Tensor]]:
    leaves = iter(numbers(2 * depth, *lanes, 6, 6).float() / 3)
    return [{"w": next(leaves), "b": next(leaves)[..., 0]} for _ in range(depth)]


def deep(params: list[dict[str, Tensor]]) -> tuple[list[dict[str, Tensor]], Tensor]:
    """Train a deep network for a few steps."""
    x = numbers(4, 6).float()

    def loss(params: list[dict[str, Tensor]]) -> Tensor:
        y = x
        for layer in params:
            y = torch.tanh(y @ layer["w"] + layer["b"])
        return (y * y).mean()

    return train(loss, params, 3, 0.1)
