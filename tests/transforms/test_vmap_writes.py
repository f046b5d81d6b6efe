"""A function under vmap may write to tensors that it creates; writes to shared ones are refused in every mode."""

import pytest
import torch
from torch.nn import functional

import funcnet as fn
from funcnet.transforms.refusals import ImpureError

X = torch.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0], [2.0, 2.0, 0.0], [-3.0, 1.0, 5.0]])
AT = torch.tensor([0, 2, 1, 2])


def filled(x, i):
    out = torch.zeros(3)
    out[0] = x.sum()
    out[1] = x.max()
    out[2] += x[0]
    return out


def through_views(x, i):
    out = torch.ones(2, 3)
    out.view(-1)[0] = x[0]
    out[1, 1:3] = x[1:]
    out.T[0, 1].mul_(x[2])
    row = out[0]
    row[2:] -= x[:1]
    return out


def by_index(x, i):
    out = x.new_zeros(4)
    out[i] = x[0]
    out.index_put_((i.reshape(1),), x[:1], accumulate=True)
    out.scatter_add_(0, i.reshape(1) + 1, x[1:2])
    return out


def by_mask(x, i):
    out = torch.full((3,), 7.0)
    out[x > 0] = 1.0
    out[torch.arange(3) == i] = -1.0
    out.masked_fill_(x < 0, 0.0)
    return out


def by_copy(x, i):
    out, other = torch.zeros(3), torch.zeros(3, dtype=torch.int64)
    out.copy_(x)
    torch.mul(out, x, out=out)
    other.fill_(i)
    return out + other


def of_a_constant(x, i):
    out = AT.clone().float()
    out[1:] *= x[0]
    for k in torch.arange(3):  # values of tensors that are not written to can be read
        out[int(k)] += x[1]
    return out


def of_every_factory(x, i):
    made = [torch.ones(1), torch.tensor([2.0]), torch.arange(1.0), torch.eye(1)[0], torch.zeros_like(AT[:1].float())]
    for t in made:
        t += x[0]
    return torch.cat(made)


def with_layers_inside(x, i):
    h = functional.one_hot(torch.tensor(1), 3).float()
    h += x
    return torch.relu(h) @ torch.eye(3)


FUNCTIONS = [filled, through_views, by_index, by_mask, by_copy, of_a_constant, of_every_factory, with_layers_inside]


def loop(f, *columns):
    return torch.stack([f(*row) for row in zip(*columns, strict=True)])


@pytest.mark.parametrize("f", FUNCTIONS)
def test_vmap_of_writes_equals_a_loop(f):
    assert torch.equal(fn.vmap(f)(X, AT), loop(f, X, AT))
    assert torch.equal(fn.vmap(f, chunk_size=3)(X, AT), loop(f, X, AT))
    assert torch.equal(fn.vmap(f, in_dims=(1, 0))(X.T.contiguous(), AT), loop(f, X, AT))


@pytest.mark.parametrize("f", [f for f in FUNCTIONS if f is not of_a_constant])
def test_nested_vmaps_equal_loops(f):
    twice = fn.vmap(lambda x: fn.vmap(lambda i, y: f(x + y, i))(AT, X))
    expected = loop(lambda x: loop(lambda i, y: f(x + y, i), AT, X), X)
    assert torch.allclose(twice(X), expected)
    assert torch.allclose(fn.jit(twice, backend="eager")(X), expected)


@pytest.mark.parametrize("f", [filled, through_views, by_index, of_every_factory])
def test_gradients_equal_a_loop(f):
    def loss(w, x, i):
        return (f(w * x, i) ** 2).sum()

    w = torch.tensor([1.0, -1.0, 2.0])
    expected = loop(lambda x, i: fn.grad(loss)(w, x, i), X, AT)
    assert torch.allclose(fn.vmap(fn.grad(loss), in_dims=(None, 0, 0))(w, X, AT), expected)
    assert torch.allclose(fn.per_example_grads(loss)(w, X, AT), expected)
    total = fn.grad(lambda w: fn.vmap(loss, in_dims=(None, 0, 0))(w, X, AT).sum())
    assert torch.allclose(total(w), expected.sum(0))


def test_a_buffer_with_a_history_keeps_it():
    def loss(w, x):
        h = w * 2
        h[0] = x[0]
        return (h**2).sum()

    w = torch.tensor([1.0, -1.0, 2.0])
    expected = torch.tensor([0.0, -8.0, 16.0]).expand(4, 3)
    assert torch.equal(fn.vmap(fn.grad(loss), in_dims=(None, 0))(w, X), expected)


