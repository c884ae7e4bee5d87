"""Grids, triangles of ones and index arrays, as NumPy's functions of these names."""

import numpy

from pyarr import _core
from pyarr._args import array_of, common, plain
from pyarr._core import stack
from pyarr.manipulation import moveaxis


def _wrap(result):
    if isinstance(result, tuple):
        return tuple(_core.asarray(one) for one in result)
    return _core.asarray(result)


def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    """Coordinate arrays of a grid from its 1-d coordinate vectors, as a tuple.

    `indexing` "xy" has the first coordinate run along axis 1, "ij" along axis 0.
    Differentiable in the coordinates.

    >>> import pyarr as pa
    >>> pa.meshgrid([1, 2], [3, 4])[0]
    array([[1, 2],
           [1, 2]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    n = len(xi)
    vectors = [array_of(x).reshape(-1) for x in xi]
    order = list(range(n))
    if indexing == "xy" and n > 1:
        order[0], order[1] = 1, 0
    results = []
    for axis, x in zip(order, vectors, strict=True):
        shape = [1] * n
        shape[axis] = x.size
        results.append(x.reshape(tuple(shape)))
    if not sparse:
        sizes = [0] * n
        for axis, x in zip(order, vectors, strict=True):
            sizes[axis] = x.size
        results = [_core.broadcast_to(x, tuple(sizes)) for x in results]
    return tuple(x.copy() for x in results) if copy else tuple(results)


def tri(N, M=None, k=0, dtype=float):
    """An N x M array with ones on and below the k-th diagonal.

    >>> import pyarr as pa
    >>> pa.tri(2)
    array([[1., 0.],
           [1., 1.]])
    """
    return _wrap(numpy.tri(N, M, k, dtype))


def vander(x, N=None, increasing=False):
    """The matrix of powers of `x`: highest first, or lowest with `increasing`.

    >>> import pyarr as pa
    >>> pa.vander([2, 3], 3)
    array([[4, 2, 1],
           [9, 3, 1]])
    """
    x = array_of(x)
    if x.ndim != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    count = x.size if N is None else N
    if count == 0:
        return _core.zeros((x.size, 0), numpy.result_type(x.dtype, int))
    x, one = common([x, _core.ones((), int)])
    columns = [_core.broadcast_to(one, x.shape)]
    while len(columns) < count:
        columns.append(columns[-1] * x)
    return stack(columns if increasing else columns[::-1], 1)


def indices(dimensions, dtype=int, sparse=False):
    """For a grid of this shape the index of each point along each axis.

    >>> import pyarr as pa
    >>> pa.indices((2, 2))[0]
    array([[0, 0],
           [1, 1]])
    """
    return _wrap(numpy.indices(dimensions, dtype, sparse))


def ix_(*args):
    """Index arrays whose cross product addresses a block of an array.

    >>> import pyarr as pa
    >>> [x.shape for x in pa.ix_([0, 1], [2])]
    [(2, 1), (1, 1)]
    """
    return _wrap(numpy.ix_(*(numpy.asarray(one) for one in args)))


def tril_indices(n, k=0, m=None):
    """Row and column indices of the lower triangle of an n x m matrix.

    >>> import pyarr as pa
    >>> pa.tril_indices(2)
    (array([0, 1, 1]), array([0, 0, 1]))
    """
    return _wrap(numpy.tril_indices(n, k, m))


def triu_indices(n, k=0, m=None):
    """Row and column indices of the upper triangle of an n x m matrix.

    >>> import pyarr as pa
    >>> pa.triu_indices(2)
    (array([0, 0, 1]), array([0, 1, 1]))
    """
    return _wrap(numpy.triu_indices(n, k, m))


def tril_indices_from(arr, k=0):
    """`tril_indices` for a matrix of the shape of `arr`.

    >>> import pyarr as pa
    >>> pa.tril_indices_from(pa.zeros((2, 2)))
    (array([0, 1, 1]), array([0, 0, 1]))
    """
    return tril_indices(arr.shape[-2], k, arr.shape[-1])


def triu_indices_from(arr, k=0):
    """`triu_indices` for a matrix of the shape of `arr`.

    >>> import pyarr as pa
    >>> pa.triu_indices_from(pa.zeros((2, 2)))
    (array([0, 0, 1]), array([0, 1, 1]))
    """
    return triu_indices(arr.shape[-2], k, arr.shape[-1])


def diag_indices(n, ndim=2):
    """The indices of the main diagonal of an array with `ndim` axes of size n.

    >>> import pyarr as pa
    >>> pa.diag_indices(2)
    (array([0, 1]), array([0, 1]))
    """
    return _wrap(numpy.diag_indices(n, ndim))


def diag_indices_from(arr):
    """`diag_indices` for the shape of `arr`.

    >>> import pyarr as pa
    >>> pa.diag_indices_from(pa.zeros((2, 2)))
    (array([0, 1]), array([0, 1]))
    """
    if len(set(arr.shape)) != 1 or arr.ndim < 2:
        raise ValueError("All dimensions of input must be of equal length")
    return diag_indices(arr.shape[0], arr.ndim)


def unravel_index(indices, shape, order="C"):
    """Indices into the flattened array as one index array for each axis.

    >>> import pyarr as pa
    >>> pa.unravel_index([3], (2, 2))
    (array([1]), array([1]))
    """
    return _wrap(numpy.unravel_index(numpy.asarray(indices), shape, order))


def ravel_multi_index(multi_index, dims, mode="raise", order="C"):
    """Index arrays as indices into the flattened array.

    >>> import pyarr as pa
    >>> pa.ravel_multi_index(([1], [1]), (2, 2))
    array([3])
    """
    index = tuple(numpy.asarray(one) for one in multi_index)
    return _wrap(numpy.ravel_multi_index(index, dims, mode, order))


def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    """Numbers whose logarithms are spaced evenly, from base**start to base**stop.

    >>> import pyarr as pa
    >>> pa.logspace(0, 2, 3)
    array([  1.,  10., 100.])
    """
    exponents = _core.linspace(start, stop, num, endpoint=endpoint)
    if axis and exponents.ndim > 1:
        exponents = moveaxis(exponents, 0, axis)
    result = _core.power(base, exponents)
    return result if dtype is None else result.astype(dtype)


def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """Numbers in geometric progression from start to stop.

    >>> import pyarr as pa
    >>> pa.geomspace(1, 4, 3)
    array([1., 2., 4.])
    """
    if not (_core.is_active(array_of(start)) or _core.is_active(array_of(stop))):
        plain_ends = plain(start), plain(stop)
        return _wrap(numpy.geomspace(*plain_ends, num, endpoint, dtype, axis))
    start, stop = array_of(start), array_of(stop)
    steps = numpy.linspace(0.0, 1.0, num, endpoint)
    ratio = _core.log(stop / start)
    steps = steps.reshape((-1,) + (1,) * ratio.ndim)
    result = moveaxis(start * _core.exp(steps * ratio), 0, axis)
    return result if dtype is None else result.astype(dtype)


def fromfunction(function, shape, *, dtype=float, **kwargs):
    """`function` of the index arrays of a grid of this shape.

    >>> import pyarr as pa
    >>> pa.fromfunction(lambda i, j: i + j, (2, 2))
    array([[0., 1.],
           [1., 2.]])
    """
    return function(*indices(shape, dtype), **kwargs)


class _Grid:
    """numpy.mgrid or numpy.ogrid whose arrays are pyarr's."""

    def __init__(self, source):
        self._source = source

    def __getitem__(self, key):
        return _wrap(self._source[key])


class _Joined:
    """numpy.r_ or numpy.c_ for arrays that are not being differentiated."""

    def __init__(self, source):
        self._source = source

    def __getitem__(self, key):
        parts = key if isinstance(key, tuple) else (key,)
        return _wrap(
            self._source[
                tuple(
                    numpy.asarray(one) if isinstance(one, _core.ndarray) else one
                    for one in parts
                )
            ]
        )


r_ = _Joined(numpy.r_)
c_ = _Joined(numpy.c_)
mgrid = _Grid(numpy.mgrid)
ogrid = _Grid(numpy.ogrid)
