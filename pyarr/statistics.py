"""Covariances, histograms, differences, smoothing, interpolation, as in NumPy."""

import numpy

from pyarr import _core
from pyarr._args import along, array_of, axis_of, common, complex_of, inexact
from pyarr._core import concatenate
from pyarr.manipulation import moveaxis
from pyarr.reductions import average


def cov(
    m,
    y=None,
    rowvar=True,
    bias=False,
    ddof=None,
    fweights=None,
    aweights=None,
    *,
    dtype=None,
):
    """The covariance matrix of variables in rows (columns with rowvar False).

    >>> import pyarr as pa
    >>> pa.cov([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    array([[1., 2.],
           [2., 4.]])
    """
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    m = array_of(m)
    if m.ndim > 2:
        raise ValueError("m has more than 2 dimensions")
    x = _variables(m, rowvar)
    if y is not None:
        y = array_of(y)
        if y.ndim > 2:
            raise ValueError("y has more than 2 dimensions")
        x = concatenate([x, _variables(y, rowvar or y.ndim == 1)], 0)
    x = inexact(x) if dtype is None else x.astype(dtype)
    if ddof is None:
        ddof = 0 if bias else 1
    weights = None
    if fweights is not None:
        weights = _weights(fweights, x, "fweights")
    if aweights is not None:
        other = _weights(aweights, x, "aweights")
        weights = other if weights is None else weights * other
    center, total = average(x, axis=1, weights=weights, returned=True)
    total = total[0]
    if weights is None:
        divisor = x.shape[1] - ddof
    elif ddof == 0:
        divisor = total
    elif aweights is None:
        divisor = total - ddof
    else:
        divisor = total - ddof * (weights * array_of(aweights)).sum() / total
    if not isinstance(divisor, int):
        divisor = _core.maximum(divisor, 0.0)
    x = x - center[:, None]
    right = x if weights is None else x * weights
    result = _core.matmul(x, _core.conjugate(right.T))
    divisor = (
        divisor if not isinstance(divisor, int) or divisor > 0 else numpy.float64(0)
    )
    result = result / divisor
    return result.reshape(tuple(n for n in result.shape if n != 1))


def _variables(m, rowvar):
    m = m.reshape((1, -1)) if m.ndim < 2 else m
    return m.T if not rowvar and m.shape[0] != 1 else m


def _weights(weights, x, name):
    weights = array_of(weights)
    if weights.ndim > 1:
        raise RuntimeError(f"cannot handle multidimensional {name}")
    if weights.shape[0] != x.shape[1]:
        raise RuntimeError(f"incompatible numbers of samples and {name}")
    if name == "fweights" and weights.dtype.kind not in "iu":
        if not bool((_core.rint(weights) == weights).all()):
            raise TypeError("fweights must be integer")
    if bool((weights < 0).any()):
        raise ValueError(f"{name} cannot be negative")
    return weights


