"""Transformed and jitted functions are copied and sent to other processes as their functions are."""

import copy
import functools
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import funcnet as fn

X = torch.tensor([[0.5, -1.0, 2.0], [1.0, 3.0, -0.25]])


def norm(x, scale=2.0):
    return (x.sin() * scale).square().sum()


@fn.jit
def decorated(x):
    return x * 3


@fn.grad
def slope(x):
    return x.square().sum()


@fn.vmap
def per_row(x):
    return x.cumsum(0)


@functools.partial(fn.jit, static_argnums=1)
def power(x, n):
    return x**n


class Model:
    def __init__(self, weight=2.0):
        self.weight = torch.full((3,), weight)

    @fn.jit
    def predict(self, x):
        return x * self.weight

    @functools.partial(fn.grad, argnums=1)
    def slope(self, x):
        return (x**2 * self.weight).sum()


FUNCTIONS = {
    "jit": fn.jit(norm),
    "grad": fn.grad(norm),
    "value_and_grad": fn.value_and_grad(norm),
    "jacfwd": fn.jacfwd(torch.sin),
    "jacrev": fn.jacrev(torch.sin, chunk_size=2),
    "hessian": fn.hessian(norm),
    "remat": fn.remat(norm),
    "vmap": fn.vmap(norm),
    "jit of vmap of grad": fn.jit(fn.vmap(fn.grad(norm), in_dims=1, out_dims=1)),
    "grad of jit": fn.grad(fn.jit(norm)),
    "partial of jit": functools.partial(fn.jit(norm), scale=3.0),
    "jit of a partial": fn.jit(functools.partial(norm, scale=3.0)),
    "jit of a layer": fn.jit(functools.partial(fn.dense(2).apply, fn.dense(2).init(fn.random.key(0), X))),
    "options": fn.jit(norm, backend="eager", static_argnames="scale"),
    "decorated": decorated,
    "decorated by grad": slope,
    "decorated by vmap": per_row,
    "decorated by a partial": functools.partial(power, n=3),
    "method": Model().predict,
    "jit of a method": fn.jit(Model(3.0).predict),
}
WAYS = {"pickle": lambda f: pickle.loads(pickle.dumps(f)), "deepcopy": copy.deepcopy, "copy": copy.copy}


@pytest.mark.parametrize(
    "way", ["pickle", *(pytest.param(way, marks=pytest.mark.slow) for way in ("deepcopy", "copy"))]
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_copy_computes_the_same(name, way):
    f = FUNCTIONS[name]
    want = f(X)  # also traces and compiles, which must not hinder copying
    again = WAYS[way](f)
    assert fn.tree.equal(again(X), want)
    assert fn.tree.equal(WAYS[way](again)(X), want)


def test_a_decorated_function_is_pickled_by_its_name():
    for f in (decorated, slope, per_row, power, Model.predict):
        assert pickle.loads(pickle.dumps(f)) is f is copy.deepcopy(f)
    assert len(pickle.dumps(decorated)) < 100


def test_options_are_kept():
    again = pickle.loads(pickle.dumps(FUNCTIONS["options"]))
    assert again.backend == "eager" and again.explain(X).backend == "eager" and again.__name__ == "norm"
    seen = []
    f = fn.jit(lambda x, n: seen.append(n) or x * n, static_argnums=1)
    g = copy.deepcopy(f)
    assert [g(X, n).sum() for n in (2, 3)] == [(X * n).sum() for n in (2, 3)] and seen == [2, 3]


def test_the_tensors_of_a_method_go_with_it():
    model = Model()
    again = pickle.loads(pickle.dumps(model.predict))
    model.weight = torch.zeros(3)
    assert torch.equal(again(X), X * 2)
    copied = copy.deepcopy(model)
    copied.weight = torch.ones(3)
    assert torch.equal(copied.predict(X), X) and torch.equal(model.predict(X), X * 0)


def test_a_transformed_method_binds_to_its_instance():
    assert torch.equal(Model(3.0).slope(X), X * 6)
    assert torch.equal(pickle.loads(pickle.dumps(Model(3.0).slope))(X), X * 6)


def test_an_error_names_a_lambda_that_cannot_be_pickled():
    for f in (fn.jit(lambda x: x), fn.grad(lambda x: x.sum())):
        with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
            pickle.dumps(f)


SENT = """
import sys, torch, funcnet as fn
import {pickler} as pickler


@fn.jit
def step(x):
    return other(x) + 1


@fn.grad
def other(x):
    return (x ** 3).sum()


class Model:
    weight = torch.tensor(2.0)

    @fn.jit
    def predict(self, x):
        return x * self.weight


scale = torch.tensor(5.0)
functions = [step, fn.jit(other), Model().predict, {local} fn.vmap(step)]
if __name__ == "__main__":
    for f in functions:
        f(torch.ones(3))
    sys.stdout.buffer.write(pickler.dumps(functions))
"""
RECEIVED = """
import pickle, sys, torch
{start}
functions = pickle.loads(open(sys.argv[1], "rb").read())
x = torch.tensor([1.0, 2.0])
wanted = [3 * x**2 + 1, 3 * x**2, x * 2, {local} 3 * x**2 + 1]
for f, want in zip(functions, wanted, strict=True):
    assert torch.equal(f(x), want), f(x)
"""


@pytest.mark.slow
@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
def test_another_process_loads_pickled_functions(pickler: str, tmp_path: Path) -> None:
    pytest.importorskip(pickler)
    by_value = pickler == "cloudpickle"
    (tmp_path / "sent.py").write_text(
        SENT.format(pickler=pickler, local="fn.jit(lambda x: x * scale), " if by_value else "")
    )
    start = "" if by_value else "sys.path.insert(0, sys.argv[2]); import sent; sys.modules['__main__'] = sent"
    receive = RECEIVED.format(start=start, local="x * 5," if by_value else "")
    command = [sys.executable, "-W", "ignore"]
    with (tmp_path / "bytes").open("wb") as out:
        subprocess.run([*command, str(tmp_path / "sent.py")], stdout=out, check=True, env=os.environ)
    subprocess.run([*command, "-c", receive, str(tmp_path / "bytes"), str(tmp_path)], check=True, cwd="/")
