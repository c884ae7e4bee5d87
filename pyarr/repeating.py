"""Repeating, shifting, mirroring and padding, as NumPy's functions of these names."""

import operator

import numpy

from pyarr import _core
from pyarr._args import along, array_of, axes_of, axis_of
from pyarr._core import concatenate, stack
from pyarr.manipulation import moveaxis


def tile(A, reps):
    """The array repeated `reps` times along each axis.

    >>> import pyarr as pa
    >>> pa.tile([1, 2], (2, 2)).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    a = array_of(A)
    reps = tuple(reps) if isinstance(reps, (tuple, list, numpy.ndarray)) else (reps,)
    reps = (1,) * (a.ndim - len(reps)) + tuple(operator.index(r) for r in reps)
    shape = (1,) * (len(reps) - a.ndim) + a.shape
    if all(r == 1 for r in reps):
        return a.reshape(shape).copy()
    single = tuple(n for size in shape for n in (1, size))
    repeated = tuple(n for pair in zip(reps, shape, strict=True) for n in pair)
    result = _core.broadcast_to(a.reshape(single), repeated)
    return result.reshape(tuple(r * n for r, n in zip(reps, shape, strict=True)))


def repeat(a, repeats, axis=None):
    """Each element repeated: `repeats` times, or as often as an array of counts says.

    >>> import pyarr as pa
    >>> pa.repeat([1, 2], [2, 1]).tolist()
    [1, 1, 2]
    """
    a = array_of(a)
    if axis is None:
        a, axis = a.reshape(-1), 0
    axis = axis_of(axis, a.ndim)
    counts = numpy.asarray(repeats)
    if counts.size and counts.dtype.kind not in "iub":
        raise TypeError(
            f"Cannot cast array data from {counts.dtype!r} to dtype('int64') "
            "according to the rule 'safe'"
        )
    size = a.shape[axis]
    if counts.size == 1:
        count = int(counts.reshape(()))
        if count < 0:
            raise ValueError("repeats may not contain negative values.")
        shape = (*a.shape[: axis + 1], count, *a.shape[axis + 1 :])
        single = a.reshape((*a.shape[: axis + 1], 1, *a.shape[axis + 1 :]))
        result = _core.broadcast_to(single, shape)
        result = result.reshape((*a.shape[:axis], size * count, *a.shape[axis + 1 :]))
        return result.copy() if count == 1 else result
    if counts.ndim != 1 or counts.size != size:
        raise ValueError(
            f"operands could not be broadcast together with shape ({size},) "
            f"{counts.shape}"
        )
    return a[along(axis, a.ndim, numpy.repeat(numpy.arange(size), counts))]


def roll(a, shift, axis=None):
    """Elements shifted along axes; what leaves at the end comes in at the front.

    >>> import pyarr as pa
    >>> pa.roll([1, 2, 3], 1)
    array([3, 1, 2])
    """
    a = array_of(a)
    if axis is None:
        return roll(a.reshape(-1), shift, 0).reshape(a.shape)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(axis_of(one, a.ndim) for one in axes)
    shifts = numpy.broadcast_arrays(shift, axes)
    if shifts[0].ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    total = {}
    for by, one in zip(shifts[0].tolist(), shifts[1].tolist(), strict=True):
        total[one] = total.get(one, 0) + operator.index(by)
    result = a
    for one, by in total.items():
        size = a.shape[one]
        by = by % size if size else 0
        if by:
            parts = slice(size - by, None), slice(None, size - by)
            result = concatenate(
                [result[along(one, a.ndim, part)] for part in parts], one
            )
    return result.copy() if result is a else result


def flip(m, axis=None):
    """A view with the order along the given axes (default all) reversed.

    >>> import pyarr as pa
    >>> pa.flip([1, 2, 3])
    array([3, 2, 1])
    """
    m = array_of(m)
    if m.ndim == 0 and axis is None:
        return m
    axes = axes_of(axis, m.ndim)
    back, whole = slice(None, None, -1), slice(None)
    return m[tuple(back if i in axes else whole for i in range(m.ndim))]


def fliplr(m):
    """A view with the columns reversed.

    >>> import pyarr as pa
    >>> pa.fliplr([[1, 2], [3, 4]])
    array([[2, 1],
           [4, 3]])
    """
    m = array_of(m)
    if m.ndim < 2:
        raise ValueError("Input must be >= 2-d.")
    return m[:, ::-1]


def flipud(m):
    """A view with the rows reversed.

    >>> import pyarr as pa
    >>> pa.flipud([[1, 2], [3, 4]])
    array([[3, 4],
           [1, 2]])
    """
    m = array_of(m)
    if m.ndim < 1:
        raise ValueError("Input must be >= 1-d.")
    return m[::-1, ...]


def rot90(m, k=1, axes=(0, 1)):
    """A view turned by 90 degrees `k` times, from the first towards the second axis.

    >>> import pyarr as pa
    >>> pa.rot90([[1, 2], [3, 4]])
    array([[2, 4],
           [1, 3]])
    """
    m = array_of(m)
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    first, second = (axis_of(one, m.ndim) for one in axes)
    if first == second:
        raise ValueError("Axes must be different.")
    k %= 4
    if k == 0:
        return m[...]
    if k == 2:
        return flip(m, (first, second))
    order = list(range(m.ndim))
    order[first], order[second] = second, first
    if k == 1:
        return flip(m, second).transpose(tuple(order))
    return flip(m.transpose(tuple(order)), second)


_INDEX_MODES = ("edge", "reflect", "symmetric", "wrap")


def pad(array, pad_width, mode="constant", **kwargs):
    """The array with a border of `pad_width` elements, as numpy.pad.

    `pad_width` is a number, (before, after), or one such pair for each axis. Modes
    "constant" (constant_values), "edge", "reflect", "symmetric", "wrap" and "empty" are
    differentiable; the others work on arrays that are not being differentiated.

    >>> import pyarr as pa
    >>> pa.pad([1, 2], 1).tolist()
    [0, 1, 2, 0]
    """
    a = array_of(array)
    if isinstance(pad_width, dict):
        pad_width = [
            pad_width.get(i, pad_width.get(i - a.ndim, (0, 0))) for i in range(a.ndim)
        ]
        pad_width = [w if isinstance(w, (tuple, list)) else (w, w) for w in pad_width]
    widths = numpy.asarray(pad_width)
    if widths.dtype.kind not in "iu":
        raise TypeError("`pad_width` must be of integral type.")
    if widths.size and widths.min() < 0:
        raise ValueError("index can't contain negative values")
    widths = numpy.broadcast_to(widths, (a.ndim, 2)).tolist()
    if mode in ("constant", "empty"):
        return _pad_constant(a, widths, kwargs.pop("constant_values", 0), kwargs)
    plain = mode in _INDEX_MODES and kwargs.get("reflect_type", "even") == "even"
    if not plain:
        from pyarr._dispatch import through_numpy

        return through_numpy(numpy.pad, (a, widths, mode), kwargs)
    result = a
    for axis, width in enumerate(widths):
        if any(width):
            index = numpy.pad(numpy.arange(a.shape[axis]), width, mode, **kwargs)
            result = result[along(axis, a.ndim, index)]
    return result.copy() if result is a else result


def _pad_constant(a, widths, values, unknown):
    if unknown:
        raise ValueError(
            f"unsupported keyword arguments for mode 'constant': {set(unknown)}"
        )
    shape = tuple(
        n + before + after for n, (before, after) in zip(a.shape, widths, strict=True)
    )
    result = _core.zeros(shape, a.dtype)
    inner = tuple(
        slice(before, before + n)
        for n, (before, _) in zip(a.shape, widths, strict=True)
    )
    result[inner if inner else ...] = a
    if isinstance(values, (int, float, complex)) and values == 0:
        return result
    values = array_of(values)
    values = _core.broadcast_to(values, (a.ndim, 2))
    for axis, (before, after) in enumerate(widths):
        size = shape[axis]
        if before:
            result[along(axis, a.ndim, slice(0, before))] = values[axis, 0]
        if after:
            result[along(axis, a.ndim, slice(size - after, size))] = values[axis, 1]
    return result


def apply_along_axis(func1d, axis, arr, *args, **kwargs):
    """`func1d` of every 1-d slice along `axis`, put together: a Python loop.

    The slices and results are pyarr arrays, so this is differentiable.

    >>> import pyarr as pa
    >>> pa.apply_along_axis(pa.sum, 1, [[1.0, 2.0], [3.0, 4.0]])
    array([3., 7.])
    """
    arr = array_of(arr)
    axis = axis_of(axis, arr.ndim)
    rows = moveaxis(arr, axis, -1)
    outer = rows.shape[:-1]
    if 0 in outer:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    flat = rows.reshape((-1, rows.shape[-1]))

    results = stack(
        [array_of(func1d(flat[i], *args, **kwargs)) for i in range(flat.shape[0])]
    )
    inner = results.shape[1:]
    results = results.reshape(outer + inner)
    places = tuple(range(axis, axis + len(inner)))
    return moveaxis(results, tuple(range(len(outer), results.ndim)), places)
