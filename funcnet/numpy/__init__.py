"""The jax.numpy dialect on torch tensors: `from funcnet import numpy as jnp`.

The functions have the names, arguments and results of jax.numpy, where typing the same on torch fails or differs in
silence: `std` divides by n, `split(x, 3)` makes three parts, `max(x, axis)` returns values alone, `repeat` repeats
elements, integers divided by integers are float32, and sums of bools are int32. They work inside `jit`, `vmap` and
derivatives. An array is a torch.Tensor with torch's own methods and operators: `x.std()` is that of torch. Instead of
the methods `x.astype(t)` and `x.at[i].set(v)` there are `jnp.astype(x, t)` and `fn.at(x)[i].set(v)`. Torch's
operators do not subtract bools, and most of them lack uint16 and uint32: write `jnp.subtract(1, mask)` for `1 - mask`
and `jnp.right_shift(x, 3)` for `x >> 3`.

Dtypes are those of JAX with 64-bit types switched off: numbers, lists and numpy arrays become float32, int32, complex64
or bool. float64 and int64 tensors keep their dtype, and so does a numpy array for which it is asked:
`jnp.asarray(array, dtype=jnp.float64)`. Dtypes are torch's and are not called: `jnp.float32(x)` is written as
`jnp.asarray(x, jnp.float32)`. Other differences to jax.numpy: operands may be lists; sums of uint8 and uint16 are
int32; indexing a tensor, `x[i]`, raises an error for an index out of range, while `take` and `at` do not.

Derivatives at kinks are those of JAX: that of abs at 0 is 1, where that of torch.abs is 0. Where those of JAX are NaN,
these are finite, as in torch: of x ** 0.0, arctan2 and norms at 0.

Where the length of a result depends on values (`nonzero`, `unique`, `bincount`, `repeat`), `jit` and `vmap` need it as
the argument `size`, `length` or `total_repeat_length`.

Example:
    >>> from funcnet import numpy as jnp
    >>> x = jnp.arange(6).reshape(2, 3)
    >>> jnp.mean(x, axis=1), jnp.max(x, axis=0)
    (tensor([1., 4.]), tensor([3, 4, 5], dtype=torch.int32))
    >>> jnp.where(x > 2, x, 0.5).dtype
    torch.float32
"""

from typing import NoReturn

import torch

from funcnet.absent_names import absent
from funcnet.numpy import (
    binary,
    bits,
    counting,
    creation,
    division,
    elementwise,
    fft,
    grids,
    indexing,
    joining,
    linalg,
    mapping,
    matrices,
    nan_reductions,
    padding,
    polynomials,
    products,
    quantiles,
    reductions,
    shapes,
    sorting,
    statistics,
    types,
    writing,
)
from funcnet.numpy.binary import *
from funcnet.numpy.bits import *
from funcnet.numpy.counting import *
from funcnet.numpy.creation import *
from funcnet.numpy.division import *
from funcnet.numpy.elementwise import *
from funcnet.numpy.grids import *
from funcnet.numpy.indexing import *
from funcnet.numpy.joining import *
from funcnet.numpy.mapping import *
from funcnet.numpy.matrices import *
from funcnet.numpy.nan_reductions import *
from funcnet.numpy.padding import *
from funcnet.numpy.polynomials import *
from funcnet.numpy.products import *
from funcnet.numpy.quantiles import *
from funcnet.numpy.reductions import *
from funcnet.numpy.shapes import *
from funcnet.numpy.sorting import *
from funcnet.numpy.statistics import *
from funcnet.numpy.types import *
from funcnet.numpy.writing import *

bool, uint = torch.bool, torch.uint32

__all__ = ["bool", "fft", "linalg", "uint"]
__all__ += binary.__all__
__all__ += bits.__all__
__all__ += counting.__all__
__all__ += creation.__all__
__all__ += division.__all__
__all__ += elementwise.__all__
__all__ += grids.__all__
__all__ += indexing.__all__
__all__ += joining.__all__
__all__ += mapping.__all__
__all__ += matrices.__all__
__all__ += nan_reductions.__all__
__all__ += padding.__all__
__all__ += polynomials.__all__
__all__ += products.__all__
__all__ += quantiles.__all__
__all__ += reductions.__all__
__all__ += shapes.__all__
__all__ += sorting.__all__
__all__ += statistics.__all__
__all__ += types.__all__
__all__ += writing.__all__


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
