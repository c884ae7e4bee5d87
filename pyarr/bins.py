"""Sorting elements into bins and counting them, as NumPy's functions of these names."""

import numpy

from pyarr import _core
from pyarr._args import array_of, plain


def digitize(x, bins, right=False):
    """The number of the bin that each element falls into; bins must be monotonic.

    >>> import pyarr as pa
    >>> pa.digitize([0.5, 2.5], [0.0, 1.0, 2.0])
    array([1, 3])
    """
    x, bins = array_of(x), array_of(bins)
    if x.dtype.kind == "c":
        raise TypeError("x may not be complex")
    steps = numpy.diff(numpy.asarray(bins.detach()))
    if numpy.all(steps >= 0):
        return _core.searchsorted(bins, x, "left" if right else "right")
    if not numpy.all(steps <= 0):
        raise ValueError("bins must be monotonically increasing or decreasing")
    return bins.size - _core.searchsorted(bins[::-1], x, "right" if right else "left")


def bincount(x, /, weights=None, minlength=0):
    """How often each non-negative integer occurs, or the sum of its weights.

    >>> import pyarr as pa
    >>> pa.bincount([0, 2, 2])
    array([1, 0, 2])
    """
    x = array_of(x)
    if x.ndim != 1:
        raise ValueError("object too deep for desired array")
    if x.dtype.kind not in "iub" and x.size:
        raise TypeError(
            f"Cannot cast array data from {x.dtype!r} to dtype('int64') according to "
            "the rule 'safe'"
        )
    if minlength < 0:
        raise ValueError("'minlength' must not be negative")
    x = x.astype(numpy.int64)
    if x.size and int(x.min()) < 0:
        raise ValueError("'list' argument must have no negative elements")
    size = max(int(x.max()) + 1 if x.size else 0, minlength)
    if weights is None:
        return _core.asarray(numpy.bincount(numpy.asarray(x), minlength=minlength))
    weights = array_of(weights).astype(numpy.float64)
    if weights.shape != x.shape:
        raise ValueError("The weights and list don't have the same length.")
    if x.size == 0:
        return _core.zeros(size)
    return _core.apply("scatter_add", _core.zeros(size), weights, x, params=(0,))


def histogram(a, bins=10, range=None, density=None, weights=None):
    """Counts of the elements in each bin, and the edges of the bins.

    Differentiable in the weights and the edges: counts do not vary with the elements.

    >>> import pyarr as pa
    >>> pa.histogram([0.1, 0.2, 0.9], 2, (0, 1))
    (array([2, 1]), array([0. , 0.5, 1. ]))
    """
    a = array_of(a).reshape(-1)
    host = plain(a)
    if weights is None:
        counts, edges = numpy.histogram(host, plain(bins), range)
        edges = _edges(edges, a, bins, range)
        counts = array_of(counts)
        if density:
            counts = counts / (edges[1:] - edges[:-1]) / counts.sum()
        return counts, edges
    weights = array_of(weights).reshape(-1)
    if weights.size != a.size:
        raise ValueError("weights should have the same shape as a.")
    edges = numpy.histogram_bin_edges(host, plain(bins), range)
    at = numpy._core.searchsorted(edges, host, "right") - 1
    at[host == edges[-1]] = len(edges) - 2
    inside = numpy.flatnonzero((at >= 0) & (at < len(edges) - 1))
    totals = _core.zeros(len(edges) - 1, weights.dtype)
    totals = _core.apply(
        "scatter_add", totals, weights[inside], array_of(at[inside]), params=(0,)
    )
    edges = _edges(edges, a, bins, range)
    if density:
        totals = totals / (edges[1:] - edges[:-1]) / totals.sum()
    return totals, edges


def _edges(edges, a, bins, range):
    """NumPy's edges, varying with what they were made from."""
    if numpy.ndim(bins) == 1:
        return array_of(bins)
    if range is not None or not a.size or not _core.is_active(a):
        return array_of(edges)
    low, high = _core.min(a), _core.max(a)
    steps = numpy.linspace(0.0, 1.0, len(edges))
    if low == high:  # NumPy's bins reach half a unit to each side
        return low + (steps - 0.5)
    return low + (high - low) * steps


def histogram_bin_edges(a, bins=10, range=None, weights=None):
    """The edges of the bins that `histogram` uses.

    >>> import pyarr as pa
    >>> pa.histogram_bin_edges([0.0, 1.0], 2)
    array([0. , 0.5, 1. ])
    """
    a = array_of(a)
    edges = numpy.histogram_bin_edges(plain(a), plain(bins), range)
    return _edges(edges, a, bins, range)
