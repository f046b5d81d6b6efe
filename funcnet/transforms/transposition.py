"""The transpose of a linear function."""

from typing import Any

from funcnet.tracebacks import boundary
from funcnet.transforms.derivatives import vjp
from funcnet.transforms.flatten import Function, check_function
from funcnet.tree.specs import zeros_of


@boundary
def linear_transpose(f: Function, *primals: Any) -> Function:
    """Transpose a linear function: <f(x), y> = <x, f'(y)> for all x and y, with `tree.dot` as the inner product.

    f is not checked to be linear; the transpose is that of its derivative at zero. For complex numbers it is the
    conjugate transpose, as in `vjp`; JAX's is not conjugated.

    Args:
        f: A linear function of pytrees.
        primals: Examples of its arguments, of which only shapes and dtypes matter: tensors or `ShapeDtypeStruct`s.
    Returns:
        A function of a tree like the result of f that returns a tuple of trees, one like each primal.
    Raises:
        TypeError: The primals, or the result, hold no floating-point or complex tensor.
        ValueError: The argument of the transpose differs from the result of f in structure, shapes or dtypes.
    Source:
        jax.linear_transpose.
    Example:
        >>> double_sum = fn.linear_transpose(lambda x: 2 * x.sum(), fn.ShapeDtypeStruct((2,), torch.float32))
        >>> double_sum(torch.tensor(3.0))
        (tensor([6., 6.]),)
    """
    check_function("linear_transpose", f)
    transpose: Function = vjp(f, *zeros_of(primals))[1]
    return transpose
