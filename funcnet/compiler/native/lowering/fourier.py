"""Rules of Fourier transforms: copies that a routine overwrites."""

from funcnet.compiler.complex_numbers.radices import columns_at_once, divided, padded
from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.lowering.lower import Lowering, Rule
from funcnet.compiler.native.lowering.matrices import varies
from funcnet.compiler.native.lowering.values import Value
from funcnet.compiler.native.routines import Routine


def _fourier(lowering: Lowering, re: Value, im: Value) -> list[Value]:
    """Transform the middle axis of arrays with three."""
    batch, n, columns = re.shape
    varying = varies(re) or varies(im)
    matrix = lowering.temporary((batch, 2, n, columns), re.dtype, varying)
    parts: list[Value] = []
    for i, part in enumerate((re, im)):
        strides = matrix.strides
        view = View(matrix.buffer, (batch, n, columns), (strides[0], *strides[2:]), i * strides[1])
        lowering.store(view, part)
        parts.append(view)
    size = padded(n) if columns == 1 else n
    rows, others = divided(size) if columns == 1 else (n, 1)
    width = 1 if varying else columns_at_once(size, columns, lowering.target.vector // re.dtype.itemsize)
    sizes = [4 * max(rows, others) * width, *([2 * size] if others > 1 else []), *([2 * size] if size > n else [])]
    work = tuple(lowering.temporary((size,), re.dtype, varying) for size in sizes)
    lowering.scope.add(Routine("fourier", matrix, work=work), matrix)
    return parts


RULES: dict[str, Rule] = {"funcnet::fourier": _fourier}