def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    """Pearson's correlation coefficients of the variables, clipped to [-1, 1].

    >>> import pyarr as pa
    >>> pa.corrcoef([1.0, 2.0, 3.0], [1.0, 0.0, -1.0])
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    scale = _core.sqrt(c.diagonal().real)
    c = c / scale[:, None] / scale[None, :]
    if c.dtype.kind == "c":
        return complex_of(_core.clip(c.real, -1, 1), _core.clip(c.imag, -1, 1))
    return _core.clip(c, -1, 1)


def diff(a, n=1, axis=-1, prepend=None, append=None):
    """The n-th differences of neighbours along an axis.

    >>> import pyarr as pa
    >>> pa.diff([1, 4, 9]).tolist()
    [3, 5]
    """
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    a = array_of(a)
    if n == 0:
        return a
    if a.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = axis_of(axis, a.ndim)
    parts = [_edge(prepend, a, axis), a, _edge(append, a, axis)]
    parts = [one for one in parts if one is not None]
    a = concatenate(parts, axis) if len(parts) > 1 else a
    later, earlier = (
        along(axis, a.ndim, slice(1, None)),
        along(axis, a.ndim, slice(None, -1)),
    )
    for _ in range(n):
        a = a[later] != a[earlier] if a.dtype.kind == "b" else a[later] - a[earlier]
    return a


def _edge(values, a, axis):
    if values is None or values is numpy._NoValue:
        return None
    values = array_of(values)
    if values.ndim:
        return values
    return _core.broadcast_to(
        values, tuple(1 if i == axis else size for i, size in enumerate(a.shape))
    )


def ediff1d(ary, to_end=None, to_begin=None):
    """Differences of neighbours of the flattened array, with given ends.

    >>> import pyarr as pa
    >>> pa.ediff1d([1, 4, 9])
    array([3, 5])
    """
    parts = [to_begin, diff(array_of(ary).reshape(-1)), to_end]
    parts = [array_of(one).reshape(-1) for one in parts if one is not None]
    return concatenate([one.astype(array_of(ary).dtype) for one in parts])


def gradient(f, *varargs, axis=None, edge_order=1):
    """Central differences inside, one-sided ones of `edge_order` at the ends.

    `varargs` are spacings or coordinates, one for all axes or one for each. One array
    for a single axis, else a tuple.

    >>> import pyarr as pa
    >>> pa.gradient([1.0, 2.0, 5.0])
    array([1., 2., 3.])
    """
    f = inexact(f)
    axes = (
        range(f.ndim)
        if axis is None
        else (axis if isinstance(axis, tuple) else (axis,))
    )
    axes = [axis_of(one, f.ndim) for one in axes]
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError("invalid number of arguments")
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    spacings = [1.0] * len(axes) if not varargs else list(varargs)
    spacings = spacings * len(axes) if len(spacings) < len(axes) else spacings
    results = []
    for one, spacing in zip(axes, spacings, strict=True):
        if f.shape[one] < edge_order + 1:
            raise ValueError(
                "Shape of array too small to calculate a numerical gradient, at least "
                "(edge_order + 1) elements are required."
            )
        results.append(_slope(moveaxis(f, one, 0), spacing, edge_order, one))
    return results[0] if len(results) == 1 else tuple(results)


def _slope(f, spacing, edge_order, axis):
    """df/dx along the first axis, moved back to `axis`."""
    h = array_of(spacing)
    if h.ndim == 0:
        steps = _core.broadcast_to(h, (f.shape[0] - 1,))
    else:
        if h.ndim != 1 or h.size != f.shape[0]:
            raise ValueError(
                "when 1d, distances must match the length of the corresponding "
                "dimension"
            )
        steps = diff(h)
    steps = steps.astype(numpy.float64) if steps.dtype.kind in "iub" else steps
    steps = steps.reshape((-1,) + (1,) * (f.ndim - 1))
    a, b = steps[:-1], steps[1:]
    if h.ndim == 0:
        inner = (f[2:] - f[:-2]) / (2.0 * h)
    else:
        inner = (
            -b / (a * (a + b)) * f[:-2]
            + (b - a) / (a * b) * f[1:-1]
            + a / (b * (a + b)) * f[2:]
        )
    if edge_order == 1:
        first = (f[1:2] - f[:1]) / steps[:1]
        last = (f[-1:] - f[-2:-1]) / steps[-1:]
    else:
        p, q = steps[:1], steps[1:2]
        first = (
            -(2 * p + q) / (p * (p + q)) * f[:1]
            + (p + q) / (p * q) * f[1:2]
            - p / (q * (p + q)) * f[2:3]
        )
        p, q = steps[-2:-1], steps[-1:]
        last = (
            q / (p * (p + q)) * f[-3:-2]
            - (q + p) / (p * q) * f[-2:-1]
            + (2 * q + p) / (q * (p + q)) * f[-1:]
        )
    return moveaxis(concatenate([first, inner, last], 0), 0, axis)


def trapezoid(y, x=None, dx=1.0, axis=-1):
    """The integral by the trapezoidal rule along an axis.

    >>> import pyarr as pa
    >>> pa.trapezoid([1.0, 2.0, 3.0])
    array(4.)
    """
    y = array_of(y)
    axis = axis_of(axis, y.ndim)
    steps = dx
    if x is not None:
        x = array_of(x)
        if x.ndim == 1:
            shape = [1] * y.ndim
            shape[axis] = -1
            steps = diff(x).reshape(tuple(shape))
        else:
            steps = diff(x, axis=axis)
    upper, lower = (
        along(axis, y.ndim, slice(1, None)),
        along(axis, y.ndim, slice(None, -1)),
    )
    return _core.sum(steps * (y[upper] + y[lower]) / 2.0, axis=axis)


_WINDOW_ELEMENTS = 1 << 20


def convolve(a, v, mode="full"):
    """The discrete convolution of two 1-d arrays; modes "full", "same", "valid".

    >>> import pyarr as pa
    >>> pa.convolve([1, 2], [1, 1])
    array([1, 3, 2])
    """
    a, v = array_of(a), array_of(v)
    a, v = (one.reshape((1,)) if one.ndim == 0 else one for one in (a, v))
    if a.size == 0:
        raise ValueError("a cannot be empty")
    if v.size == 0:
        raise ValueError("v cannot be empty")
    if a.ndim > 1 or v.ndim > 1:
        raise ValueError("object too deep for desired array")
    a, v = (a, v) if a.size >= v.size else (v, a)
    a, v = common([a, v])
    n, m = a.size, v.size
    margin = {"full": m - 1, "same": m - 1, "valid": 0}.get(mode)
    if margin is None:
        raise ValueError(
            f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})"
        )
    padded = a
    if margin:
        padded = _core.zeros(n + 2 * margin, a.dtype)
        padded[margin : margin + n] = a
    count = n + 2 * margin - m + 1
    rows = max(1, _WINDOW_ELEMENTS // m)  # windows are copied where BLAS needs it
    kernel = v[::-1]
    parts = []
    for i in range(0, count, rows):
        n_rows = min(rows, count - i)
        windows = _core.apply("view", padded, params=(i, 2, n_rows, m, 1, 1))
        parts.append(_core.matmul(windows, kernel))
    result = parts[0] if len(parts) == 1 else concatenate(parts)
    if mode == "same":
        result = result[(m - 1) // 2 : (m - 1) // 2 + n]
    return result


def correlate(a, v, mode="valid"):
    """The cross-correlation sum over n of a[n + k] * conj(v[n]) of two 1-d arrays.

    >>> import pyarr as pa
    >>> pa.correlate([1, 2, 3], [1, 1])
    array([3, 5])
    """
    a, v = array_of(a), array_of(v)
    v = (
        _core.conjugate(v.reshape(-1)[::-1])
        if v.dtype.kind == "c"
        else v.reshape(-1)[::-1]
    )
    if mode == "same" and v.size > a.size:  # numpy takes the middle of the longer one
        full = convolve(a, v, "full")
        start = a.size // 2
        return full[start : start + v.size]
    return convolve(a, v, mode)


def interp(x, xp, fp, left=None, right=None, period=None):
    """Piecewise linear interpolation of (xp, fp) at x; differentiable in x, xp and fp.

    `left` and `right` (default the end values) are taken outside; `period` makes the
    coordinates periodic. xp must increase.

    >>> import pyarr as pa
    >>> pa.interp(1.5, [1.0, 2.0], [10.0, 20.0]).item()
    15.0
    """
    x, xp = inexact(x).astype(numpy.float64), inexact(xp).astype(numpy.float64)
    fp = array_of(fp)
    fp = fp.astype(numpy.complex128 if fp.dtype.kind == "c" else numpy.float64)
    if xp.ndim != 1 or fp.ndim != 1:
        raise ValueError("Data points must be 1-D sequences")
    if xp.size != fp.size:
        raise ValueError("fp and xp are not of the same length.")
    if xp.size == 0:
        raise ValueError("array of sample points is empty")
    if period is not None:
        if period == 0:
            raise ValueError("period must be a non-zero value")
        period = abs(period)
        x, xp = x % period, xp % period
        order = _core.apply("argsort", xp, params=(0, 1))
        xp, fp = xp[order], fp[order]
        xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = concatenate([fp[-1:], fp, fp[:1]])
        left = right = None
    last = xp.size - 1
    low = fp[0] if left is None else left
    high = fp[last] if right is None else right
    if last == 0:
        inside = _core.where(_core.isnan(x), x, fp[0])
    else:
        k = _core.clip(
            _core.searchsorted(xp.detach(), x.detach(), "right") - 1, 0, last - 1
        )
        x0, f0 = xp[k], fp[k]
        width = xp[k + 1] - x0
        inside = f0 + (x - x0) * ((fp[k + 1] - f0) / width)
        inside = _core.where(x == x0, f0, inside)
        inside = _core.where(x == xp[last], fp[last], inside)
    result = _core.where(x < xp[0], low, inside)
    return _core.where(x > xp[last], high, result)
