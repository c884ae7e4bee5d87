"""Reductions that leave NaN out, as NumPy's functions of these names.

They are the plain reductions under a mask, so a NaN neither counts nor has a
derivative. Lines of NaN alone give NaN without a warning.
"""

import numpy

from pyarr import _core, order, reductions
from pyarr._args import NOT_GIVEN, array_of, axes_of, complex_of, finish, safe_sqrt
from pyarr._core import stack


def _masked(a, fill):
    """`a` with NaN replaced, and where it is a number (None: everywhere)."""
    a = array_of(a)
    if a.dtype.kind not in "fc":
        return a, None
    good = ~_core.isnan(a)
    return _core.where(good, a, numpy.asarray(fill, a.dtype)), good


def nansum(a, axis=None, dtype=None, out=None, keepdims=False):
    """The sum, NaN counting as 0.

    >>> import pyarr as pa
    >>> pa.nansum([1.0, pa.nan, 3.0])
    array(4.)
    """
    return finish(
        _core.sum(_masked(a, 0)[0], axis=axis, dtype=dtype, keepdims=keepdims), out
    )


def nanprod(a, axis=None, dtype=None, out=None, keepdims=False):
    """The product, NaN counting as 1.

    >>> import pyarr as pa
    >>> pa.nanprod([1.0, pa.nan, 3.0])
    array(3.)
    """
    return finish(
        _core.prod(_masked(a, 1)[0], axis=axis, dtype=dtype, keepdims=keepdims), out
    )


def nancumsum(a, axis=None, dtype=None, out=None):
    """The cumulative sum, NaN counting as 0.

    >>> import pyarr as pa
    >>> pa.nancumsum([1.0, pa.nan, 3.0])
    array([1., 1., 4.])
    """
    return _core.cumsum(_masked(a, 0)[0], axis, dtype, out)


def nancumprod(a, axis=None, dtype=None, out=None):
    """The cumulative product, NaN counting as 1.

    >>> import pyarr as pa
    >>> pa.nancumprod([1.0, pa.nan, 3.0])
    array([1., 1., 3.])
    """
    return _core.cumprod(_masked(a, 1)[0], axis, dtype, out)


def nanmean(a, axis=None, dtype=None, out=None, keepdims=False):
    """The mean of the elements that are not NaN.

    >>> import pyarr as pa
    >>> pa.nanmean([1.0, pa.nan, 3.0])
    array(2.)
    """
    a, good = _masked(a, 0)
    where = NOT_GIVEN if good is None else good
    return reductions.mean(a, axis, dtype, out, keepdims, where=where)


