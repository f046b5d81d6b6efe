"""custom_vjp and custom_jvp: rules at every nesting, with the values of JAX where a rule is not the derivative."""

import pickle
from functools import partial

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn

DOUBLE = torch.float64
X = torch.linspace(0.2, 1.4, 6, dtype=DOUBLE).reshape(2, 3)
W = torch.linspace(-1.0, 1.0, 3, dtype=DOUBLE)


def plain(params, x):
    """A function of a tree and a tensor that returns a tree with an integer."""
    y = torch.sin(x * params["w"]) * params["scale"]
    return {"y": y, "count": torch.tensor(3)}


by_vjp = fn.custom_vjp(plain)


def forward(params, x):
    product = x * params["w"]
    return plain(params, x), {"product": product, "params": params, "x": x, "none": None, "number": 1.0}


def backward(residuals, cotangent):
    assert cotangent["count"] is None and residuals["number"] == 1.0 and residuals["none"] is None
    params, product, given = residuals["params"], residuals["product"], cotangent["y"]
    inner = given * torch.cos(product) * params["scale"]
    by_w, by_scale = (inner * residuals["x"]).sum_to_size(params["w"].shape), (given * torch.sin(product)).sum()
    return {"w": by_w, "scale": by_scale, "steps": None}, (inner * params["w"]).sum_to_size(residuals["x"].shape)


by_vjp.defvjp(forward, backward)
by_jvp = fn.custom_jvp(plain)


@by_jvp.defjvp
def push(primals, tangents):
    (params, x), (of_params, of_x) = primals, tangents
    assert of_params["steps"] == 0.0
    product = x * params["w"]
    of_product = of_x * params["w"] + x * of_params["w"]
    tangent = torch.cos(product) * of_product * params["scale"] + torch.sin(product) * of_params["scale"]
    return by_jvp(params, x), {"y": tangent, "count": None}


def params():
    return {"w": W, "scale": torch.tensor(2.0, dtype=DOUBLE), "steps": 7}


def scalar(f):
    return lambda p, x: f(p, x)["y"].square().sum()


def gradients(f):
    return fn.grad(f, (0, 1))


def in_scan(f):
    def step(carry, x):
        return carry + scalar(f)(params(), x + carry), None

    return lambda p, x: fn.scan(step, x.sum() * 0, x)[0]


REVERSE = {
    "grad": lambda f: gradients(scalar(f)),
    "grad of grad": lambda f: gradients(lambda p, x: fn.tree.norm(gradients(scalar(f))(p, x))),
    "vmap of grad": lambda f: fn.vmap(gradients(scalar(f)), in_dims=(None, 0)),
    "grad of vmap": lambda f: gradients(lambda p, x: fn.vmap(scalar(f), in_dims=(None, 0))(p, x).sin().sum()),
    "grad of vmap of grad": lambda f: gradients(
        lambda p, x: fn.tree.norm(fn.vmap(gradients(scalar(f)), in_dims=(None, 0))(p, x))
    ),
    "vmap of vmap of grad": lambda f: fn.vmap(fn.vmap(gradients(scalar(f)), in_dims=(None, 0)), in_dims=(None, 1)),
    "jacrev": lambda f: fn.jacrev(lambda p, x: f(p, x)["y"], (0, 1)),
    "linearize": lambda f: lambda p, x: fn.linearize(scalar(f), p, x)[1](p, x.cos()),
    "hessian": lambda f: fn.hessian(scalar(f), 1),
    "remat": lambda f: gradients(fn.remat(scalar(f))),
    "grad of grad of remat": lambda f: gradients(lambda p, x: fn.tree.norm(gradients(fn.remat(scalar(f)))(p, x))),
    "scan": lambda f: fn.grad(in_scan(f), 1),
    "hessian of remat": lambda f: fn.hessian(fn.remat(scalar(f)), 1),
    "hessian of scan": lambda f: fn.hessian(in_scan(f), 1),
    "vmap": lambda f: fn.vmap(f, in_dims=(None, 0)),
}
FORWARD = {
    "jvp": lambda f: lambda p, x: fn.jvp(scalar(f), (p, x), (p, x.cos())),
    "jvp of jvp": lambda f: (
        lambda p, x: fn.jvp(lambda x: fn.jvp(lambda x: scalar(f)(p, x), (x,), (x.cos(),))[1], (x,), (x.sin(),))[1]
    ),
    "jvp of vmap": lambda f: lambda p, x: fn.jvp(fn.vmap(scalar(f), in_dims=(None, 0)), (p, x), (p, x.cos())),
    "vmap of jvp": lambda f: lambda p, x: fn.vmap(lambda x: fn.jvp(scalar(f), (p, x), (p, x.cos())))(x),
    "jacfwd": lambda f: fn.jacfwd(lambda p, x: f(p, x)["y"], (0, 1)),
    "jacrev of jacfwd": lambda f: fn.jacrev(fn.jacfwd(scalar(f), 1), 1),
    "jvp of scan": lambda f: lambda p, x: fn.jvp(lambda x: in_scan(f)(p, x), (x,), (x.cos(),)),
}
CASES = [(name, by_vjp) for name in REVERSE] + [(name, by_jvp) for name in (*REVERSE, *FORWARD)]
JITTED = [(name, by_vjp) for name in ("grad of grad", "grad of vmap", "hessian of scan")]
JITTED += [(name, by_jvp) for name in ("grad of vmap", "hessian of scan", "jvp of jvp")]
TRANSFORMS = {**REVERSE, **FORWARD}


