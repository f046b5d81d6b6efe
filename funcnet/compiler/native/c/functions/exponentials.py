"""The C text of the exponential of a matrix, in the notation of `definitions`: Taylor's series of a scaled matrix.

With A scaled to a norm of at most 2.2 (float32) or 0.64, the series to the 16th power is exact to rounding. It is a
polynomial in A^4 whose coefficients are polynomials of degree 3. The result is squared as often as A was halved.

Source:
    Paterson, Stockmeyer (1973), On the number of nonscalar multiplications necessary to evaluate polynomials.
    Higham (2005), The scaling and squaring method for the matrix exponential revisited, on norms and scales.
"""

import math

_COEFFICIENTS = ", ".join((1 / math.factorial(k)).hex() for k in range(17))

MATRIX_EXP = f"""
static void multiply_S(const T *restrict a, const T *restrict b, T *restrict c, int n) {{
  for (int i = 0; i < n; ++i) {{
    for (int j = 0; j < n; ++j) c[i * n + j] = a[i * n] * b[j];
    for (int k = 1; k < n; ++k)
      for (int j = 0; j < n; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
  }}
}}
static void matrix_exp_S(T *a, int n, T *work) {{
  static const double f[] = {{{_COEFFICIENTS}}};
  const int size = n * n;
  T *second = work, *third = work + size, *fourth = third + size, *sum = fourth + size, *next = sum + size;
  T norm = 0, scale = 1;
  for (int j = 0; j < n; ++j) {{
    T column = 0;
    for (int i = 0; i < n; ++i) column += a[i * n + j] < 0 ? -a[i * n + j] : a[i * n + j];
    norm = norm >= column || norm != norm ? norm : column;
  }}
  int halvings = 0;
  if (norm - norm == 0)
    for (; norm * scale > (BITS_ == 32 ? 2.2 : 0.64); ++halvings) scale *= 0.5;
  for (int e = 0; e < size; ++e) a[e] *= scale;
  multiply_S(a, a, second, n);
  multiply_S(second, a, third, n);
  multiply_S(second, second, fourth, n);
  for (int e = 0; e < size; ++e) sum[e] = fourth[e] * (T)f[16];
  for (int q = 12; q >= 0; q -= 4) {{
    T *swapped = next;
    if (q < 12) multiply_S(fourth, sum, next, n), next = sum, sum = swapped;
    for (int e = 0; e < size; ++e) sum[e] += a[e] * (T)f[q + 1] + second[e] * (T)f[q + 2] + third[e] * (T)f[q + 3];
    for (int i = 0; i < n; ++i) sum[i * n + i] += (T)f[q];
  }}
  for (; halvings; --halvings) {{
    T *swapped = next;
    multiply_S(sum, sum, next, n), next = sum, sum = swapped;
  }}
  for (int e = 0; e < size; ++e) a[e] = sum[e];
}}"""
