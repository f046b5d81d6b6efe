"""Errors of torch that depend on values: jit raises them, too, or fills the failed lane with NaN."""

import pytest
import torch
from backends import mostly_slow
from torch import Tensor
from torch.nn import functional

import funcnet as fn
from funcnet.compiler import jit

linalg = torch.linalg


GOOD = torch.tensor([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
INDEFINITE = torch.tensor([[4.0, 1.0, 0.0], [1.0, -3.0, 0.5], [0.0, 0.5, 2.0]])
SINGULAR = torch.tensor([[4.0, 1.0, 0.0], [8.0, 2.0, 0.0], [0.0, 0.5, 2.0]])
INFINITE = torch.tensor([[4.0, 1.0, 0.0], [1.0, torch.nan, 0.5], [0.0, 0.5, 2.0]])

MATRICES = {
    "cholesky": (linalg.cholesky, INDEFINITE),
    "cholesky_upper": (lambda x: linalg.cholesky(x, upper=True), INDEFINITE),
    "cholesky_ex": (lambda x: linalg.cholesky_ex(x, check_errors=True)[0], INDEFINITE),
    "torch.cholesky": (lambda x: torch.cholesky(x, upper=True), INDEFINITE),
    "inv": (linalg.inv, SINGULAR),
    "inverse": (torch.inverse, SINGULAR),
    "inv_ex": (lambda x: linalg.inv_ex(x, check_errors=True)[0], SINGULAR),
    "solve": (lambda x: linalg.solve(x, x[:, :2] + 1), SINGULAR),
    "solve_vector": (lambda x: linalg.solve(x, x[0] + 1), SINGULAR),
    "solve_left": (lambda x: linalg.solve(x, x + 1, left=False), SINGULAR),
    "solve_ex": (lambda x: linalg.solve_ex(x, x, check_errors=True)[0], SINGULAR),
    "lu_factor": (lambda x: linalg.lu_factor(x)[0], SINGULAR),
    "lu_factor_ex": (lambda x: linalg.lu_factor_ex(x, check_errors=True)[0], SINGULAR),
    "ldl_factor": (lambda x: linalg.ldl_factor(x)[0], torch.zeros(3, 3)),
    "tensorinv": (lambda x: linalg.tensorinv(x.reshape(3, 1, 3), ind=1), SINGULAR),
    "tensorsolve": (lambda x: linalg.tensorsolve(x, x[0]), SINGULAR),
    "matrix_power": (lambda x: linalg.matrix_power(x, -2), SINGULAR),
    "batch": (lambda x: linalg.inv(torch.stack([GOOD, x])), SINGULAR),
    "solve_batch": (lambda x: linalg.solve(torch.stack([GOOD, x]), torch.stack([x, x])), SINGULAR),
    "inner_vmap": (lambda x: fn.vmap(linalg.inv)(torch.stack([GOOD, x])), SINGULAR),
    "inner_solve": (lambda x: fn.vmap(linalg.solve, (0, None))(torch.stack([GOOD, x]), GOOD[0]), SINGULAR),
    "grad_cholesky": (fn.grad(lambda x: linalg.cholesky(x).sum()), INDEFINITE),
    "grad_inv": (fn.grad(lambda x: linalg.inv(x).sum()), SINGULAR),
    "grad_solve": (fn.grad(lambda x: linalg.solve(x, GOOD[0]).sum()), SINGULAR),
    "jacobian": (torch.func.jacrev(lambda x: linalg.inv(x)[0, 0]), SINGULAR),
    "scan": (lambda x: fn.scan(lambda c, _: (linalg.inv(c), c), x, length=3)[0], SINGULAR),
    "svd": (lambda x: linalg.svd(x)[1], INFINITE),
    "svdvals": (linalg.svdvals, INFINITE),
    "pinv": (linalg.pinv, INFINITE),
    "nuclear": (lambda x: linalg.matrix_norm(x, "nuc")[None], INFINITE),
}
WHOLE = ("batch", "solve_batch", "inner_vmap", "inner_solve")  # one of two matrices fails, also inside a lane


@pytest.mark.filterwarnings("ignore:torch.cholesky is deprecated")
@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_that_fails_raises_torchs_error(name: str) -> None:
    f, bad = MATRICES[name]
    with pytest.raises(RuntimeError) as wanted:
        f(bad)
    with pytest.raises(wanted.type) as got:
        jit(f)(bad)
    assert str(got.value) == str(wanted.value)
    torch.testing.assert_close(jit(f)(GOOD), f(GOOD))


@pytest.mark.filterwarnings("ignore:torch.cholesky is deprecated")
@pytest.mark.parametrize("name", MATRICES)
def test_a_lane_that_fails_is_nan_and_the_others_are_right(name: str) -> None:
    f, bad = MATRICES[name]
    lanes = torch.stack([GOOD, bad, GOOD * 2])
    got = jit(fn.vmap(f))(lanes)
    torch.testing.assert_close(got[[0, 2]], torch.stack([f(GOOD), f(GOOD * 2)]))
    failed = got[1][1] if name in WHOLE else got[1]
    assert failed.isnan().all()
    if name in WHOLE:
        torch.testing.assert_close(got[1][0], f(GOOD)[0] if name != "solve_batch" else linalg.solve(GOOD, bad))


def test_the_gradient_of_a_lane_that_fails_is_nan() -> None:
    f = fn.grad(lambda x: linalg.cholesky(x).diagonal().log().sum())
    got = jit(fn.vmap(f))(torch.stack([GOOD, INDEFINITE]))
    torch.testing.assert_close(got[0], f(GOOD))
    assert got[1].isnan().all()


def test_operations_that_return_an_error_code_do_not_raise() -> None:
    for name in ("cholesky_ex", "inv_ex", "lu_factor_ex"):
        f = getattr(linalg, name)
        for want, got in zip(f(SINGULAR - 2 * GOOD[1]), jit(f)(SINGULAR - 2 * GOOD[1]), strict=True):
            torch.testing.assert_close(got, want, equal_nan=True)


def test_an_error_is_raised_even_if_nothing_reads_the_result() -> None:
    def f(x: Tensor) -> Tensor:
        linalg.cholesky(x)
        return x + 1

    with pytest.raises(linalg.LinAlgError):
        jit(f)(INDEFINITE)


B = torch.tensor([0.2, 0.7])
VALUES = {  # a function, bad arguments, good ones
    "one_hot": (lambda i: functional.one_hot(i, 3), [torch.tensor([0, 3])], [torch.tensor([0, 2])]),
    "one_hot_below": (lambda i: functional.one_hot(i, 3), [torch.tensor([[0], [-1]])], [torch.tensor([[0], [1]])]),
    "bce": (functional.binary_cross_entropy, [B + 0.5, B], [B, B]),
    "bce_below": (functional.binary_cross_entropy, [B - 0.5, B], [B, B]),
    "bce_target": (functional.binary_cross_entropy, [B, B * 2], [B, B]),
    "bce_nan": (functional.binary_cross_entropy, [B / 0 * 0, B], [B, B]),
    "bce_none": (lambda x, y: functional.binary_cross_entropy(x, y, B, reduction="none"), [B + 0.5, B], [B, B]),
    "bce_sum": (lambda x, y: functional.binary_cross_entropy(x, y, reduction="sum"), [B + 0.5, B], [B, B]),
    "bce_grad": (fn.grad(functional.binary_cross_entropy), [B + 0.5, B], [B, B]),
    "bce_module": (lambda x, y: torch.nn.BCELoss()(x, y), [B + 0.5, B], [B, B]),
    "quantile": (torch.quantile, [B, torch.tensor(1.5)], [B, torch.tensor(0.5)]),
    "quantile by name": (lambda x, q: torch.quantile(input=x, q=q), [B, torch.tensor(1.5)], [B, torch.tensor(0.5)]),
    "quantile_of_one": (lambda x, q: x[:1].quantile(q), [B, torch.tensor(2.0)], [B, torch.tensor(1.0)]),
    "nanquantile": (torch.nanquantile, [B, -B], [B, B]),
    "assert": (lambda x: (torch._assert_async(x.sum() > 1), x * 2)[1], [-B], [B + 1]),
    "assert_text": (lambda x: (torch._assert_async(x.sum() > 1, "a text: 100 %"), x * 2)[1], [-B], [B + 1]),
    "assert_number": (lambda x: (torch._assert_async(x[:1], "no number"), x * 2)[1], [B * 0], [B + 1]),
    "assert_packet": (lambda x: (torch.ops.aten._assert_async(x.sum() > 1, "op"), x * 2)[1], [-B], [B + 1]),
    "assert_token": (
        lambda x: torch.ops.aten._functional_assert_async.msg(x.sum() > 1, "functional", x),
        [-B],
        [B + 1],
    ),
    "assert_grad": (fn.grad(lambda x: (torch._assert_async(x.sum() > 1, "inside"), x.sin().sum())[1]), [-B], [B + 1]),
    "assert_jvp": (
        lambda x: fn.jvp(lambda x: (torch._assert_async(x.sum() > 1, "inside"), x.sin())[1], (x,), (x,))[1],
        [-B],
        [B + 1],
    ),
}
QUICK = ("one_hot", "bce", "bce_grad", "assert_text", "quantile")
SPARED = [name for name in VALUES if name.startswith("bce")]


WITH_INDUCTOR = [("bce_grad", "inductor"), ("quantile", "inductor")]


@pytest.mark.parametrize(
    "name, backend",
    [
        pytest.param(*row, marks=() if row[0] in QUICK and row[1] != "inductor" else pytest.mark.slow)
        for row in [*((name, backend) for name in VALUES for backend in ("native", "eager")), *WITH_INDUCTOR]
    ],
)
def test_bad_values_raise_torchs_error(name: str, backend: str) -> None:
    f, bad, good = VALUES[name]
    with pytest.raises(RuntimeError) as wanted:
        f(*bad)
    with pytest.raises(wanted.type) as got:
        jit(f, backend=backend)(*bad)
    assert str(wanted.value) in str(got.value) if backend == "inductor" else str(got.value) == str(wanted.value)
    torch.testing.assert_close(jit(f, backend=backend)(*good), f(*good))


@pytest.mark.parametrize("backend", ["native", "eager"])
@pytest.mark.parametrize("name", mostly_slow(VALUES, QUICK))
def test_bad_values_of_one_lane(name: str, backend: str) -> None:
    f, bad, good = VALUES[name]
    alone = [torch.stack([x] * 19) for x in good]
    mixed = [torch.stack([x] * 17 + [y, x]) for x, y in zip(good, bad, strict=True)]
    call = jit(fn.vmap(f), backend=backend)
    torch.testing.assert_close(call(*alone), torch.stack([f(*good)] * 19))
    if name in SPARED:
        got = call(*mixed)
        assert got[17].isnan().any() and not got[18].isnan().any()
        torch.testing.assert_close(got[:17], torch.stack([f(*good)] * 17))
    else:
        with pytest.raises(RuntimeError) as wanted:
            f(*bad)
        with pytest.raises(RuntimeError) as got:
            call(*mixed)
        assert str(got.value) == str(wanted.value)


BACKENDS = ("native", "eager")


def checked(x: Tensor, low: float = 0.0, message: str = "too low") -> Tensor:
    torch._assert_async((x > low).all(), message)
    return x


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_check_in_a_loop_sees_every_step(backend: str) -> None:
    def run(x: Tensor) -> Tensor:
        return fn.scan(lambda c, _: (checked(c) - 1, c * 2), x, length=5)[1]

    call = jit(run, backend=backend)
    torch.testing.assert_close(call(torch.tensor(4.5)), torch.tensor([9.0, 7.0, 5.0, 3.0, 1.0]))
    with pytest.raises(RuntimeError, match="too low"):
        call(torch.tensor(3.5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_check_in_a_loop_that_nothing_reads(backend: str) -> None:
    """The checked carry is not an output. The loop keeps the values that it depends on, and no others."""

    def run(x: Tensor, rows: Tensor) -> Tensor:
        def outer(c: Tensor, row: Tensor) -> tuple[Tensor, None]:
            fn.scan(lambda c, y: (checked(c, message="inner") - y, c.exp()), c, row)
            return c + 1, None

        fn.scan(outer, x, rows)
        return x * 2

    call = jit(run, backend=backend)
    rows = torch.tensor([[1.0, 1.0, 9.0], [1.0, 2.0, 0.0]])
    torch.testing.assert_close(call(torch.tensor(2.5), rows), torch.tensor(5.0))
    with pytest.raises(RuntimeError, match="inner"):
        call(torch.tensor(1.5), rows)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_check_in_a_differentiated_loop(backend: str) -> None:
    def loss(x: Tensor) -> Tensor:
        return fn.scan(lambda c, _: (checked(c) - x**2, None), x, length=3)[0]

    call = jit(fn.grad(loss), backend=backend)
    torch.testing.assert_close(call(torch.tensor(0.3)), torch.tensor(1 - 6 * 0.3))
    with pytest.raises(RuntimeError, match="too low"):
        call(torch.tensor(0.9))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_check_in_a_vmap_inside(backend: str) -> None:
    call = jit(lambda x: fn.vmap(lambda x: checked(x) * 2)(x), backend=backend)
    torch.testing.assert_close(call(B), B * 2)
    with pytest.raises(RuntimeError, match="too low"):
        call(torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_failed_check_is_reported(backend: str) -> None:
    def f(x: Tensor, i: Tensor) -> Tensor:
        checked(x, -10.0, "first")
        checked(x, 0.0, "second")
        checked(x, 1.0, "third")
        return x[i]

    with pytest.raises(RuntimeError, match="second"):
        jit(f, backend=backend)(-B, torch.tensor([7]))


def test_a_check_of_many_lanes_on_several_threads() -> None:
    f = lambda x: fn.scan(lambda c, _: (checked(c * 0.999, 1e-30), None), x, length=3_000)[0]  # noqa: E731
    x, before = torch.ones(4_000), torch.get_num_threads()
    call = jit(fn.vmap(f), backend="native")
    torch.set_num_threads(2)
    try:
        assert (call(x) > 0).all()
        x[3_990] = 1e-29
        with pytest.raises(RuntimeError, match="too low"):
            call(x)
    finally:
        torch.set_num_threads(before)


def test_zero_lanes_pass_every_check() -> None:
    def f(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return checked(x), y * 2

    for backend in BACKENDS:
        got, shared = jit(fn.vmap(f, in_dims=(0, None), out_dims=(0, None)), backend=backend)(torch.zeros(0), B)
        assert got.shape == (0,) and torch.equal(shared, B * 2)


def test_a_distribution_checks_its_arguments() -> None:
    def density(scale: Tensor, x: Tensor) -> Tensor:
        # torch.compile changes the default of validate_args for the whole process
        return torch.distributions.Gamma(scale, scale, validate_args=True).log_prob(x)

    torch.testing.assert_close(jit(density)(B, B), density(B, B))
    assert jit(density).explain(B, B).backend == "native"
    with pytest.raises(RuntimeError, match="Expected parameter concentration of distribution Gamma to satisfy"):
        jit(density)(-B, B)
    with pytest.raises(RuntimeError, match="Expected value argument to be within the support .* of the distribution"):
        jit(density)(B, -B)
