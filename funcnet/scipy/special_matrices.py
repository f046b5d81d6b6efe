"""Matrices with a known structure."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from funcnet.numpy.promotion import ArrayLike, DType, as_dtype, as_tensor, conjugated, promote

__all__ = [
    "block_diag", "circulant", "companion", "convolution_matrix", "dft", "fiedler", "hadamard", "hankel", "helmert",
    "hilbert", "invhilbert", "invpascal", "leslie", "pascal", "toeplitz",
]  # fmt: skip


def _vector(name: str, x: ArrayLike) -> Tensor:
    return as_tensor(name, x).reshape(-1)


def _places(x: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    return torch.arange(rows, device=x.device)[:, None], torch.arange(columns, device=x.device)


def toeplitz(c: ArrayLike, r: ArrayLike | None = None) -> Tensor:
    """A matrix with constant diagonals: first column c, first row r, by default the conjugate of c.

    Example:
        >>> fn.scipy.linalg.toeplitz(torch.tensor([1, 2, 3]))
        tensor([[1, 2, 3],
                [2, 1, 2],
                [3, 2, 1]])
    """
    column = _vector("toeplitz", c)
    column, row = promote("toeplitz", column, conjugated(column) if r is None else r)
    i, k = _places(row, len(column), row.numel())
    return torch.where(i >= k, column[(i - k).clamp(min=0)], row.reshape(-1)[(k - i).clamp(min=0)])


def hankel(c: ArrayLike, r: ArrayLike | None = None) -> Tensor:
    """A matrix with constant antidiagonals: first column c, last row r, by default zeros; r[0] is not used."""
    column = _vector("hankel", c)
    column, row = promote("hankel", column, torch.zeros_like(column) if r is None else r)
    values = torch.cat([column, row.reshape(-1)[1:]])
    i, k = _places(row, len(column), row.numel())
    return values[i + k]


def circulant(c: ArrayLike) -> Tensor:
    """A matrix whose columns are the vector c, each moved down by one more place, around the end.

    Example:
        >>> fn.scipy.linalg.circulant(torch.tensor([1, 2, 3]))
        tensor([[1, 3, 2],
                [2, 1, 3],
                [3, 2, 1]])
    """
    x = as_tensor("circulant", c)
    i, k = _places(x, x.shape[-1], x.shape[-1])
    return x[..., (i - k) % x.shape[-1]]


def convolution_matrix(a: ArrayLike, n: int, mode: str = "full") -> Tensor:
    """The matrix that convolves vectors of length n with a: `convolution_matrix(a, n) @ v` is `convolve(a, v, mode)`.

    Raises:
        ValueError: The mode is not "full", "same" or "valid", or a is empty or not a vector.
    """
    x = as_tensor("convolution_matrix", a)
    if mode not in ("full", "same", "valid") or x.ndim != 1 or len(x) == 0:
        raise ValueError(
            f"convolution_matrix: expected a vector and mode 'full', 'same' or 'valid', got shape {tuple(x.shape)} "
            f"and {mode!r}."
        )
    length = len(x) + n - 1
    kept = {"full": length, "same": max(len(x), n), "valid": max(len(x), n) - min(len(x), n) + 1}[mode]
    start = (length - kept) // 2
    i, k = _places(x, kept, n)
    place = i + start - k
    return torch.where((place >= 0) & (place < len(x)), x[place.clamp(0, len(x) - 1)], 0)


def companion(a: ArrayLike) -> Tensor:
    """A matrix whose eigenvalues are the roots of the polynomial with coefficients a, the highest power first."""
    x = as_tensor("companion", a)
    if x.ndim != 1 or len(x) < 2:
        raise ValueError(f"companion: expected a vector of at least 2 coefficients, got shape {tuple(x.shape)}.")
    first = -x[1:] / x[0]
    shifted = torch.eye(len(first), dtype=first.dtype, device=x.device)[:-1]
    return torch.cat([first[None], shifted])


def fiedler(a: ArrayLike) -> Tensor:
    """The absolute differences of all pairs of a vector."""
    x = as_tensor("fiedler", a)
    return torch.abs(x[:, None] - x)


def leslie(f: ArrayLike, s: ArrayLike) -> Tensor:
    """A population's step of one year: fecundities f in the first row, survival s below the diagonal."""
    first, below = promote("leslie", f, s)
    if first.ndim != 1 or below.shape != (len(first) - 1,):
        raise ValueError(f"leslie: expected f of shape (n,), s of shape (n - 1,), got {first.shape}, {below.shape}.")
    return torch.cat([first[None], torch.nn.functional.pad(torch.diag(below), (0, 1))])


