"""C texts of calls of torch's LAPACK, in the notation of `definitions`.

Matrices are column-major, as in LAPACK: the rows of their memory are columns. Each function overwrites one matrix a, in
the floating-point mode of the caller, as torch does. The pointers are set when the kernel is loaded. If a routine
fails, its results become NaN, and `info` its code, to which STEPS is added if it is negative.
"""

from funcnet.compiler.native.control import STEPS

_CODE = f"*info = code < 0 ? code + {STEPS} : code;"

EIGH = f"""
EXTERN void (*syevd_S)(const char *, const char *, const int *, T *, const int *, T *, T *, const int *, int *,
                       const int *, int *);
static void eigh_S(T *a, int n, T *w, T *info, T *work, int size, int *integers, int count, const char *job,
                   const char *part) {{
  int code;
  set_mode(mode_);
  syevd_S(job, part, &n, a, &n, w, work, &size, integers, &count, &code);
  set_mode(mode_ | FLUSHED);
  {_CODE}
  if (!code) return;
  for (int i = 0; i < n; ++i) w[i] = NAN_;
  for (int i = 0; i < n * n; ++i) a[i] = NAN_;
}}"""

SVD = f"""
EXTERN void (*gesdd_S)(const char *, const int *, const int *, T *, const int *, T *, T *, const int *, T *,
                       const int *, T *, const int *, int *, int *);
static void svd_S(T *a, int m, int n, T *s, T *info, T *u, int us, T *v, int vs, int rows, T *work, int size,
                  int *integers, const char *job) {{
  int code;
  set_mode(mode_);
  gesdd_S(job, &m, &n, a, &m, s, u, &m, v, &rows, work, &size, integers, &code);
  set_mode(mode_ | FLUSHED);
  {_CODE}
  if (!code) return;
  for (int i = 0; i < m && i < n; ++i) s[i] = NAN_;
  for (int i = 0; i < us; ++i) u[i] = NAN_;
  for (int i = 0; i < vs; ++i) v[i] = NAN_;
}}"""

REFLECT = """
EXTERN void (*geqrf_S)(const int *, const int *, T *, const int *, T *, T *, const int *, int *);
static void reflect_S(T *a, int m, int n, T *tau, T *work, int size) {  // R, and the reflectors whose product is Q
  int code;
  set_mode(mode_);
  geqrf_S(&m, &n, a, &m, tau, work, &size, &code);
  set_mode(mode_ | FLUSHED);
}"""

MULTIPLY_REFLECTORS = """
EXTERN void (*orgqr_S)(const int *, const int *, const int *, T *, const int *, T *, T *, const int *, int *);
static void multiply_reflectors_S(T *a, int m, int n, int k, T *tau, T *work, int size) {
  int code;
  set_mode(mode_);
  orgqr_S(&m, &n, &k, a, &m, tau, work, &size, &code);
  set_mode(mode_ | FLUSHED);
}"""

SOLVE_LEAST = """
EXTERN void (*gelsy_S)(const int *, const int *, const int *, T *, const int *, T *, const int *, int *, const T *,
                       int *, T *, const int *, int *);
static void solve_least_S(T *a, int m, int n, T *b, int k, int rows, T *rank, T bound, T *work, int size, int *order) {
  int code, found = 0;
  for (int i = 0; i < n; ++i) order[i] = 0;
  set_mode(mode_);
  gelsy_S(&m, &n, &k, a, &m, b, &rows, order, &bound, &found, work, &size, &code);
  set_mode(mode_ | FLUSHED);
  *rank = code ? 0 : found;
  for (int i = 0; code && i < rows * k; ++i) b[i] = NAN_;
}"""

TEXTS = {  # functions, with the numbers of their arguments
    "eigh": (10, EIGH),
    "svd": (14, SVD),
    "reflect": (6, REFLECT),
    "multiply_reflectors": (7, MULTIPLY_REFLECTORS),
    "solve_least": (11, SOLVE_LEAST),
}
