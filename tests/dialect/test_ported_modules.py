"""jax.scipy.sparse.linalg, jax.ops, jax.image and others: derivatives, trees, compilation and errors."""

import pytest
import torch
from torch.testing import assert_close

import funcnet as fn
from funcnet import numpy as jnp
from funcnet import tree_util

KRYLOV = fn.scipy.sparse.linalg
A = torch.tensor([[4.0, 1.0, -0.5], [0.25, 3.0, 1.0], [1.5, 0.5, -2.0]], dtype=torch.float64)
S = A @ A.T + torch.eye(3)
B = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
SOLVERS = {"cg": (KRYLOV.cg, S), "bicgstab": (KRYLOV.bicgstab, A), "gmres": (KRYLOV.gmres, A)}
solvers = pytest.mark.parametrize("name", SOLVERS)


def solution(name):
    """Return the matrix, and a function of matrix and vector that solves to rounding."""
    solver, matrix = SOLVERS[name]
    return matrix, lambda a, b: solver(lambda v: a @ v, b, tol=1e-13)[0]


@solvers
def test_solutions_and_their_derivatives_are_those_of_a_direct_solver(name):
    matrix, solve = solution(name)
    assert_close(solve(matrix, B), torch.linalg.solve(matrix, B), rtol=1e-11, atol=1e-12)

    def total(solve):
        return lambda a, b: torch.sin(solve((a + a.mT) / 2 if name == "cg" else a, b)).sum()

    for derivative in (fn.grad, fn.jacfwd):
        ours, direct = (derivative(total(f), 0)(matrix, B) for f in (solve, torch.linalg.solve))
        assert_close(ours, direct, rtol=1e-8, atol=1e-9)
    assert_close(fn.grad(solve_sum(solve), 1)(matrix, B), fn.grad(solve_sum(torch.linalg.solve), 1)(matrix, B))


def solve_sum(solve):
    return lambda a, b: solve(a, b).sum()


@pytest.mark.slow
@solvers
def test_second_derivatives_are_those_of_a_direct_solver(name):
    matrix, solve = solution(name)
    ours, direct = (fn.hessian(lambda b: torch.sin(f(matrix, b)).prod())(B) for f in (solve, torch.linalg.solve))  # noqa: B023
    assert_close(ours, direct, rtol=1e-8, atol=1e-9)


@pytest.mark.few(1)
@solvers
def test_solvers_compile_and_map(name):
    matrix, solve = solution(name)
    systems = torch.stack([matrix, matrix + torch.eye(3)]), torch.stack([B, 3 * B])
    expected = torch.linalg.solve(*systems)
    assert_close(fn.vmap(solve)(*systems), expected, rtol=1e-10, atol=1e-11)
    assert_close(fn.jit(fn.vmap(solve))(*systems), expected, rtol=1e-10, atol=1e-11)
    assert_close(fn.jit(fn.grad(solve_sum(solve)))(matrix, B), fn.grad(solve_sum(solve))(matrix, B))


@solvers
def test_trees_complex_numbers_and_exact_starts(name):
    solver, matrix = SOLVERS[name]
    b = {"x": B[:2], "y": B[2:]}

    def product(v):
        image = matrix @ torch.cat([v["x"], v["y"]])
        return {"x": image[:2], "y": image[2:]}

    x, info = solver(product, b, tol=1e-12)
    assert info is None
    assert_close(torch.cat([x["x"], x["y"]]), torch.linalg.solve(matrix, B), rtol=1e-10, atol=1e-11)
    exact = torch.linalg.solve(matrix, B)
    assert_close(solver(matrix, B, x0=exact)[0], exact)
    assert torch.equal(solver(matrix, 0 * B)[0], 0 * B)
    skew = torch.tensor([[0, 1, -2], [-1, 0, 0.5], [2, -0.5, 0]], dtype=torch.float64)
    hermitian = matrix + 1j * skew  # Hermitian where matrix is symmetric
    right = torch.complex(B, B.flip(0))
    assert_close(solver(hermitian, right, tol=1e-12)[0], torch.linalg.solve(hermitian, right), rtol=1e-9, atol=1e-10)


