"""Why torch.exp and not math.exp: math.exp takes one Python number, and whatever it returns has no derivative.

sigmoid(z) = 1 / (1 + exp(-z))
d/dz (z exp(z)) = (1 + z) exp(z), which is 2 e = 5.4366 at z = 1
"""

import math
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import options
import torch
from torch import Tensor

import funcnet as fn
from funcnet import report


def with_math(z: Tensor) -> Tensor:
    """Compute z exp(z) with math.exp: the number is right, but it is a constant for grad."""
    return z * math.exp(z)


def with_torch(z: Tensor) -> Tensor:
    """Compute z exp(z) with torch.exp: an operation on tensors of any shape, with a derivative."""
    return z * torch.exp(z)


def outcome(f: Callable[[], Any]) -> str:
    """Return the value with five digits, or the start of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of math.exp inside grad, once per process
            value = f()
    except Exception as error:
        return f"{type(error).__name__}: {re.split('[.,] ', str(error))[0]}"
    return " ".join(f"{number:.5g}" for number in torch.as_tensor(value).reshape(-1).tolist())


def main() -> str:
    """Compare the two in a value, a batch, a derivative, and under transformations; return the answer."""
    parser = options.parser(__doc__, takes="2 s", seed="draw z from this seed instead of taking 1")
    parser.set_defaults(seed=None)
    args = options.parse(parser)
    one = torch.tensor(1.0) if args.seed is None else fn.random.normal(fn.random.key(args.seed))
    four = torch.tensor([0.0, 1.0, 2.0, 3.0])
    exact = ((1 + one) * one.exp()).item()
    uses: list[tuple[str, Callable[[Any], Any]]] = [
        (f"f({one.item():.4g})", lambda f: f(one)),
        ("f of four numbers", lambda f: f(four)),
        (f"its derivative ({exact:.5g})", lambda f: fn.grad(f)(one)),
        ("vmap(f) of four", lambda f: fn.vmap(f)(four)),
        ("jit(f)", lambda f: fn.jit(f)(one)),
    ]
    rows = [[name, *(outcome(partial(use, f)) for f in (with_torch, with_math))] for name, use in uses]
    large = torch.tensor(1000.0)
    rows.append(["exp(1000)", outcome(large.exp), outcome(lambda: math.exp(large))])
    said = f"the derivative at z = {one.item():.4g} is {rows[2][1]} with torch.exp, and {rows[2][2]} with math.exp"
    table = report.table(["f(z) = z exp(z)", "torch.exp", "math.exp"], rows, title="The same formula twice")
    report.show(table, answer=said, svg=args.svg, dark=args.dark)
    return said
