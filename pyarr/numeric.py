"""Elementwise functions in terms of others, and questions about arrays."""

import numpy

from pyarr import _core
from pyarr._args import NOT_GIVEN, array_of, axis_of, complex_of, finish, inexact
from pyarr.manipulation import broadcast_arrays


def clip(
    a, a_min=NOT_GIVEN, a_max=NOT_GIVEN, out=None, *, min=NOT_GIVEN, max=NOT_GIVEN
):
    """The elements limited to [a_min, a_max]; a limit may be None, and arrays
    broadcast.

    On a limit the derivative is shared equally.

    >>> import pyarr as pa
    >>> pa.clip([1, 5, 9], 2, 8).tolist()
    [2, 5, 8]
    """
    low = min if a_min is NOT_GIVEN else a_min
    high = max if a_max is NOT_GIVEN else a_max
    if (a_min is NOT_GIVEN) != (a_max is NOT_GIVEN) and min is max is NOT_GIVEN:
        missing = "a_max" if a_max is NOT_GIVEN else "a_min"
        raise TypeError(f"clip() missing 1 required positional argument: '{missing}'")
    low = None if low is NOT_GIVEN else low
    high = None if high is NOT_GIVEN else high
    if low is None and high is None:
        return finish(_core.positive(a), out)
    if low is None:
        return finish(_core.minimum(a, high), out)
    if high is None:
        return finish(_core.maximum(a, low), out)
    return finish(_core.clip(a, low, high), out)


def round(a, decimals=0, out=None):
    """Rounded to `decimals` places (negative: tens, hundreds), halves to even.

    Its derivative is 0.

    >>> import pyarr as pa
    >>> pa.round([1.234, 5.678], 1)
    array([1.2, 5.7])
    """
    a = array_of(a)
    if a.dtype.kind == "c":
        return finish(
            complex_of(round(a.real, decimals), round(a.imag, decimals)),
            out,
        )
    if a.dtype.kind == "b":
        a = a.astype(numpy.float32)
    if a.dtype.kind in "iu":
        if decimals >= 0:
            return finish(a.copy(), out)
        unit = 10 ** (-decimals)
        rounded = _core.rint(a.astype(numpy.float64) / unit) * unit
        return finish(rounded.astype(a.dtype), out)
    if decimals == 0:
        return finish(_core.rint(a), out)
    unit = 10.0 ** abs(decimals)
    result = (
        _core.rint(a * unit) / unit if decimals > 0 else _core.rint(a / unit) * unit
    )
    return finish(result, out)


around = round


def fix(x, out=None):
    """Rounded towards zero.

    >>> import pyarr as pa
    >>> pa.fix([1.7, -1.7])
    array([ 1., -1.])
    """
    return finish(_core.trunc(x), out)


def angle(z, deg=False):
    """The argument of complex numbers, in radians or degrees.

    >>> import pyarr as pa
    >>> pa.angle(1j, deg=True)
    array(90.)
    """
    result = _core.angle(z)
    return _core.degrees(result) if deg else result


def real_if_close(a, tol=100):
    """The real part where all imaginary parts are within `tol` epsilons of 0.

    >>> import pyarr as pa
    >>> pa.real_if_close([1 + 0j])
    array([1.])
    """
    a = array_of(a)
    if a.dtype.kind != "c":
        return a
    limit = tol * numpy.finfo(a.dtype).eps if tol > 1 else tol
    return a.real if bool((abs(a.imag) < limit).all()) else a


def unwrap(p, discont=None, axis=-1, *, period=2 * numpy.pi):
    """Angles with jumps of more than half a period taken out, along an axis.

    >>> import pyarr as pa
    >>> pa.unwrap([0.0, 5.0], period=4.0)
    array([0., 1.])
    """
    p = inexact(p)
    axis = axis_of(axis, p.ndim)
    from pyarr._core import concatenate
    from pyarr.statistics import diff

    steps = diff(p, axis=axis)
    discont = period / 2 if discont is None else discont
    half = period / 2
    wrapped = (steps + half) % period - half
    wrapped = _core.where((wrapped == -half) & (steps > 0), half, wrapped)
    correction = _core.where(abs(steps) < discont, 0, wrapped - steps)
    first = tuple(1 if i == axis else n for i, n in enumerate(p.shape))
    zero = _core.zeros(first, p.dtype)
    return p + concatenate([zero, _core.cumsum(correction, axis)], axis)


def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Are the elements equal to within atol + rtol * |b|?

    >>> import pyarr as pa
    >>> pa.isclose([1.0, 2.0], [1.0, 2.1])
    array([ True, False])
    """
    a, b = array_of(a), array_of(b)
    b = b.astype(numpy.result_type(b.dtype, 1.0))
    close = abs(a - b) <= atol + rtol * abs(b)
    result = (close & _core.isfinite(b)) | (a == b)
    if equal_nan:
        result = result | (_core.isnan(a) & _core.isnan(b))
    return result


def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Are all elements close, as `isclose`? A Python bool.

    >>> import pyarr as pa
    >>> pa.allclose([1.0], [1.0 + 1e-9])
    True
    """
    return bool(isclose(a, b, rtol, atol, equal_nan).all())