def test_gmres_ends_early_where_the_krylov_space_contains_the_solution():
    diagonal = torch.tensor([2.0, 2.0, 2.0, 5.0], dtype=torch.float64)  # two eigenvalues: a space of two dimensions
    b = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    assert_close(KRYLOV.gmres(lambda v: diagonal * v, b, tol=1e-12)[0], b / diagonal)


def test_gmres_of_singular_matrices_is_the_best_of_its_space():
    ones, b = torch.ones(2, 2, dtype=torch.float64), torch.tensor([2.0, 1.0], dtype=torch.float64)
    for solve in (KRYLOV.gmres, fn.jit(KRYLOV.gmres)):
        assert_close(ones @ solve(ones, b)[0], torch.full_like(b, 1.5))  # no x is nearer
        assert torch.equal(solve(0 * ones, b)[0], 0 * b)


@solvers
def test_a_real_right_hand_side_of_a_complex_matrix_becomes_complex(name):
    solver, matrix = SOLVERS[name]
    skew = torch.tensor([[0, 1, -2], [-1, 0, 0.5], [2, -0.5, 0]], dtype=torch.float64)
    assert_close(solver(matrix + 1j * skew, B, tol=1e-12)[0], torch.linalg.solve(matrix + 1j * skew, B + 0j))


@pytest.mark.parametrize("f", [fn.ops.segment_sum, fn.ops.segment_prod, fn.ops.segment_max, fn.ops.segment_min])
def test_segments_have_the_derivatives_of_loops(f):
    data, ids = torch.tensor([[1.5, 2.0], [-3.0, 0.5], [2.0, 4.0]], dtype=torch.float64), torch.tensor([2, 0, 2])
    loop = {
        fn.ops.segment_sum: lambda x: x.sum(0),
        fn.ops.segment_prod: lambda x: x.prod(0),
        fn.ops.segment_max: lambda x: x.amax(0),
        fn.ops.segment_min: lambda x: x.amin(0),
    }[f]
    expected = fn.grad(lambda x: (loop(x[[0, 2]]) + 3 * loop(x[1:2])).sum())(data)
    got = fn.grad(lambda x: (f(x, ids, 3) * torch.tensor([[3.0], [0.0], [1.0]])).nan_to_num(0, 0, 0).sum())(data)
    assert_close(got, expected)


def test_segments_of_bools_and_of_nothing():
    assert fn.ops.segment_max(torch.tensor([True, False]), torch.tensor([1, 2]), 3).tolist() == [False, True, False]
    assert fn.ops.segment_min(torch.tensor([True, False]), torch.tensor([1, 2]), 3).tolist() == [True, True, False]
    assert fn.ops.segment_sum(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), 2).tolist() == [[0, 0], [0, 0]]
    assert fn.ops.segment_sum(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)).shape == (0, 2)


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "lanczos3"])
def test_images_of_equal_pixels_and_of_their_own_size_do_not_change(method):
    image = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(fn.image.resize(image, (3, 4), method), image)
    assert_close(fn.image.resize(torch.full((3, 4), 2.5), (5, 2), method), torch.full((5, 2), 2.5))


def test_images_of_double_precision_have_weights_of_double_precision():
    cubic = fn.image.resize(torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64), (7,), "cubic")
    first = [0.615384615384615, 1.4016620498614958, 3.4376731301939065, 5.0]  # JAX's
    assert_close(cubic[:4], torch.tensor(first, dtype=torch.float64), rtol=1e-14, atol=0)


def test_interpolated_integers_round_halves_away_from_zero():
    found = fn.scipy.ndimage.map_coordinates(torch.tensor([0, 1, 2, -3]), [torch.tensor([0.5, 1.5, 2.5])], 1)
    assert found.tolist() == [1, 2, -1]


def test_valid_convolutions_along_some_axes_take_the_smaller_tensor_first_too():
    x, y = torch.arange(6.0).reshape(2, 3), torch.arange(10.0).reshape(2, 5)
    expected = torch.stack([fn.scipy.signal.convolve(*rows, "valid") for rows in zip(x, y, strict=True)])
    for pair in ((x, y), (y, x)):
        assert_close(fn.scipy.signal.fftconvolve(*pair, "valid", axes=1), expected)


