"""Devices: what `.to(device)` is for. Tensors that meet in one operation must be on one device.

Parameters here are a plain tree of tensors, so that moving a model is one map over its leaves. Without a second device,
"meta" takes its place: a device of shapes without values, whose tensors do not mix with others either.
"""

from collections.abc import Callable
from typing import Any

import options
import torch

import funcnet as fn
from course.data import X
from funcnet import report

model = fn.mlp([2, 1])


def moved(params: Any, device: str) -> Any:
    """Return a copy of the parameters on a device; the originals stay where they are."""
    return fn.tree.map(lambda leaf: leaf.to(device), params)


def available() -> list[str]:
    """Return the kinds of devices of this machine, and "meta", which every machine has."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return ["cpu", *([accelerator.type] if accelerator else []), "meta"]


def outcome(f: Callable[[], Any]) -> str:
    """Say where the result is, or that it failed and why."""
    try:
        return f"result on {f().device}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main() -> str:
    """Move data and parameters, together and apart; return the answer."""
    args = options.parse(options.parser(__doc__, takes="1 s", seed="seed of the weights"))
    params = model.init(fn.random.key(args.seed), X)
    other = available()[1]
    there, module = moved(params, other), torch.nn.Linear(2, 1)
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("params and x on cpu", lambda: model.apply(params, X)),
        (f"params on {other}, x on cpu", lambda: model.apply(there, X)),
        (f"both on {other}", lambda: model.apply(there, X.to(other))),
        (f"torch: cpu + {other}", lambda: X + X.to(other)),
    ]
    kinds = [
        ["x.to(device)", "a new tensor", f"x is still on {X.device}" if X.to(other).device != X.device else ""],
        ["moved(params, device)", "a new tree", f"params are still on {params[0]['w'].device}"],
        ["module.to(device)", "the module itself", f"the same object: {module.to(other) is module}"],
    ]
    said = f"cpu and {other} do not mix: x.to(device) copies a tensor, module.to(device) moves the module itself"
    report.show(
        f"devices of this machine: {', '.join(available())}",
        report.table(["call", "outcome"], [[name, outcome(call)] for name, call in calls]),
        report.table(["move", "returns", ""], kinds, title="Moving: a copy, or in place"),
        answer=said,
        svg=args.svg,
        dark=args.dark,
    )
    return said