def nanvar(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    """The variance of the elements that are not NaN.

    >>> import pyarr as pa
    >>> pa.nanvar([1.0, pa.nan, 3.0])
    array(1.)
    """
    a, good = _masked(a, 0)
    where = NOT_GIVEN if good is None else good
    result = reductions.var(a, axis, dtype, None, ddof, keepdims, where=where)
    if good is not None:
        few = _core.sum(good, axis=axes_of(axis, a.ndim), keepdims=keepdims) <= ddof
        result = _core.where(few, numpy.nan, result)
    return finish(result, out)


def nanstd(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    """The standard deviation of the elements that are not NaN.

    >>> import pyarr as pa
    >>> pa.nanstd([1.0, pa.nan, 3.0])
    array(1.)
    """
    return finish(safe_sqrt(nanvar(a, axis, dtype, None, ddof, keepdims)), out)


def _extreme(name, a, axis, out, keepdims, fill):
    a, good = _masked(a, fill)
    result = getattr(_core, name)(a, axis=axis, keepdims=keepdims)
    if good is not None:
        found = _core.any(good, axis=axis, keepdims=keepdims)
        result = _core.where(found, result, numpy.asarray(numpy.nan, result.dtype))
    return finish(result, out)


def nanmin(a, axis=None, out=None, keepdims=False):
    """The least element that is not NaN.

    >>> import pyarr as pa
    >>> pa.nanmin([1.0, pa.nan, 3.0])
    array(1.)
    """
    return _extreme("min", a, axis, out, keepdims, numpy.inf)


def nanmax(a, axis=None, out=None, keepdims=False):
    """The greatest element that is not NaN.

    >>> import pyarr as pa
    >>> pa.nanmax([1.0, pa.nan, 3.0])
    array(3.)
    """
    return _extreme("max", a, axis, out, keepdims, -numpy.inf)


def _arg_extreme(name, a, axis, out, keepdims, fill):
    a, good = _masked(a, fill)
    if good is not None and not bool(_core.all(_core.any(good, axis=axis))):
        raise ValueError("All-NaN slice encountered")
    return finish(getattr(_core, name)(a, axis=axis, keepdims=keepdims), out)


def nanargmin(a, axis=None, out=None, *, keepdims=False):
    """The index of the least element that is not NaN; ValueError where all are.

    >>> import pyarr as pa
    >>> pa.nanargmin([1.0, pa.nan, 3.0])
    array(0)
    """
    return _arg_extreme("argmin", a, axis, out, keepdims, numpy.inf)


def nanargmax(a, axis=None, out=None, *, keepdims=False):
    """The index of the greatest element that is not NaN; ValueError where all are.

    >>> import pyarr as pa
    >>> pa.nanargmax([1.0, pa.nan, 3.0])
    array(2)
    """
    return _arg_extreme("argmax", a, axis, out, keepdims, -numpy.inf)


def _ordered(a, axis):
    """Lines along the last axis in order, NaN last, and how many numbers each has."""
    a = array_of(a)
    a = a if a.dtype.kind == "f" else a.astype(numpy.float64)
    axes = axes_of(axis, a.ndim)
    lines = order._lines(a, axes)
    count = numpy.asarray(_core.sum(~_core.isnan(lines), axis=-1))
    return a, axes, order.sort(lines, -1), count


def _pick(ordered, index):
    """One element of each line, at an index array of the lines' shape."""
    index = _core.asarray(numpy.asarray(index, numpy.int64)[..., None])
    return _core.apply("take_along", ordered, index, params=(ordered.ndim - 1,))[..., 0]


def _kept(result, a, axes, keepdims, lead=()):
    if not keepdims:
        return result
    return result.reshape(
        lead + tuple(1 if i in axes else m for i, m in enumerate(a.shape))
    )


def nanquantile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False
):
    """The quantile of the elements that are not NaN, as `quantile`.

    >>> import pyarr as pa
    >>> pa.nanquantile([1.0, pa.nan, 3.0], 0.25)
    array(1.5)
    """
    q = numpy.asarray(q, dtype=float)
    if not numpy.all((q >= 0) & (q <= 1)):
        raise ValueError("Quantiles must be in the range [0, 1]")
    a, axes, ordered, count = _ordered(a, axis)
    if ordered.shape[-1] == 0:
        return finish(order.quantile(a, q, axis, method=method, keepdims=keepdims), out)
    results = []
    for one in q.reshape(-1):
        low, high, weight = order._positions(one, numpy.maximum(count, 1), method)
        below, above = _pick(ordered, low), _pick(ordered, high)
        value = below + (above - below) * numpy.asarray(weight, a.dtype)
        results.append(_core.where(below == above, below, value))
    lines = ordered.shape[:-1]
    result = stack(results).reshape(q.shape + lines) if results else None
    if result is None:
        result = _core.zeros(q.shape + lines, a.dtype)
    return finish(_kept(result, a, axes, keepdims, q.shape), out)


def nanpercentile(
    a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False
):
    """`nanquantile` with q in percent.

    >>> import pyarr as pa
    >>> pa.nanpercentile([1.0, pa.nan, 3.0], 25)
    array(1.5)
    """
    q = numpy.asarray(q, dtype=float) / 100
    return nanquantile(a, q, axis, out, overwrite_input, method, keepdims)


def nanmedian(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    """The median of the elements that are not NaN.

    >>> import pyarr as pa
    >>> pa.nanmedian([1.0, pa.nan, 3.0])
    array(2.)
    """
    a, axes, ordered, count = _ordered(a, axis)
    if ordered.shape[-1] == 0:
        return finish(order.median(a, axis, keepdims=keepdims), out)
    low = _pick(ordered, numpy.maximum(count - 1, 0) // 2)
    high = _pick(ordered, numpy.minimum(count // 2, ordered.shape[-1] - 1))
    result = _core.where(count % 2 == 1, low, (low + high) / 2)
    return finish(_kept(result, a, axes, keepdims), out)


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """NaN and infinities replaced by numbers: by default 0 and the largest finite
    ones.

    >>> import pyarr as pa
    >>> pa.nan_to_num([1.0, pa.nan, 3.0])
    array([1., 0., 3.])
    """
    given, x = x, array_of(x)
    if x.dtype.kind not in "fc":
        return x.copy() if copy else x
    if x.dtype.kind == "c":
        parts = [nan_to_num(p, True, nan, posinf, neginf) for p in (x.real, x.imag)]
        result = complex_of(*parts)
    else:
        limits = numpy.finfo(x.dtype)
        high = limits.max if posinf is None else posinf
        low = limits.min if neginf is None else neginf
        result = _core.where(_core.isnan(x), numpy.asarray(nan, x.dtype), x)
        result = _core.where(x == numpy.inf, numpy.asarray(high, x.dtype), result)
        result = _core.where(x == -numpy.inf, numpy.asarray(low, x.dtype), result)
    if not copy and isinstance(given, (_core.ndarray, numpy.ndarray)):
        given[...] = result
        return given
    return result