def test_bits_of_unsigned_integers():
    largest = torch.tensor([2**64 - 3, 2**63, 5], dtype=torch.uint64)
    assert jnp.bitwise_count(largest).tolist() == [63, 1, 2]
    with pytest.raises(TypeError, match="bitwise_count: expected integers"):
        jnp.bitwise_count(torch.ones(2))


@pytest.mark.parametrize("left_side", [True, False])
def test_the_right_hand_side_of_a_triangular_system_may_be_a_vector(left_side):
    options = {"left_side": left_side, "lower": True, "transpose_a": True, "unit_diagonal": True}
    columns = B[:, None] if left_side else B[None]
    expected = fn.lax.linalg.triangular_solve(A, columns, **options).flatten()
    assert_close(fn.lax.linalg.triangular_solve(A, B, **options), expected)


def test_choices_with_repetition():
    things, chosen = torch.tensor([0, 0, 0, 1, 3, 3, -1]), torch.tensor([0, 2, -1, 4, 0, 2, 0])
    assert fn.scipy.special.comb(things, chosen, repetition=True).round().tolist() == [1, 0, 0, 1, 1, 6, 0]


def test_all_leaves_become_one_vector_and_return_with_their_dtypes():
    values = {"n": torch.tensor([3, 4]), "w": torch.ones(2, 1), "h": torch.tensor(0.5, dtype=torch.float16), "k": 7}
    vector, unravel = fn.flatten_util.ravel_pytree(values)
    assert vector.tolist() == [0.5, 7, 3, 4, 1, 1] and vector.dtype == torch.float32
    again = unravel(vector)
    assert {name: x.dtype for name, x in again.items()} == {
        "n": torch.int64, "w": torch.float32, "h": torch.float16, "k": torch.int32,
    }  # fmt: skip
    assert again["w"].shape == (2, 1)
    assert fn.flatten_util.ravel_pytree(())[0].shape == (0,)


def test_structures_as_values():
    leaf, node = tree_util.tree_structure(1), tree_util.tree_structure({"a": 1, "b": (2, 3)})
    assert tree_util.treedef_is_leaf(leaf) and not tree_util.treedef_is_leaf(node)
    assert not tree_util.treedef_is_leaf(tree_util.tree_structure(()))
    assert tree_util.treedef_children(node) == [leaf, tree_util.tree_structure((0, 0))]
    assert tree_util.treedef_tuple([leaf, node]) == tree_util.tree_structure((0, {"a": 1, "b": (2, 3)}))
    assert tree_util.all_leaves([1, torch.ones(2)]) and not tree_util.all_leaves([1, (2,)])


def test_classes_become_nodes_by_their_methods():
    @tree_util.register_pytree_with_keys_class
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

        def tree_flatten_with_keys(self):
            return (("a", self.a), ("b", self.b)), None

        @classmethod
        def tree_unflatten(cls, rest, children):
            return cls(*children)

    doubled = fn.tree.map(lambda x: 2 * x, Pair(1, (2, 3)))
    assert (doubled.a, doubled.b) == (2, (4, 6))

    @tree_util.register_static
    class Name(str):
        pass

    traces = []
    jitted = fn.jit(lambda name, x: traces.append(name) or x, backend="eager")
    for name in ("a", "b", "a"):
        jitted(Name(name), torch.ones(1))
    assert traces == ["a", "b"]


def test_a_kernel_of_a_convolution_keeps_norms():
    init = fn.nn.initializers.delta_orthogonal(2.0)
    kernel = init(fn.random.key(0), (3, 4, 2, 5))
    middle = kernel[1, 1]
    jax = [[-1.7996418, 0.4759696, -0.7312607], [0.5606728, 1.9151733, -0.1332575]]
    assert_close(init(fn.random.key(3), (3, 2, 2, 3))[1, 0], torch.tensor(jax), rtol=1e-5, atol=1e-6)
    assert_close(middle @ middle.T, 4 * torch.eye(2))
    assert kernel.count_nonzero() == middle.count_nonzero()
    assert init(fn.random.key(0), (3, 2, 2), torch.float64).dtype == torch.float64


