"""A traced function computes the same as the function; its program has no dead and no repeated operations."""

import pytest
import torch
from backends import BACKENDS
from torch.nn import functional
from traced import W, X, assert_traced_equals, operations, program

import funcnet as fn
from funcnet.compiler import StagingError, jit
from funcnet.compiler.tracing.trace import loop
from funcnet.control_flow.scan import scan

LABELS = torch.tensor([0, 3, 1])


def write_to_views(x):
    y = torch.zeros(3, 4, dtype=x.dtype)
    y[0] = x[1]
    y[:, 1] += 5
    transposed = y.t()
    transposed.mul_(2)
    y[1, 2] = 7.0
    return y, transposed, y.reshape(-1)[3:5]


def write_to_overlapping_views(x):
    y = x * 1
    row, column = y[0], y[:, 0]
    row.add_(1)
    before = column * 2
    column.zero_()
    return before, row, y, column


def write_by_mask(x):
    y = x.clone()
    y[y > 1] = 0.0
    y[y < -0.5] = torch.tensor(3.0, dtype=x.dtype)
    return y


def write_to_a_constant(x):
    y = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    view = y.t()
    y[0, 1] = x[2, 3]
    y += 1
    return x[:2, :2] @ y.to(x.dtype), view


def write_to_out(x):
    out = torch.empty(3, 4, dtype=x.dtype)
    torch.add(x, x, out=out)
    torch.mul(out, 2, out=out)
    return out


def write_through_diagonal(x):
    y = x @ x.T
    y.diagonal().fill_(1.0)
    y.unsqueeze(0).squeeze(0).permute(1, 0)[0].neg_()
    return y


def write_to_narrower_dtype(x):
    y = x.float()
    y += x
    counts = torch.ones(3, dtype=torch.int32)
    counts *= 2
    return y, counts


def reshape_in_place(x):
    y = x * 2
    y.unsqueeze_(0)
    y.transpose_(1, 2)
    y.add_(1)
    return y, y.squeeze_(0)


def by_autograd(x):
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad((leaf * leaf.sin()).sum(), leaf)


def batch_norm_of(training):
    def f(x):
        mean, var = torch.zeros(4, dtype=x.dtype), torch.ones(4, dtype=x.dtype)
        loss = fn.grad(lambda x: functional.batch_norm(x, mean, var, training=training, momentum=0.3).sin().sum())
        return loss(x), mean, var

    return f


FUNCTIONS = [
    write_to_views,
    write_to_overlapping_views,
    write_by_mask,
    write_to_a_constant,
    write_to_out,
    write_through_diagonal,
    write_to_narrower_dtype,
    reshape_in_place,
    lambda x: torch._foreach_mul([x, x + 1], 3.0),
    lambda x: x + torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=x.dtype) + torch.tensor(2.0),
    lambda x: functional.layer_norm(x, (4,)),
    lambda x: (x.var(0), x.std(1, correction=0), torch.var_mean(x, 1)),
    lambda x: (x.split([1, 3], 1), x.chunk(2), x.unbind(1)),
    lambda x: (x.sort(1), x.topk(2), x.max(0), x.cummax(1), x.median()),
    lambda x: (x.float(), x.long() // 2, x > 0, x.to(torch.bool), x.isnan()),
    lambda x: functional.cross_entropy(x, LABELS),
    lambda x: (x.gather(1, LABELS[:, None]), x[:, LABELS], x.index_add(0, torch.tensor([1, 0, 1]), x)),
    lambda x: functional.conv1d(x.reshape(1, 1, 12), torch.ones(2, 1, 3, dtype=x.dtype)),
    fn.grad(lambda x: functional.conv2d(x[None, None], torch.ones(2, 1, 2, 2, dtype=x.dtype)).square().sum()),
    fn.grad(lambda x: functional.max_pool2d(x[None, None], 2).square().sum()),
    batch_norm_of(True),
    batch_norm_of(False),
    fn.grad(lambda x: functional.batch_norm(x, None, None, training=True).sin().sum()),
    fn.grad(lambda x: x[:, 1:-1].sin().sum() + x[:, -3:].cos().sum() + x[:, ::2].exp().sum()),
    fn.hessian(lambda x: torch.sin(x).pow(3).sum()),
    fn.jacrev(lambda x: torch.sin(x @ W)),
    fn.vmap(fn.grad(lambda row: (row @ W).square().sum())),
    lambda x: fn.jvp(torch.tanh, (x,), (2 * x,)),
    fn.grad(lambda x: fn.remat(lambda x: torch.sin(x).exp())(x).sum()),
    by_autograd,
    lambda x: (torch.zeros(0, dtype=x.dtype).sum(), x[:0], x[:0].mean(0, keepdim=True).isnan(), x[1, 1]),
]


@pytest.mark.few(15)
@pytest.mark.parametrize("backend", ["eager", "auto"])
@pytest.mark.parametrize("f", FUNCTIONS)
def test_traced_equals_eager(f, backend):
    assert_traced_equals(f, X, backend=backend)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_traced_equals_eager_on_a_transposed_argument(f):
    """Results do not depend on the memory layout of the arguments."""
    assert_traced_equals(f, X.T.contiguous().T)


def test_the_gradient_of_a_slice_goes_through_an_outermost_vmap():
    f = fn.vmap(fn.grad(lambda x: x[1:-1].sin().sum()))
    assert_traced_equals(f, X)
    assert_traced_equals(f, X, backend="native")


