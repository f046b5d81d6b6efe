"""Choose how matrix products are computed: in tiles, by vectors, from packed panels, or by torch's BLAS.

A product of few rows by a transposed matrix is computed as its transpose: then the large matrix is read in place.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from funcnet.compiler.native import blas
from funcnet.compiler.native.buffers import Buffer, View, whole
from funcnet.compiler.native.contract import Contract, Method
from funcnet.compiler.native.loop_ir import LoopProgram, Nest, Statement, Store, rewrite
from funcnet.compiler.native.target import Target

_TERMS = 16  # least terms of a sum for which copies of the left matrix and of the result are cheap


def choose(program: LoopProgram, target: Target) -> LoopProgram:
    """Choose the method of each product, and copy the operands that it needs dense."""
    return rewrite(program, lambda statement: _chosen(statement, target))


def method(product: Contract, target: Target) -> Method:
    """Choose the method of a product; one of lanes is computed in tiles."""
    return Method.TILES if product.out.varying else best(product, target)


def best(product: Contract, target: Target) -> Method:
    """Choose the method of a product of shared matrices by its multiplications and the size of the right matrix."""
    rows, columns = product.out.shape[-2:]
    terms, is_turned = math.prod(product.inner), product.right.strides[-1] != 1
    size = rows * columns * terms
    if columns == 1 or size < target.wide_product:
        return Method.TILES
    if len(product.inner) > 1:
        return Method.WIDE
    has_blas = target.gemm_wins and product.out.dtype in target.gemm
    if has_blas and size >= (target.transposed_product if is_turned else target.large_product):
        return Method.BLAS
    is_far = terms * columns * product.right.dtype.itemsize >= target.packed and rows >= target.tall_product
    return Method.PANELS if is_far or (is_turned and size >= target.transposed_product) else Method.WIDE


def _chosen(statement: Statement, target: Target) -> Iterator[Statement]:
    if not isinstance(statement, Contract):
        yield statement
    elif method(statement, target) is Method.PANELS and _is_flat(statement, target):
        yield from _exchanged(statement, target)
    else:
        copies: list[Nest] = []
        product = _with_operands(replace(statement, method=method(statement, target)), target, copies)
        yield from copies
        yield product


def _is_flat(product: Contract, target: Target) -> bool:
    """Tell whether a product with a transposed right matrix has few rows, which are fewer than columns."""
    rows, columns = product.out.shape[-2:]
    is_transposed = product.right.strides[-1] != 1 == product.right.strides[-2]
    is_small = 2 * rows * product.out.dtype.itemsize <= target.panel
    return is_transposed and is_small and 1 < rows <= columns and product.inner[0] >= _TERMS


def _exchanged(product: Contract, target: Target) -> Iterator[Statement]:
    """Compute the transpose of a product: its rows are dense, and its right matrix is small. Sums keep their order."""
    *batch, rows, columns = product.out.shape
    copies: list[Nest] = []
    right, out = _dense(_transposed(product.left), copies), _temporary((*batch, columns, rows), product.out)
    yield from copies
    yield from _chosen(Contract(out, _transposed(product.right), right), target)
    yield Nest(product.out.shape, [Store(product.out, _transposed(out))])


def _transposed(view: View) -> View:
    *batch, rows, columns = range(len(view.shape))
    return view.permute((*batch, columns, rows))


def _with_operands(product: Contract, target: Target, copies: list[Nest]) -> Contract:
    """Return the product with the operands that its method needs copied to dense ones."""
    left, right = product.left, product.right
    match product.method:
        case Method.WIDE if right.strides[-1] != 1 or (_is_short(product, target) and right.buffer.kind != "temporary"):
            return replace(product, right=_dense(right, copies))
        case Method.PANELS:
            columns = target.panel // left.dtype.itemsize
            return replace(product, panel=_temporary((left.shape[-1], columns), left))
        case Method.BLAS:
            left, right = (x if blas.layout(x) else _dense(x, copies) for x in (left, right))
            return replace(product, left=left, right=right)
    return product


def _is_short(product: Contract, target: Target) -> bool:
    """Tell whether rows are shorter than a vector, so that reading the last one needs memory after it."""
    columns = product.out.shape[-1]
    return columns < target.width(columns, product.out.dtype)


def _dense(view: View, copies: list[Nest]) -> View:
    """Append a row-major copy of a view."""
    copy = _temporary(view.shape, view)
    copies.append(Nest(view.shape, [Store(copy, view)]))
    return copy


def _temporary(shape: tuple[int, ...], like: View) -> View:
    return whole(Buffer(like.dtype, math.prod(shape), like.varying), shape)
