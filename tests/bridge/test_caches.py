"""from_module of modules that record values or cache constants: their two outputs do not depend on it."""

import pytest
import torch
from module_answers import X, one_of_a_batch, two_answers
from remembering_modules import Memory, assigned, then, zeros
from torch import nn

import funcnet as fn


class Table(nn.Module):
    """Adds to each row of its input a row of a table, which grows with the longest input so far."""

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


def test_a_table_that_depends_only_on_the_length_is_a_cache():
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
    "a record of a mean": lambda: Memory(then(lambda m, y: m.mean.mul_(0.9).add_(1)), mean=zeros()),
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
