"""What the functions of the package share: axes, operands, results."""

import operator

import numpy
from numpy.exceptions import AxisError

from pyarr import _core

NOT_GIVEN = numpy._NoValue


def axis_of(axis, ndim):
    """An axis counted from the front; AxisError when there is no such axis."""
    axis = operator.index(axis)
    if not -ndim <= axis < ndim:
        raise AxisError(axis, ndim)
    return axis + ndim if axis < 0 else axis


def axes_of(axis, ndim):
    """An axis, a tuple of them or None (all) as a tuple counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        return (axis_of(axis, ndim),)
    axes = tuple(axis_of(one, ndim) for one in axis)
    if len(set(axes)) != len(axes):
        raise ValueError("repeated axis")
    return axes


def array_of(x):
    """`x` as a pyarr array."""
    return x if type(x) is _core.ndarray else _core.asarray(x)


def inexact(x):
    """`x` as an array of floats or complex numbers; integers become float64."""
    x = array_of(x)
    return x if x.dtype.kind in "fc" else x.astype(numpy.float64)


def common(arrays):
    """The arrays in their common dtype."""
    dtypes = {x.dtype for x in arrays}
    if len(dtypes) <= 1:
        return arrays
    dtype = numpy.result_type(*dtypes)
    return [x if x.dtype == dtype else x.astype(dtype) for x in arrays]


def finish(result, out=None):
    """`result`, written into `out` when that is given."""
    if out is None:
        return result
    if out.shape != result.shape:
        raise ValueError(
            f"output parameter has the wrong shape: {out.shape}, needed {result.shape}"
        )
    if not numpy.can_cast(result.dtype, out.dtype, "same_kind"):
        raise TypeError(
            f"Cannot cast output from {result.dtype!r} to {out.dtype!r} "
            "with casting rule 'same_kind'"
        )
    out[...] = result
    return out


def along(axis, ndim, index):
    """The index that applies `index` to one axis."""
    return (slice(None),) * axis + (index,) + (slice(None),) * (ndim - axis - 1)


def element_count(shape, axes):
    """How many elements a reduction over `axes` adds up."""
    count = 1
    for axis in axes:
        count *= shape[axis]
    return count


def zero_of(x):
    """The zero of an array's dtype, for `where`."""
    return _core.zeros((), x.dtype)


def safe_sqrt(x):
    """sqrt whose derivative at 0 is 0 instead of infinite."""
    zero = x == 0
    return _core.where(zero, zero_of(x), _core.sqrt(_core.where(zero, 1, x)))


def complex_of(real, imag):
    """A complex array of its two parts."""
    return _core.apply("make_complex", real, imag)


def plain(value):
    """An array as NumPy sees it, without derivative; anything else as it is."""
    if isinstance(value, _core.ndarray):
        return numpy.asarray(value.detach())
    return value
