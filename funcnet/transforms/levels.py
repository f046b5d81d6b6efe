"""Whether a function runs on its own."""

import torch


def transformed() -> bool:
    """Tell whether a call is part of something larger: a transformation, a staging, a compilation.

    If not, the values of tensors are known, unless torch's autograd is to differentiate by them.
    """
    # There is no public way to ask for torch.func's levels, for dispatch modes and for open levels of forward AD.
    return (
        torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch.autograd.forward_ad._current_level >= 0
        or torch.compiler.is_compiling()
    )
