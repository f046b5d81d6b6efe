"""Hyper-parameters out of range and values of the wrong type are errors when an optimizer is built."""

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
# arguments without a default
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
    "init_step": ("heuristic", 1e-6),
    "l2_norm_clip": 1.0,
    "noise_multiplier": 1.0,
    "seed": 0,
    "measure": torch.sum,
}


def builders():
    for name in fn.optim.__all__:
        build = getattr(fn.optim, name)
        if inspect.isfunction(build) and inspect.signature(build).return_annotation is fn.optim.GradientTransformation:
            yield name, build


def needed(build):
    taken = inspect.signature(build).parameters
    return {name: NEEDED[name] for name in NEEDED if name in taken and not (name == "seed" and "key" in taken)}


def rows():
    for name, build in builders():
        for parameter in inspect.signature(build).parameters:
            wrong = [-0.1, math.nan] if parameter in RATES | AT_LEAST_ZERO else []
            wrong += [1.5, -0.1, math.nan] if parameter in FRACTIONS else []
            wrong += ["0.1", True, torch.ones(2)] if parameter in RATES | FRACTIONS | AT_LEAST_ZERO else []
            yield from ((name, parameter, value) for value in wrong)


OTHER_RANGES = {("radam", "threshold"), ("optimistic", "beta")}  # any finite number
ROWS = [row for row in rows() if not any(part in row[0] and name == row[1] for part, name in OTHER_RANGES)]


@pytest.mark.parametrize("name, parameter, value", ROWS)
def test_numbers_out_of_range_are_errors_at_construction(name, parameter, value):
    build = getattr(fn.optim, name)
    given = needed(build) | {parameter: value}
    with pytest.raises((ValueError, TypeError), match="expected .* to be a"):
        build(**given)


def test_many_builders_are_checked():
    assert len(ROWS) > 200


@pytest.mark.parametrize("rate", [0.0, 1, torch.tensor(0.1), fn.optim.cosine_decay_schedule(0.1, 10)])
def test_rates_of_every_kind_are_accepted(rate):
    fn.optim.adamw(rate, weight_decay=rate).init(torch.ones(2))


@pytest.mark.parametrize("build", [fn.optim.clip, fn.optim.clip_by_block_rms, fn.optim.clip_by_global_norm])
def test_infinity_means_no_bound(build):
    part, gradient = build(math.inf), torch.tensor([3.0, -4.0])
    torch.testing.assert_close(part.update(gradient, part.init(gradient))[0], gradient, rtol=0, atol=0)


WRONG = {
    "a number in a chain": (lambda: fn.optim.chain(0.1), "chain: expected transformations.*got 0.1"),
    "a list in a chain": (lambda: fn.optim.chain([fn.optim.sgd(0.1)]), "chain: expected transformations.*got list"),
    "a number in a named chain": (lambda: fn.optim.named_chain(("a", 1)), "named_chain: expected transformations"),
    "parameters first": (lambda: fn.optim.adam({"w": torch.ones(2)}, 0.1), "learning_rate to be .*got dict"),
    "a module": (lambda: fn.optim.adam(0.1).init(torch.nn.Linear(1, 1)), "got Linear. fn.from_module"),
    "a module, without state": (lambda: fn.optim.sgd(0.1).init(torch.nn.Linear(1, 1)), "got Linear"),
    "an iterator": (lambda: fn.optim.sgd(0.1, 0.9).init(torch.nn.Linear(1, 1).parameters()), "got generator"),
    "no gradient per step": (lambda: fn.optim.MultiSteps(fn.optim.sgd(0.1), 0), "every_k_schedule to be an integer"),
    "no step of a search": (lambda: fn.optim.scale_by_zoom_linesearch(0), "max_linesearch_steps to be an integer"),
    "a number to mask": (lambda: fn.optim.masked(0.1, True), "masked: expected transformations.*got 0.1"),
    "a rate per label": (lambda: fn.optim.partition({"a": 0.1}, "a"), "partition: expected transformations.*got 0.1"),
    "a number per k": (lambda: fn.optim.MultiSteps(0.1, 2), "MultiSteps: expected transformations.*got 0.1"),
    "a number to look ahead": (lambda: fn.optim.lookahead(0.1, 2, 0.5), "lookahead: expected transformations"),
    "a number, if finite": (lambda: fn.optim.apply_if_finite(0.1, 2), "apply_if_finite: expected transformations"),
    "a factor that is NaN": (lambda: fn.optim.scale(math.nan), "scale: expected step_size to be a finite number"),
    "a word for a rate": (
        lambda: fn.optim.constant_schedule("0.1"),
        "constant_schedule: expected value to be a finite",
    ),
    "a growing factor": (lambda: fn.optim.reduce_on_plateau(2.0), r"factor to be a number in \[0, 1\]"),
}


@pytest.mark.parametrize("call, message", WRONG.values(), ids=WRONG)
def test_values_of_the_wrong_type_are_errors(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("steps", [0, -5])
def test_schedules_without_transition_are_constant(steps):
    for t in (0, 3, 100):
        assert fn.optim.linear_schedule(1.0, 0.0, steps)(t) == 1.0  # as Optax's
        assert fn.optim.exponential_decay(1.0, steps, 0.5)(t) == 1.0


def test_a_numpy_array_is_refused_with_a_remedy():
    array = pytest.importorskip("numpy").array(0.5)
    for name, parameter in dict.fromkeys(row[:2] for row in ROWS):
        build = getattr(fn.optim, name)
        given = needed(build) | {parameter: array}
        with pytest.raises(TypeError, match=r"expected \w+ to be .*, got array.*by float\(\w+\)"):
            build(**given)
