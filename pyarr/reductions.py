"""Means, variances, scans and sums of exponentials.

Names, arguments, defaults and dtypes are NumPy's. An empty mean is NaN without a
warning.
"""

import numpy

from pyarr import _core
from pyarr._args import (
    NOT_GIVEN,
    array_of,
    axes_of,
    axis_of,
    element_count,
    finish,
    inexact,
    safe_sqrt,
    zero_of,
)


def _keep(keepdims):
    return keepdims is not NOT_GIVEN and bool(keepdims)


def _mean_dtype(x, dtype):
    if dtype is not None:
        return numpy.dtype(dtype)
    return numpy.dtype(numpy.float64) if x.dtype.kind in "iub" else x.dtype


def _count(x, axes, keepdims, where):
    """How many elements each mean adds up: a number, or an array under a mask."""
    if where is NOT_GIVEN or where is True:
        return element_count(x.shape, axes)
    mask = _core.broadcast_to(array_of(where), x.shape)
    return _core.sum(mask, axis=axes, keepdims=keepdims, dtype=numpy.int64)


def _sum(x, axes, dtype, keepdims, where):
    if where is NOT_GIVEN or where is True:
        return _core.sum(x, axis=axes, dtype=dtype, keepdims=keepdims)
    x = _core.where(where, x, zero_of(x))
    return _core.sum(x, axis=axes, dtype=dtype, keepdims=keepdims)


def _divide(total, count):
    if isinstance(count, int):
        return total / count if count else total * numpy.nan
    return total / count.astype(total.real.dtype)


def mean(a, axis=None, dtype=None, out=None, keepdims=NOT_GIVEN, *, where=NOT_GIVEN):
    """The arithmetic mean over the given axes (default all).

    Integers and bool give float64. An axis that does not exist raises AxisError.

    >>> import pyarr as pa
    >>> pa.mean([[1, 2], [3, 4]], axis=0).tolist()
    [2.0, 3.0]
    """
    a = array_of(a)
    axes, keepdims = axes_of(axis, a.ndim), _keep(keepdims)
    total = _sum(a, axes, _mean_dtype(a, dtype), keepdims, where)
    return finish(_divide(total, _count(a, axes, keepdims, where)), out)


def var(
    a,
    axis=None,
    dtype=None,
    out=None,
    ddof=0,
    keepdims=NOT_GIVEN,
    *,
    where=NOT_GIVEN,
    mean=NOT_GIVEN,
    correction=NOT_GIVEN,
):
    """The variance over the given axes: mean of |x - mean|**2, with n - ddof as
    divisor.

    Complex input gives the real variance of both parts together.

    >>> import pyarr as pa
    >>> pa.var([1.0, 3.0])
    array(1.)
    """
    if correction is not NOT_GIVEN:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    a = array_of(a)
    axes, keepdims = axes_of(axis, a.ndim), _keep(keepdims)
    dtype = _mean_dtype(a, dtype)
    a = a if a.dtype == dtype or dtype.kind != a.dtype.kind == "c" else a.astype(dtype)
    if mean is NOT_GIVEN:
        total = _sum(a, axes, dtype, True, where)
        mean = _divide(total, _count(a, axes, True, where))
    deviation = a - mean
    squares = (
        _core.abs2(deviation) if deviation.dtype.kind == "c" else deviation * deviation
    )
    total = _sum(squares, axes, None, keepdims, where)
    count = _count(a, axes, keepdims, where)
    if isinstance(count, int):
        return finish(_divide_positive(total, count - ddof), out)
    return finish(total / _core.maximum(count - ddof, 0).astype(total.dtype), out)


def _divide_positive(total, count):
    """total / count where a count that is not positive gives NaN or infinity."""
    return total / count if count > 0 else total / _core.zeros((), total.dtype)


def std(
    a,
    axis=None,
    dtype=None,
    out=None,
    ddof=0,
    keepdims=NOT_GIVEN,
    *,
    where=NOT_GIVEN,
    mean=NOT_GIVEN,
    correction=NOT_GIVEN,
):
    """The standard deviation: the square root of `var`; of constants its gradient is
    0.

    >>> import pyarr as pa
    >>> pa.std([1.0, 3.0])
    array(1.)
    """
    variance = var(
        a,
        axis,
        dtype,
        None,
        ddof,
        keepdims,
        where=where,
        mean=mean,
        correction=correction,
    )
    return finish(safe_sqrt(variance), out)


