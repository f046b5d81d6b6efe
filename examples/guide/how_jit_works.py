# %% [markdown]
# # How jit works
#
# `fn.jit(f)` runs `f` once on tensors without values, records the operations, and compiles them to one C function.
# Later calls run that function: no Python, no torch operations, no memory between the operations where they can be
# fused.

# %%
import torch
from torch import Tensor

import funcnet as fn


def f(x: Tensor) -> Tensor:
    return (2 * x).exp().sum()


# %% [markdown]
# ## The stages
#
# `lower` stops before the compilation and shows the text of each stage. First, the program: the recorded operations.

# %%
lowered = fn.jit(f).lower(torch.ones(3))
print(lowered.as_text("program"))
# -> (v0: float32[3]) ->
# ->   v1: float32[3] = aten.mul.Tensor(v0, 2)
# ->   v2: float32[3] = aten.exp(v1)
# ->   v3: float32[] = aten.sum.dim_IntList(v2, [])
# ->   return [v3]

# %% [markdown]
# Second, loops over buffers: the three operations have become one loop that keeps its values in registers.

# %%
print(lowered.as_text("loops"), end="")
# -> in0: float32[3]
# -> out0: float32[1]
# -> for i < 3:
# ->   x0 = mul(in0[i], 2.0)  # float32
# ->   x1 = exp(x0)  # float32
# ->   t2[0] add= x1
# -> for one element:
# ->   out0[0] = t2[0]

# %% [markdown]
# Third, C text, which the C compiler makes a library of; it is kept in a cache on the disk for the next process.

# %%
assert "for (" in lowered.as_text("c")

# %% [markdown]
# ## Once per signature
#
# The function is traced once per signature: the structure of the arguments, and the shapes, dtypes and devices of their
# tensors. A Python effect such as `print` happens during the trace only.

# %%
calls: list[tuple[int, ...]] = []


def traced(x: Tensor) -> Tensor:
    calls.append(tuple(x.shape))
    return x + 1


g = fn.jit(traced)
for length in (2, 2, 3, 2):
    assert torch.equal(g(torch.zeros(length)), torch.ones(length))
print(calls)
# -> [(2,), (3,)]

# %% [markdown]
# To print at each call, use `fn.debug.print`; to run without compilation, `with fn.disable_jit():`.
#
# ## Values are not known during the trace
#
# A branch of Python on the value of a tensor cannot be recorded. It is an error that says so.


# %%
def branches(x: Tensor) -> Tensor:
    return x if x > 0 else -x


try:
    fn.jit(branches)(torch.tensor(-1.0))
except fn.StagingError as error:
    assert "cond" in str(error)
else:
    raise AssertionError("a branch on a value was traced")

# %% [markdown]
# `fn.cond`, `torch.where`, `fn.while_loop` and `fn.scan` are branches and loops of the program.

# %%
absolute = fn.jit(lambda x: fn.cond(x > 0, lambda x: x, torch.neg, x))
print(absolute(torch.tensor(-1.0)), absolute(torch.tensor(2.0)))
# -> tensor(1.) tensor(2.)

# %% [markdown]
# A Python loop over a fixed number of steps is unrolled: its program grows with the steps. A scan stays one loop.


# %%
def unrolled(x: Tensor) -> Tensor:
    for _ in range(10):
        x = x.sin()
    return x


def scanned(x: Tensor) -> Tensor:
    return fn.scan(lambda x, _: (x.sin(), None), x, length=10)[0]


texts = [fn.jit(each).lower(torch.ones(())).as_text() for each in (unrolled, scanned)]
print([len(text.splitlines()) for text in texts])  # lines of both programs
# -> [12, 6]
assert torch.allclose(unrolled(torch.ones(())), scanned(torch.ones(())))

# %% [markdown]
# ## The outermost vmap becomes lanes
#
# With `fn.jit(fn.vmap(f))`, the function is traced for one example, and each lane of the processor's vector registers
# computes an example of its own. A star marks a buffer of vectors.

# %%
print(fn.jit(fn.vmap(f)).lower(torch.ones(5, 3)).as_text("loops").splitlines()[0])
# -> in0*: float32[3]

# %% [markdown]
# ## The backend of a call
#
# `explain` says which backend runs a call. An operation that has no rule in the native backend is computed by torch:
# from the kernel, or, if there is little else to do, with the whole program replayed operation by operation.

# %%
print(fn.jit(f).explain(torch.ones(3)).backend)
# -> native
explanation = fn.jit(lambda x: torch.linalg.eigvals(x).abs().sum()).explain(torch.eye(3))
assert explanation.backend == "eager" or explanation.calls
assert "linalg_eig" in explanation.reason

# %% [markdown]
# The result is the same, and so are derivatives and batches: transformations are recorded as the operations that they
# do.

# %%
x = torch.linspace(0.0, 1.0, 3)
torch.testing.assert_close(fn.jit(fn.grad(f))(x), fn.grad(f)(x))

# %% [markdown]
# Next: [writing a layer](writing_a_layer.py).
