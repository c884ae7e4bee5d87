"""Polynomials, as NumPy's functions of these names."""

import numpy

from pyarr import _core
from pyarr._args import array_of, inexact, plain


def polyval(p, x):
    """The polynomial with coefficients `p`, highest power first, at x.

    >>> import pyarr as pa
    >>> pa.polyval([1.0, 0.0, 1.0], 2.0)
    array(5.)
    """
    p, x = array_of(p), array_of(x)
    result = _core.zeros(x.shape, numpy.result_type(p.dtype, x.dtype))
    for i in range(p.shape[0]):
        result = result * x + p[i]
    return result


def polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    """The coefficients, highest power first, of the least squares polynomial.

    Differentiable in x, y and w, but for `full` and `cov`.

    >>> import pyarr as pa
    >>> pa.round(pa.polyfit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], 1), 6)
    array([2., 1.])
    """
    arrays = [array_of(one) for one in (x, y) if one is not None]
    if (
        full
        or cov
        or not any(map(_core.is_active, [*arrays, array_of(0 if w is None else w)]))
    ):
        from pyarr._dispatch import through_numpy

        return through_numpy(numpy.polyfit, (x, y, deg, rcond, full, w, cov), {})
    from pyarr.grids import vander
    from pyarr.linalg import lstsq

    left, right = vander(inexact(x), int(deg) + 1), inexact(y)
    if w is not None:
        weights = array_of(w)
        left = left * weights[:, None]
        right = right * (weights if right.ndim == 1 else weights[:, None])
    scale = numpy.sqrt((abs(plain(left)) ** 2).sum(0))
    solution = lstsq(left / scale, right, rcond)[0]
    return solution / (scale if right.ndim == 1 else scale[:, None])