CONVOLUTIONS = [
    ((2, 4, 9), (6, 4, 3), {}),
    ((2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
    ((1, 3, 5, 7), (2, 3, 2, 3), {"stride": (2, 1), "padding": (0, 2)}),
    ((2, 4, 6, 5), (4, 1, 3, 3), {"padding": 1, "groups": 4}),
    ((1, 2, 4, 3, 5), (3, 2, 2, 1, 2), {"stride": (1, 2, 3)}),
    ((1, 2, 20), (4, 2, 3), {"dilation": 4}),
]


@pytest.mark.few(6)
@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("bias", [(), (2,)], ids=["alone", "bias"])
@pytest.mark.parametrize("x, w, options", CONVOLUTIONS, ids=str)
def test_convolutions_and_their_gradients(x, w, options, bias, backend):
    convolve = getattr(functional, f"conv{len(x) - 2}d")
    shapes = [x, w, w[:1]][: 2 + len(bias)]
    arguments = [fn.random.normal(fn.random.key(i), shape, dtype=torch.float64) for i, shape in enumerate(shapes)]
    both = fn.value_and_grad(lambda *args: convolve(*args, **options).sin().sum(), (0, 1, *bias))
    assert fn.tree.difference(jit(both, backend=backend)(*arguments), both(*arguments), atol=1e-10) is None


def test_transposed_convolutions_stay_one_operation():
    w = torch.linspace(-1.0, 1.0, 24, dtype=torch.float64).reshape(4, 2, 3)
    assert_traced_equals(fn.grad(lambda x: functional.conv_transpose1d(x.T[None], w, stride=2).sin().sum()), X)


def test_a_large_convolution_stays_one_operation():
    images, weights = torch.zeros(32, 3, 32, 32), torch.zeros(16, 3, 5, 5)
    assert "aten.convolution.default" in operations(lambda x, w: [functional.conv2d(x, w)], images, weights)


def test_dead_operations_are_removed_and_equal_ones_merged():
    def f(x):
        torch.exp(x)
        return torch.sin(x) + torch.sin(x)

    assert operations(lambda x: [f(x)], X) == ["aten.sin.default", "aten.add.Tensor"]


def test_constants_of_different_type_or_sign_are_not_merged():
    def f(x):
        return [x * 1, x * 1.0, x * True, x * 0.0, x * -0.0]

    results = jit(f, backend="eager")(torch.tensor([2, -3]))
    assert [result.dtype for result in results[:3]] == [torch.int64, torch.float32, torch.int64]
    assert torch.signbit(results[3]).tolist() == [False, True]
    assert torch.signbit(results[4]).tolist() == [True, False]


def test_as_strided_refers_to_the_tensor_that_owns_the_memory():
    assert_traced_equals(lambda x: (x * 1).T.as_strided((2, 2), (1, 2), 1), X)
    assert_traced_equals(lambda x: (x * 1)[1:].as_strided((2,), (3,)), X)
    with pytest.raises(StagingError, match="as_strided depends on the memory layout of a traced float64 tensor"):
        jit(lambda x: x.as_strided((2, 2), (1, 2)))(X)


LAYOUTS = {
    "empty_strided": lambda x: torch.empty_strided((2, 3, 4), (4, 8, 1), dtype=x.dtype),
    "new_empty_strided": lambda x: x.new_empty_strided((2, 3, 4), (1, 2, 6)),
    "empty_permuted": lambda x: torch.empty_permuted((2, 3, 4), (1, 2, 0), dtype=x.dtype),
}


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
def test_as_strided_follows_the_requested_layout(make):
    def f(x):
        y = make(x)
        y.copy_(torch.stack([x, 2 * x]))
        return [y.as_strided((24,), (1,)), y[1].as_strided((2, 2), (3, 1), 5), y]

    assert_traced_equals(f, X)


def test_the_text_of_a_program_has_values_shapes_and_loops():
    text = repr(program(lambda x: scan(lambda c, row: (c + row, None), x[0], x)[:1], X).block)
    assert "(v0: float64[3, 4]) ->" in text
    assert "= scan length=3 init=[v1] xs=[v0]" in text
    assert "aten.add.Tensor(v3, v4)" in text


@pytest.mark.parametrize("backend", BACKENDS)
def test_closed_over_tensors_are_read_at_each_call(backend):
    data = torch.tensor([1.0, 2.0])
    f = jit(lambda x: x + data, backend=backend)
    assert f(torch.zeros(2)).tolist() == [1.0, 2.0]
    data.mul_(10)
    assert f(torch.zeros(2)).tolist() == [10.0, 20.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_never_share_memory_with_arguments_or_closed_over_tensors(backend):
    def f(x):
        carried, _ = scan(lambda c, _: (c, None), x, length=2)
        unused, _ = scan(lambda c, _: (c + 1, None), x, length=0)
        slices, _ = scan(lambda c, row: ((c[1], row[:2]), None), (x[0, :2], x[0, 2:]), x)
        swapped, _ = scan(lambda c, _: ((c[1], c[0]), None), (x * 2, x), length=2)
        inner, _ = scan(lambda c, _: (scan(lambda _, row: (row, None), c, x)[0], None), x[0] * 2, length=3)
        return x, x.clone(), x.T[1:], X, carried, unused, *slices, *swapped, inner

    for result in jit(f, backend=backend)(argument := X.clone()):
        before = argument.clone(), X.clone()
        result.add_(1)
        assert fn.tree.equal((argument, X), before)


def test_an_error_of_the_function_propagates_and_leaves_no_state():
    with pytest.raises(RuntimeError, match="broadcast"):
        jit(lambda x: scan(lambda c, _: (c + torch.ones(7), None), x, length=2))(X)
    assert loop() is None
    assert_traced_equals(torch.sin, X)
