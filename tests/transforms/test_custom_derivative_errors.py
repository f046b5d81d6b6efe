"""Errors of custom_vjp and custom_jvp: missing rules, results that are not as required, and captured tensors."""

import pytest
import torch

import funcnet as fn

clip = fn.custom_vjp(lambda x: x)
clip.defvjp(lambda x: (x, None), lambda _, cotangent: (torch.clamp(cotangent, -1, 1),))


def test_captures_of_custom_jvp_are_refused_too():
    def refused(w):
        f = fn.custom_jvp(lambda x: w * x)
        f.defjvp(lambda primals, tangents: (w * primals[0], w * tangents[0]))
        return f(w)

    with pytest.raises(ValueError, match=r"custom_jvp: .* closes over"):
        fn.jvp(refused, (torch.tensor(3.0),), (torch.tensor(3.0),))


def _square(x):
    return x * x


def with_rules(fwd, bwd):
    f = fn.custom_vjp(lambda p: p["a"] * p["b"])
    f.defvjp(fwd, bwd)
    return lambda: fn.grad(f)({"a": torch.tensor(2.0), "b": torch.tensor(3.0)})


def product(p):
    return p["a"] * p["b"], None


ERRORS = {
    "no rule": (lambda: fn.custom_vjp(_square)(1.0), AttributeError, r"rule for _square, got none.*by defvjp"),
    "no rule of jvp": (lambda: fn.custom_jvp(_square)(1.0), AttributeError, r"custom_jvp: expected a rule"),
    "not a pair": (with_rules(lambda p: p["a"], None.__eq__), TypeError, r"fwd to return a pair.*got float32 tensor"),
    "not a tuple": (with_rules(product, lambda _, c: {"a": c, "b": c}), TypeError, r"tuple with one cotangent per"),
    "too many": (with_rules(product, lambda _, c: ({"a": c, "b": c}, c)), TypeError, r"structure of the arguments"),
    "no tree": (with_rules(product, lambda _, c: (c,)), TypeError, r"structure of the arguments, but they differ"),
    "other tree": (with_rules(product, lambda _, c: ({"a": c},)), TypeError, r"structure of the arguments"),
    "shape": (
        with_rules(product, lambda _, c: ({"a": c, "b": torch.ones(2)},)),
        ValueError,
        r'path "0.b": expected bwd to return a cotangent like its argument, a float32 tensor of shape \(\), got',
    ),
    "forward mode": (
        lambda: fn.jvp(clip, (torch.tensor(1.0),), (torch.tensor(1.0),)),
        TypeError,
        r"got forward mode.*custom_jvp, which serves both modes",
    ),
    "keyword only": (lambda: _keyword(torch.tensor(1.0), n=2), TypeError, r"got n by keyword only"),
}
_keyword = fn.custom_vjp(lambda x, *, n: x)
_keyword.defvjp(product, product)


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    call, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize(
    "result, message",
    [
        (lambda x, t: x, r"return a pair"),
        (lambda x, t: (x, (t, t)), r"tangent like its result.*got tuple"),
        (lambda x, t: ({"a": x}, t), r"structure of the result"),
        (lambda x, t: (x, t.sum()), r"tangent like its result, a float32 tensor of shape \(2,\)"),
        (lambda x, t: (x, t.double()), r"tangent like its result"),
    ],
)
def test_errors_of_forward_rules(result, message):
    f = fn.custom_jvp(lambda x: x)
    f.defjvp(lambda primals, tangents: result(*primals, *tangents))
    with pytest.raises(TypeError, match=message):
        fn.jvp(f, (torch.ones(2),), (torch.ones(2),))


def test_none_is_a_zero_cotangent_for_a_subtree():
    assert with_rules(product, lambda _, c: (None,))() == {"a": 0, "b": 0}
    assert with_rules(product, lambda _, c: ({"a": 2.0, "b": None},))() == {"a": 2, "b": 0}