def id_of(value):
    return value if isinstance(value, str) else "vjp" if value is by_vjp else "jvp"


@pytest.mark.parametrize("name, rule", CASES, ids=id_of)
def test_a_rule_that_is_the_derivative_changes_nothing(name, rule):
    transform = TRANSFORMS[name]
    assert_close(transform(rule)(params(), X), transform(plain)(params(), X))


@pytest.mark.few(2)
@pytest.mark.parametrize("name, rule", JITTED, ids=id_of)
def test_jit_traces_rules(name, rule):
    jitted = fn.jit(TRANSFORMS[name](rule))
    assert_close(jitted(params(), X), TRANSFORMS[name](plain)(params(), X))
    explanation = jitted.explain(params(), X)
    assert explanation.backend == "native"
    assert all(name == "scan" or name.startswith("aten.") for name in explanation.operations)


@pytest.mark.parametrize("rule", [by_vjp, by_jvp], ids=["vjp", "jvp"])
def test_torch_autograd_uses_rules_twice(rule):
    leaves = [W.clone().requires_grad_(), X.clone().requires_grad_()]

    def f(w, x):
        return rule({**params(), "w": w}, x)["y"]

    assert torch.autograd.gradcheck(f, leaves) and torch.autograd.gradgradcheck(f, leaves)


clip = fn.custom_vjp(lambda x: x)
clip.defvjp(lambda x: (x, None), lambda _, cotangent: (torch.clamp(cotangent, -1, 1),))
half = fn.custom_jvp(lambda x: x)
half.defjvp(lambda primals, tangents: (primals[0], tangents[0] / 2))
OF_WRONG_RULES = {  # JAX 0.10.2 in float64, at 2.0 or 0.1
    "grad": (lambda cube, _: fn.grad(cube), 2.0, 1.0, 6.0),
    "grad of grad": (lambda cube, _: fn.grad(fn.grad(cube)), 2.0, 0.0, 6.0),
    "grad of grad at 0.1": (lambda cube, _: fn.grad(fn.grad(cube)), 0.1, 0.6, 0.3),
    "outer argument": (lambda _, c: fn.grad(lambda x: fn.grad(lambda y: 7 * y * c(x))(x)), 2.0, 1.0, 3.5),
    "grad of value": (lambda cube, _: fn.grad(lambda x: fn.value_and_grad(cube)(x)[0]), 2.0, 12.0, 12.0),
    "grad of both": (lambda cube, _: fn.grad(lambda x: sum(fn.value_and_grad(cube)(x))), 2.0, 12.0, 18.0),
    "hessian": (lambda cube, _: fn.hessian(cube), 2.0, 0.0, 6.0),
    "third": (lambda cube, _: fn.grad(fn.grad(fn.grad(cube))), 0.1, 6.0, 3.0),
}


@pytest.mark.parametrize("wrap", [lambda f: f, fn.remat, lambda f: fn.remat(fn.remat(f))], ids=["", "remat", "twice"])
@pytest.mark.parametrize("case", OF_WRONG_RULES)
def test_outer_derivatives_differentiate_the_rule(case, wrap):
    transform, x, by_clip, by_half = OF_WRONG_RULES[case]
    for c, value in ((clip, by_clip), (half, by_half)):
        found = transform(wrap(lambda x, c=c: c(x) ** 3), wrap(c))(torch.tensor(x, dtype=DOUBLE))
        assert found.item() == pytest.approx(value, abs=1e-14)


@pytest.mark.parametrize("c", [clip, half], ids=["vjp", "jvp"])
def test_rules_inside_a_loop_apply_as_in_the_unrolled_loop(c):
    def step(x):
        return c(x).sin() * 1.5

    def looped(x):
        return fn.scan(lambda x, _: (step(x), None), x, length=2)[0]

    x = torch.tensor(0.7, dtype=DOUBLE)
    for transform in (fn.grad, fn.hessian, lambda f: fn.grad(fn.grad(f))):
        assert_close(fn.jit(transform(looped))(x), transform(lambda x: step(step(x)))(x))


def powers(f, x, n):
    return f(x) ** n


def test_nondiff_argnums_come_first():
    rule = fn.custom_vjp(powers, nondiff_argnums=(0, 2))
    seen = []

    def bwd(f, n, x, cotangent):
        seen.append((f, n))
        return (n * cotangent * x,)

    rule.defvjp(lambda f, x, n: (powers(f, x, n), x), bwd)
    assert fn.grad(lambda x: rule(torch.sin, x, n=3))(torch.tensor(2.0)) == 6 and seen == [(torch.sin, 3)]
    pushed = fn.custom_jvp(powers, nondiff_argnums=(0, -1))
    pushed.defjvp(lambda f, n, primals, tangents: (powers(f, *primals, n), n * tangents[0]))
    assert fn.jvp(lambda x: pushed(torch.cos, x, 2), (torch.tensor(0.0),), (torch.tensor(5.0),))[1] == 10


