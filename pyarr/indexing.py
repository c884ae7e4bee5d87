"""Choosing and placing elements, as NumPy's functions of these names.

What is chosen is differentiable in the elements, never in the indices.
"""

import numpy

from pyarr import _core
from pyarr._args import along, array_of, axis_of, common, finish
from pyarr._core import concatenate, nonzero, stack, take
from pyarr.manipulation import broadcast_arrays, ravel


def argwhere(a):
    """The indices of the elements that are not zero, one row for each.

    >>> import pyarr as pa
    >>> pa.argwhere([[0, 1], [2, 0]])
    array([[0, 1],
           [1, 0]])
    """
    a = array_of(a)
    if a.ndim == 0:
        count = int(bool(a))
        return _core.zeros((count, 0), numpy.int64)
    count = int(_core.sum(a != 0))
    return _core.apply("nonzero", a, params=(count,))


def flatnonzero(a):
    """The indices of the nonzero elements of the flattened array.

    >>> import pyarr as pa
    >>> pa.flatnonzero([[0, 1], [2, 0]])
    array([1, 2])
    """
    return nonzero(ravel(a))[0]


def take_along_axis(arr, indices, axis=-1):
    """For each line along `axis` the elements at that line's own indices.

    >>> import pyarr as pa
    >>> pa.take_along_axis([[3, 1, 2]], [[1, 2, 0]], axis=1).tolist()
    [[1, 2, 3]]
    """
    arr, indices, axis = _along_operands(arr, indices, axis)
    shape = [
        max(m, n) if m and n else 0
        for m, n in zip(arr.shape, indices.shape, strict=True)
    ]
    shape[axis] = arr.shape[axis]
    arr = _core.broadcast_to(arr, tuple(shape))
    shape[axis] = indices.shape[axis]
    indices = _core.broadcast_to(indices, tuple(shape))
    return _core.apply("take_along", arr, indices, params=(axis,))


def _along_operands(arr, indices, axis):
    arr, indices = array_of(arr), array_of(indices)
    if indices.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    if axis is None:
        if indices.ndim != 1:
            raise ValueError("when axis=None, `indices` must have a single dimension.")
        arr, axis = arr.reshape(-1), 0
    axis = axis_of(axis, arr.ndim)
    if arr.ndim != indices.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    if indices.dtype != numpy.int64:
        indices = indices.astype(numpy.int64)
    return arr, indices, axis


def put_along_axis(arr, indices, values, axis):
    """Set, in place, for each line along `axis` the elements at its own indices.

    >>> import pyarr as pa
    >>> x = pa.zeros((2, 2))
    >>> pa.put_along_axis(x, [[1], [0]], 5.0, 1)
    >>> x
    array([[0., 5.],
           [5., 0.]])
    """
    target = arr
    arr, indices, axis = _along_operands(arr, indices, axis)
    if target.ndim != arr.ndim:
        put(target, indices, values)
        return
    index = []
    for i in range(arr.ndim):
        if i == axis:
            index.append(indices)
        else:
            shape = [1] * arr.ndim
            shape[i] = arr.shape[i]
            index.append(_core.arange(arr.shape[i]).reshape(tuple(shape)))
    target[tuple(index)] = values


def put(a, ind, v, mode="raise"):
    """Set, in place, elements at indices of the flattened array; `v` repeats.

    >>> import pyarr as pa
    >>> x = pa.zeros(3)
    >>> pa.put(x, [0, 2], [5.0, 6.0])
    >>> x
    array([5., 0., 6.])
    """
    indices = _indices(ravel(ind), a.size, mode)
    values = ravel(v)
    if indices.size == 0:
        return
    if values.size == 0:
        return
    if values.size not in (1, indices.size):
        values = values[_core.arange(indices.size) % values.size]
    elif values.size == 1:
        values = values.reshape(())
    host = numpy.asarray(indices)
    if host.min() < -a.size or host.max() >= a.size:
        worst = int(host.max() if host.max() >= a.size else host.min())
        raise IndexError(
            f"index {worst} is out of bounds for axis 0 with size {a.size}"
        )
    a[numpy.unravel_index(host % a.size, a.shape)] = values


