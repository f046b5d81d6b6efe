"""Functions, factors and equations of matrices."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from funcnet.control_flow import scan
from funcnet.numpy.promotion import ArrayLike, as_tensor, conjugated, floating, inexact

__all__ = [
    "eigh_tridiagonal", "expm", "expm_frechet", "funm", "hessenberg", "polar", "qr_multiply", "solve_sylvester",
    "sqrtm",
]  # fmt: skip


def expm(A: ArrayLike, *, upper_triangular: bool = False, max_squarings: int = 16) -> Tensor:  # noqa: N803
    """The exponential of a matrix.

    Example:
        >>> fn.scipy.linalg.expm(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        tensor([[1., 1.],
                [0., 1.]])
    """
    return torch.linalg.matrix_exp(inexact(as_tensor("expm", A)))


def expm_frechet(
    A: ArrayLike,  # noqa: N803
    E: ArrayLike,  # noqa: N803
    *,
    method: str | None = None,
    compute_expm: bool = True,
) -> Any:
    """The exponential of a matrix A, and its derivative in the direction E; the latter alone unless compute_expm."""
    x, direction = floating("expm_frechet", A, E)
    n = x.shape[-1]
    blocks = torch.cat([torch.cat([x, direction], -1), torch.cat([torch.zeros_like(x), x], -1)], -2)
    both = torch.linalg.matrix_exp(blocks)
    derivative = both[..., :n, n:]
    return (both[..., :n, :n], derivative) if compute_expm else derivative


def funm(A: ArrayLike, func: Callable[[Tensor], Tensor], disp: bool = True) -> Tensor:  # noqa: N803
    """A function of a square matrix, by that of its eigenvalues.

    Args:
        A: A matrix with as many eigenvectors as rows.
        func: A function of a vector of complex numbers.
        disp: Must be True: there is no estimate of the error.
    Returns:
        A complex matrix.
    Example:
        >>> fn.scipy.linalg.funm(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.log).real
        tensor([[0.5493, 0.5493],
                [0.5493, 0.5493]])
    """
    if not disp:
        raise NotImplementedError("funm: expected disp=True, got disp=False; there is no estimate of the error.")
    x = inexact(as_tensor("funm", A))
    wide = torch.complex128 if x.is_complex() else torch.float64  # real eigenvalues of a real matrix have no noise
    values, vectors = torch.linalg.eig(x.to(wide))  # twice the digits, as eigenvectors may be almost equal
    result = torch.linalg.solve(vectors, vectors * func(values)[..., None, :], left=False)
    return result.to(x.dtype.to_complex())


def sqrtm(A: ArrayLike, blocksize: int = 1) -> Tensor:  # noqa: N803
    """The principal square root of a matrix that has as many eigenvectors as rows, a complex matrix.

    Unlike that of JAX, it is differentiable, if the eigenvalues differ. A real matrix without negative eigenvalues has
    a real root: take its real part.

    Example:
        >>> fn.scipy.linalg.sqrtm(torch.tensor([[4.0, 1.0], [0.0, 9.0]])).real
        tensor([[2.0000, 0.2000],
                [0.0000, 3.0000]])
    """
    return funm(A, torch.sqrt)


def polar(a: ArrayLike, side: str = "right", **options: Any) -> tuple[Tensor, Tensor]:
    """The decomposition a = u p, or a = p u for side "left", with u of orthonormal columns or rows, p positive.

    Args:
        a: A matrix.
        side: The side of u on which p is.
        **options: Those of JAX's iteration, without effect: the decomposition is that of the singular values.
    Raises:
        ValueError: The side is unknown.
    """
    if side not in ("right", "left"):
        raise ValueError(f"polar: expected side to be 'right' or 'left', got {side!r}.")
    left, values, right = torch.linalg.svd(inexact(as_tensor("polar", a)), full_matrices=False)
    basis = right.mH if side == "right" else left
    return left @ right, (basis * values[..., None, :].to(basis.dtype)) @ basis.mH


def solve_sylvester(A: ArrayLike, B: ArrayLike, C: ArrayLike, *, method: str = "schur", tol: float = 1e-8) -> Tensor:  # noqa: N803
    """The X with A X + X B = C, for matrices A of size n and B of size m, as a system of n m unknowns.

    method and tol are accepted and have no effect.
    """
    a, b, c = floating("solve_sylvester", A, B, C)
    n, m = c.shape[-2:]
    eyes = (torch.eye(size, dtype=c.dtype, device=c.device) for size in (m, n))
    left, right = next(eyes), next(eyes)
    system = torch.kron(a, left) + torch.kron(right, b.mT.contiguous())
    return torch.linalg.solve(system, c.reshape(-1)).reshape(n, m)


def eigh_tridiagonal(
    d: ArrayLike,
    e: ArrayLike,
    *,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: tuple[int, int] | None = None,
    tol: float | None = None,
) -> Any:
    """The eigenvalues, ascending, of a symmetric matrix with diagonal d and e next to it, and the eigenvectors.

    Args:
        d: The diagonal, (n,).
        e: The elements above it, (n - 1,); below it are their conjugates.
        eigvals_only: Whether to return the eigenvalues alone.
        select: "a" for all eigenvalues; "i" for those from the first to the last place of select_range.
        select_range: Two places from 0, both included.
        tol: Accepted; it has no effect.
    Raises:
        ValueError: select is neither "a" nor "i".
    """
    diagonal, above = floating("eigh_tridiagonal", d, e)
    if select not in ("a", "i"):
        raise ValueError(f"eigh_tridiagonal: expected select to be 'a' or 'i', got {select!r}.")
    matrix = torch.diag(diagonal) + torch.diag(above, 1) + torch.diag(conjugated(above), -1)
    first, last = (0, len(diagonal) - 1) if select == "a" or select_range is None else select_range
    if eigvals_only:
        return torch.linalg.eigvalsh(matrix)[first : last + 1]
    values, vectors = torch.linalg.eigh(matrix)
    return values[first : last + 1], vectors[:, first : last + 1]


def hessenberg(
    a: ArrayLike, *, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Tensor | tuple[Tensor, Tensor]:
    """The matrix H = Q^H a Q that is zero below the diagonal under the main one, and the unitary Q if calc_q.

    Args:
        a: Square matrices, (*, n, n).
        calc_q: Whether to return (H, Q).
        overwrite_a, check_finite: Accepted; they have no effect.
    Raises:
        ValueError: The matrices are not square.
    Source:
        Golub, Van Loan (2013), Matrix Computations, algorithm 7.4.2; signs are those of LAPACK's gehrd.
    Example:
        >>> fn.scipy.linalg.hessenberg(torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0], [4.0, 1.0, 0.0]]))
        tensor([[ 1.0000, -1.2000, -1.6000],
                [-5.0000,  0.9600,  0.2800],
                [ 0.0000,  0.2800, -0.9600]])
    """
    x = inexact(as_tensor("hessenberg", a))
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"hessenberg: expected square matrices, got shape {tuple(x.shape)}.")
    rows = torch.arange(x.shape[-1], device=x.device)

    def step(carry: tuple[Tensor, Tensor], k: Tensor) -> tuple[tuple[Tensor, Tensor], None]:
        h, q = carry
        column = torch.where(rows > k, h.index_select(-1, k.reshape(1))[..., 0], 0)
        v, scale = _reflector(column, rows == k + 1)
        h = h - (scale.conj() * v)[..., None] * (v[..., None, :].conj() @ h)
        h, q = (m - (m @ v[..., None]) * (scale * v.conj())[..., None, :] for m in (h, q))
        return (h, q), None

    q = torch.eye(len(rows), dtype=x.dtype, device=x.device).expand(x.shape)
    steps = rows[: -1 if x.is_complex() else -2]  # the last one makes the last element of a complex matrix real
    h, q = scan(step, (x, q), steps)[0] if len(steps) else (x, q)
    return (h.triu(-1), q) if calc_q else h.triu(-1)


def _reflector(column: Tensor, is_first: Tensor) -> tuple[Tensor, Tensor]:
    """Return v, with a first element of 1, and s such that I - conj(s) v v^H maps a vector to its first axis."""
    first = torch.where(is_first, column, 0).sum(-1, keepdim=True)
    is_done = ((column == 0) | is_first).all(-1, keepdim=True) & (first.imag == 0 if first.is_complex() else True)
    norm = torch.linalg.vector_norm(torch.where(is_done, 1, column), dim=-1, keepdim=True)
    real = first.real if first.is_complex() else first
    image = torch.where(is_done, 1, torch.where(real < 0, norm, -norm))
    v = torch.where(is_first, 1, column / torch.where(is_done, 1, first - image))
    return v, torch.where(is_done, 0, (image - first) / image)


def qr_multiply(
    a: ArrayLike,
    c: ArrayLike,
    mode: str = "right",
    pivoting: bool = False,
    conjugate: bool = False,
    overwrite_a: bool = False,
    overwrite_c: bool = False,
) -> tuple[Tensor, Tensor]:
    """The product c @ Q, or Q @ c for mode "left", and R, with the factors of a = Q R; of conj(Q) if conjugate.

    Raises:
        ValueError: The mode is unknown.
        NotImplementedError: pivoting is asked for, which torch lacks.
    Example:
        >>> a = torch.tensor([[3.0, 1.0], [4.0, 2.0]])
        >>> product, r = fn.scipy.linalg.qr_multiply(a, torch.tensor([7.0, 10.0]))
        >>> torch.allclose(fn.scipy.linalg.solve_triangular(r, product), torch.tensor([2.0, 1.0]))
        True
    """
    if mode not in ("right", "left"):
        raise ValueError(f"qr_multiply: expected mode to be 'right' or 'left', got {mode!r}.")
    if pivoting:
        raise NotImplementedError("qr_multiply: expected pivoting=False; torch has no factors with exchanged columns.")
    x, y = floating("qr_multiply", a, c)
    q, r = torch.linalg.qr(x)
    q = q.conj() if conjugate else q
    return (y @ q if mode == "right" else q @ y), r