X = torch.ones(2, 3)
WRONG = {
    "segment_sum: expected segment_ids of shape (n,)": lambda: fn.ops.segment_sum(X, torch.tensor([1]), 2),
    "segment_sum: expected num_segments of at least 0": lambda: fn.ops.segment_sum(X, torch.tensor([0, 1]), -1),
    "resize: expected a shape of 2 sizes": lambda: fn.image.resize(X, (2,), "linear"),
    "resize: expected a method among": lambda: fn.image.resize(X, (2, 2), "quadratic"),
    "scale_and_translate: expected a method that": lambda: fn.image.scale_and_translate(
        X, (2, 3), (0,), torch.ones(1), torch.zeros(1), "nearest"
    ),
    "ravel_pytree: expected a vector of 6 numbers": lambda: fn.flatten_util.ravel_pytree(X)[1](torch.ones(5)),
    "convolve: expected a mode among": lambda: fn.scipy.signal.convolve(X, X, "half"),
    "convolve: expected method to be": lambda: fn.scipy.signal.convolve(X, X, method="fast"),
    "fftconvolve: expected a mode among": lambda: fn.scipy.signal.fftconvolve(X, X, "half", axes=0),
    "convolve: expected tensors of the same rank": lambda: fn.scipy.signal.convolve(X, X[0]),
    "convolve: expected one tensor to be at least as large": lambda: fn.scipy.signal.convolve(X, X.T, "valid"),
    "convolve2d: expected two matrices": lambda: fn.scipy.signal.convolve2d(X[0], X[0]),
    "map_coordinates: expected coordinates of 2 axes": lambda: fn.scipy.ndimage.map_coordinates(X, [X], 1),
    "map_coordinates: expected a mode among": lambda: fn.scipy.ndimage.map_coordinates(X, [X, X], 1, "loop"),
    "cg: expected x0 to be like b": lambda: KRYLOV.cg(S, B, x0=B[:2]),
    "cg: expected a function, or a square matrix": lambda: KRYLOV.cg(S, B[:2]),
    "cg: expected A and M to return trees like b": lambda: KRYLOV.cg(lambda v: v[:2], B),
    "gmres: expected A and M to return trees like b": lambda: KRYLOV.gmres(lambda v: v * 1j, B),
    "gmres: expected solve_method": lambda: KRYLOV.gmres(S, B, solve_method="fast"),
    "split: expected sizes that sum to 2": lambda: fn.lax.split(X, (1, 2)),
    "delta_orthogonal: expected a shape": lambda: fn.nn.initializers.delta_orthogonal()(fn.random.key(0), (3, 4, 2)),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors(message):
    with pytest.raises(ValueError) as info:
        WRONG[message]()
    assert message in str(info.value)


def test_what_is_not_available_says_so():
    for call in (
        lambda: fn.scipy.ndimage.map_coordinates(X, [X, X], 3),
        lambda: fn.scipy.signal.convolve2d(X, X, boundary="wrap"),
        lambda: fn.scipy.special.comb(5, 2, exact=True),
    ):
        with pytest.raises(NotImplementedError, match=": expected"):
            call()


def test_a_permutation_of_pivots_orders_the_rows():
    factors, _, order = fn.lax.linalg.lu(torch.stack([A, A.flip(0)]))
    lower, upper = torch.tril(factors, -1) + torch.eye(3), torch.triu(factors)
    for i, matrix in enumerate((A, A.flip(0))):
        assert_close(lower[i] @ upper[i], matrix[order[i].long()])


def test_a_large_tridiagonal_system_compiles():
    n = 50
    diagonals = [fn.random.uniform(fn.random.key(i), (n,), torch.float64) + (2.0 if i == 1 else 0.0) for i in range(3)]
    matrix = jnp.diag(diagonals[0][1:], -1) + jnp.diag(diagonals[1]) + jnp.diag(diagonals[2][:-1], 1)
    b = fn.random.normal(fn.random.key(5), (n, 2), torch.float64)
    expected = torch.linalg.solve(matrix, b)
    assert_close(fn.lax.linalg.tridiagonal_solve(*diagonals, b), expected)
    assert_close(fn.jit(fn.lax.linalg.tridiagonal_solve)(*diagonals, b), expected)