def _indices(indices, size, mode):
    """Indices brought into [-size, size) as `mode` says."""
    indices = array_of(indices)
    if mode == "wrap":
        return indices % size
    if mode == "clip":
        return _core.clip(indices, 0, size - 1)
    if mode != "raise":
        raise ValueError(
            f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})"
        )
    return indices


def putmask(a, mask, values):
    """Set, in place, the elements where the mask is true; `values` repeat by place.

    >>> import pyarr as pa
    >>> x = pa.arange(4)
    >>> pa.putmask(x, x > 1, -1)
    >>> x
    array([ 0,  1, -1, -1])
    """
    values = ravel(values)
    if values.size:
        filled = values[_core.arange(a.size) % values.size].reshape(a.shape)
        a[...] = _core.where(mask, filled.astype(a.dtype), a)


def place(arr, mask, vals):
    """Set, in place, the elements where the mask is true to `vals` in order.

    >>> import pyarr as pa
    >>> x = pa.arange(4)
    >>> pa.place(x, x > 1, [8, 9])
    >>> x
    array([0, 1, 8, 9])
    """
    found = flatnonzero(mask)
    if found.size and array_of(vals).size == 0:
        raise ValueError("Cannot insert from an empty array!")
    put(arr, found, ravel(vals)[_core.arange(found.size) % array_of(vals).size])


def copyto(dst, src, casting="same_kind", where=True):
    """Copy `src` into `dst` where `where` is true, broadcasting both.

    >>> import pyarr as pa
    >>> x = pa.zeros(2)
    >>> pa.copyto(x, 3.0, where=[True, False])
    >>> x
    array([3., 0.])
    """
    src = array_of(src)
    if not numpy.can_cast(src.dtype, dst.dtype, casting):
        raise TypeError(
            f"Cannot cast array data from {src.dtype!r} to {dst.dtype!r} according to "
            f"the rule {casting!r}"
        )
    dst[...] = src if where is True else _core.where(where, src.astype(dst.dtype), dst)


def choose(a, choices, out=None, mode="raise"):
    """From each place of the arrays `choices` the element of the one that `a` names.

    >>> import pyarr as pa
    >>> pa.choose([0, 1], [[1, 2], [3, 4]])
    array([1, 4])
    """
    a = array_of(a)
    if a.dtype.kind not in "iub":
        raise TypeError(
            f"Cannot cast array data from {a.dtype!r} to dtype('int64') according to "
            "the rule 'safe'"
        )
    choices = common([array_of(one) for one in choices])
    index, *choices = broadcast_arrays(_indices(a, len(choices), mode), *choices)
    index = index.astype(numpy.int64)
    if index.size and (int(index.min()) < 0 or int(index.max()) >= len(choices)):
        raise ValueError("invalid entry in choice array")
    chosen = take_along_axis(stack(choices), index.reshape((1, *index.shape)), 0)
    return finish(chosen.reshape(index.shape), out)


