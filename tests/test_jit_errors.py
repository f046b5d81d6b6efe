"""Errors that torch raises by values: jit raises them, too, or makes NaN of the lane that fails, never numbers."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import funcnet as fn
from funcnet.compiler import jit

linalg = torch.linalg


def rows(table: dict, quick: tuple[str, ...]) -> list:
    """The names of a table, most of which are slow."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in table]


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
WHOLE = ("batch", "solve_batch", "inner_vmap", "inner_solve")  # one of two fails, in a lane as well


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_that_fails_raises_torchs_error(name: str) -> None:
    f, bad = MATRICES[name]
    with pytest.raises(RuntimeError) as wanted:
        f(bad)
    with pytest.raises(wanted.type) as got:
        jit(f)(bad)
    assert str(got.value) == str(wanted.value)
    torch.testing.assert_close(jit(f)(GOOD), f(GOOD))


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


def test_what_reports_its_errors_raises_none() -> None:
    for name in ("cholesky_ex", "inv_ex", "lu_factor_ex"):
        f = getattr(linalg, name)
        for want, got in zip(f(SINGULAR - 2 * GOOD[1]), jit(f)(SINGULAR - 2 * GOOD[1]), strict=True):
            torch.testing.assert_close(got, want, equal_nan=True)


def test_an_error_is_raised_though_nothing_reads_the_result() -> None:
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


WITH_INDUCTOR = [(name, "inductor") for name in QUICK]


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
@pytest.mark.parametrize("name", rows(VALUES, QUICK))
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
    """The carry that is checked is no output; what it depends on stays in the loop, and nothing else does."""

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
def test_the_first_check_that_fails_is_the_one_that_is_told(backend: str) -> None:
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


def test_no_lanes_fail_no_check() -> None:
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


LOOKUPS = {
    "embedding": lambda w, i: functional.embedding(i, w),
    "embedding_rows": lambda w, i: functional.embedding(i[None], w),
    "embedding_grad": fn.grad(lambda w, i: functional.embedding(i, w).sum()),
    "embedding_grad_rows": fn.grad(lambda w, i: functional.embedding(i[None], w).sum()),
    "index_add": lambda w, i: w.index_add(0, i, w[:2]),
    "index_add_in_place": lambda w, i: w.clone().index_add_(0, i, w[:2], alpha=2),
    "index_add_columns": lambda w, i: w.index_add(1, i, w[:, :2]),
    "index_copy": lambda w, i: w.index_copy(0, i, w[:2]),
    "index_select": lambda w, i: w.index_select(0, i),
    "gather": lambda w, i: w.gather(0, i[:, None]),
    "scatter": lambda w, i: w.scatter(0, i[:, None], w),
    "scatter_add": lambda w, i: w.scatter_add(0, i[:, None], w),
    "nll_loss": lambda w, i: functional.nll_loss(w[:2], i),
    "cross_entropy": lambda w, i: functional.cross_entropy(w[:2], i),
    "cross_entropy_grad": fn.grad(lambda w, i: functional.cross_entropy(w[:2], i)),
    "multi_margin_loss": lambda w, i: functional.multi_margin_loss(w[:2], i),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("last", [3, -1])
@pytest.mark.parametrize("name", rows(LOOKUPS, ("embedding_rows", "embedding_grad", "index_add")))
def test_an_index_that_torch_refuses(name: str, last: int, backend: str) -> None:
    f, w = LOOKUPS[name], torch.arange(9.0).reshape(3, 3)
    good, bad = torch.tensor([0, 2]), torch.tensor([0, last])
    torch.testing.assert_close(jit(f, backend=backend)(w, good), f(w, good))
    with pytest.raises((IndexError, RuntimeError)):
        f(w, bad)
    with pytest.raises((IndexError, RuntimeError), match="out of|out-of"):
        jit(f, backend=backend)(w, bad)


POOLED = {
    "1d": (functional.max_unpool1d, torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[0, 3], [1, 2]]])),
    "2d": (functional.max_unpool2d, torch.tensor([[[[1.0]], [[3.0]]]]), torch.tensor([[[[2]], [[1]]]])),
    "3d": (functional.max_unpool3d, torch.tensor([[[[1.0]]], [[[3.0]]]]), torch.tensor([[[[2]]], [[[1]]]])),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", rows(POOLED, ("1d",)))
