"""Functions that are jitted again use the program of an equal one."""

import gc
import weakref
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch

import funcnet as fn
from funcnet.compiler import reuse

RATE = 2.0
X = torch.arange(3.0)


@pytest.fixture
def traces(monkeypatch):
    """Count the functions that are traced."""
    found = []
    compile_call = reuse.compile_call
    monkeypatch.setattr(reuse, "compile_call", lambda *args: found.append(args) or compile_call(*args))
    reuse._programs.clear()
    reuse._numbers.clear()
    return found


def by_global(x):
    return RATE * x


class Model:
    def __init__(self, rate):
        self.rate, self.weight = rate, torch.full((3,), rate)

    def apply(self, x):
        return self.rate * x + self.weight


MAKERS = {
    "function": lambda: by_global,
    "lambda": lambda: lambda x: torch.tanh(x) + 1,
    "vmap": lambda: fn.vmap(lambda x: x.sin()),
    "vmap of grad": lambda: fn.vmap(fn.grad(lambda x: x.sin())),
    "partial": lambda: partial(torch.add, alpha=2, other=X),
    "method": lambda: Model(2.0).apply,
    "model": lambda: partial(fn.dense(2).apply, {"w": torch.ones(3, 2), "b": torch.ones(2)}),
    "jitted inside": lambda: lambda x: fn.jit(by_global)(x),
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_equal_function_is_traced_once(name, traces):
    results = [fn.jit(MAKERS[name]())(X) for _ in range(3)]
    assert len(traces) == 1
    assert all(torch.equal(result, results[0]) for result in results)
    torch.testing.assert_close(results[0], MAKERS[name]()(X))


def test_a_step_in_a_loop_is_traced_once(traces):
    optimizer = fn.optim.adam(0.1)
    params, expected = ({"w": torch.ones(3)} for _ in range(2))
    state = twin = optimizer.init(params)

    def step(params, state, scale):
        grads = fn.grad(lambda params: (params["w"] ** 2).sum() * scale)(params)
        updates, state = optimizer.update(grads, state, params)
        return fn.optim.apply_updates(params, updates), state

    for scale in (1.0, 2.0, 3.0):
        params, state = fn.jit(step)(params, state, scale)
        expected, twin = step(expected, twin, scale)
    assert len(traces) == 1
    torch.testing.assert_close(params, expected)


def test_an_int_that_differs_between_equal_functions_is_traced(traces):
    def step(x, i, size):
        return x[:size] * i + i // 2

    for i in range(5):
        assert torch.equal(fn.jit(step)(X, i, 2), X[:2] * i + i // 2)
    assert len(traces) == 2  # with the first value of i, and with a traced i


def test_an_int_whose_value_is_needed_stays_a_constant(traces):
    for size in (1, 2, 3, 3):
        assert fn.jit(lambda x, size: x.new_zeros(size) + 1)(X, size).shape == (size,)
    assert len(traces) == 4  # one for each size, and that in which the second size is a traced number


def test_ints_are_static_where_that_is_asked_for(traces):
    for i in (1, 2, 3):
        fn.jit(by_power)(X, i)
        assert torch.equal(fn.jit(by_power, static_argnums=1)(X, i), X**i)
    assert [args[1].traced for args in traces] == [(), (1,), (), ()]


def test_a_traced_int_beside_lanes_is_known_by_one_key():
    reuse._numbers.clear()
    for size in (1, 2, 3):  # with another key for traced ints, their owners could disagree without end
        f = fn.jit(fn.vmap(lambda x, n: x.new_zeros(n) + x, in_dims=(0, None)))
        assert f(X, size).shape == (len(X), size)
    assert len(reuse._numbers) == 1


def by_power(x, i):
    return x**i


def changed_cell(value):
    return lambda x: x * value


def test_closed_over_tensors_are_read_again(traces):
    def make(weight):
        return lambda x: x @ weight

    for weight in (torch.ones(3), torch.full((3,), 2.0), torch.arange(6.0)[::2]):
        torch.testing.assert_close(fn.jit(make(weight))(X), X @ weight)
    assert len(traces) == 2  # of two strides


def test_one_tensor_in_two_places_is_not_two():
    def make(a, b):
        return lambda x: x + a if a is b else x * a * b

    ones, twos = torch.ones(3), torch.full((3,), 2.0)
    for a, b in ((ones, ones), (ones, twos), (twos, twos)):
        torch.testing.assert_close(fn.jit(make(a, b))(X), make(a, b)(X))


def test_values_that_a_trace_reads_are_compared():
    def make(weight):
        return lambda x: x * 2 if weight.sum() > 3 else x

    for weight in (torch.ones(3), torch.full((3,), 2.0), torch.ones(3)):
        assert torch.equal(fn.jit(make(weight))(X), make(weight)(X))


def test_options_and_settings_are_part_of_the_key(traces):
    f = MAKERS["lambda"]()
    for backend in ("native", "eager", "native"):
        assert fn.jit(f, backend=backend).explain(X).backend == backend
    with torch.no_grad():
        fn.jit(f, backend="native")(X)
    assert len(traces) == 3


def test_side_effects_of_a_trace_are_repeated():
    for _ in range(2):
        seen = []
        fn.jit(lambda x: seen.append(x.shape) or x)(X)  # noqa: B023
        assert len(seen) == 1


def test_builtin_functions_with_effects_are_called_at_each_trace(capsys):
    for log in (print, print):
        fn.jit(lambda x: log("traced") or x)(X)  # noqa: B023
    assert capsys.readouterr().out == "traced\n" * 2


def test_objects_in_the_metadata_of_results_are_those_of_the_function():
    @fn.tree.register_dataclass
    @dataclass
    class Named:
        x: torch.Tensor
        owner: Any = field(metadata={"static": True})

    for owner in (Model(1.0), Model(1.0)):
        assert fn.jit(lambda x: Named(x, owner))(X).owner is owner  # noqa: B023


def test_objects_are_not_kept():
    @fn.tree.register_dataclass
    @dataclass
    class Named:
        x: torch.Tensor
        owner: Any = field(metadata={"static": True})

    model = Model(1.0)
    alive = weakref.ref(model)
    fn.jit(model.apply)(X), fn.jit(partial(Named, owner=model))(X), fn.jit(lambda named: named.x * 2)(Named(X, model))
    del model
    gc.collect()
    assert alive() is None


def test_callbacks_call_their_own_function():
    for _ in range(2):
        seen = []
        fn.jit(lambda x: fn.debug.callback(seen.append, x))(X)  # noqa: B023
        assert len(seen) == 1


def test_methods_of_arguments_are_part_of_the_key():
    @fn.tree.register_dataclass
    @dataclass
    class Scaled:
        x: torch.Tensor

        def value(self):
            return self.x * self.factor

    for Scaled.factor in (2.0, 3.0):
        assert torch.equal(fn.jit(lambda scaled: scaled.value())(Scaled(X)), X * Scaled.factor)


def test_functions_in_the_metadata_of_arguments_are_part_of_the_key():
    rate = [2.0]

    @fn.tree.register_dataclass
    @dataclass
    class Layer:
        x: torch.Tensor
        f: Any = field(default=lambda x: x * rate[0], metadata={"static": True})

    for rate[0] in (2.0, 3.0):
        assert torch.equal(fn.jit(lambda layer: layer.f(layer.x))(Layer(X)), X * rate[0])


def test_a_function_among_the_arguments_is_part_of_the_key(traces):
    def apply(f, x):
        return f(x)

    for value in (1.0, 2.0, 2.0):
        assert torch.equal(fn.jit(apply)(changed_cell(value), X), X * value)
    assert len(traces) == 2


def test_few_programs_are_kept_and_none_of_large_runs(traces, monkeypatch):
    monkeypatch.setattr(reuse, "_MOST", 2)
    for value in range(4):
        fn.jit(changed_cell(value))(X)
    assert len(reuse._programs) == 2
    monkeypatch.setattr(reuse, "_LARGEST", 100)
    fn.jit(changed_cell(5.0))(torch.ones(1000))
    assert len(traces) == 5 and all(program.program.captures == () for program in reuse._programs.values())
    fn.jit(changed_cell(5.0))(torch.ones(1000))
    assert len(traces) == 6
