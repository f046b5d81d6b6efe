"""Wrong input to the transformations raises a clear error."""

from dataclasses import dataclass

import pytest
import torch
from programs import cubes
from tables import numbers

import funcnet as fn


@dataclass
class Unregistered:
    w: object


ERRORS = {
    "a number": (lambda: fn.grad(lambda x: x)(3), TypeError, r'got 3 at path "0".*Make integers floating: 3\.0 for 3'),
    "integers": (
        lambda: fn.grad(lambda p: p["w"].sum())({"w": torch.tensor([1, 2])}),
        TypeError,
        r"grad: expected a floating-point or complex tensor to differentiate, got int64 tensor of shape \(2,\) on "
        r"cpu at path "
        r'"0.w"',
    ),
    "an empty tree": (lambda: fn.grad(lambda p: p)({}), TypeError, "got an empty tree"),
    "no scalar": (lambda: fn.grad(lambda x: x)(torch.ones(2)), TypeError, r"0-d .* got float32 tensor of shape \(2,\)"),
    "an integer scalar": (lambda: fn.grad(lambda x: x.sum().int())(torch.ones(2)), TypeError, "got int32 tensor"),
    "forgotten has_aux": (lambda: fn.grad(lambda x: (x, 1))(torch.ones(())), TypeError, "set has_aux=True"),
    "no pair": (
        lambda: fn.grad(lambda x: x[:2], has_aux=True)(torch.ones(3)),
        TypeError,
        r"pair \(value, aux\).* got float",
    ),
    "a triple": (
        lambda: fn.vjp(lambda x: (x, 1, 2), torch.ones(()), has_aux=True),
        TypeError,
        "vjp: expected f to return a pair .* got tuple with entries 0, 1, 2",
    ),
    "the operation's own name": (lambda: fn.value_and_grad(lambda x: x)(3), TypeError, "^value_and_grad: expected"),
    "an unknown class": (
        lambda: fn.grad(lambda p: p.w)(Unregistered(torch.ones(()))),
        TypeError,
        r"Make Unregistered a node with fn.tree.register_dataclass",
    ),
    "vjp of a number": (
        lambda: fn.vjp(lambda x: {"a": 3}, torch.ones(2)),
        TypeError,
        "vjp: expected f to return a floating-point or complex tensor, got dict with entry a",
    ),
    "jvp of a number": (lambda: fn.jvp(lambda x: 3, (torch.ones(2),), (torch.ones(2),)), TypeError, "jvp: .* got 3"),
    "jacfwd of a number": (lambda: fn.jacfwd(lambda x: 3)(torch.ones(2)), TypeError, "jacfwd: .* got 3"),
    "jacrev of a number": (lambda: fn.jacrev(lambda x: 3)(torch.ones(2)), TypeError, "jacrev: .* got 3"),
    "no scalar but one number": (lambda: fn.grad(lambda x: x)(torch.ones(1)), TypeError, r"0-d .* shape \(1,\)"),
    "linearize's tangent": (
        lambda: fn.linearize(torch.sin, torch.ones(2))[1](torch.ones(3)),
        ValueError,
        r"linearize: .* expected a tangent .*\(2,\).* got .*\(3,\)",
    ),
    "argnums": (lambda: fn.grad(lambda x: x, 1)(torch.ones(())), ValueError, "argnums 1 is not the position"),
    "argnums with allow_int": (
        lambda: fn.grad(lambda x: x, 1, allow_int=True)(torch.ones(())),
        ValueError,
        "grad: argnums 1 is not the position",
    ),
    "argnums of holomorphic functions": (
        lambda: fn.value_and_grad(lambda x: x, (0, 1), holomorphic=True)(torch.ones(()) + 0j),
        ValueError,
        "value_and_grad: argnums 1 is not the position",
    ),
    "argnums twice": (
        lambda: fn.grad(lambda x, y: x * y, (0, -2))(torch.ones(()), torch.ones(())),
        ValueError,
        r"grad: expected argnums to name each argument once, got \(0, -2\)",
    ),
    "primals that are not a tuple": (
        lambda: fn.jvp(torch.sin, torch.ones(1), (torch.ones(1),)),
        TypeError,
        r"jvp: expected primals to be a tuple of f's arguments, got float32 tensor of shape \(1,\)",
    ),
    "tangents that are not a tuple": (
        lambda: fn.jvp(torch.sin, [torch.ones(1)], torch.ones(1)),
        TypeError,
        r"jvp: expected tangents to be a tuple of f's arguments, got float32 tensor",
    ),
    "too many tangents": (
        lambda: fn.jvp(torch.sin, (torch.ones(1),), (torch.ones(1), torch.ones(1))),
        ValueError,
        r"^jvp: the trees differ in structure at the root: tuple with entry 0 and tuple with entries 0, 1",
    ),
    "a cotangent of another structure": (
        lambda: fn.vjp(lambda x: {"a": x}, torch.ones(1))[1]({"b": torch.ones(1)}),
        ValueError,
        r"^vjp: the trees differ in structure at the root: dict with entry a and dict with entry b",
    ),
    "tangent dtype": (
        lambda: fn.jvp(torch.sin, (torch.ones(1),), (torch.ones(1, dtype=torch.int64),)),
        ValueError,
        r'jvp: at path "0": expected a tangent like its value, a float32 .* got int64',
    ),
    "missing tangent": (
        lambda: fn.jvp(cubes, ({"w": numbers(1)},), ({"w": None},)),
        ValueError,
        r'jvp: at path "0.w": expected a tangent .* got None',
    ),
    "cotangent shape": (
        lambda: fn.vjp(torch.sin, torch.ones(1))[1](torch.ones(2)),
        ValueError,
        r"vjp: .* expected a cotangent .*\(1,\).* got .*\(2,\)",
    ),
    "sizes": (
        lambda: fn.vmap(torch.add)(torch.ones(2), torch.ones(3)),
        ValueError,
        r"vmap: expected one size of the mapped axis in all arguments, got {'0': 2, '1': 3}",
    ),
    "no axis": (
        lambda: fn.vmap(lambda p: p)({"w": torch.tensor(1.0)}),
        ValueError,
        r'vmap: at path "0.w": in_dims asks for axis 0, got shape \(\)',
    ),
    "in_dims of another structure": (
        lambda: fn.vmap(torch.sin, in_dims=(0, 0))(torch.ones(2)),
        ValueError,
        r"vmap: expected in_dims to be an int, None or a prefix .* got \(0, 0\)",
    ),
    "nothing mapped": (lambda: fn.vmap(lambda x: x)(3), ValueError, "got no mapped tensor"),
    "out_dims of another structure": (
        lambda: fn.vmap(lambda x: [x], out_dims=(0, 1))(torch.ones(2)),
        ValueError,
        r"^vmap: expected out_dims .* at the root: tuple with entries 0, 1 and list with entry 0\.$",
    ),
    "an axis by name": (
        lambda: fn.vmap(torch.sin, "a")(torch.ones(2)),
        TypeError,
        "path \"0\": expected in_dims .* 'a'",
    ),
    "half an axis": (lambda: fn.vmap(torch.sin, 0, 1.0)(torch.ones(2)), TypeError, "expected out_dims .* got 1.0"),
    "chunks of size 0": (lambda: fn.vmap(torch.sin, chunk_size=0), ValueError, "chunk_size of at least 1.* got 0"),
    "chunks of jacfwd": (lambda: fn.jacfwd(torch.sin, chunk_size=0), ValueError, "jacfwd: .* at least 1.* got 0"),
    "chunks of hessian": (lambda: fn.hessian(torch.sin, chunk_size=0), ValueError, "hessian: .* at least 1.* got 0"),
    "chunks of size -1": (lambda: fn.vmap(torch.sin, chunk_size=-1), ValueError, "chunk_size of at least 1.* got -1"),
    "out_dims too far": (
        lambda: fn.vmap(torch.sin, out_dims=1)(torch.ones(2)),
        ValueError,
        r"out_dims asks for axis 1, got shape \(\)",
    ),
    "a batched result called constant": (
        lambda: fn.vmap(torch.sin, out_dims=None)(torch.ones(2)),
        ValueError,
        r"out_dims is None for a result of shape \(\), which depends on the mapped",
    ),
}


@pytest.mark.parametrize("call, error, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