def array_equal(a1, a2, equal_nan=False):
    """Have both arrays one shape and equal elements? A Python bool.

    >>> import pyarr as pa
    >>> pa.array_equal([1, 2], [1, 2])
    True
    """
    a, b = array_of(a1), array_of(a2)
    if a.shape != b.shape:
        return False
    same = a == b
    if equal_nan:
        same = same | ((a != a) & (b != b))
    return bool(same.all())


def array_equiv(a1, a2):
    """Are the arrays equal after broadcasting? A Python bool.

    >>> import pyarr as pa
    >>> pa.array_equiv([1, 1], 1)
    True
    """
    try:
        a, b = broadcast_arrays(a1, a2)
    except ValueError:
        return False
    return bool((a == b).all())


def iscomplexobj(x):
    """Is the dtype complex?

    >>> import pyarr as pa
    >>> pa.iscomplexobj([1j])
    True
    """
    return array_of(x).dtype.kind == "c"


def isrealobj(x):
    """Is the dtype not complex?

    >>> import pyarr as pa
    >>> pa.isrealobj([1j])
    False
    """
    return not iscomplexobj(x)


def iscomplex(x):
    """Which elements have an imaginary part that is not zero?

    >>> import pyarr as pa
    >>> pa.iscomplex([1j, 2.0])
    array([ True, False])
    """
    return array_of(x).imag != 0


def isreal(x):
    """Which elements have an imaginary part of zero?

    >>> import pyarr as pa
    >>> pa.isreal([1j, 2.0])
    array([False,  True])
    """
    return array_of(x).imag == 0


def isneginf(x, out=None):
    """Which elements are -inf?

    >>> import pyarr as pa
    >>> pa.isneginf([-pa.inf, 1.0])
    array([ True, False])
    """
    return finish(array_of(x) == -numpy.inf, out)


def isposinf(x, out=None):
    """Which elements are +inf?

    >>> import pyarr as pa
    >>> pa.isposinf([pa.inf, 1.0])
    array([ True, False])
    """
    return finish(array_of(x) == numpy.inf, out)


def isin(element, test_elements, assume_unique=False, invert=False, *, kind=None):
    """Which elements occur in `test_elements`?

    >>> import pyarr as pa
    >>> pa.isin([1, 2, 3], [2])
    array([False,  True, False])
    """
    element = array_of(element).detach()
    tests = array_of(test_elements).detach()
    found = numpy.isin(numpy.asarray(element), numpy.asarray(tests), invert=invert)
    return _core.asarray(found)


def ndim(a):
    """The number of axes.

    >>> import pyarr as pa
    >>> pa.ndim([[1, 2]])
    2
    """
    return array_of(a).ndim


def shape(a):
    """The shape.

    >>> import pyarr as pa
    >>> pa.shape([[1, 2]])
    (1, 2)
    """
    return array_of(a).shape


def size(a, axis=None):
    """The number of elements, in all or along an axis.

    >>> import pyarr as pa
    >>> pa.size([[1, 2]])
    2
    """
    a = array_of(a)
    return a.size if axis is None else a.shape[axis_of(axis, a.ndim)]


def astype(x, dtype, /, *, copy=True, device=None):
    """The elements in another dtype.

    >>> import pyarr as pa
    >>> pa.astype([1, 2], float)
    array([1., 2.])
    """
    return array_of(x).astype(dtype, copy=copy)


def piecewise(x, condlist, funclist, *args, **kw):
    """A function given by pieces: `funclist[i]` where `condlist[i]` is true.

    One function more than conditions is the default. All pieces are evaluated on all of
    x, and chosen from by `where`.

    >>> import pyarr as pa
    >>> x = pa.array([-1.0, 2.0])
    >>> pa.piecewise(x, [x < 0], [0.0, lambda x: x])
    array([0., 2.])
    """
    x = array_of(x)
    if not isinstance(condlist, (list, tuple)):
        condlist = [condlist]
    conditions = [array_of(one) for one in condlist]
    functions = list(funclist)
    if len(functions) not in (len(conditions), len(conditions) + 1):
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or "
            f"{len(conditions) + 1} functions are expected"
        )
    default = functions.pop() if len(functions) > len(conditions) else 0

    def value(piece):
        result = piece(x, *args, **kw) if callable(piece) else piece
        return array_of(result).astype(x.dtype)

    result = value(default)
    for condition, piece in zip(conditions, functions, strict=True):
        result = _core.where(condition, value(piece), result)
    return result
