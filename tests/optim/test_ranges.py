"""Hyper-parameters out of range and things of the wrong kind are errors where an optimizer is made."""

import inspect
import math

import pytest
import torch

import funcnet as fn

RATES = {"learning_rate", "weight_decay", "weight_decay_rate"}
FRACTIONS = {"b1", "b2", "rho", "beta", "decay", "adam_b1", "adam_b2", "momentum"}
AT_LEAST_ZERO = {
    "eps",
    "eps_root",
    "max_delta",
    "max_norm",
    "threshold",
    "clipping",
    "initial_accumulator_value",
    "eta",
}
# arguments that a builder has no default for
NEEDED = {
    "learning_rate": 0.1,
    "decay": 0.9,
    "max_delta": 1.0,
    "max_norm": 1.0,
    "threshold": 1.0,
    "clipping": 0.1,
    "eta": 0.1,
    "gamma": 0.5,
    "key": 0,
    "base_optimizer": fn.optim.identity(),
}


def builders():
    for name in fn.optim.__all__:
        build = getattr(fn.optim, name)
        if inspect.isfunction(build) and inspect.signature(build).return_annotation is fn.optim.GradientTransformation:
            yield name, build


def rows():
    for name, build in builders():
        for parameter in inspect.signature(build).parameters:
            wrong = [-0.1, math.nan] if parameter in RATES | AT_LEAST_ZERO else []
            wrong += [1.5, -0.1, math.nan] if parameter in FRACTIONS else []
            wrong += ["0.1", True, torch.ones(2)] if parameter in RATES | FRACTIONS | AT_LEAST_ZERO else []
            yield from ((name, parameter, value) for value in wrong)


ROWS = [row for row in rows() if "radam" not in row[0] or row[1] != "threshold"]  # of RAdam it is another number


@pytest.mark.parametrize("name, parameter, value", ROWS)
def test_numbers_out_of_range_are_errors_at_construction(name, parameter, value):
    build = getattr(fn.optim, name)
    given = {k: v for k, v in NEEDED.items() if k in inspect.signature(build).parameters} | {parameter: value}
    with pytest.raises((ValueError, TypeError), match="expected .* to be a"):
        build(**given)


def test_many_builders_are_checked():
    assert len(ROWS) > 200


@pytest.mark.parametrize("rate", [0.0, 1, torch.tensor(0.1), fn.optim.cosine_decay_schedule(0.1, 10)])
def test_rates_of_every_kind_are_accepted(rate):
    fn.optim.adamw(rate, weight_decay=rate).init(torch.ones(2))


@pytest.mark.parametrize("build", [fn.optim.clip, fn.optim.clip_by_block_rms, fn.optim.clip_by_global_norm])
def test_infinity_bounds_nothing(build):
    part, gradient = build(math.inf), torch.tensor([3.0, -4.0])
    torch.testing.assert_close(part.update(gradient, part.init(gradient))[0], gradient, rtol=0, atol=0)


WRONG = {
    "a number in a chain": (lambda: fn.optim.chain(0.1), "chain: expected transformations.*got 0.1"),
    "a list in a chain": (lambda: fn.optim.chain([fn.optim.sgd(0.1)]), "chain: expected transformations.*got list"),
    "a number in a named chain": (lambda: fn.optim.named_chain(("a", 1)), "named_chain: expected transformations"),
    "parameters first": (lambda: fn.optim.adam({"w": torch.ones(2)}, 0.1), "learning_rate to be .*got dict"),
    "a module": (lambda: fn.optim.adam(0.1).init(torch.nn.Linear(1, 1)), "got a Linear. fn.from_module"),
    "a module, without state": (lambda: fn.optim.sgd(0.1).init(torch.nn.Linear(1, 1)), "got a Linear"),
    "an iterator": (lambda: fn.optim.sgd(0.1, 0.9).init(torch.nn.Linear(1, 1).parameters()), "got a generator"),
    "no gradient per step": (lambda: fn.optim.MultiSteps(fn.optim.sgd(0.1), 0), "every_k_schedule to be an integer"),
    "no step of a search": (lambda: fn.optim.scale_by_zoom_linesearch(0), "max_linesearch_steps to be an integer"),
    "a growing factor": (lambda: fn.optim.reduce_on_plateau(2.0), r"factor to be a number in \[0, 1\]"),
}


@pytest.mark.parametrize("call, message", WRONG.values(), ids=WRONG)
def test_things_of_the_wrong_kind_are_errors(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_an_array_of_numpy_is_refused_with_the_conversion():
    array = pytest.importorskip("numpy").array(0.5)
    for name, parameter in dict.fromkeys(row[:2] for row in ROWS):
        build = getattr(fn.optim, name)
        given = {k: v for k, v in NEEDED.items() if k in inspect.signature(build).parameters} | {parameter: array}
        with pytest.raises(TypeError, match=r"expected \w+ to be .*, got array.*by float\(\w+\)"):
            build(**given)
