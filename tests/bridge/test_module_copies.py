"""from_module copies a module: later changes do not affect the copy, and calls of the copy do not affect the module."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch_modules import KEY, Tied, assert_close, filled, loop, numbers, scalar, transformer

import funcnet as fn


class Counting(nn.Module):
    """A module with three kinds of buffers, one rebound and not persistent; attributes set by forward; a constant."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(3), persistent=False)
        self.register_buffer("seen", torch.tensor(0))
        self.register_buffer("on", torch.tensor([True, False, True]))
        self.register_buffer("nothing", None)
        self.constant = torch.arange(3.0, dtype=torch.float64)
        self.calls = 0

    def forward(self, x):
        self.mean = 0.5 * self.mean + 0.5 * x.mean(0)
        self.seen += len(x)
        self.on.logical_not_()
        self.calls += 1
        last = self.last = x * 1
        return last * self.w + self.mean + self.constant


def test_the_module_is_left_untouched(case):
    module, x = case
    before = copy.deepcopy(module.state_dict())
    apply, params, state = fn.from_module(module.train())
    fn.value_and_grad(lambda params: scalar(apply(params, state, x, key=KEY)[0]))(params)
    assert fn.tree.equal(dict(module.state_dict()), dict(before))
    assert all(parameter.grad is None for parameter in module.parameters())
    pointers = {tensor.data_ptr() for tensor in module.state_dict().values()}
    assert pointers.isdisjoint(leaf.data_ptr() for leaf in fn.tree.leaves((params, state)))


def test_to_module_returns_an_equal_module(case):
    module, x = case
    apply, params, state = fn.from_module(module.eval())
    back = fn.to_module(apply, params, state)
    assert fn.tree.equal(dict(back.state_dict()), dict(module.state_dict()))
    assert fn.tree.equal(fn.from_module(back)[1:], (params, state))
    with torch.no_grad():
        assert_close(back(x.clone()), module(x.clone()), 0.0)


def test_a_computed_attribute_is_a_constant():
    module = nn.Linear(3, 2)
    module.doubled = 2 * module.weight
    module.register_forward_hook(lambda module, args, y: y + module.doubled.sum())
    apply, params, state = fn.from_module(module)
    assert_close(apply(params, state, torch.ones(3))[0], module(torch.ones(3)).detach())


def test_later_changes_of_the_module_have_no_effect():
    module = filled(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).eval())
    apply, params, state = fn.from_module(module)
    expected, _ = apply(params, state, torch.ones(4, 3).double())
    module.train()
    module[0].weight.data.zero_()
    assert torch.equal(apply(params, state, torch.ones(4, 3).double())[0], expected)


def test_no_argument_is_written_to():
    x = numbers(4, 3)
    before = x.clone()
    apply, params, state = fn.from_module(filled(nn.Sequential(nn.ReLU(inplace=True))))
    assert torch.equal(apply(params, state, x)[0], before.relu()) and torch.equal(x, before)


def test_buffers_are_returned_and_attributes_are_restored():
    module = Counting().double()
    apply, params, state = fn.from_module(module)
    assert fn.tree.paths(state) == ["mean", "on", "seen"]
    x = numbers(4, 3)
    first, after = apply(params, state, x)
    assert fn.tree.equal(apply(params, state, x), (first, after))
    assert_close(first, module(x))
    assert_close(after, fn.from_module(module)[2])
    second, _ = apply(params, after, x)
    module.calls = 0
    assert_close(second, module(x))
    assert not hasattr(apply.module, "last")
    many = fn.vmap(apply, in_dims=(None, None, 0))(params, state, x[:, None])
    assert_close(many[0], loop(lambda x: apply(params, state, x[None])[0], x))


def test_names_and_ties():
    module = Tied()
    apply, params, _ = fn.from_module(module)
    assert fn.tree.paths(params) == ["inner.bias", "inner.weight", "table.weight"]
    assert torch.equal(params["table"]["weight"], module.out.weight)
    again = params | {"out": {"weight": params["table"]["weight"].clone()}}
    x = torch.tensor([0, 3])
    assert torch.equal(apply(again, {}, x)[0], apply(params, {}, x)[0])


def test_frozen_parameters_are_separated():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    module[0].requires_grad_(False)
    apply, params, state = fn.from_module(module)
    trained, frozen = fn.tree.partition(params, fn.bridge.trainable(module))
    grads = fn.grad(lambda p: apply(fn.tree.combine(p, frozen), state, torch.ones(3))[0].sum())(trained)
    assert fn.tree.paths(grads) == fn.tree.paths(trained) == ["1.bias", "1.weight"]


def test_dtype_follows_the_parameters_and_autograd_works():
    apply, params, _ = fn.from_module(nn.Linear(3, 2))
    assert apply(fn.tree.map(torch.Tensor.double, params), {}, numbers(4, 3))[0].dtype == torch.float64
    params = fn.tree.map(torch.Tensor.requires_grad_, params)
    apply(params, {}, torch.ones(3))[0].sum().backward()
    assert torch.equal(params["weight"].grad, torch.ones(2, 3))


def test_apply_pickles_and_runs_in_threads():
    apply, params, state = pickle.loads(pickle.dumps(fn.from_module(filled(transformer()).eval())))
    scales = [fn.tree.scale(0.5 + 0.1 * i, params) for i in range(8)]
    expected, found = [apply(p, state, numbers(2, 3, 8))[0] for p in scales], {}

    def work(i):
        for _ in range(5):
            found[i] = apply(scales[i], state, numbers(2, 3, 8))[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[i], y) for i, y in enumerate(expected))
    assert not torch.compiler.is_exporting() and not torch.compiler.is_compiling()


class Running(nn.Module):
    """A module that reads its statistics, or keeps them as rows of one buffer."""

    def __init__(self, rows):
        super().__init__()
        self.rows, self.norm = rows, nn.BatchNorm1d(4)
        self.register_buffer("both", torch.stack([torch.zeros(4), torch.ones(4)]))

    def forward(self, x):
        if self.rows:
            return functional.batch_norm(x, self.both[0], self.both[1], training=True)
        y = self.norm(x) + self.norm.running_mean
        self.norm.running_var.mul_(0.5)
        return y


@pytest.mark.parametrize("rows", [False, True])
def test_statistics_are_written_to_the_module_s_buffers(rows):
    module = Running(rows).double()
    apply, params, state = fn.from_module(module)
    x = numbers(6, 4)
    y, after = apply(params, state, x)
    torch.testing.assert_close(y, module(x), rtol=1e-12, atol=1e-12)
    assert fn.tree.difference(after, fn.from_module(module)[2]) is None


class Remembering(nn.Module):
    """Keeps a count in a tensor that is not a buffer, and a history that nobody reads in a list of a submodule."""

    def __init__(self):
        super().__init__()
        self.count, self.seen, self.part = torch.zeros(()), [], nn.Linear(3, 3)
        self.part.seen = self.seen

    def forward(self, x):
        self.count += 1
        self.part.seen.append(x)
        return self.part(x) + self.count


def test_attributes_written_by_forward_are_restored():
    module = Remembering().double()
    apply, params, state = fn.from_module(module)
    x = numbers(2, 3)
    first, second = apply(params, state, x)[0], apply(params, state, x)[0]
    torch.testing.assert_close(second, first, rtol=0, atol=0)
    torch.testing.assert_close(first, module(x), rtol=1e-12, atol=1e-12)
