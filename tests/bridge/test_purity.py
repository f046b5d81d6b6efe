"""from_module of modules that write to their arguments, or whose closures and hooks hold the module itself."""

import pickle

import pytest
import torch
from torch import nn

import funcnet as fn


class ByLambda(nn.Module):
    """A module whose closure is made in the constructor."""

    def __init__(self, use):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.register_buffer("scale", torch.full((3,), 2.0))
        self.compute = lambda x: use(self, x)

    def forward(self, x):
        return self.compute(x)


USES = {
    "of a parameter": lambda m, x: x @ m.inner.weight,
    "of a part": lambda m, x: m.inner(x),
    "of a buffer": lambda m, x: x * m.scale,
    "in a list": lambda m, x: torch.stack([x, m.inner.bias]).sum(0),
    "by keyword": lambda m, x: torch.nn.functional.linear(x, weight=m.inner.weight),
}
MESSAGE = (
    r"from_module\(ByLambda\): forward uses a tensor of the module that was passed .* access submodules as attributes"
)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_tensors_of_the_original_module_are_refused(use):
    module = ByLambda(use)
    apply, params, state = fn.from_module(module)
    with pytest.raises(ValueError, match=MESSAGE):
        apply(params, state, torch.ones(3))
    with pytest.raises(ValueError, match=MESSAGE):
        fn.jit(fn.grad(lambda p: apply(p, state, torch.ones(3))[0].sum()), backend="eager")(params)


def test_a_hook_that_holds_the_module_is_refused():
    module = nn.Sequential(nn.Linear(3, 3))
    module[0].register_forward_hook(lambda part, args, y: y + module[0].weight.sum())
    apply, params, state = fn.from_module(module)
    with pytest.raises(ValueError, match="in a hook use the module that it is called with"):
        apply(params, state, torch.ones(3))


def test_a_closure_may_read_values_other_than_tensors():
    module = ByLambda(lambda m, x: x if m.training else 2 * x)
    apply, params, state = fn.from_module(module)
    assert torch.equal(apply(params, state, torch.ones(3))[0], torch.ones(3))


def test_the_parameters_may_be_the_original_module_s_tensors():
    module = nn.Linear(3, 2)
    apply, _, state = fn.from_module(module)
    own = {"weight": module.weight, "bias": module.bias}
    assert torch.equal(apply(own, state, torch.ones(3))[0], module(torch.ones(3)))
    again = pickle.loads(pickle.dumps(apply))
    assert torch.equal(again(own, state, torch.ones(3))[0], module(torch.ones(3)))


class Writing(nn.Module):
    """Writes to its argument, and to other given tensors."""

    def __init__(self, write):
        super().__init__()
        self.weight, self.write = nn.Parameter(torch.ones(2, 3)), write

    def forward(self, x):
        x += 1
        with torch.no_grad():
            self.write(self.weight, x)
        return x * self.weight


WRITES = {
    "clamp_": lambda w, x: w.clamp_(-0.5, 0.5),
    "mul_": lambda w, x: w.data.mul_(2),
    "zero_": lambda w, x: w[0].zero_(),
    "copy_": lambda w, x: w.detach().view(-1)[1:].copy_(x.new_zeros(5)),
    "__setitem__": lambda w, x: w.data.__setitem__(0, 2.0),
    "add": lambda w, x: torch.add(x, 1, out=w[1]),
}


@pytest.mark.parametrize("name", WRITES)
def test_no_parameter_is_written_to_by_any_of_its_views(name):
    apply, params, state = fn.from_module(Writing(WRITES[name]).double())
    x = torch.zeros(3, dtype=torch.float64)
    calls = [
        lambda p: apply(p, state, x),
        fn.vmap(lambda p: apply(p, state, x)),
        fn.grad(lambda p: apply(p, state, x)[0].sum()),
    ]
    for i, call in enumerate(calls):
        given = {"weight": torch.ones(*(1,) * (i == 1), 2, 3, dtype=torch.float64)}
        with pytest.raises((ValueError, RuntimeError), match=f": {name} writes to a param|accessing `data` under"):
            call(given)
        assert given["weight"].eq(1).all() and x.eq(0).all()
    with pytest.raises((ValueError, fn.StagingError), match=r"writes to (a parameter|an argument)"):
        fn.jit(calls[0], backend="eager")(params)


def test_arguments_and_computed_tensors_may_be_written_to():
    apply, params, state = fn.from_module(Writing(lambda w, x: x.mul_(2)).double())
    x = torch.zeros(3, dtype=torch.float64)
    assert apply(params, state, x)[0].eq(2).all() and x.eq(0).all()
