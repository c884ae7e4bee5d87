"""Diagonals and triangles of matrices, as NumPy's functions of these names."""

import operator

import numpy

from pyarr import _core
from pyarr._args import array_of, finish, zero_of
from pyarr._core import diagonal
from pyarr.manipulation import ravel


def fill_diagonal(a, val, wrap=False):
    """Set the main diagonal in place; with `wrap` that of a tall matrix goes on.

    >>> import pyarr as pa
    >>> x = pa.zeros((2, 2))
    >>> pa.fill_diagonal(x, 7.0)
    >>> x
    array([[7., 0.],
           [0., 7.]])
    """
    if a.ndim < 2:
        raise ValueError("array must be at least 2-d")
    if a.ndim > 2 and len(set(a.shape)) != 1:
        raise ValueError("All dimensions of input must be of equal length")
    if a.ndim == 2:
        rows, columns = a.shape
        count = rows if wrap else min(rows, columns)
        at = numpy.arange(0, rows * columns, columns + 1)
        at = at if wrap else at[:count]
        index = numpy.unravel_index(at, a.shape)
    else:
        index = (numpy.arange(a.shape[0]),) * a.ndim
    values = ravel(val)
    count = len(index[0])
    values = (
        values.reshape(())
        if values.size == 1
        else values[numpy.arange(count) % values.size]
    )
    a[index] = values


def _triangle(m, k, keep_lower):
    m = array_of(m)
    if m.ndim == 1:
        m = _core.broadcast_to(m, (m.size, m.size))
    rows, columns = m.shape[-2:]
    if keep_lower:
        return _core.where(numpy.tri(rows, columns, k, bool), m, zero_of(m))
    return _core.where(numpy.tri(rows, columns, k - 1, bool), zero_of(m), m)


def triu(m, k=0):
    """A copy with zeros below the k-th diagonal (of the last two axes).

    >>> import pyarr as pa
    >>> pa.triu([[1, 2], [3, 4]])
    array([[1, 2],
           [0, 4]])
    """
    return _triangle(m, operator.index(k), False)


def tril(m, k=0):
    """A copy with zeros above the k-th diagonal (of the last two axes).

    >>> import pyarr as pa
    >>> pa.tril([[1, 2], [3, 4]])
    array([[1, 0],
           [3, 4]])
    """
    return _triangle(m, operator.index(k), True)


def diag(v, k=0):
    """The k-th diagonal of a matrix (a copy), or a matrix with this diagonal.

    >>> import pyarr as pa
    >>> pa.diag([1, 2]).tolist()
    [[1, 0], [0, 2]]
    """
    v, k = array_of(v), operator.index(k)
    if v.ndim == 2:
        return diagonal(v, k).copy()
    if v.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    side = v.size + abs(k)
    result = _core.zeros(side * side, v.dtype)
    first = k if k >= 0 else -k * side
    if v.size:
        result[first : first + v.size * (side + 1) : side + 1] = v
    return result.reshape((side, side))


def diagflat(v, k=0):
    """A matrix with the flattened `v` as its k-th diagonal.

    >>> import pyarr as pa
    >>> pa.diagflat([[1, 2]])
    array([[1, 0],
           [0, 2]])
    """
    return diag(ravel(v), k)


def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    """The sum along a diagonal.

    >>> import pyarr as pa
    >>> pa.trace([[1, 2], [3, 4]])
    array(5)
    """
    return finish(_core.sum(diagonal(a, offset, axis1, axis2), -1, dtype=dtype), out)
