# %% [markdown]
# # Writing an operation
#
# Most operations are functions of torch's operations: `fn.jit` fuses them, and nothing has to be written. This chapter
# is about the two other cases: derivatives of your own, and an operation of torch for which the compiler has no rule.

# %%
import torch
from torch import Tensor

import funcnet as fn
from funcnet.compiler.native.loop_ir import Operand
from funcnet.compiler.native.lowering.elementwise import elementwise
from funcnet.compiler.native.lowering.table import RULES
from funcnet.compiler.native.lowering.values import Emit

# %% [markdown]
# ## A rule for a derivative
#
# log(1 + exp(x)) as written overflows for large x, and its derivative is NaN there.


# %%
def naive(x: Tensor) -> Tensor:
    return torch.log1p(torch.exp(x))


x = torch.tensor([0.0, 1000.0])
print(naive(x), fn.grad(lambda x: naive(x).sum())(x))
# -> tensor([0.6931,    inf]) tensor([0.5000,    nan])

# %% [markdown]
# `fn.custom_jvp` gives a function a rule for its derivative, in both modes.


# %%
@fn.custom_jvp
def log1pexp(x: Tensor) -> Tensor:
    return torch.where(x > 20, x, torch.log1p(torch.exp(x)))


@log1pexp.defjvp
def log1pexp_rule(primals: tuple[Tensor], tangents: tuple[Tensor]) -> tuple[Tensor, Tensor]:
    (x,), (dx,) = primals, tangents
    return log1pexp(x), torch.sigmoid(x) * dx


print(log1pexp(x), fn.grad(lambda x: log1pexp(x).sum())(x))
# -> tensor([6.9315e-01, 1.0000e+03]) tensor([0.5000, 1.0000])
jitted = fn.jit(fn.grad(lambda x: log1pexp(x).sum()))
torch.testing.assert_close(jitted(x), torch.tensor([0.5, 1.0]))

# %% [markdown]
# ## An operation without a native rule
#
# The spherical Bessel function j0(x) = sin(x) / x is an operation of torch that the native backend does not know. A
# program with it still runs: torch computes the operation.


# %%
def f(x: Tensor) -> Tensor:
    return (2 * torch.special.spherical_bessel_j0(x)).sum()


x = torch.linspace(-4.0, 4.0, 9)
explanation = fn.jit(f).explain(x)
assert "special_spherical_bessel_j0" in explanation.reason, explanation
assert torch.equal(fn.jit(f)(x), f(x))

# %% [markdown]
# A rule for one element of an elementwise operation is a formula: it emits scalar operations of a table that the
# compiler has for C. `elementwise` makes a rule of it, for every shape, layout and dtype.


# %%
def bessel(emit: Emit, x: Operand) -> Operand:
    return emit("where", emit("eq", x, 0), 1, emit("div", emit("sin", x), x))


RULES["special_spherical_bessel_j0"] = elementwise(bessel)
jitted = fn.jit(f)
print(jitted.explain(x).backend, jitted.explain(x).calls)
# -> native {}
torch.testing.assert_close(jitted(x), f(x))

# %% [markdown]
# Now it is a part of the loop.

# %%
print(fn.jit(f).lower(x).as_text("loops"), end="")
# -> in0: float32[9]
# -> out0: float32[1]
# -> for i < 9:
# ->   x0 = eq(in0[i], 0.0)  # bool
# ->   x1 = sin(in0[i])  # float32
# ->   x2 = div(x1, in0[i])  # float32
# ->   x3 = where(x0, 1.0, x2)  # float32
# ->   x4 = mul(x3, 2.0)  # float32
# ->   t2[0] add= x4
# -> for one element:
# ->   out0[0] = t2[0]
del RULES["special_spherical_bessel_j0"]

# %% [markdown]
# A rule for the library itself belongs in the tables of `funcnet/compiler/native/lowering`, with tests of every dtype:
# the docstring of `funcnet.compiler` is a map of the compiler, with this recipe and three others.
