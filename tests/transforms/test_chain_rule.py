"""Gradients derived by hand equal `fn.grad` to 1e-12 in float64."""

import torch
from programs import GATES, POINTS
from tables import numbers
from torch_twins import exactly

import funcnet as fn

X, Y = POINTS, GATES["xor"]


def mean_loss(model):
    def loss(params, x, y):
        return fn.losses.sigmoid_binary_cross_entropy(model.apply(params, x), y).mean()

    return loss


def test_the_node_graph():
    w, x, b = torch.tensor([-2.0, 5.0, 3.0]).double()
    dw, dx, db = fn.grad(lambda w, x, b: w * x + b, (0, 1, 2))(w, x, b)
    assert (dw, dx, db) == (5, -2, 1)
    assert fn.grad(torch.mul, (0, 1))(w, x) == (x, w)
    assert fn.grad(torch.add, (0, 1))(w * x, b) == (1, 1)


def test_the_perceptron():
    model = fn.dense(1, b_init=fn.initializers.normal(1.0))
    params = model.init(fn.random.key(0), X)
    error = (torch.sigmoid(X @ params["w"] + params["b"]) - Y) / len(X)
    exactly(fn.grad(mean_loss(model))(params, X, Y), {"b": error.sum(0), "w": X.T @ error})


def test_the_perceptron_on_probabilities():
    model = fn.serial(fn.dense(1), torch.sigmoid)
    params = model.init(fn.random.key(1), X)
    p = model.apply(params, X)
    d_p = (p - Y) / (p * (1 - p)) / len(X)
    d_l = d_p * p * (1 - p)

    def loss(params):
        return fn.losses.binary_cross_entropy(model.apply(params, X), Y).mean()

    exactly(fn.grad(loss)(params), ({"b": d_l.sum(0), "w": X.T @ d_l}, ()))


def test_the_two_layer_mlp():
    model = fn.serial(fn.dense(2), torch.sigmoid, fn.dense(1))
    params = model.init(fn.random.key(2), X)
    first, _, second = params
    a1 = torch.sigmoid(X @ first["w"] + first["b"])
    d_l2 = (torch.sigmoid(a1 @ second["w"] + second["b"]) - Y) / len(X)
    d_l1 = d_l2 @ second["w"].T * a1 * (1 - a1)
    expected = ({"b": d_l1.sum(0), "w": X.T @ d_l1}, (), {"b": d_l2.sum(0), "w": a1.T @ d_l2})
    exactly(fn.grad(mean_loss(model))(params, X, Y), expected)


def test_the_four_layer_mlp_on_any_data():
    model = fn.serial(
        w=fn.dense(10), s=torch.sigmoid, x=fn.dense(7), t=torch.sigmoid, y=fn.dense(5), u=torch.tanh, z=fn.dense(1)
    )
    x, y = numbers(6, 3), (numbers(6, 1, seed=1) > 0).double()
    params = model.init(fn.random.key(3), x)
    w = {name: params[name]["w"] for name in "wxyz"}
    b = {name: params[name]["b"] for name in "wxyz"}
    a1 = torch.sigmoid(x @ w["w"] + b["w"])
    a2 = torch.sigmoid(a1 @ w["x"] + b["x"])
    a3 = torch.tanh(a2 @ w["y"] + b["y"])
    d4 = (torch.sigmoid(a3 @ w["z"] + b["z"]) - y) / len(x)
    d3 = d4 @ w["z"].T * (1 - a3**2)
    d2 = d3 @ w["y"].T * a2 * (1 - a2)
    d1 = d2 @ w["x"].T * a1 * (1 - a1)
    gradient = fn.grad(mean_loss(model))(params, x, y)
    for name, inputs, error in (("w", x, d1), ("x", a1, d2), ("y", a2, d3), ("z", a3, d4)):
        exactly(gradient[name], {"b": error.sum(0), "w": inputs.T @ error})
