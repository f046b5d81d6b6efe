"""Expressions in JAX's names with the values that JAX gives them, evaluated here eagerly, jitted and under vmap.

A file of tests/golden holds the inputs, each a name and its text, and for each expression a list of tensors: dtype,
shape and values, for complex numbers the real and the imaginary ones.
"""

import re

import torch
from golden import load
from torch import Tensor

import funcnet as fn
from funcnet import image, lax, nn, ops, scipy
from funcnet import numpy as jnp
from funcnet.numpy.promotion import as_tensor

NAMES = {
    "jnp": jnp, "at": fn.at, "nn": nn, "lax": lax,
    "special": scipy.special, "stats": scipy.stats, "linalg": scipy.linalg,
    "signal": scipy.signal, "sfft": scipy.fft, "interpolate": scipy.interpolate,
    "ndimage": scipy.ndimage, "integrate": scipy.integrate, "krylov": scipy.sparse.linalg,
    "optimize": scipy.optimize, "grad": fn.grad, "vmap": fn.vmap,
    "random": fn.random, "ops": ops, "image": image, "lax_linalg": lax.linalg,
}  # fmt: skip


class Table:
    """The expressions of one file."""

    def __init__(self, name):
        table = load(name)
        self.expected = table["expressions"]
        names = dict(NAMES)
        self.inputs = {}
        for name, text in table["inputs"].items():
            names[name] = self.inputs[name] = eval(text, names)

    def evaluate(self, text, inputs=None):
        """Return the tensors of an expression, None left out; `inputs` replace those of the file."""
        result = eval(text, {**NAMES, **(self.inputs if inputs is None else inputs)})
        return [as_tensor("result", leaf) for leaf in fn.tree.leaves(result)]

    def used(self, text):
        """Return the names of the inputs that an expression mentions."""
        return [name for name in self.inputs if re.search(rf"(?<![.\w]){name}(?![\w(])", text)]

    def check(self, text, got, rtol=2e-6):
        """Compare with JAX's values: dtype, shape, and values within a few ulp of the largest one."""
        assert len(got) == len(self.expected[text]), text
        for x, (dtype, shape, *parts) in zip(got, self.expected[text], strict=True):
            assert (str(x.dtype), list(x.shape)) == (f"torch.{dtype}", shape), text
            values = [x.real, x.imag] if x.is_complex() else [x]
            for value, part in zip(values, parts, strict=True):
                same(value, torch.tensor(part, dtype=torch.float64).reshape(shape), rtol, text)


def same(x: Tensor, want: Tensor, rtol: float, text: str) -> None:
    """Assert that integers are equal, and others agree relative to the largest finite one."""
    if not (x.is_floating_point() or x.is_complex()):
        rtol = 0.0
    elif x.dtype == torch.float16:
        rtol = 1e-3
    largest = want[want.isfinite()].abs().max().item() if want.isfinite().any() else 0.0
    atol, message = rtol * largest, lambda difference: f"{text}: {difference}"
    torch.testing.assert_close(x.to(torch.float64), want, rtol=rtol, atol=atol, equal_nan=True, msg=message)
