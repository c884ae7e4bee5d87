"""Shapes, joining, splitting and repeating, as NumPy's functions of these names.

All are differentiable. Where NumPy returns a view, so does pyarr.
"""

import itertools
import operator

import numpy

from pyarr import _core
from pyarr._args import along, array_of, axes_of, axis_of, common
from pyarr._core import concatenate

broadcast_shapes = numpy.broadcast_shapes


def reshape(a, /, shape, order="C", *, copy=None):
    """The elements in a new shape: a view where the memory allows it, else a copy.

    One size may be -1. `order` "F" counts with the first index running fastest;
    `copy` True copies always, False raises ValueError where a copy would be needed.

    >>> import pyarr as pa
    >>> pa.reshape([1, 2, 3, 4], (2, -1)).tolist()
    [[1, 2], [3, 4]]
    """
    a = array_of(a)
    if isinstance(shape, (tuple, list)):
        shape = tuple(shape)
    else:
        shape = (operator.index(shape),)
    if order == "A":
        f_order = a.flags.f_contiguous and not a.flags.c_contiguous
        order = "F" if f_order else "C"
    if order not in ("C", "F"):
        raise ValueError(f"order must be 'C', 'F' or 'A', not {order!r}")
    if copy:
        a = a.copy()
    view = a.reshape(shape) if order == "C" else a.T.reshape(shape[::-1]).T
    if copy is False and view.size and not numpy.may_share_memory(view, a):
        raise ValueError("Unable to avoid creating a copy while reshaping.")
    return view


def copy(a, order="K", subok=False):
    """A copy that owns its memory; differentiable.

    >>> import pyarr as pa
    >>> pa.copy([1.0, 2.0])
    array([1., 2.])
    """
    return array_of(a).copy(order)


def ravel(a, order="C"):
    """The elements as one axis: a view where the memory allows it.

    >>> import pyarr as pa
    >>> pa.ravel([[1, 2], [3, 4]])
    array([1, 2, 3, 4])
    """
    a = array_of(a)
    if order == "K":
        order = "A"
    return reshape(a, -1, order)


def transpose(a, axes=None):
    """A view with the axes in the given order, reversed by default.

    >>> import pyarr as pa
    >>> pa.transpose([[1, 2], [3, 4]])
    array([[1, 3],
           [2, 4]])
    """
    a = array_of(a)
    return a.T if axes is None else a.transpose(tuple(axes))


permute_dims = transpose


def swapaxes(a, axis1, axis2):
    """A view with two axes exchanged.

    >>> import pyarr as pa
    >>> pa.swapaxes([[1, 2], [3, 4]], 0, 1)
    array([[1, 3],
           [2, 4]])
    """
    a = array_of(a)
    axis1, axis2 = axis_of(axis1, a.ndim), axis_of(axis2, a.ndim)
    order = list(range(a.ndim))
    order[axis1], order[axis2] = axis2, axis1
    return a.transpose(tuple(order))


def matrix_transpose(x, /):
    """A view with the last two axes exchanged.

    >>> import pyarr as pa
    >>> pa.matrix_transpose([[1, 2], [3, 4]])
    array([[1, 3],
           [2, 4]])
    """
    x = array_of(x)
    if x.ndim < 2:
        raise ValueError(
            f"Input array must be at least 2-dimensional, but it is {x.ndim}"
        )
    return swapaxes(x, -1, -2)


