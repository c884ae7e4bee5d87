"""Products of vectors, matrices and tensors, as NumPy's functions of these names.

All end in the core's matrix product, or in an elementwise product where nothing is
summed.
"""

import operator

import numpy

from pyarr import _core
from pyarr._args import array_of, axis_of, common, element_count, finish
from pyarr._core import matmul, stack
from pyarr.manipulation import moveaxis


def _cast(arrays, dtype, casting="same_kind"):
    if dtype is None:
        return common(arrays)
    for one in arrays:
        if not numpy.can_cast(one.dtype, dtype, casting):
            raise TypeError(
                f"Cannot cast array data from {one.dtype!r} to {numpy.dtype(dtype)!r} "
                f"according to the rule {casting!r}"
            )
    return [one.astype(dtype) for one in arrays]


def _mismatch(name, a, b, m, n):
    text = f"{name}: shapes {a.shape} and {b.shape}: {m} does not match {n}"
    raise ValueError(text)


def vecdot(x1, x2, /, out=None, *, axis=-1, dtype=None):
    """The sum of conj(x1) * x2 along an axis; other axes broadcast.

    >>> import pyarr as pa
    >>> pa.vecdot([1.0, 2.0], [3.0, 4.0])
    array(11.)
    """
    a, b = _cast([array_of(x1), array_of(x2)], dtype)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError("vecdot: arguments need at least one dimension")
    a, b = moveaxis(a, axis, -1), moveaxis(b, axis, -1)
    if a.shape[-1] != b.shape[-1]:
        _mismatch("vecdot", a, b, a.shape[-1], b.shape[-1])
    a = _core.conjugate(a) if a.dtype.kind == "c" else a
    return finish(_inner_pairs(a, b), out)


def _inner_pairs(a, b):
    """Sums over the last axis of a * b."""
    if a.ndim == b.ndim == 1:
        return matmul(a, b)
    a = a.reshape((*a.shape[:-1], 1, a.shape[-1]))
    b = b.reshape((*b.shape, 1))
    result = _core.apply("matmul", a, b)
    return result.reshape(result.shape[:-2])


def matvec(x1, x2, /, out=None, *, dtype=None):
    """Matrices times vectors: (..., m, n), (..., n) -> (..., m).

    >>> import pyarr as pa
    >>> pa.matvec([[1, 2], [3, 4]], [1, 1])
    array([3, 7])
    """
    a, b = _cast([array_of(x1), array_of(x2)], dtype)
    if a.ndim < 2 or b.ndim < 1 or a.shape[-1] != b.shape[-1]:
        raise ValueError(f"matvec: shapes {a.shape} and {b.shape} do not match")
    result = _core.apply("matmul", a, b.reshape((*b.shape, 1)))
    return finish(result.reshape(result.shape[:-1]), out)


def vecmat(x1, x2, /, out=None, *, dtype=None):
    """Conjugated vectors times matrices: (..., m), (..., m, n) -> (..., n).

    >>> import pyarr as pa
    >>> pa.vecmat([1, 1], [[1, 2], [3, 4]])
    array([4, 6])
    """
    a, b = _cast([array_of(x1), array_of(x2)], dtype)
    if a.ndim < 1 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"vecmat: shapes {a.shape} and {b.shape} do not match")
    a = _core.conjugate(a) if a.dtype.kind == "c" else a
    result = _core.apply("matmul", a.reshape((*a.shape[:-1], 1, a.shape[-1])), b)
    return finish(result.reshape(result.shape[:-2] + result.shape[-1:]), out)


def _dot(a, b, out=None):
    """Sums over the last axis of `a` and the last but one of `b` (the last of a
    vector).

    Scalars multiply. ValueError when the sizes differ.
    """
    a, b = common([array_of(a), array_of(b)])
    if a.ndim == 0 or b.ndim == 0:
        return finish(a * b, out)
    inner = -1 if b.ndim == 1 else -2
    if a.shape[-1] != b.shape[inner]:
        raise ValueError(
            f"shapes {_plain(a.shape)} and {_plain(b.shape)} not aligned: "
            f"{a.shape[-1]} (dim {a.ndim - 1}) != {b.shape[inner]} (dim "
            f"{b.ndim + inner})"
        )
    if a.ndim <= 2 and b.ndim <= 2:
        return matmul(a, b, out)
    return finish(tensordot(a, b, ((a.ndim - 1,), (b.ndim + inner,))), out)


def _plain(shape):
    return "(" + ",".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def vdot(a, b, /):
    """The sum of conj(a) * b over all elements, flattened.

    >>> import pyarr as pa
    >>> pa.vdot([1j], [1j])
    array(1.+0.j)
    """
    a, b = common([array_of(a).reshape(-1), array_of(b).reshape(-1)])
    if a.size != b.size:
        raise ValueError("cannot reshape array: vdot needs arguments of one size")
    return matmul(_core.conjugate(a) if a.dtype.kind == "c" else a, b)


