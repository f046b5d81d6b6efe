"""Wrong modules, params and outputs in from_module raise a clear error."""

import pytest
import torch
from torch import nn
from torch_modules import Tied

import funcnet as fn

LINEAR, LINEAR_PARAMS, _ = fn.from_module(nn.Linear(3, 2))
TIED, TIED_PARAMS, _ = fn.from_module(Tied())
NORM, NORM_PARAMS, NORM_STATE = fn.from_module(nn.BatchNorm1d(2))
TOKENS = torch.tensor([0, 3])


def on_meta():
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(3, 2))


def with_meta_buffer():
    module = nn.BatchNorm1d(2)
    module.running_var = module.running_var.to("meta")
    return module


BAD = {
    "no module": (lambda: fn.from_module(torch.tanh), TypeError, "from_module: expected a torch.nn.Module, got"),
    "lazy": (
        lambda: fn.from_module(nn.Sequential(nn.ReLU(), nn.LazyLinear(2))),
        ValueError,
        r'expected parameter "1\.weight" to have values, but it is lazy.* Call the module once on an example input',
    ),
    "meta": (
        lambda: fn.from_module(on_meta()),
        ValueError,
        r'expected parameter "0\.weight" to have values, but it is on the meta device\. Build the module outside',
    ),
    "meta buffer": (
        lambda: fn.from_module(with_meta_buffer()),
        ValueError,
        'expected buffer "running_var" to have values, but it is on the meta device',
    ),
    "missing parameter": (
        lambda: LINEAR({"weight": LINEAR_PARAMS["weight"]}, {}, torch.ones(3)),
        ValueError,
        r"from_module\(Linear\): expected parameters like the module's, but they differ at the root: dict with entries "
        r"bias, weight and dict with entry weight\. Start from the parameters that from_module returned",
    ),
    "another shape": (
        lambda: TIED({**TIED_PARAMS, "inner": {"weight": torch.ones(4, 3), "bias": torch.ones(4)}}, {}, TOKENS),
        ValueError,
        r"""they differ at path "inner\.weight": 'tensor of shape \(4, 4\)' and 'tensor of shape \(4, 3\)'""",
    ),
    "not combined": (
        lambda: LINEAR({"weight": LINEAR_PARAMS["weight"], "bias": None}, {}, torch.ones(3)),
        ValueError,
        r"""they differ at path "bias": 'tensor of shape \(2,\)' and None""",
    ),
    "another state": (
        lambda: NORM(NORM_PARAMS, {}, torch.ones(3, 2)),
        ValueError,
        r"from_module\(BatchNorm1d\): expected state like the module's, but they differ at the root: dict with entries",
    ),
    "tied twice": (
        lambda: TIED(TIED_PARAMS | {"out": {"weight": torch.ones(7, 4)}}, {}, TOKENS),
        ValueError,
        r'"out\.weight" is tied to "table\.weight", expected one tensor under the name "table\.weight", got two with'
        r' different values\. Leave "out\.weight" out',
    ),
    "tied, under the second name only": (
        lambda: TIED({"inner": TIED_PARAMS["inner"], "out": {"weight": torch.ones(7, 4)}}, {}, TOKENS),
        ValueError,
        "they differ at the root: dict with entries inner, table and dict with entries inner, out",
    ),
    "no key": (
        lambda: fn.from_module(nn.Sequential(nn.Dropout(0.3)))[0]({}, {}, torch.ones(3)),
        ValueError,
        r"from_module\(Sequential\): dropout \(p=0\.3\) draws random numbers, expected a key, got none\. Pass"
        r" key=fn\.random\.key\(0\), or call \.eval\(\) on the module before from_module",
    ),
    "max_norm": (
        lambda: (lambda apply, params, state: apply(params, state, TOKENS))(
            *fn.from_module(nn.Embedding(4, 2, max_norm=1.0))
        ),
        ValueError,
        "an embedding with max_norm writes to its parameter, expected a pure forward. Set max_norm=None",
    ),
    "batch_norm of one": (
        lambda: NORM(NORM_PARAMS, NORM_STATE, torch.ones(1, 2)),
        ValueError,
        "Expected more than 1 value per channel when training",
    ),
}


@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_output_that_hides_tensors_is_refused():
    class Hiding(nn.Module):
        def forward(self, x):
            return {"y": x, "more": [torch.distributions.Normal(x, x.exp())]}

    apply, params, state = fn.from_module(Hiding())
    with pytest.raises(
        TypeError, match=r'in the output, at path "more\.0": expected a tensor, .* got an object of Normal'
    ):
        apply(params, state, torch.ones(2))
