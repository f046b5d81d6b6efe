"""Exchanges between the examples of a named vmap; the values are those of JAX."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import lax

A = torch.arange(18.0).reshape(3, 6)
C = torch.arange(54.0).reshape(3, 3, 6)
CASES = [
    (lambda x: lax.ppermute(x, "i", [(0, 2), (2, 1), (1, 0)]), A[:, :2], [[6, 7], [12, 13], [0, 1]]),
    (lambda x: lax.pshuffle(x, "i", [2, 0, 1]), A[:, :2], [[12, 13], [0, 1], [6, 7]]),
    (lambda x: lax.all_to_all(x, "i", 0, 0), A[:, :3], [[0, 6, 12], [1, 7, 13], [2, 8, 14]]),
    (lambda x: lax.pswapaxes(x, "i", 0), A[:, :3], [[0, 6, 12], [1, 7, 13], [2, 8, 14]]),
    (
        lambda x: lax.all_to_all(x, "i", 0, 1),
        C[:, :, :2],
        [[[0, 18, 36], [1, 19, 37]], [[6, 24, 42], [7, 25, 43]], [[12, 30, 48], [13, 31, 49]]],
    ),
    (
        lambda x: lax.all_to_all(x, "i", 0, 0, tiled=True),
        A,
        [[0, 1, 6, 7, 12, 13], [2, 3, 8, 9, 14, 15], [4, 5, 10, 11, 16, 17]],
    ),
    (lambda x: lax.psum_scatter(x, "i"), A[:, :3], [18, 21, 24]),
    (
        lambda x: lax.psum_scatter(x, "i", scatter_dimension=1, tiled=True),
        C[:, :2],
        [[[54, 57], [72, 75]], [[60, 63], [78, 81]], [[66, 69], [84, 87]]],
    ),
    (fn.grad(lambda x: lax.all_to_all(x, "i", 0, 0).pow(3).sum()), A[:, :3], (3 * A[:, :3] ** 2).tolist()),
    (fn.grad(lambda x: lax.psum_scatter(x, "i") ** 2), A[:, :3], [[36, 42, 48]] * 3),
]


@pytest.mark.parametrize("f, x, expected", CASES)
def test_values_are_those_of_jax(f, x, expected):
    mapped = fn.vmap(f, axis_name="i")
    assert_close(mapped(x), torch.tensor(expected, dtype=x.dtype))
    assert_close(fn.jit(mapped)(x), torch.tensor(expected, dtype=x.dtype))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.bfloat16])
def test_values_keep_their_dtypes(dtype):
    exchange = fn.vmap(lambda x: (lax.ppermute(x, "i", [(0, 1)]), lax.all_to_all(x, "i", 0, 0)), axis_name="i")
    assert [x.dtype for x in exchange(torch.ones(2, 2, dtype=dtype))] == [dtype, dtype]


def test_no_destination_receives_zeros_and_trees_are_exchanged():
    shift = fn.vmap(lambda x: lax.ppermute({"a": x, "b": 2 * x}, "i", [(0, 1), (1, 2)]), axis_name="i")
    assert_close(shift(torch.tensor([5, 6, 7])), {"a": torch.tensor([0, 5, 6]), "b": torch.tensor([0, 10, 12])})


ERRORS = [
    (
        lambda x: lax.ppermute(x, "i", [(0, 1), (0, 2)]),
        ValueError,
        "ppermute: expected each of 3 examples at most once",
    ),
    (lambda x: lax.pshuffle(x, "i", [0, 0, 1]), ValueError, "pshuffle: expected a permutation of 3 examples"),
    (
        lambda x: lax.all_to_all(x, "i", 0, 0),
        ValueError,
        "all_to_all: expected an axis of 3 entries, one per example, got 6",
    ),
    (lambda x: lax.psum_scatter(x, "j"), NameError, "unbound axis name 'j'"),
    (
        lambda x: lax.psum_scatter(x, "i", axis_index_groups=[[0]]),
        NotImplementedError,
        "psum_scatter: expected axis_index_groups=None, got",
    ),
]


@pytest.mark.parametrize("f, error, message", ERRORS)
def test_bad_arguments_are_refused(f, error, message):
    with pytest.raises(error, match=message):
        fn.vmap(f, axis_name="i")(A)