def inner(a, b, /):
    """Sums over the last axes of both; other axes of a come first, then those of b.

    >>> import pyarr as pa
    >>> pa.inner([1, 2], [3, 4])
    array(11)
    """
    a, b = common([array_of(a), array_of(b)])
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"shapes {_plain(a.shape)} and {_plain(b.shape)} not aligned: "
            f"{a.shape[-1]} (dim {a.ndim - 1}) != {b.shape[-1]} (dim {b.ndim - 1})"
        )
    if b.ndim <= 2:
        return a @ b.T
    return tensordot(a, b, ((a.ndim - 1,), (b.ndim - 1,)))


def outer(a, b, out=None):
    """The product of each element of `a` with each of `b`, both flattened: 2-d.

    >>> import pyarr as pa
    >>> pa.outer([1, 2], [3, 4])
    array([[3, 4],
           [6, 8]])
    """
    a, b = array_of(a).reshape((-1, 1)), array_of(b).reshape((1, -1))
    return finish(a * b, out)


def tensordot(a, b, axes=2):
    """Sums over pairs of axes: an int n pairs the last n of `a` with the first n of
    `b`.

    `axes` may also be two sequences. The result has the other axes of a, then of b.

    >>> import pyarr as pa
    >>> pa.tensordot([[1, 2]], [[3], [4]], 1).tolist()
    [[11]]
    """
    a, b = common([array_of(a), array_of(b)])
    try:
        axes_a, axes_b = axes
    except TypeError:
        count = operator.index(axes)
        axes_a = range(a.ndim - count, a.ndim)
        axes_b = range(count)
    axes_a = [axes_a] if isinstance(axes_a, int) else list(axes_a)
    axes_b = [axes_b] if isinstance(axes_b, int) else list(axes_b)
    if len(axes_a) != len(axes_b) or max(len(axes_a), 0) > min(a.ndim, b.ndim):
        raise ValueError("shape-mismatch for sum")
    axes_a = [axis_of(one, a.ndim) for one in axes_a]
    axes_b = [axis_of(one, b.ndim) for one in axes_b]
    if any(a.shape[i] != b.shape[j] for i, j in zip(axes_a, axes_b, strict=True)):
        raise ValueError("shape-mismatch for sum")
    left = [i for i in range(a.ndim) if i not in axes_a]
    right = [i for i in range(b.ndim) if i not in axes_b]
    shape = tuple(a.shape[i] for i in left) + tuple(b.shape[i] for i in right)
    rows, columns = element_count(a.shape, left), element_count(b.shape, right)
    depth = element_count(a.shape, axes_a)
    a = a.transpose(tuple(left + axes_a)).reshape((rows, depth))
    b = b.transpose(tuple(axes_b + right)).reshape((depth, columns))
    result = _core.apply("matmul", a, b).reshape(shape)
    return result if shape else result[()]


def kron(a, b):
    """The Kronecker product: blocks of `b` scaled by the elements of `a`.

    >>> import pyarr as pa
    >>> pa.kron([1, 2], [1, 1])
    array([1, 1, 2, 2])
    """
    a, b = array_of(a), array_of(b)
    n = max(a.ndim, b.ndim)
    shape_a = (1,) * (n - a.ndim) + a.shape
    shape_b = (1,) * (n - b.ndim) + b.shape
    a = a.reshape(tuple(m for size in shape_a for m in (size, 1)))
    b = b.reshape(tuple(m for size in shape_b for m in (1, size)))
    result = a * b
    return result.reshape(tuple(m * k for m, k in zip(shape_a, shape_b, strict=True)))


def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """The cross product of vectors of 3 (or 2: only the third component) elements.

    >>> import pyarr as pa
    >>> pa.cross([1, 0, 0], [0, 1, 0])
    array([0, 0, 1])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = moveaxis(array_of(a), axisa, -1), moveaxis(array_of(b), axisb, -1)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        raise ValueError(
            "incompatible dimensions for cross product\n(dimension must be 2 or 3)"
        )
    x = [a[..., i] for i in range(a.shape[-1])]
    y = [b[..., i] for i in range(b.shape[-1])]
    third = x[0] * y[1] - x[1] * y[0]
    if len(x) == len(y) == 2:
        return third

    if len(x) == 2:
        first, second = x[1] * y[2], -(x[0] * y[2])
    elif len(y) == 2:
        first, second = -(x[2] * y[1]), x[2] * y[0]
    else:
        first = x[1] * y[2] - x[2] * y[1]
        second = x[2] * y[0] - x[0] * y[2]
    result = stack([first, second, third], -1)
    return moveaxis(result, -1, axisc)
