"""jax.nn on torch tensors: activations, softmax, one-hot vectors, and initialisers by their names in JAX.

They differ from torch.nn.functional by defaults: `gelu` is the tanh approximation, `one_hot` is float32, and `softmax`
takes the last axis. Layers with parameters are functions of the package itself, such as `fn.dense`.

Example:
    >>> fn.nn.relu(torch.tensor([-1.0, 2.0])), fn.nn.logsumexp(torch.zeros(2))
    (tensor([0., 2.]), tensor(0.6931))
"""

from funcnet.nn import activations, functions, initializers
from funcnet.nn.activations import *
from funcnet.nn.functions import *
from funcnet.numpy import tanh

__all__ = ["initializers", "tanh"]
__all__ += activations.__all__
__all__ += functions.__all__


def __dir__() -> list[str]:
    return __all__
