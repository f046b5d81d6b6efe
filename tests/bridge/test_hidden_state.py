"""from_module of modules that keep something from one call to the next outside of their buffers.

Two calls give the module's two answers, with the memory in the state, or it is an error that names the attribute.
"""

import pickle
from collections import deque
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from module_answers import X, one_of_a_batch, two_answers
from torch import nn
from torch.nn.utils import parametrizations

import funcnet as fn


class Memory(nn.Module):
    """A module whose forward is `step(self, y)` of a linear map y of x, with attributes made by `make`."""

    def __init__(self, step, **attributes):
        super().__init__()
        self.cell, self.step = nn.Linear(3, 3), step
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.step(self, self.cell(x))


class Rebound(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.hidden = nn.Linear(3, 3), torch.zeros(3)

    def forward(self, x):
        self.hidden = torch.tanh(self.cell(x) + self.hidden)
        return self.hidden


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.steps, self.fixed = nn.Linear(3, 3), torch.zeros(()), torch.ones(3)

    def forward(self, x):
        self.steps += 1
        return self.cell(x) * self.steps + self.fixed


class ByMethod(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(3, 3)
        self.first, self.second = torch.zeros(3), torch.ones(3)

    def remember(self, y):
        self.first, self.second = self.second, y

    def forward(self, x):
        before = self.first
        self.remember(self.cell(x))
        return before + self.second.sin()


class Normed(Rebound):
    def __init__(self):
        super().__init__()
        self.cell = parametrizations.weight_norm(self.cell)


THREADED = {"rebound": Rebound, "in place": Counted, "by a method": ByMethod, "parametrized": Normed}


@pytest.mark.parametrize("make", THREADED.values(), ids=THREADED)
@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit, lambda f: lambda *args: one_of_a_batch(f, *args)])
def test_assigned_tensors_are_part_of_the_state(make, wrap):
    for module in (make(), nn.Sequential(nn.Identity(), make())):
        apply, params, state = fn.from_module(module)
        apply = apply if make is Normed else pickle.loads(pickle.dumps(apply))
        start = fn.tree.map(torch.clone, state)
        two_answers(module, wrap(apply), params, state)
        assert fn.tree.equal(state, start) and apply(params, state, X)[0].requires_grad is False


def test_the_state_of_hidden_tensors():
    module = Counted()
    apply, params, state = fn.from_module(module)
    assert fn.tree.paths(state) == ["steps"] and fn.tree.paths(params) == ["cell.bias", "cell.weight"]
    _, after = apply(params, state, X)
    assert after["steps"] == 1 and state["steps"] == 0 and module.steps == 0
    back = fn.to_module(apply, params, after)
    assert torch.equal(back(X), apply(params, after, X)[0]) and list(back.state_dict()) == list(module.state_dict())
    loss = lambda p: apply(p, state, X)[0].sum()  # noqa: E731
    assert fn.grad(loss)(params)["cell"]["bias"].eq(1).all()
    carry, ys = fn.scan(lambda s, x: apply(params, s, x)[::-1], state, torch.stack([X, X]))
    assert carry["steps"] == 2 and not torch.equal(ys[0], ys[1])


def assigned(name, f):
    def step(module, y):
        setattr(module, name, f(module, y))
        return getattr(module, name)

    return step


def then(change, answer=lambda m, y: y):
    def step(module, y):
        result = answer(module, y)
        change(module, y)
        return result

    return step


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


