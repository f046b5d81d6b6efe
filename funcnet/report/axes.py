"""The axes of pictures: the range of one direction."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """The range of one direction, low < high; on a logarithmic axis both are positive."""

    low: float
    high: float
    log: bool = False

    def holds(self, values: Tensor) -> Tensor:
        """Tell which values are within the range of the axis."""
        return (values >= self.low) & (values <= self.high)

    def centres(self, size: int) -> Tensor:
        """Return the middles of `size` equal parts of a linear axis."""
        fractions = (torch.arange(size, dtype=torch.float64, device="cpu") + 0.5) / size
        return fractions * (self.high - self.low) + self.low