def select(condlist, choicelist, default=0):
    """From each place the choice of the first condition that is true there.

    >>> import pyarr as pa
    >>> x = pa.arange(4)
    >>> pa.select([x > 2, x > 0], [x, 10 * x])
    array([ 0, 10, 20,  3])
    """
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if len(condlist) == 0:
        raise ValueError("select with an empty condition list is not possible")
    dtype = numpy.result_type(
        *[array_of(one).dtype for one in choicelist],
        default
        if isinstance(default, (int, float, complex))
        else array_of(default).dtype,
    )
    result = array_of(default).astype(dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        condition = array_of(condition)
        if condition.dtype.kind != "b":
            raise TypeError("invalid entry in condlist: should be boolean ndarray")
        result = _core.where(condition, array_of(choice).astype(dtype), result)
    return result


def compress(condition, a, axis=None, out=None):
    """The slices along `axis` for which the 1-d condition is true.

    >>> import pyarr as pa
    >>> pa.compress([True, False], [[1, 2], [3, 4]], axis=1)
    array([[1],
           [3]])
    """
    condition = array_of(condition)
    if condition.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    return take(a, flatnonzero(condition), axis, out)


def extract(condition, arr):
    """The elements of the flattened array where the condition is true.

    >>> import pyarr as pa
    >>> pa.extract([True, False, True], [1, 2, 3])
    array([1, 3])
    """
    return take(ravel(arr), flatnonzero(condition))


def delete(arr, obj, axis=None):
    """A copy without the slices `obj` (index, indices, mask or slice) of an axis.

    >>> import pyarr as pa
    >>> pa.delete([1, 2, 3], 1)
    array([1, 3])
    """
    arr = array_of(arr)
    if axis is None:
        arr, axis = arr.reshape(-1), 0
    axis = axis_of(axis, arr.ndim)
    size = arr.shape[axis]
    if isinstance(obj, (_core.ndarray, list)):
        obj = numpy.asarray(obj)
        if obj.size == 0 and obj.dtype.kind == "f":
            obj = obj.astype(numpy.intp)
    kept = numpy.delete(numpy.arange(size), obj)
    return arr[along(axis, arr.ndim, kept)]


def append(arr, values, axis=None):
    """A copy with `values` added at the end of an axis (default: of the flat array).

    >>> import pyarr as pa
    >>> pa.append([1, 2], [3])
    array([1, 2, 3])
    """
    if axis is None:
        return concatenate([ravel(arr), ravel(values)], 0)
    return concatenate([arr, values], axis)


def insert(arr, obj, values, axis=None):
    """A copy with `values` put in before the places `obj` of an axis.

    >>> import pyarr as pa
    >>> pa.insert([1, 2], 1, 9)
    array([1, 9, 2])
    """
    arr = array_of(arr)
    if axis is None:
        arr, axis = arr.reshape(-1), 0
    axis = axis_of(axis, arr.ndim)
    size = arr.shape[axis]
    if isinstance(obj, slice):
        obj = numpy.arange(*obj.indices(size))
    places = numpy.asarray(obj)
    if places.dtype == bool:
        places = numpy.flatnonzero(places)
    single = places.ndim == 0 or places.size == 1
    if places.ndim > 1:
        raise ValueError(
            "index array argument obj to insert must be one dimensional or scalar"
        )
    scalar = places.ndim == 0
    places = places.reshape(-1).astype(numpy.intp)
    for place in places:
        if not -size <= place <= size:
            raise IndexError(
                f"index {place} is out of bounds for axis {axis} with size {size}"
            )
    places = numpy.where(places < 0, places + size, places)
    values = array_of(values).astype(arr.dtype)
    if single:
        if scalar and values.ndim > 0:
            # a scalar place inserts values[...] as numpy does: its first axis moves to
            # `axis`
            values = values.reshape((1,) * (arr.ndim - values.ndim) + values.shape)
            values = _moved(values, axis) if values.ndim else values
        count = values.shape[axis] if values.ndim == arr.ndim else 1
        at = int(places[0]) + numpy.arange(count)
    else:
        count = places.size
        order = numpy.argsort(places, kind="stable")
        at = places.copy()
        at[order] += numpy.arange(count)
    shape = list(arr.shape)
    shape[axis] += len(at)
    result = _core.empty(tuple(shape), arr.dtype)
    kept = numpy.ones(shape[axis], bool)
    kept[at] = False
    result[along(axis, arr.ndim, numpy.flatnonzero(kept))] = arr
    result[along(axis, arr.ndim, at)] = values
    return result


def _moved(values, axis):
    order = list(range(1, values.ndim))
    order.insert(axis, 0)
    return values.transpose(tuple(order))


def unique(
    ar,
    return_index=False,
    return_inverse=False,
    return_counts=False,
    axis=None,
    *,
    equal_nan=True,
    sorted=True,
):
    """The different elements in order, or slices of an axis; differentiable.

    As numpy.unique also the first indices, the inverse and the counts on request.

    >>> import pyarr as pa
    >>> pa.unique([3, 1, 3])
    array([1, 3])
    """
    ar = array_of(ar)
    host = numpy.asarray(ar.detach())
    _, index, inverse, counts = numpy.unique(
        host, True, True, True, axis, equal_nan=equal_nan
    )
    values = ar.reshape(-1) if axis is None else ar
    values = take(values, index, 0 if axis is None else axis)
    wanted = (return_index, index), (return_inverse, inverse), (return_counts, counts)
    extra = tuple(array_of(one) for want, one in wanted if want)
    return (values, *extra) if extra else values
