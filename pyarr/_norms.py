"""Norms and condition numbers of vectors and matrices (part of pyarr.linalg)."""

import numpy
from numpy.linalg import LinAlgError

from pyarr import _core
from pyarr._args import array_of, axes_of, inexact, safe_sqrt
from pyarr.manipulation import moveaxis, swapaxes


def _squares(x):
    return _core.abs2(x) if x.dtype.kind == "c" else x * x


def _vector(x, ord, axes, keepdims):
    if ord in (None, 2):
        return safe_sqrt(_core.sum(_squares(x), axis=axes, keepdims=keepdims))
    size = _core.absolute(x)
    if ord == numpy.inf:
        return _core.max(size, axis=axes, keepdims=keepdims)
    if ord == -numpy.inf:
        return _core.min(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return _core.sum((x != 0).astype(size.dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return _core.sum(size, axis=axes, keepdims=keepdims)
    try:
        ord + 1
    except TypeError:
        raise ValueError(f"Invalid norm order '{ord}' for vectors") from None
    total = _core.sum(size**ord, axis=axes, keepdims=keepdims)
    if ord < 0:
        return total ** (1 / ord)
    zero = (
        total == 0
    )  # the root has an infinite slope at 0; the norm's derivative there is 0
    root = _core.where(zero, 1, total) ** (1 / ord)
    return _core.where(zero, 0, root).astype(total.dtype)


def _singular_values(x):
    """Singular values, descending; active ones by the eigenvalues of x^H x."""
    if not _core.is_active(x):
        return _core.asarray(
            numpy.linalg.svd(numpy.asarray(x.detach()), compute_uv=False)
        )
    x = x if x.shape[-2] >= x.shape[-1] else swapaxes(x, -1, -2)
    adjoint = _core.conjugate(swapaxes(x, -1, -2))
    packed = _core.apply("eigh", _core.matmul(adjoint, x), params=(1,))
    values = packed[..., -1].real[..., ::-1]
    return safe_sqrt(_core.maximum(values, 0))


def _matrix(x, ord, axes, keepdims):
    first, second = axes
    if first == second:
        raise ValueError("Duplicate axes given.")
    if ord in (None, "fro", "f"):
        return safe_sqrt(_core.sum(_squares(x), axis=axes, keepdims=keepdims))
    extreme = _core.max if ord in (2, 1, numpy.inf) else _core.min
    if ord in (1, -1, numpy.inf, -numpy.inf):
        summed, kept = (first, second) if abs(ord) == 1 else (second, first)
        totals = _core.sum(_core.absolute(x), axis=summed, keepdims=True)
        result = extreme(totals, axis=kept, keepdims=True)
        if keepdims:
            return result
        return result.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))
    if ord not in (2, -2, "nuc"):
        raise ValueError("Invalid norm order for matrices.")
    values = _singular_values(moveaxis(x, axes, (-2, -1)))
    result = _core.sum(values, axis=-1) if ord == "nuc" else extreme(values, axis=-1)
    if keepdims:
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        result = result.reshape(shape)
    return result


def norm(x, ord=None, axis=None, keepdims=False):
    """The norm of vectors (one axis) or matrices (two axes), as numpy.linalg.norm.

    Without `axis` and `ord` the 2-norm of all elements. At 0 the gradient is 0.
    ValueError for an order that does not exist.

    >>> import pyarr as pa
    >>> pa.linalg.norm([3.0, 4.0]).item()
    5.0
    """
    x = inexact(x)
    if axis is None:
        if ord is None:
            return _vector(x, 2, tuple(range(x.ndim)), keepdims)
        axis = tuple(range(x.ndim))
    axes = axes_of(axis, x.ndim)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ValueError(f"Invalid norm order '{ord}' for vectors")
        return _vector(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix(x, ord, axes, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """The vector norm over any axes (default all), as one long vector.

    >>> import pyarr as pa
    >>> pa.linalg.vector_norm([[3.0], [4.0]])
    array(5.)
    """
    x = inexact(x)
    return _vector(x, ord, axes_of(axis, x.ndim), keepdims)


def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """The matrix norm over the last two axes.

    >>> import pyarr as pa
    >>> pa.linalg.matrix_norm([[3.0, 4.0]])
    array(5.)
    """
    x = inexact(x)
    if x.ndim < 2:
        raise ValueError("matrix_norm: x must have at least two dimensions")
    return _matrix(x, ord, (x.ndim - 2, x.ndim - 1), keepdims)


def cond(x, p=None):
    """The condition number in the norm `p` (None and 2: by singular values).

    >>> import pyarr as pa
    >>> pa.linalg.cond([[1.0, 0.0], [0.0, 4.0]], 1)
    array(4.)
    """
    x = array_of(x)
    if x.size == 0 and x.ndim >= 2:
        raise LinAlgError("cond is not defined on empty arrays")
    x = inexact(x)
    if x.ndim < 2:
        raise LinAlgError(
            f"{x.ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    if p in (None, 2, -2):
        values = _singular_values(x)
        ratio = values[..., 0] / values[..., -1]
        return 1 / ratio if p == -2 else ratio
    axes = (x.ndim - 2, x.ndim - 1)
    if x.shape[-1] != x.shape[-2]:
        raise LinAlgError("Last 2 dimensions of the array must be square")
    try:
        inverse = _core.apply("inv", x)
    except LinAlgError:
        if x.ndim > 2:
            raise
        return _core.full((), numpy.inf, x.real.dtype)
    return _matrix(x, p, axes, False) * _matrix(inverse, p, axes, False)