def average(a, axis=None, weights=None, returned=False, *, keepdims=NOT_GIVEN):
    """The weighted mean; with `returned` also the sum of the weights.

    Weights have the array's shape, or that of its `axis`. ZeroDivisionError when they
    add up to zero.

    >>> import pyarr as pa
    >>> pa.average([1.0, 3.0], weights=[3.0, 1.0])
    array(1.5)
    """
    a = array_of(a)
    keep = _keep(keepdims)
    axes = axes_of(axis, a.ndim)
    if weights is None:
        result = mean(a, axis, keepdims=keep)
        scale = _core.full(result.shape, element_count(a.shape, axes), result.dtype)
        return (result, scale) if returned else result
    weights = array_of(weights)
    if weights.shape != a.shape:
        if axis is None:
            raise TypeError(
                "Axis must be specified when shapes of a and weights differ."
            )
        if weights.shape != tuple(a.shape[i] for i in axes):
            raise ValueError(
                "Shape of weights must be consistent with shape of a along specified "
                "axis."
            )
        order = sorted(range(len(axes)), key=axes.__getitem__)
        shape = tuple(a.shape[i] if i in axes else 1 for i in range(a.ndim))
        weights = weights.transpose(tuple(order)).reshape(shape)
    dtype = numpy.result_type(a.dtype, weights.dtype)
    dtype = numpy.result_type(dtype, numpy.float64) if a.dtype.kind in "iub" else dtype
    weights = _core.broadcast_to(weights.astype(dtype), a.shape)
    scale = _core.sum(weights, axis=axes, keepdims=keep)
    if (scale == 0).any():
        raise ZeroDivisionError("Weights sum to zero, can't be normalized")
    result = _core.sum(a * weights, axis=axes, keepdims=keep) / scale
    return (result, scale) if returned else result


def ptp(a, axis=None, out=None, keepdims=NOT_GIVEN):
    """The range, maximum minus minimum.

    >>> import pyarr as pa
    >>> pa.ptp([1.0, 5.0])
    array(4.)
    """
    keep = _keep(keepdims)
    a = array_of(a)
    return finish(
        _core.max(a, axis=axis, keepdims=keep) - _core.min(a, axis=axis, keepdims=keep),
        out,
    )


def count_nonzero(a, axis=None, *, keepdims=False):
    """How many elements are not zero, as int64.

    >>> import pyarr as pa
    >>> pa.count_nonzero([0, 3, 4])
    array(2)
    """
    return _core.sum(array_of(a) != 0, axis=axis, keepdims=keepdims, dtype=numpy.int64)


def _cumulative(name, x, axis, dtype, out, include_initial):
    x = array_of(x)
    if axis is None:
        if x.ndim > 1:
            raise ValueError(
                "For arrays which have more than one dimension ``axis`` argument is "
                "required."
            )
        axis = 0
    x = x.reshape((1,)) if x.ndim == 0 else x
    result = getattr(_core, name)(x, axis, dtype)
    if include_initial:
        from pyarr._core import concatenate

        axis = axis_of(axis, result.ndim)
        first = _core.full(
            tuple(1 if i == axis else n for i, n in enumerate(result.shape)),
            0 if name == "cumsum" else 1,
            result.dtype,
        )
        result = concatenate([first, result], axis)
    return finish(result, out)


def cumulative_sum(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
    """`cumsum` as the array API spells it, optionally with 0 in front.

    >>> import pyarr as pa
    >>> pa.cumulative_sum([1, 2, 3], include_initial=True)
    array([0, 1, 3, 6])
    """
    return _cumulative("cumsum", x, axis, dtype, out, include_initial)


def cumulative_prod(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
    """`cumprod` as the array API spells it, optionally with 1 in front.

    >>> import pyarr as pa
    >>> pa.cumulative_prod([1, 2, 3])
    array([1, 2, 6])
    """
    return _cumulative("cumprod", x, axis, dtype, out, include_initial)


def softmax(x, axis=None):
    """exp(x) / sum(exp(x)) along axes, without overflow.

    >>> import pyarr as pa
    >>> pa.softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    x = inexact(x)
    powers = _core.exp(x - _core.max(x, axis=axis, keepdims=True).detach())
    return powers / _core.sum(powers, axis=axis, keepdims=True)


def log_softmax(x, axis=None):
    """log(softmax(x)) without loss of digits.

    >>> import pyarr as pa
    >>> pa.log_softmax([0.0, 0.0])
    array([-0.69314718, -0.69314718])
    """
    x = inexact(x)
    x = x - _core.max(x, axis=axis, keepdims=True).detach()
    return x - _core.log(_core.sum(_core.exp(x), axis=axis, keepdims=True))