def test_an_unpooled_index_outside_of_its_own_volume(name: str, backend: str) -> None:
    pool, x, good = POOLED[name]
    f = lambda x, index: pool(x, index, 2)  # noqa: E731
    torch.testing.assert_close(jit(f, backend=backend)(x, good), f(x, good))
    torch.testing.assert_close(jit(fn.vmap(f), backend=backend)(x[None], good[None])[0], f(x, good))
    for index in (-1, 8 if name == "3d" else 4):  # in the first of two volumes; it would be an index of the second
        bad = good.flatten().index_fill(0, torch.tensor(0), index).reshape(good.shape)
        with pytest.raises(RuntimeError, match="invalid max index"):
            f(x, bad)
        with pytest.raises(IndexError, match="out of"):
            jit(f, backend=backend)(x, bad)
        with pytest.raises(IndexError, match="out of"):
            jit(fn.vmap(f), backend=backend)(torch.stack([x] * 2), torch.stack([good, bad]))


FILLS = {
    "number": lambda w, i: w.index_fill(0, i, 5.0),
    "tensor": lambda w, i: w.index_fill(1, i, w[0, 1]),
    "in_place": lambda w, i: w.clone().index_fill_(-1, i, 5.0),
    "0-d": lambda w, i: w[0, 0].index_fill(0, i[:1] * 0 - 1, 5.0) + i,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", FILLS)
def test_filled_rows_count_from_the_end(name: str, backend: str) -> None:
    f, w = FILLS[name], torch.arange(9.0).reshape(3, 3)
    index = torch.tensor([0, -1])
    torch.testing.assert_close(jit(f, backend=backend)(w, index), f(w, index))
    for bad in ([0, -4], [3, 1])[: 0 if name == "0-d" else 2]:
        with pytest.raises(IndexError):
            jit(f, backend=backend)(w, torch.tensor(bad))


LABELS = [[2, 0, -1], [1, -1, 0], [-1, 0, 1], [1, 1, 1], [0, 1, 2]]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_labels_end_at_the_first_that_is_none(reduction: str) -> None:
    f = lambda x, labels: functional.multilabel_margin_loss(x, labels, reduction=reduction)  # noqa: E731
    x, labels = torch.linspace(-1, 1, 15).reshape(5, 3).sin(), torch.tensor(LABELS)
    torch.testing.assert_close(jit(f)(x, labels), f(x, labels))
    torch.testing.assert_close(jit(f)(x[0], labels[0]), f(x[0], labels[0]))
    torch.testing.assert_close(
        jit(fn.vmap(f))(x, labels), torch.stack([f(*row) for row in zip(x, labels, strict=True)])
    )
    with pytest.raises(IndexError):
        jit(f)(x, labels - 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"padding_idx": -1}, {"scale_grad_by_freq": True}])
def test_gradients_of_an_embedding(options: dict, backend: str) -> None:
    w, i = torch.randn(4, 3, dtype=torch.float64), torch.tensor([[0, 1, 1], [3, 1, 0]])
    g = torch.arange(18.0, dtype=torch.float64).reshape(2, 3, 3)
    leaf = w.clone().requires_grad_()
    (functional.embedding(i, leaf, **options) * g).sum().backward()
    f = fn.grad(lambda w, i: (functional.embedding(i, w, **options) * g).sum())
    torch.testing.assert_close(jit(f, backend=backend)(w, i), leaf.grad)
    torch.testing.assert_close(jit(fn.vmap(f, in_dims=(None, 0)), backend=backend)(w, i[None])[0], leaf.grad)


SEEN = []


@pytest.fixture(scope="module")
def note():
    library = torch.library.Library("funcnet_tests", "DEF")
    library.define("note(Tensor x) -> ()")
    library.impl("note", lambda x: SEEN.append(x.item()), "CPU")
    library.impl("note", lambda x: None, "Meta")
    yield torch.ops.funcnet_tests.note
    library._destroy()


def test_an_operation_without_results_runs_at_every_step(note) -> None:
    def run(x: Tensor) -> Tensor:
        return fn.scan(lambda c, _: (c + 1, note(c)), x, length=3)[0]

    call = jit(run)
    assert call(torch.tensor(1.0)) == 4 and SEEN == [1.0, 2.0, 3.0]
    assert "note" in call.explain(torch.tensor(1.0)).reason
