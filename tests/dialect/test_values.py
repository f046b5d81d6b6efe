"""Values of the dialect: each expression has JAX's values, and means the same inside jit and vmap."""

import re

import pytest
import torch
from jax_expressions import Table

import funcnet as fn

TABLES = {name: Table(name) for name in ("numpy", "nn", "lax", "scipy", "more_names", "ported_names", "rarer_names")}
ROWS = [(name, text) for name, table in TABLES.items() for text in table.expected]
NEEDS_VALUES = re.compile(  # the length of the result depends on the values
    r"jnp\.(nonzero|argwhere)\(\w\)|jnp\.(compress|extract|setdiff1d|setxor1d)\(.*|jnp\.unique\((?!.*size).*|at\(v\)\[f\].*"
    r"|ops\.segment_sum\(v, j\)|jnp\.polymul\(.*trim.*|jnp\.roots\((?!.*strip).*|jnp\.sort\(jnp\.real\(jnp\.roots.*"
)
TRACED = [row for row in ROWS if not NEEDS_VALUES.fullmatch(row[1])]
NOT_NATIVE = re.compile(  # torch's own functions, complex numbers and float16
    r"fft|gcd|lcm|searchsorted|digitize|histogram|interp|\bz\b|\bh\b|\bi0|\bi1|dot\(i, k"
    r"|(?<!jnp\.)linalg\.(?!block|toep)"
    r"|jnp\.linalg\.(?!norm\((v|x|i)|multi|matrix_power\(q, 3|tr|vec|matrix_norm|tensorinv)"
    r"|polyfit|erf_?inv|digamma|polygamma|zeta|gammainc|ndtri|log_ndtr"
    r"|norm\.(ppf|isf|logcdf)|truncnorm|(gamma|chi2|poisson)\.(cdf|sf)|multivariate_normal"
    r"|roots|jnp\.poly\(|frexp|igamma|bessel|lax\.complex|bitcast|dot_general\(b"
)
NATIVE = [row for row in TRACED if not NOT_NATIVE.search(row[1]) and TABLES[row[0]].used(row[1])]


def chunks(rows, size):
    """Return the rows in lists of this length."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


@pytest.mark.parametrize("rows", chunks(ROWS, 90))
def test_values_are_those_of_jax(rows):
    for name, text in rows:
        TABLES[name].check(text, TABLES[name].evaluate(text))


@pytest.mark.few(40)
@pytest.mark.parametrize("name, text", TRACED)
def test_jit_gives_the_same(name, text):
    table = TABLES[name]
    used = table.used(text)
    jitted = fn.jit(lambda *values: table.evaluate(text, dict(zip(used, values, strict=True))), backend="eager")
    table.check(text, jitted(*(table.inputs[name] for name in used)))


OF_TABLES = [(name, rows) for name in TABLES for rows in chunks([text for of, text in NATIVE if of == name], 30)]


@pytest.mark.few(1)
@pytest.mark.parametrize("name, texts", OF_TABLES)
def test_native_kernels_give_the_same(name, texts):
    table = TABLES[name]
    f = fn.jit(lambda given: [table.evaluate(text, given) for text in texts], backend="native")
    for text, result in zip(texts, f(table.inputs), strict=True):
        table.check(text, result, rtol=5e-6)


@pytest.mark.filterwarnings("ignore:.*performance:UserWarning")  # of torch.searchsorted, torch.linalg.lu
@pytest.mark.few(40)
@pytest.mark.parametrize("name, text", [row for row in TRACED if TABLES[row[0]].used(row[1])])
def test_vmap_equals_a_loop(name, text):
    table = TABLES[name]
    used = table.used(text)

    def f(*values):
        return table.evaluate(text, dict(zip(used, values, strict=True)))

    lanes = [torch.stack([x, x.roll(1)]) for x in (table.inputs[name] for name in used)]
    each = [f(*(x[lane] for x in lanes)) for lane in range(2)]
    for got, *want in zip(fn.vmap(f)(*lanes), *each, strict=True):
        torch.testing.assert_close(got, torch.stack(want), rtol=1e-5, atol=1e-6, equal_nan=True)


OTHER_DEVICES = re.compile(  # expressions that make tensors of their own, or need values
    r"jnp\.(array|arange|zeros|ones|eye|fromfunction|r_|\w+_indices_from)\b|scan|krylov|where\(\w\)"
    r"|betainc|exp[1in]\(|beta\.|odeint|minimize|reduce_precision|gaussian_kde|eigh_tri|sqrtm|trim|dft"
)


@pytest.mark.parametrize("name", TABLES)
def test_results_are_on_the_device_of_their_operands(name):
    table = TABLES[name]
    inputs = {name: x.to("meta") for name, x in table.inputs.items()}
    for text in (text for table_name, text in TRACED if table_name == name and table.used(text)):
        if not OTHER_DEVICES.search(text):
            assert {x.device.type for x in table.evaluate(text, inputs)} == {"meta"}, text