def test_defvjps_add_up_and_none_is_zero():
    product = fn.custom_jvp(lambda x, y, z: x * y * z)
    product.defjvps(lambda t, out, x, y, z: 10 * t, None, lambda t, out, x, y, z: out * t)
    ones = (torch.tensor(2.0), torch.tensor(3.0), torch.tensor(5.0))
    assert fn.grad(product, (0, 1, 2))(*ones) == (10, 0, 30)
    with pytest.raises(TypeError, match="nondiff_argnums"):
        fn.custom_jvp(lambda x, y: x, nondiff_argnums=1).defjvps(None)


def test_a_rule_may_hold_mapped_tensors_and_those_of_outer_levels():
    def scaled(w):
        f = fn.custom_vjp(lambda x: w * x)
        f.defvjp(lambda x: (w * x, None), lambda _, cotangent: (w * cotangent,))
        return f

    one = torch.tensor(1.0)
    assert_close(fn.vmap(lambda w: fn.grad(scaled(w))(one))(torch.arange(3.0)), torch.arange(3.0))
    assert fn.grad(lambda w: fn.grad(scaled(w))(one))(torch.tensor(3.0)) == 1
    for refused in (lambda w: scaled(w)(one), lambda w: scaled(w)(w)):
        with pytest.raises(ValueError, match=r"custom_vjp: .* closes over .*\. Pass the tensor as an argument"):
            fn.grad(refused)(torch.tensor(3.0))


class Clipped:
    def __init__(self, largest):
        self.largest = largest

    @partial(fn.custom_vjp, nondiff_argnums=0)
    def __call__(self, x):
        return x

    __call__.defvjp(lambda self, x: (x, None), lambda self, _, c: (torch.clamp(c, max=self.largest),))


def test_a_method_with_a_rule():
    assert fn.grad(lambda x: 5 * Clipped(2.0)(x))(torch.tensor(1.0)) == 2


def _square(x):
    return x * x


def test_pickling_keeps_the_rule():
    f = fn.custom_vjp(_square)
    f.defvjp(_forward, _backward)
    assert fn.grad(pickle.loads(pickle.dumps(f)))(torch.tensor(3.0)) == 30


def _forward(x):
    return x * x, x


def _backward(x, cotangent):
    return (10 * x * cotangent,)


def test_stop_gradient_in_both_modes():
    x = torch.tensor(3.0)

    def f(x):
        return x * fn.stop_gradient({"x": x, "n": 2})["x"]

    assert fn.grad(f)(x) == 3 and fn.jvp(f, (x,), (x,))[1] == 9
    assert fn.grad(fn.grad(lambda x: f(x) ** 2))(x) == 18
    assert fn.jacfwd(fn.jacfwd(lambda x: f(x) ** 2))(x) == 18
    assert fn.jit(fn.vmap(fn.grad(f)))(torch.arange(3.0)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("shared", [True, False])
def test_an_implicit_layer_whose_rule_calls_itself(shared):
    """The fixed point of JAX's tutorial: its reverse rule is a fixed point, too, of a pullback made outside."""

    @partial(fn.custom_vjp, nondiff_argnums=(0,))
    def fixed_point(f, a, x):
        error = lambda c: (c[0] - c[1]).abs().max() > 1e-13  # noqa: E731
        return fn.while_loop(error, lambda c: (c[1], f(a, c[1])), (x, f(a, x)))[1]

    def forward(f, a, x):
        result = fixed_point(f, a, x)
        return result, (a, result)

    def backward(f, residuals, cotangent):
        a, result = residuals
        of_a = fn.vjp(lambda a: f(a, result), a)[1]
        return *of_a(fixed_point(partial(adjoint, f), (a, result, cotangent), cotangent)), torch.zeros_like(result)

    def adjoint(f, packed, u):
        a, result, cotangent = packed
        return cotangent + fn.vjp(lambda x: f(a, x), result)[1](u)[0]

    fixed_point.defvjp(forward, backward)
    weights = fn.random.uniform(fn.random.key(0), (3, 4, 4), torch.float64) / 5
    start = torch.ones(4, dtype=torch.float64)
    layer = lambda w, x: torch.cos(w @ x)  # noqa: E731
    implicit = fn.grad(lambda w: fixed_point(layer, w, start).sum())
    unrolled = fn.grad(lambda w: fn.fori_loop(0, 100, lambda i, x: layer(w, x), start).sum())
    if shared:
        assert_close(implicit(weights[0]), unrolled(weights[0]))
    else:
        assert_close(fn.vmap(implicit)(weights), fn.vmap(unrolled)(weights))
        assert_close(fn.jit(fn.vmap(implicit))(weights), fn.vmap(unrolled)(weights))