def moveaxis(a, source, destination):
    """A view with the axes `source` moved to the places `destination`.

    >>> import pyarr as pa
    >>> pa.moveaxis(pa.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    a = array_of(a)
    source, destination = axes_of(source, a.ndim), axes_of(destination, a.ndim)
    if len(source) != len(destination):
        raise ValueError(
            "`source` and `destination` arguments must have the same number of elements"
        )
    order = [axis for axis in range(a.ndim) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return a.transpose(tuple(order))


def rollaxis(a, axis, start=0):
    """A view with `axis` moved in front of `start`.

    >>> import pyarr as pa
    >>> pa.rollaxis(pa.zeros((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    a = array_of(a)
    axis = axis_of(axis, a.ndim)
    start = axis_of(start, a.ndim + 1)
    return moveaxis(a, axis, start - (axis < start))


def expand_dims(a, axis):
    """A view with new axes of size 1 at the places `axis` of the result.

    >>> import pyarr as pa
    >>> pa.expand_dims([1.0, 2.0], (0, 2)).shape
    (1, 2, 1)
    """
    a = array_of(a)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    axes = axes_of(axis, a.ndim + count)
    sizes = iter(a.shape)
    shape = [1 if i in axes else next(sizes) for i in range(a.ndim + count)]
    return a.reshape(tuple(shape))


def squeeze(a, axis=None):
    """A view without axes of size 1 (all of them, or those of `axis`).

    >>> import pyarr as pa
    >>> pa.squeeze([[1, 2]])
    array([1, 2])
    """
    a = array_of(a)
    if axis is None:
        axes = [i for i, size in enumerate(a.shape) if size == 1]
    else:
        axes = axes_of(axis, a.ndim)
        if any(a.shape[i] != 1 for i in axes):
            raise ValueError(
                "cannot select an axis to squeeze out which has size not equal to one"
            )
    return a.reshape(tuple(n for i, n in enumerate(a.shape) if i not in axes))


def _each(arrays, change):
    arrays = tuple(change(array_of(one)) for one in arrays)
    return arrays[0] if len(arrays) == 1 else arrays


def atleast_1d(*arys):
    """Arrays of at least one dimension; 0-d ones get shape (1,).

    >>> import pyarr as pa
    >>> pa.atleast_1d(3.0)
    array([3.])
    """
    return _each(arys, lambda x: x.reshape((1,)) if x.ndim == 0 else x)


def atleast_2d(*arys):
    """Arrays of at least two dimensions; missing ones come in front.

    >>> import pyarr as pa
    >>> pa.atleast_2d([1, 2])
    array([[1, 2]])
    """
    return _each(
        arys, lambda x: x if x.ndim > 1 else x.reshape((1,) * (2 - x.ndim) + x.shape)
    )


def atleast_3d(*arys):
    """Arrays of at least three dimensions: (n,) gives (1, n, 1), (m, n) (m, n, 1).

    >>> import pyarr as pa
    >>> pa.atleast_3d([1, 2]).shape
    (1, 2, 1)
    """
    shapes = {0: lambda s: (1, 1, 1), 1: lambda s: (1, *s, 1), 2: lambda s: (*s, 1)}
    return _each(
        arys, lambda x: x if x.ndim > 2 else x.reshape(shapes[x.ndim](x.shape))
    )


def broadcast_arrays(*args, subok=False):
    """Views of all arguments in their common shape, as a tuple.

    >>> import pyarr as pa
    >>> [x.shape for x in pa.broadcast_arrays([1, 2], [[1], [2], [3]])]
    [(3, 2), (3, 2)]
    """
    arrays = [array_of(one) for one in args]
    shape = broadcast_shapes(*(one.shape for one in arrays))
    return tuple(
        one if one.shape == shape else _core.broadcast_to(one, shape) for one in arrays
    )


def _operands(arrays, dtype, casting):
    if hasattr(arrays, "__next__"):
        raise TypeError(
            'arrays to stack must be passed as a "sequence" type such as list or tuple.'
        )
    arrays = [array_of(one) for one in arrays]
    if not arrays:
        raise ValueError("need at least one array to concatenate")
    if dtype is None:
        return common(arrays)
    dtype = numpy.dtype(dtype)
    for one in arrays:
        if not numpy.can_cast(one.dtype, dtype, casting):
            raise TypeError(
                f"Cannot cast array data from {one.dtype!r} to {dtype!r} "
                f"according to the rule {casting!r}"
            )
    return [one.astype(dtype) for one in arrays]


def vstack(tup, *, dtype=None, casting="same_kind"):
    """Rows on top of each other; 1-d arrays are rows.

    >>> import pyarr as pa
    >>> pa.vstack([[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]])
    """
    arrays = [atleast_2d(one) for one in _operands(tup, dtype, casting)]
    return concatenate(arrays, 0)


def hstack(tup, *, dtype=None, casting="same_kind"):
    """Arrays beside each other: along axis 1, or 0 for 1-d arrays.

    >>> import pyarr as pa
    >>> pa.hstack([[1, 2], [3]])
    array([1, 2, 3])
    """
    arrays = [atleast_1d(one) for one in _operands(tup, dtype, casting)]
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1)


def dstack(tup):
    """Arrays behind each other along the third axis.

    >>> import pyarr as pa
    >>> pa.dstack([[1, 2], [3, 4]]).shape
    (1, 2, 2)
    """
    return concatenate([atleast_3d(one) for one in tup], 2)


def column_stack(tup):
    """1-d arrays as columns, 2-d arrays as they are, side by side.

    >>> import pyarr as pa
    >>> pa.column_stack([[1, 2], [3, 4]])
    array([[1, 3],
           [2, 4]])
    """
    arrays = [array_of(one) for one in tup]
    return concatenate([x if x.ndim > 1 else x.reshape((-1, 1)) for x in arrays], 1)


def block(arrays):
    """An array put together from nested lists of blocks.

    The innermost lists join along the last axis, the next along the one before.

    >>> import pyarr as pa
    >>> pa.block([[pa.ones((1, 1)), pa.zeros((1, 2))]])
    array([[1., 0., 0.]])
    """

    def depth_of(part):
        return 1 + max(map(depth_of, part)) if isinstance(part, list) else 0

    def leaves(part):
        if isinstance(part, list):
            if not part:
                raise ValueError("List of arrays cannot be empty")
            for one in part:
                yield from leaves(one)
        else:
            yield array_of(part)

    depth = depth_of(arrays)
    ndim = max(depth, max(one.ndim for one in leaves(arrays)))

    def build(part, level):
        if not isinstance(part, list):
            if level != depth:
                raise ValueError("List depths are mismatched.")
            x = array_of(part)
            return x.reshape((1,) * (ndim - x.ndim) + x.shape)
        axis = ndim - depth + level
        return concatenate([build(one, level + 1) for one in part], axis)

    return build(arrays, 0).copy()


def array_split(ary, indices_or_sections, axis=0):
    """A list of views of the parts along an axis, the first ones longer if need be.

    >>> import pyarr as pa
    >>> pa.array_split([1, 2, 3], 2)
    [array([1, 2]), array([3])]
    """
    ary = array_of(ary)
    axis = axis_of(axis, ary.ndim)
    size = ary.shape[axis]
    try:
        inner = [operator.index(i) for i in indices_or_sections]
        edges = [0, *inner, size]
    except TypeError:
        sections = operator.index(indices_or_sections)
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.") from None
        each, extra = divmod(size, sections)
        edges = [i * each + min(i, extra) for i in range(sections + 1)]
    return [
        ary[along(axis, ary.ndim, slice(a, b))] for a, b in itertools.pairwise(edges)
    ]


def split(ary, indices_or_sections, axis=0):
    """Views of equal parts, or of the parts between indices; ValueError if unequal.

    >>> import pyarr as pa
    >>> pa.split([1, 2, 3, 4], [1, 3])
    [array([1]), array([2, 3]), array([4])]
    """
    ary = array_of(ary)
    if not hasattr(indices_or_sections, "__len__"):
        sections = operator.index(indices_or_sections)
        if sections and ary.shape[axis_of(axis, ary.ndim)] % sections:
            raise ValueError("array split does not result in an equal division")
    return array_split(ary, indices_or_sections, axis)


def hsplit(ary, indices_or_sections):
    """Parts along axis 1, or 0 of a 1-d array.

    >>> import pyarr as pa
    >>> pa.hsplit([[1, 2], [3, 4]], 2)
    [array([[1],
           [3]]), array([[2],
           [4]])]
    """
    ary = array_of(ary)
    if ary.ndim == 0:
        raise ValueError("hsplit only works on arrays of 1 or more dimensions")
    return split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


def vsplit(ary, indices_or_sections):
    """Parts along axis 0.

    >>> import pyarr as pa
    >>> pa.vsplit([[1, 2], [3, 4]], 2)
    [array([[1, 2]]), array([[3, 4]])]
    """
    ary = array_of(ary)
    if ary.ndim < 2:
        raise ValueError("vsplit only works on arrays of 2 or more dimensions")
    return split(ary, indices_or_sections, 0)


def dsplit(ary, indices_or_sections):
    """Parts along axis 2.

    >>> import pyarr as pa
    >>> len(pa.dsplit(pa.zeros((1, 2, 4)), 2))
    2
    """
    ary = array_of(ary)
    if ary.ndim < 3:
        raise ValueError("dsplit only works on arrays of 3 or more dimensions")
    return split(ary, indices_or_sections, 2)


def unstack(x, /, *, axis=0):
    """The slices along an axis, as a tuple of views.

    >>> import pyarr as pa
    >>> pa.unstack([[1, 2], [3, 4]])
    (array([1, 2]), array([3, 4]))
    """
    x = array_of(x)
    if x.ndim == 0:
        raise ValueError("Input array must be at least 1-d.")
    axis = axis_of(axis, x.ndim)
    return tuple(x[(*along(axis, x.ndim, i), ...)] for i in range(x.shape[axis]))
