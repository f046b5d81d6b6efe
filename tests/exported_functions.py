"""Functions to export to torch.export and ONNX, with the arguments to export them and to call them."""

import torch

import funcnet as fn

KEY = fn.random.key(0)
X, Y = fn.random.normal(KEY, (5, 3)), fn.random.normal(fn.random.key(1), (5, 1))
MODEL = fn.serial(hidden=fn.dense(4), act=torch.tanh, norm=fn.layer_norm(), out=fn.dense(1))
PARAMS, OTHERS = MODEL.init(KEY, X), MODEL.init(fn.random.key(9), X)
OPTIMIZER = fn.optim.adam(1e-2)
SCALE = torch.tensor(2.0)


def loss(params, x, y):
    return SCALE * (MODEL.apply(params, x) - y).square().mean()


def sgd(params, x, y):
    value, grads = fn.value_and_grad(loss)(params, x, y)
    return {"params": fn.sgd_step(params, grads, 0.1), "loss": value}


def step(carry, x, y):
    params, state = carry
    grads = fn.grad(loss)(params, x, y)
    updates, state = OPTIMIZER.update(grads, state, params)
    return fn.optim.apply_updates(params, updates), state


def run(params, x, y):
    return fn.scan(lambda p, _: (sgd(p, x, y)["params"], loss(p, x, y)), params, length=3)


# name: (function, arguments to export on, other arguments)
FUNCTIONS = {
    "apply": (MODEL.apply, (PARAMS, X), (OTHERS, Y.expand(5, 3))),
    "a training step": (sgd, (PARAMS, X, Y), (OTHERS, -X, 2 * Y)),
    "a step of Adam": (step, ((PARAMS, OPTIMIZER.init(PARAMS)), X, Y), ((OTHERS, OPTIMIZER.init(OTHERS)), -X, Y)),
    "a run": (run, (PARAMS, X, Y), (OTHERS, X, -Y)),
    "per-example gradients": (fn.vmap(fn.grad(loss), in_dims=(None, 0, 0)), (PARAMS, X, Y), (OTHERS, -X, Y)),
    "hvp": (lambda p, v: fn.jvp(fn.grad(lambda p: loss(p, X, Y)), (p,), (v,))[1], (PARAMS, OTHERS), (OTHERS, PARAMS)),
    "random": (lambda key: fn.random.normal(key, (4,)), (KEY,), (fn.random.key(5),)),
    "numbers": (
        lambda x, n, rest: {"x": x * n, "n": n, "rest": rest},
        (X, 2, [None, Y]),
        (Y.expand(5, 3), 2, [None, -Y]),
    ),
}