def dft(n: int, scale: str | None = None, *, dtype: DType | None = None) -> Tensor:
    """The matrix of the discrete Fourier transform: `dft(n) @ x` is `fft(x)`.

    Args:
        n: Its size.
        scale: "sqrtn" divides by sqrt(n), "n" by n.
        dtype: A complex dtype, by default complex64.
    Raises:
        ValueError: The scale is unknown.
    """
    if scale not in (None, "sqrtn", "n"):
        raise ValueError(f"dft: expected scale to be None, 'sqrtn' or 'n', got {scale!r}.")
    kind = torch.complex64 if dtype is None else as_dtype("dft", dtype)
    powers = torch.arange(n)[:, None] * torch.arange(n) % max(n, 1)
    angle = powers.double() * (-2 * math.pi / max(n, 1))
    matrix = torch.complex(torch.cos(angle), torch.sin(angle))
    return (matrix / {None: 1, "sqrtn": math.sqrt(n), "n": n}[scale]).to(kind)


def hadamard(n: int, dtype: DType = int) -> Tensor:
    """Hadamard's matrix of signs with orthogonal rows, of a size that is a power of 2."""
    if n < 1 or n & (n - 1):
        raise ValueError(f"hadamard: expected n to be a power of 2, got {n}.")
    matrix, block = torch.ones(1, 1), torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    while len(matrix) < n:
        matrix = torch.kron(matrix, block)
    return matrix.to(as_dtype("hadamard", dtype))


def helmert(n: int, full: bool = False) -> Tensor:
    """Helmert's matrix of orthonormal contrasts of n groups: (n - 1, n), or (n, n) with the mean as its first row."""
    i, k = torch.arange(1, n)[:, None], torch.arange(n)
    contrasts = torch.where(k < i, 1.0, torch.where(k == i, -i.to(torch.float32), 0.0)) / torch.sqrt(i * (i + 1.0))
    return torch.cat([torch.full((1, n), n**-0.5), contrasts]) if full else contrasts


def hilbert(n: int) -> Tensor:
    """The matrix 1 / (i + k + 1)."""
    return 1 / (torch.arange(n)[:, None] + torch.arange(n) + 1.0)


def _of_integers(n: int, entry: Callable[[int, int], int]) -> Tensor:
    """Return a matrix of exact integers, as floating-point numbers."""
    return torch.tensor([[float(entry(i, k)) for k in range(n)] for i in range(n)], dtype=torch.float32).reshape(n, n)


def invhilbert(n: int) -> Tensor:
    """The inverse of `hilbert(n)`, whose entries are integers."""

    def entry(i: int, k: int) -> int:
        ways = math.comb(n + i, n - k - 1) * math.comb(n + k, n - i - 1) * math.comb(i + k, i) ** 2
        return (-1) ** (i + k) * (i + k + 1) * ways

    return _of_integers(n, entry)


_PASCAL: dict[str, Callable[[int, int], int]] = {
    "symmetric": lambda i, k: math.comb(i + k, i),
    "lower": lambda i, k: math.comb(i, k),
    "upper": lambda i, k: math.comb(k, i),
}


def pascal(n: int, kind: str | None = None) -> Tensor:
    """Pascal's triangle as a matrix: "symmetric" (the default), "lower" or "upper"."""
    return _of_integers(n, _kind("pascal", kind))


def invpascal(n: int, kind: str | None = None) -> Tensor:
    """The inverse of `pascal(n, kind)`."""
    entry = _kind("invpascal", kind)
    if entry is not _PASCAL["symmetric"]:
        return _of_integers(n, lambda i, k: (-1) ** (i + k) * entry(i, k))
    return _of_integers(n, lambda i, k: (-1) ** (i + k) * sum(math.comb(j, i) * math.comb(j, k) for j in range(n)))


def _kind(name: str, kind: str | None) -> Callable[[int, int], int]:
    if kind not in (None, *_PASCAL):
        raise ValueError(f"{name}: expected kind to be one of {', '.join(_PASCAL)}, got {kind!r}.")
    return _PASCAL[kind or "symmetric"]


def block_diag(*arrs: ArrayLike) -> Tensor:
    """A matrix with these on its diagonal; a vector is a row.

    Example:
        >>> fn.scipy.linalg.block_diag(torch.ones(1, 1), torch.tensor([[2.0, 3.0]]))
        tensor([[1., 0., 0.],
                [0., 2., 3.]])
    """
    return torch.block_diag(*promote("block_diag", *arrs))
