"""Shapes of operations for which torch's own rules, which run on meta tensors, are wrong or missing."""

import pytest
import torch
import torch.nn.functional as F

import funcnet as fn


def numbers(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")  # by torch's rule of pow_
@pytest.mark.parametrize("name", ["atan2_", "copysign_", "hypot_", "nextafter_", "xlogy_", "pow_", "clamp_", "mul_"])
def test_a_larger_operand_of_an_operation_in_place_is_torchs_error(name):
    write = fn.jit(lambda x, y: getattr(x.clone(), name)(y), backend="eager")
    with pytest.raises(RuntimeError, match=r"output with shape .*2, 3.* the broadcast shape .*5, 2, 3"):
        write(numbers(2, 3), numbers(5, 2, 3))


@pytest.mark.parametrize("name", ["atan2_", "copysign_"])
def test_a_result_of_another_dtype_of_an_operation_in_place_is_torchs_error(name):
    write = fn.jit(lambda x, y: getattr(x.clone(), name)(y), backend="eager")
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        write(torch.arange(3), numbers(3))


@pytest.mark.parametrize("name", ["atan2_", "copysign_"])
def test_a_write_to_a_buffer_that_the_examples_share(name):
    def write(x):
        buffer = torch.full((2, 3), 0.5, dtype=torch.float64)
        return getattr(buffer, name)(x - 0.5)

    x = numbers(5)
    assert torch.equal(fn.jit(fn.vmap(write), backend="eager")(x), torch.stack([write(element) for element in x]))


@pytest.mark.parametrize("reduce", [torch.sum, torch.mean, lambda x, dim: F.cosine_similarity(x, x.cos(), dim)])
@pytest.mark.parametrize("dim", [0, -1])
def test_the_axis_of_a_computed_number(reduce, dim):
    """torch accepts axis 0 of a tensor without axes."""
    x = numbers()
    assert torch.equal(fn.jit(lambda x: reduce(x.exp(), dim), backend="eager")(x), reduce(x.exp(), dim))


def test_polygamma_in_place():
    """The arguments of polygamma_ are in another order than those of polygamma."""
    assert torch.equal(fn.jit(lambda x: x.clone().polygamma_(1), backend="eager")(numbers(3)), numbers(3).polygamma(1))


def test_forward_derivatives_of_quantile():
    """torch interpolates in place with lerp_, whose shape rule has broken all later derivatives of the process."""
    push = lambda x, q: fn.jvp(torch.quantile, (x, q), (x.cos(), q))  # noqa: E731
    args = numbers(6), numbers(2)
    for got, want in zip(fn.jit(push, backend="eager")(*args), push(*args), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-14, atol=0)


@pytest.mark.parametrize("function", [torch.index_add, torch.index_copy])
def test_a_row_at_a_0d_index(function):
    """As in gradients of index_select, which autograd takes below torch's functions."""
    write = getattr(torch.ops.aten, function.__name__).default
    call = lambda x, i: write(x, 0, i, 2 * x[:1])  # noqa: E731
    for x in (numbers(4), numbers(4, 2)):
        want = function(x, 0, torch.tensor(2), 2 * x[:1])
        assert torch.equal(fn.jit(call, backend="eager")(x, torch.tensor(2)), want)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # in eager mode
@pytest.mark.parametrize("dim", [-1, 0])
def test_second_derivatives_of_glu(dim):
    curvature = fn.hessian(lambda x: F.glu(x, dim).sin().sum())
    torch.testing.assert_close(fn.jit(curvature)(numbers(2, 4)), curvature(numbers(2, 4)), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("shape", [(9,), (2, 9)])
def test_spectra_of_segments_of_an_argument(shape):
    """torch.stft without padding cuts its argument into windows with as_strided."""

    def spectra(x):
        return torch.stft(x, 4, hop_length=2, center=False, window=torch.ones(4), return_complex=True).abs()

    x = numbers(9, *shape[:-1]).T if len(shape) == 2 else numbers(9)
    torch.testing.assert_close(fn.jit(spectra)(x), spectra(x), rtol=1e-13, atol=1e-14)
    slope = fn.grad(lambda x: spectra(x).sum())
    torch.testing.assert_close(fn.jit(fn.vmap(slope))(torch.stack([x, 2 * x])), fn.vmap(slope)(torch.stack([x, 2 * x])))
