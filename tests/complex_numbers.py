"""Complex test values, and a module with complex parameters."""

import torch
from torch import nn

import funcnet as fn

T, X = torch.tensor(0.3), torch.tensor([0.3, -1.2, 0.7, 2.0])


def complex_like(*shape, seed=0, dtype=torch.complex128):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed + sum(shape)))


Z = complex_like(4, dtype=torch.complex64)
W = complex_like(3, 4)


class Fourier(nn.Module):
    """A module with real and complex weights."""

    def __init__(self, dtype=torch.complex128):
        super().__init__()
        self.w = nn.Parameter(complex_like(3, dtype=dtype))
        self.mix = nn.Parameter(complex_like(3, 3, seed=1, dtype=dtype))
        self.scale = nn.Parameter(torch.tensor(1.5, dtype=dtype.to_real()))

    def forward(self, x):
        return torch.fft.irfft((self.w * torch.fft.rfft(self.scale * x)) @ self.mix, n=4)


def fourier(dtype=torch.complex128):
    module = Fourier(dtype)
    apply, params, state = fn.from_module(module)
    x = torch.randn(5, 4, dtype=dtype.to_real(), generator=torch.Generator().manual_seed(0))
    return module, params, x, lambda p, x: apply(p, state, x)[0].square().mean()


def real_form(f, params):
    """Return the same function of real numbers, and the point at which to evaluate it."""
    vector, unravel = fn.tree.ravel(params)
    return lambda v: f(unravel(v)), vector, unravel
