"""Wrong input to scan, jit, sgd_step and keys raises an error that names the expected and actual value and a remedy."""

import pytest
import torch

import funcnet as fn

X = torch.zeros(4, 2)
MODEL = fn.serial(fn.dense(3), torch.sigmoid, fn.dense(1))


ERRORS = {
    "remat of a layer": (
        lambda: fn.remat(fn.dense(1)),
        TypeError,
        r"remat: expected f to be callable, got Layer with .*\. Pass layer\.apply\.",
    ),
    "scan without a pair": (
        lambda: fn.scan(lambda c, x: c + 1, torch.tensor(0), length=2),
        TypeError,
        r"scan: expected f to return a pair \(carry, y\), got int64 tensor .* Return \(carry, None\) for no y",
    ),
    "a key of the wrong shape": (
        lambda: MODEL.init(torch.zeros(3, dtype=torch.int32), X),
        (TypeError, ValueError),
        r"expected a key, .* got int32 tensor of shape \(3,\).*random.key",
    ),
    "no key at all": (lambda: MODEL.init(0, X), (TypeError, ValueError), r"expected a key, .* got 0.*random.key"),
    "NaN in the data": (
        lambda: fn.checking.check_finite({"x": X, "y": torch.tensor([[0.0], [float("nan")]])}),
        ValueError,
        r'check_finite: at path "y": expected finite numbers in data, got nan at index \(1, 0\)\. Clean or drop',
    ),
    "gradients of another structure": (
        lambda: fn.sgd_step({"w": X}, {"b": X}, 0.1),
        ValueError,
        r"^sgd_step: the trees differ in structure at the root: dict with entry w and dict with entry b",
    ),
    "gradients of another shape": (
        lambda: fn.sgd_step([{"w": torch.zeros(2)}], [{"w": torch.zeros(3)}], 0.1),
        ValueError,
        r'^sgd_step: at path "0.w": expected leaves that fit together, got .*\(2,\) on cpu and .*\(3,\) on cpu\.',
    ),
    "a gradient that would widen its parameter": (
        lambda: fn.sgd_step({"w": torch.zeros(1)}, {"w": torch.zeros(3)}, 0.1),
        ValueError,
        r'^sgd_step: at path "w": expected leaves that fit together, got .*\(1,\) on cpu and .*\(3,\) on cpu\.',
    ),
    "a negative learning rate": (
        lambda: fn.sgd_step({"w": X}, {"w": X}, -0.1),
        ValueError,
        r"sgd_step: expected a finite learning_rate of at least 0, got -0.1",
    ),
    "a learning rate that is NaN": (
        lambda: fn.sgd_step({"w": X}, {"w": X}, float("nan")),
        ValueError,
        r"sgd_step: expected a finite learning_rate of at least 0, got nan",
    ),
    "learning rates that would widen the parameter": (
        lambda: fn.sgd_step({"w": torch.zeros(1)}, {"w": torch.zeros(1)}, torch.tensor([0.1, 0.2])),
        RuntimeError,
        r"expanded size",
    ),
    "an update that would widen its parameter": (
        lambda: fn.optim.apply_updates({"w": torch.zeros(1)}, {"w": torch.zeros(3)}),
        ValueError,
        r'^optim.apply_updates: at path "w": expected leaves that fit together, got .*\(1,\) .* and .*\(3,\)',
    ),
    "scan without a length": (
        lambda: fn.scan(lambda c, x: (c, x), X),
        ValueError,
        r"scan: expected `length`, or an xs",
    ),
    "scan with two lengths": (
        lambda: fn.scan(lambda c, x: (c, x), X, torch.zeros(3), length=2),
        ValueError,
        r"and no conflict between the two, got length 2 and xs float32 tensor of shape \(3,\)",
    ),
    "scan of a fractional length": (
        lambda: fn.scan(lambda c, x: (c, x), X, length=2.5),
        TypeError,
        r"scan: expected length to be an int, got 2\.5",
    ),
    "scan unrolled by a string": (
        lambda: fn.scan(lambda c, x: (c, x), X, length=2, unroll="2"),
        TypeError,
        "scan: expected unroll to be an int, got '2'",
    ),
    "scan with an unroll of 0": (
        lambda: fn.scan(lambda c, x: (c, x), X, length=2, unroll=0),
        ValueError,
        "scan: expected unroll to be at least 1, got 0",
    ),
    "scan of no steps whose carry changes dtype": (
        lambda: fn.scan(lambda c, x: ([c[0].double()], None), [X], length=0),
        ValueError,
        r'scan: expected f to return a carry like the one it got, but they differ at path "0"',
    ),
    "jit of no function": (
        lambda: fn.jit(X),
        TypeError,
        r"jit: expected f to be callable, got float32 tensor of shape \(4, 2\)",
    ),
    "progress that is not callable": (
        lambda: fn.jit(torch.sin, progress=3),
        TypeError,
        "jit: expected progress to be callable or a bool, got 3",
    ),
    "scan whose carry changes shape": (
        lambda: fn.scan(lambda c, x: ({"w": c["w"][:1]}, None), {"w": X}, length=2),
        ValueError,
        r'scan: expected f to return a carry like the one it got, but they differ at path "w": .*\(4, 2\).*\(1, 2\)',
    ),
    "scan whose carry changes dtype": (
        lambda: fn.scan(lambda c, x: (c.double(), None), X, length=2),
        ValueError,
        r"they differ at the tree itself.*float32.*float64",
    ),
    "scan whose carry changes structure": (
        lambda: fn.scan(lambda c, x: ((c, c), None), X, length=2),
        ValueError,
        r"they differ at the root: .* and tuple with entries 0, 1",
    ),
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


DENSE = fn.dense(2)
TAKERS = {
    "grad": fn.grad,
    "value_and_grad": fn.value_and_grad,
    "jacfwd": fn.jacfwd,
    "jacrev": fn.jacrev,
    "hessian": fn.hessian,
    "vmap": fn.vmap,
    "jit": fn.jit,
    "remat": fn.remat,
    "custom_vjp": fn.custom_vjp,
    "custom_jvp": fn.custom_jvp,
    "linear_transpose": lambda f: fn.linear_transpose(f, X),
    "jvp": lambda f: fn.jvp(f, (X,), (X,)),
    "vjp": lambda f: fn.vjp(f, X),
    "linearize": lambda f: fn.linearize(f, X),
    "scan": lambda f: fn.scan(f, X, X),
}


@pytest.mark.parametrize("name", TAKERS)
def test_the_first_argument_is_a_function(name):
    for wrong, described in ((None, "None"), (X, "float32 tensor of shape"), ([torch.sin], "list with entry 0")):
        with pytest.raises(TypeError, match=f"^{name}: expected f to be callable, got {described}.* function itself"):
            TAKERS[name](wrong)
    with pytest.raises(TypeError, match=f"^{name}: expected f to be callable, got Layer.*Pass layer.apply"):
        TAKERS[name](DENSE)