def test_a_function_without_such_writes_runs_once():
    runs = []
    fn.vmap(lambda x: runs.append(0) or torch.zeros(3) + x)(X)
    assert len(runs) == 1


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("transform", [lambda f: f, lambda f: fn.vmap(lambda x: f(x[None]))])
def test_a_step_may_write_a_mapped_value_to_an_unmapped_carry_or_slice(transform, length):
    def f(x):
        def step(carry, row):
            carry[0] += x.sum()
            row[1:] = x[..., 1:].reshape(-1)
            return carry, row * 2

        return fn.scan(step, torch.zeros(2), torch.ones(length, 3))

    got = fn.jit(lambda x: transform(fn.vmap(f))(x), backend="eager")(X)  # not outermost, so that it is not lanes
    expected = fn.vmap(f)(X)
    torch.testing.assert_close([y.flatten() for y in got], [y.flatten() for y in expected])
    torch.testing.assert_close(expected[0][:, 0], X.sum(1) * length)


SHARED = {
    "unmapped, one value": (lambda x, w: w.add_(1.0) * x),
    "unmapped, many values": (lambda x, w: w.add_(x)),
    "unmapped, by index": (lambda x, w: w.__setitem__(0, x[0]) or w * 1),
    "unmapped, through a view": (lambda x, w: w[1:].mul_(x[1:]) * 1),
}


@pytest.mark.parametrize("transform", [fn.vmap, lambda f, **dims: fn.jit(fn.vmap(f, **dims))])
@pytest.mark.parametrize("name", SHARED)
def test_a_write_to_a_shared_tensor_is_refused(transform, name):
    w = torch.ones(3)
    with pytest.raises(
        RuntimeError, match=r"to (an argument|a tensor that the examples share).*torch\.zeros_like\(x\)"
    ):
        transform(SHARED[name], in_dims=(0, None))(X, w)
    with pytest.raises(RuntimeError, match=r"closed-over.*torch\.zeros_like\(x\)"):
        transform(lambda x: SHARED[name](x, w))(X)


ARGUMENT = {
    "vmap": lambda f, x: fn.vmap(f)(x[None]),
    "grad": lambda f, x: fn.grad(f)(x),
    "value_and_grad": lambda f, x: fn.value_and_grad(f)(x),
    "jvp": lambda f, x: fn.jvp(f, (x,), (x,)),
    "vjp": lambda f, x: fn.vjp(f, x),
    "linearize": lambda f, x: fn.linearize(f, x),
    "jacfwd": lambda f, x: fn.jacfwd(f)(x),
    "jacrev": lambda f, x: fn.jacrev(f)(x),
    "hessian": lambda f, x: fn.hessian(f)(x),
    "remat": lambda f, x: fn.remat(f)(x),
    "grad of remat": lambda f, x: fn.grad(fn.remat(f))(x),
    "per_example_grads": lambda f, x: fn.per_example_grads(lambda p, x: f(x) * p)(torch.tensor(1.0), x[None]),
    "jit": lambda f, x: fn.jit(f)(x),
    "jit where autograd records": lambda f, x: fn.jit(lambda w, x: w * f(x))(torch.ones(1, requires_grad=True), x),
    "jit of grad": lambda f, x: fn.jit(fn.grad(f))(x),
}


@pytest.mark.parametrize("name", ARGUMENT)
@pytest.mark.parametrize("write", [lambda x: x.add_(1.0), lambda x: x.view(-1)[:1].mul_(2.0)])
def test_a_write_to_an_argument_is_refused(name, write):
    def f(x):
        write(x)
        return (x**2).sum()

    with pytest.raises(RuntimeError, match=r"in place.*pure.*x\.clone\(\)"):
        ARGUMENT[name](f, torch.ones(3))


def test_a_shape_that_does_not_fit_is_torchs_own_error():
    def f(x):
        out = torch.zeros(2)
        out += x
        return out

    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape|must match the size"):
        fn.vmap(f)(X)


def test_globals_and_attributes_count_as_closed_over():
    class Counter:
        total = None

    counter = Counter()
    counter.total = torch.zeros(())

    def f(x):
        counter.total.add_(1.0)
        return x

    with pytest.raises(ImpureError, match="a closed-over tensor"):
        fn.vmap(f)(X)


def test_an_index_that_is_copied_like_a_buffer_stays_an_index():
    def f(x):
        total, i = torch.zeros(()).clone(), torch.tensor(1).clone()
        total += x[i]
        return total

    torch.testing.assert_close(fn.vmap(fn.grad(f))(X), torch.tensor([[0.0, 1.0, 0.0]]).expand(4, 3))


@pytest.mark.parametrize(
    "f",
    [
        fn.vmap(lambda x: x.sin().sum()),
        fn.vmap(fn.grad(lambda x: x.sin().sum())),
        fn.jacrev(torch.sin),
        lambda x: fn.jvp(torch.sin, (x,), (x,)),
    ],
    ids=["vmap", "vmap of grad", "jacrev", "jvp"],
)
def test_purity_checks_do_not_break_torch_compile_graphs(f):
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(f, fullgraph=True, backend="eager")(X), f(X))
