"""Collective operations over named axes of vmap, with the values of JAX 0.10.2."""

import pickle

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn

X = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
SMALL = X / 10


def mapped(f, **options):
    return fn.vmap(f, axis_name="i", **options)


def normalised(x, y):
    """Batch normalisation of one example, weighted and summed."""
    mean = fn.pmean(x, "i")
    variance = fn.pmean((x - mean) ** 2, "i")
    return ((x - mean) / torch.sqrt(variance + 1e-3) * y).sum()


def looped(step):
    return lambda x: fn.scan(lambda c, _: (step(c), None), x, length=3)[0]


def gathered(c):
    return c + torch.sin(fn.all_gather(c, "i") * (1 + fn.axis_index("i"))).sum()


VALUES = {  # name: function of X or SMALL, JAX's value
    "psum": (mapped(lambda x: fn.psum(x, "i")), X, [7, 7, 7]),
    "pmean": (mapped(lambda x: fn.pmean({"a": x}, "i")["a"]), X, [7 / 3] * 3),
    "pmax": (mapped(lambda x: fn.pmax(x, "i") - x), X, [3, 2, 0]),
    "pmin": (mapped(lambda x: x - fn.pmin(x, "i")), X, [0, 1, 3]),
    "number": (mapped(lambda x: x + fn.psum(1, "i") + fn.axis_size("i")), X, [7, 8, 10]),
    "index": (mapped(lambda x: x * fn.axis_index("i")), X, [0, 2, 8]),
    "gather": (mapped(lambda x: fn.all_gather(x, "i") - x), X, [[0, 1, 3], [-1, 0, 2], [-3, -2, 0]]),
    "grad of psum": (mapped(fn.grad(lambda x: fn.psum(x**2, "i"))), X, [6, 12, 24]),
    "grad of pmean": (mapped(fn.grad(lambda x: fn.pmean(x**2, "i"))), X, [2, 4, 8]),
    "grad of gather": (
        mapped(fn.grad(lambda x: (fn.all_gather(x**2, "i") * torch.tensor([1.0, 10.0, 100.0])).sum())),
        X,
        [6, 120, 2400],
    ),
    "grad of vmap": (fn.grad(lambda x: mapped(lambda x: fn.psum(x**2, "i") * x)(x).sum()), X, [35, 49, 77]),
    "jvp": (lambda x: mapped(lambda x: fn.jvp(lambda x: fn.psum(x**2, "i"), (x,), (x,))[1])(x), X, [42] * 3),
    "scan": (
        mapped(fn.grad(looped(lambda c: c * fn.psum(c, "i")))),
        SMALL,
        [0.6588344000000002, 0.6588344000000002, 0.6588344000000002],
    ),
    "scan of gather": (
        mapped(fn.grad(looped(gathered))),
        SMALL,
        [13.774760584928872, 15.224237831053994, 13.756265648859642],
    ),
    "normalised": (
        lambda x: fn.grad(lambda x: mapped(normalised)(x, x**2).sum())(x),
        SMALL,
        [-0.17282516563420633, -0.21159781345757459, 1.1098018433029564],
    ),
    "gradient inside": (
        lambda x: mapped(fn.grad(normalised))(x, x**2),
        SMALL,
        [0.03442593842612951, -0.10797226142740657, 0.07354632300127717],
    ),
    "second": (
        mapped(fn.grad(fn.grad(lambda x: fn.psum(x**3, "i") * x))),
        SMALL,
        [1.1400000000000003, 1.8300000000000003, 3.750000000000001],
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_jax(name):
    f, x, expected = VALUES[name]
    assert_close(f(x), torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["grad of gather", "scan of gather", "normalised"])
def test_jitted_values_are_native(name):
    f, x, expected = VALUES[name]
    jitted = fn.jit(f)
    assert_close(jitted(x), torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=1e-13)
    assert jitted.explain(x).backend == "native"


def test_nested_names():
    x = torch.arange(6.0).reshape(2, 3)

    def f(x):
        both = fn.psum(x, ("i", "j"))
        return fn.psum(x, "i"), fn.psum(x, "j"), both, fn.all_gather(x, "i"), fn.axis_index("j")

    by_i, by_j, both, columns, index = fn.vmap(fn.vmap(f, axis_name="j"), axis_name="i")(x)
    assert_close(by_i, x.sum(0).expand(2, 3))
    assert_close(by_j, x.sum(1, keepdim=True).expand(2, 3))
    assert_close(both, x.sum().expand(2, 3))
    assert_close(columns, x.T.expand(2, 3, 2))
    assert index.tolist() == [[0, 1, 2]] * 2


def test_an_inner_vmap_without_name_is_not_reduced():
    x = torch.arange(6.0).reshape(2, 3)
    assert_close(mapped(fn.vmap(lambda x: fn.psum(x, "i")))(x), x.sum(0).expand(2, 3))
    assert_close(fn.vmap(mapped(lambda x: fn.psum(x, "i")))(x), x.sum(1, keepdim=True).expand(2, 3))


def test_gathered_axes():
    x = torch.arange(6.0).reshape(3, 2)
    assert mapped(lambda x: fn.all_gather(x, "i", axis=1), out_dims=None)(x).tolist() == x.T.tolist()
    assert mapped(lambda x: fn.all_gather(x, "i", tiled=True), out_dims=None)(x).tolist() == [*range(6)]
    with pytest.raises(ValueError, match="all_gather: expected an axis of a result with 2 axes, got 2"):
        mapped(lambda x: fn.all_gather(x, "i", axis=2))(x)


def test_results_are_shared_by_all_examples():
    assert mapped(lambda x: (fn.psum(x, "i"), fn.pmax(x, "i")), out_dims=None)(X) == (7, 4)


def test_axis_size_without_mapped_tensors():
    assert mapped(lambda: fn.axis_index("i"), axis_size=3)().tolist() == [0, 1, 2]
    assert fn.vmap(lambda x: x + 1, in_dims=None, axis_size=2)(torch.tensor(1.0)).tolist() == [2, 2]
    assert fn.jit(fn.vmap(lambda x: x + 1, in_dims=None, axis_size=2))(torch.tensor(1.0)).tolist() == [2, 2]
    with pytest.raises(ValueError, match="one size of the mapped axis in all arguments, axis_size 2, got"):
        fn.vmap(torch.sin, axis_size=2)(X)


def test_unbound_names():
    with pytest.raises(NameError, match=r"unbound axis name 'j': .* got 'i'\. Call it in a function mapped by"):
        mapped(lambda x: fn.psum(x, "j"))(X)
    with pytest.raises(NameError, match=r"unbound axis name 'i': .* got none"):
        fn.axis_index("i")


def test_extremes_have_no_derivative():
    for extreme in (fn.pmax, fn.pmin):
        with pytest.raises(NotImplementedError, match="no derivative"):
            mapped(fn.grad(lambda x, extreme=extreme: extreme(x, "i")))(X)
    gradient = mapped(fn.grad(lambda x: x * fn.pmax(fn.stop_gradient(x), "i")))(X)
    assert gradient.tolist() == [4, 4, 4]


def test_chunks_cannot_be_named():
    with pytest.raises(ValueError, match="got both"):
        mapped(torch.sin, chunk_size=2)


def test_a_named_vmap_is_pickled():
    assert pickle.loads(pickle.dumps(mapped(torch.sin))).axis_name == "i"
