"""How the transform of an axis is divided into shorter ones.

With n = p q, the index of an element is j = q j1 + j2, and that of a coefficient is k = k1 + p k2:

    X[k] = sum over j2 of w_q^(j2 k2) w_n^(j2 k1) (sum over j1 of w_p^(j1 k1) x[j]),  w_n = exp(-2 pi i / n)

An axis whose elements are neighbours is seen as such a matrix, so that vectors hold elements of several columns.

Source:
    Cooley, Tukey (1965), An algorithm for the machine calculation of complex Fourier series.
"""

import math

MOST = 61  # the largest prime factor of an axis; fourier_odd in native/c has arrays for its sums


def radices(n: int) -> list[int]:
    """Return the radices of the passes over an axis; none if it has a large prime factor, or one element."""
    found = []
    twos = (n & -n).bit_length() - 1 if n else 0
    found += [8] * ((twos - 2) // 3 if twos % 3 == 1 and twos > 1 else twos // 3)
    found += {0: [], 1: [4, 4] if twos > 1 else [2], 2: [4]}[twos % 3]
    rest, k = n >> twos, 3
    while rest > 1 and k <= MOST:
        if rest % k:
            k += 2
        else:
            found.append(k)
            rest //= k
    return found if rest == 1 else []


def padded(n: int) -> int:
    """Return the length of the transforms for an axis: of one with a large prime factor, that of a convolution.

    With 2 j k = j^2 + k^2 - (k - j)^2, X[k] = c_k sum over j of (c_j x[j]) / c_(k - j), where c_j = exp(-pi i j^2 / n).

    Source:
        Bluestein (1970), A linear filtering approach to the computation of discrete Fourier transform.
    """
    return n if n <= 1 or radices(n) else 1 << (2 * n - 2).bit_length()


def divided(n: int) -> tuple[int, int]:
    """Return the rows and columns of the matrix of an axis."""
    columns = max(k for k in range(1, math.isqrt(n) + 1) if n % k == 0)
    return n // columns, columns


def columns_at_once(n: int, columns: int, most: int) -> int:
    """Return how many columns a vector holds, of those of the array or of the matrix of an axis."""
    least = min(divided(n)) if columns == 1 else columns
    return min(most, 1 << (least.bit_length() - 1))