ZEROS = lambda: torch.zeros(3)  # noqa: E731
REFUSED = {
    "a tensor written in place": (lambda: Memory(then(lambda m, y: m.h.add_(1), lambda m, y: y + m.h), h=ZEROS()), "h"),
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
        lambda: Memory(then(lambda m, y: m.states.__setitem__(0, y), lambda m, y: y + m.states[0]), states=[ZEROS()]),
        "states",
    ),
    "an element of a list in place": (
        lambda: Memory(then(lambda m, y: m.states[0].add_(1), lambda m, y: y + m.states[0]), states=[ZEROS()]),
        "states",
    ),
    "a dict": (lambda: Memory(then(lambda m, y: m.d.update(h=y), lambda m, y: y + m.d["h"]), d={"h": ZEROS()}), "d"),
    "a deque": (
        lambda: Memory(then(lambda m, y: m.past.append(y), lambda m, y: y + m.past[0]), past=deque([ZEROS()], 1)),
        "past",
    ),
    "a nested dict": (
        lambda: Memory(
            then(lambda m, y: m.d["a"].update(h=y), lambda m, y: y + m.d["a"]["h"]), d={"a": {"h": ZEROS()}}
        ),
        "d",
    ),
    "an object": (
        lambda: Memory(
            then(lambda m, y: setattr(m.box, "h", y), lambda m, y: y + m.box.h), box=SimpleNamespace(h=ZEROS())
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
        match = rf"forward changes '{path}', and the answer of the next call depends on it.*register_buffer"
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


class Table(nn.Module):
    """It adds a row per row of its input, from a table that grows with the longest input yet."""

    def __init__(self, length):
        super().__init__()
        self.cell = nn.Linear(3, 3)
        self.grow(length)

    def grow(self, length):
        self.length = length
        self.register_buffer("table", torch.arange(length).sin()[:, None], persistent=False)

    def forward(self, x):
        if len(x) > self.length:
            self.grow(len(x))
        return self.cell(x) + self.table[: len(x)]


@pytest.mark.parametrize("wrap", [lambda f: f, fn.jit])
@pytest.mark.parametrize("length", [0, 2])
def test_a_table_that_grows_is_refused_until_it_has_grown(length, wrap):
    module, x = Table(length), torch.stack([X] * 4)
    apply, params, state = fn.from_module(module)
    with pytest.raises(ValueError, match=r"changes 'length'.*call the module on its longest input before from_module"):
        wrap(apply)(params, state, x)
    expected = module(x)
    apply, params, state = fn.from_module(module)
    for count in (4, 1):
        torch.testing.assert_close(wrap(apply)(params, state, x[:count])[0], expected[:count])


def test_a_table_that_is_made_for_each_input_is_a_cache():
    def step(module, y):
        if not hasattr(module, "table") or len(module.table) < len(y):
            module.register_buffer("table", torch.arange(float(len(y)))[:, None], persistent=True)
        return y + module.table[: len(y)]

    module, x = Memory(step), torch.stack([X] * 4)
    apply, params, state = fn.from_module(module)
    for count in (2, 4, 1):
        torch.testing.assert_close(apply(params, state, x[:count])[0], module(x[:count]))


def lazily(module, y):
    if module.table is None:
        module.table = torch.arange(3.0) * module.cell.bias.detach()
    return y + module.table


def by_size(module, y):
    if len(y) not in module.tables:
        module.tables[len(y)] = torch.arange(float(len(y)))
    return y + module.tables[len(y)]


def once(module, y):
    if not module.built:
        module.table, module.built = torch.ones(3), True
    return y + module.table


HARMLESS = {
    "a record": lambda: Memory(then(lambda m, y: setattr(m, "last", y))),
    "a record that was None": lambda: Memory(then(lambda m, y: setattr(m, "last", y)), last=None),
    "a record in a list": lambda: Memory(then(lambda m, y: m.seen.append(y)), seen=[]),
    "a record in a dict": lambda: Memory(then(lambda m, y: m.seen.update(y=y)), seen={}),
    "a record of a mean": lambda: Memory(then(lambda m, y: m.mean.mul_(0.9).add_(1)), mean=ZEROS()),
    "a counter that nobody reads": lambda: Memory(then(lambda m, y: setattr(m, "n", m.n + 1)), n=0),
    "a text": lambda: Memory(then(lambda m, y: setattr(m, "note", f"{tuple(y.shape)}")), note=""),
    "written before it is read": lambda: Memory(assigned("h", lambda m, y: y.sin())),
    "a lazy table": lambda: Memory(lazily, table=None),
    "tables by size": lambda: Memory(by_size, tables={}),
    "a flag": lambda: Memory(once, built=False, table=None),
}


@pytest.mark.parametrize("make", HARMLESS.values(), ids=HARMLESS)
def test_records_and_caches_of_constants_are_allowed(make):
    module = make()
    apply, params, state = fn.from_module(module)
    before = vars(apply.module).copy()
    assert state == {}
    for call in (fn.jit(apply, backend="eager"), apply, lambda *args: one_of_a_batch(apply, *args)):
        two_answers(module, call, params, state)
    assert vars(apply.module).keys() == before.keys()
    assert all(value is before[name] for name, value in vars(apply.module).items())
