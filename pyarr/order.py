"""Sorting, searching and order statistics, as NumPy's functions of these names.

All are differentiable in the values, through the order that they have; ties keep the
order in which sorting puts them.
"""

import numpy

from pyarr import _core
from pyarr._args import array_of, axes_of, element_count, finish, inexact
from pyarr._core import argsort, sort


def partition(a, kth, axis=-1, kind="introselect", order=None):
    """A copy in which the kth element is where sorting would put it (it is sorted).

    >>> import pyarr as pa
    >>> pa.partition([3, 1, 2], 1)
    array([1, 2, 3])
    """
    return sort(a, axis)


def argpartition(a, kth, axis=-1, kind="introselect", order=None):
    """Indices of a partition around the kth element (they sort).

    >>> import pyarr as pa
    >>> pa.argpartition([3, 1, 2], 1)
    array([1, 2, 0])
    """
    return argsort(a, axis)


def _lines(a, axes):
    """The given axes as one last axis, and where to put a kept axis back."""
    rest = [i for i in range(a.ndim) if i not in axes]
    lines = a.transpose(tuple(rest + list(axes)))
    shape = tuple(a.shape[i] for i in rest)
    return lines.reshape((*shape, element_count(a.shape, axes)))


_CONTINUOUS = {  # method -> (alpha, beta) of Hyndman and Fan
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "linear": (1.0, 1.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}


def _positions(q, n, method):
    """Lower index, upper index and weight of the upper one, as NumPy arrays."""
    if method in _CONTINUOUS:
        alpha, beta = _CONTINUOUS[method]
        at = n * q + (alpha + q * (1 - alpha - beta)) - 1
        at = numpy.clip(at, 0, n - 1)
        below = numpy.floor(at)
        return below, numpy.minimum(below + 1, n - 1), at - below
    at = (n - 1) * q
    if method == "lower":
        at = numpy.floor(at)
    elif method == "higher":
        at = numpy.ceil(at)
    elif method == "nearest":
        at = numpy.rint(at)
    elif method == "midpoint":
        return numpy.floor(at), numpy.ceil(at), numpy.where(at % 1 == 0, 0.0, 0.5)
    elif method in ("inverted_cdf", "averaged_inverted_cdf", "closest_observation"):
        at = n * q
        if method == "closest_observation":
            at = at - 0.5
            even = (at % 1 == 0) & (numpy.floor(at) % 2 == 1)
            index = numpy.clip(numpy.ceil(at) - 1 + even, 0, n - 1)
            index = numpy.where(at % 1 == 0, numpy.clip(at - 1 + even, 0, n - 1), index)
            return index, index, 0.0 * q
        upper = numpy.clip(numpy.floor(at), 0, n - 1)
        lower = numpy.clip(numpy.ceil(at) - 1, 0, n - 1)
        weight = 0.5 if method == "averaged_inverted_cdf" else 0.0
        return lower, upper, numpy.where(at % 1 == 0, weight, 0.0)
    else:
        raise ValueError(f"{method!r} is not a valid method.")
    return at, at, 0.0 * at


def _quantile(a, q, axis, method, keepdims):
    a = array_of(a)
    if a.dtype.kind == "c":
        raise TypeError("a must be an array of real numbers")
    a = inexact(a)
    axes = axes_of(axis, a.ndim)
    q = numpy.asarray(q, dtype=float)
    if not numpy.all((q >= 0) & (q <= 1)):
        raise ValueError("Quantiles must be in the range [0, 1]")
    lines = _lines(a, axes)
    n = lines.shape[-1]
    shape = q.shape + lines.shape[:-1]
    if n == 0:
        result = _core.full(shape, numpy.nan, a.dtype)
    else:
        ordered = sort(lines, -1)
        low, high, weight = _positions(q, n, method)
        low, high = numpy.asarray(low, numpy.intp), numpy.asarray(high, numpy.intp)
        below, above = ordered[..., low], ordered[..., high]
        weight = numpy.asarray(weight, a.dtype)
        result = below + (above - below) * weight
        result = _core.where(below == above, below, result)
        last = ordered[..., n - 1]
        last = last.reshape(last.shape + (1,) * q.ndim)
        result = _core.where(_core.isnan(last), last, result)
        if q.ndim:
            k = lines.ndim - 1
            order = tuple(range(k, k + q.ndim)) + tuple(range(k))
            result = result.transpose(order)
    if keepdims:
        kept = tuple(1 if i in axes else m for i, m in enumerate(a.shape))
        result = result.reshape(q.shape + kept)
    return result


def quantile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False
):
    """The q-th quantile, q in [0, 1], over axes; q may be an array, whose axes come
    first.

    All of NumPy's methods. NaN in a line gives NaN. Differentiable in `a`.

    >>> import pyarr as pa
    >>> pa.quantile([1.0, 2.0, 3.0], 0.25)
    array(1.5)
    """
    return finish(_quantile(a, q, axis, method, keepdims), out)


def percentile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False
):
    """`quantile` with q in percent.

    >>> import pyarr as pa
    >>> pa.percentile([1.0, 2.0, 3.0], 25)
    array(1.5)
    """
    q = numpy.asarray(q, dtype=float) / 100
    if not numpy.all((q >= 0) & (q <= 1)):
        raise ValueError("Percentiles must be in the range [0, 100]")
    return finish(_quantile(a, q, axis, method, keepdims), out)


def median(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    """The middle element in order, or the mean of the middle two.

    >>> import pyarr as pa
    >>> pa.median([1.0, 2.0, 4.0, 9.0])
    array(3.)
    """
    a = inexact(a)
    axes = axes_of(axis, a.ndim)
    lines = _lines(a, axes)
    n = lines.shape[-1]
    if n == 0:
        result = _core.full(lines.shape[:-1], numpy.nan, a.dtype)
    else:
        ordered = sort(lines, -1)
        low, high = ordered[..., (n - 1) // 2], ordered[..., n // 2]
        result = low if n % 2 else (low + high) / 2
        last = ordered[..., n - 1]
        result = _core.where(_core.isnan(last), last, result)
    if keepdims:
        result = result.reshape(
            tuple(1 if i in axes else m for i, m in enumerate(a.shape))
        )
    return finish(result, out)
