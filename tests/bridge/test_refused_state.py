"""from_module of modules that keep other values between calls: an error names the attribute."""

from collections import deque
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from module_answers import X, one_of_a_batch
from remembering_modules import Memory, assigned, then, zeros
from torch import nn

import funcnet as fn


class OfClass(Memory):
    total = 0


def add_to_class(module, y):
    OfClass.total += 1


class OfList(Memory):
    history: ClassVar[list[torch.Tensor]] = []


LAST: list[torch.Tensor] = []
COUNT = 0


class ByGlobals(nn.Linear):
    def forward(self, x):
        global COUNT
        COUNT += 1
        return super().forward(x) * COUNT


class ByGlobalList(nn.Linear):
    def forward(self, x):
        LAST.append(super().forward(x))
        return LAST[0] + len(LAST)


def with_buffer(module, value):
    module.register_buffer("h", value)
    return module


REFUSED = {
    "a tensor written in place": (lambda: Memory(then(lambda m, y: m.h.add_(1), lambda m, y: y + m.h), h=zeros()), "h"),
    "a row of a tensor": (
        lambda: Memory(then(lambda m, y: m.h.__setitem__(0, y), lambda m, y: y + m.h[0]), h=torch.zeros(2, 3)),
        "h",
    ),
    "a list that grows": (
        lambda: Memory(then(lambda m, y: m.cache.append(y), lambda m, y: y + sum(m.cache)), cache=[]),
        "cache",
    ),
    "the length of a list": (
        lambda: Memory(then(lambda m, y: m.cache.append(1), lambda m, y: y + len(m.cache)), cache=[]),
        "cache",
    ),
    "an element of a list": (
        lambda: Memory(then(lambda m, y: m.states.__setitem__(0, y), lambda m, y: y + m.states[0]), states=[zeros()]),
        "states",
    ),
    "an element of a list in place": (
        lambda: Memory(then(lambda m, y: m.states[0].add_(1), lambda m, y: y + m.states[0]), states=[zeros()]),
        "states",
    ),
    "a dict": (lambda: Memory(then(lambda m, y: m.d.update(h=y), lambda m, y: y + m.d["h"]), d={"h": zeros()}), "d"),
    "a deque": (
        lambda: Memory(then(lambda m, y: m.past.append(y), lambda m, y: y + m.past[0]), past=deque([zeros()], 1)),
        "past",
    ),
    "a nested dict": (
        lambda: Memory(
            then(lambda m, y: m.d["a"].update(h=y), lambda m, y: y + m.d["a"]["h"]), d={"a": {"h": zeros()}}
        ),
        "d",
    ),
    "an object": (
        lambda: Memory(
            then(lambda m, y: setattr(m.box, "h", y), lambda m, y: y + m.box.h), box=SimpleNamespace(h=zeros())
        ),
        "box",
    ),
    "a counter": (lambda: Memory(then(lambda m, y: setattr(m, "n", m.n + 1), lambda m, y: y * m.n), n=1), "n"),
    "a counter far from its bound": (
        lambda: Memory(then(lambda m, y: setattr(m, "n", m.n + 1), lambda m, y: y if m.n < 9 else -y), n=0),
        "n",
    ),
    "a remainder of a counter": (
        lambda: Memory(then(lambda m, y: setattr(m, "n", m.n + 2), lambda m, y: y if m.n % 2 else -y), n=0),
        "n",
    ),
    "a factor": (lambda: Memory(then(lambda m, y: setattr(m, "f", m.f * 0.5), lambda m, y: m.f * y), f=1.0), "f"),
    "None at first": (
        lambda: Memory(assigned("h", lambda m, y: y if m.h is None else y + m.h), h=None),
        "h",
    ),
    "missing at first": (lambda: Memory(assigned("h", lambda m, y: y + getattr(m, "h", 0))), "h"),
    "set up by the first input": (
        lambda: Memory(
            lambda m, y: (setattr(m, "scale", y.abs().max()) if m.scale is None else None, y / m.scale)[1], scale=None
        ),
        "scale",
    ),
    "a buffer that was None": (
        lambda: with_buffer(Memory(assigned("h", lambda m, y: y if m.h is None else y + m.h.detach())), None),
        "h",
    ),
    "a buffer registered in forward": (
        lambda: Memory(
            then(lambda m, y: m.register_buffer("h", y), lambda m, y: y + m.h.detach() if hasattr(m, "h") else y)
        ),
        "h",
    ),
    "a parameter made in forward": (
        lambda: Memory(
            then(
                lambda m, y: m.register_parameter("h", nn.Parameter(torch.ones(3))),
                lambda m, y: y * 2 if hasattr(m, "h") else y,
            )
        ),
        "h",
    ),
    "a number that decides what is printed": (
        lambda: Memory(
            then(lambda m, y: setattr(m, "n", m.n + 1), lambda m, y: print("many") or y if m.n % 9 == 8 else y), n=0
        ),
        "n",
    ),
    "a list of the class": (
        lambda: OfList(then(lambda m, y: m.history.append(y), lambda m, y: y + len(m.history))),
        "OfList.history",
    ),
    "a global number": (lambda: ByGlobals(3, 3), "COUNT"),
    "a global list": (lambda: ByGlobalList(3, 3), "LAST"),
    "a class attribute": (lambda: OfClass(then(add_to_class, lambda m, y: y + m.total)), "OfClass.total"),
}


@pytest.mark.parametrize("make, name", REFUSED.values(), ids=REFUSED)
def test_other_memory_is_refused(make, name, request):
    for module, path in (
        (make(), name),
        (nn.Sequential(make()), name if "." in name or name.isupper() else f"0.{name}"),
    ):
        apply, params, state = fn.from_module(module)
        match = rf"forward changes '{path}', and the output of the next call depends on it.*register_buffer"
        batched = lambda *args, apply=apply: one_of_a_batch(apply, *args)  # noqa: E731
        for call in (
            apply,
            fn.jit(apply, backend="eager"),
            *([batched] if "row" not in request.node.name else []),
        ):
            with pytest.raises(ValueError, match=match):
                call(params, state, X)
        with pytest.raises(ValueError, match=match):
            fn.grad(lambda p, apply=apply, state=state: apply(p, state, X)[0].sum())(params)
    assert OfClass.total == COUNT == len(LAST) == len(OfList.history) == 0
