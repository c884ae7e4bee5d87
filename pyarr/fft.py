"""Discrete Fourier transforms, as numpy.fft; differentiable to any order.

Padding is not transformed, nor is what a slice throws away. Complex transforms run in the
core; scipy.fft computes single long lines and real ones. Single precision stays single.
"""

import operator

import numpy

from pyarr import _core
from pyarr._args import along, array_of, axes_of, axis_of, finish

_NORMS = {"backward": 0, "ortho": 1, "forward": 2}


def _forward_norm(norm):
    """The scale of a forward transform: 0 none, 1 is 1/sqrt(n), 2 is 1/n."""
    try:
        return _NORMS["backward" if norm is None else norm]
    except KeyError:
        raise ValueError(
            f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".'
        ) from None


def _scale(norm, sign):
    return _forward_norm(norm) if sign < 0 else 2 - _forward_norm(norm)


# ---- what the core calls ----


def _scipy_norm(sign, norm):
    """scipy's word for a scale: its inverse transforms scale by default."""
    if norm == 1:
        return "ortho"
    return "backward" if (norm == 2) == (sign > 0) else "forward"


def _part(a, axis, n, first, keep):
    """Elements first, first + 1, ... (mod n) of an axis; beyond its end zeros."""
    at = (first + numpy.arange(keep)) % n
    inside = at < a.shape[axis]
    if inside.all() and first + keep <= n:
        return a[along(axis, a.ndim, slice(first, first + keep))]
    part = a.take(numpy.where(inside, at, 0), axis)
    part[along(axis, a.ndim, ~inside)] = 0
    return part


def _host_c2c(params, z):
    from scipy import fft

    sign, norm, count, *rest = params
    transform = fft.fft if sign < 0 else fft.ifft
    norm, workers = _scipy_norm(sign, norm), _core.get_num_threads()
    for i in range(0, 5 * count, 5):
        axis, n, first, out_first, keep = rest[i : i + 5]
        if first != 0:
            z = _part(z, axis, n, -first % n, n)
        z = transform(z, n, axis=axis, norm=norm, workers=workers)
        z = _part(z, axis, n, out_first, keep)
    return z


def _host_r2c(params, x):
    from scipy import fft

    sign, norm, axis, n = params
    result = fft.rfft(
        x, n, axis=axis, norm=_scipy_norm(-1, norm), workers=_core.get_num_threads()
    )
    return result if sign < 0 else result.conj()


def _host_c2r(params, z):
    from scipy import fft

    sign, norm, axis, n = params
    z = z if sign > 0 else z.conj()
    return fft.irfft(
        z, n, axis=axis, norm=_scipy_norm(1, norm), workers=_core.get_num_threads()
    )


def _register():
    _core.register_host("fft_c2c", _host_c2c)
    _core.register_host("fft_r2c", _host_r2c)
    _core.register_host("fft_c2r", _host_c2r)


_register()


# ---- lengths and axes ----


def _cut(x, n, axis):
    """At most n elements of an axis."""
    return x[along(axis, x.ndim, slice(0, n))] if n < x.shape[axis] else x


def _check_length(n):
    n = operator.index(n)
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    return n


def _lengths(x, s, axes):
    """The axes to transform, and their lengths."""
    if s is None:
        axes = range(x.ndim) if axes is None else axes
        axes = [axis_of(one, x.ndim) for one in axes]
        return axes, [_check_length(x.shape[one]) for one in axes]
    s = list(s)
    axes = range(x.ndim - len(s), x.ndim) if axes is None else axes
    axes = [axis_of(one, x.ndim) for one in axes]
    if len(s) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    sizes = [x.shape[one] if n == -1 else n for n, one in zip(s, axes, strict=True)]
    return axes, [_check_length(n) for n in sizes]


def _complex(a):
    a = array_of(a)
    if a.dtype.kind == "c":
        return a
    return a.astype(numpy.complex64 if a.dtype == numpy.float32 else numpy.complex128)


def _real(a, name):
    a = array_of(a)
    if a.dtype.kind == "c":
        raise TypeError(
            f"{name} needs real input, not {a.dtype}: take the real part first"
        )
    return a if a.dtype.kind == "f" else a.astype(numpy.float64)


def _transform(a, axes, sizes, sign, norm):
    """c2c over axes."""
    scale = _scale(norm, sign)
    if not axes:
        return a
    z = _complex(a)
    pairs = list(zip(axes, sizes, strict=True))
    if len(set(axes)) != len(axes):
        # repeated axes are transformed again, as numpy does
        for one, n in reversed(pairs):
            z = _transform(z, [one], [n], sign, norm)
        return z
    params = [sign, scale, len(axes)]
    for one, n in pairs:
        z = _cut(z, n, one)
        params += one, n, 0, 0, n
    return _core.apply("fft_c2c", z, params=params)


# ---- complex transforms ----


def _one_axis(a, n, axis, sign, norm):
    a = array_of(a)
    axis = axis_of(axis, a.ndim)
    size = _check_length(a.shape[axis] if n is None else n)
    return _transform(a, [axis], [size], sign, norm)


def fft(a, n=None, axis=-1, norm=None, out=None):
    """The Fourier transform sum over m of a[m] exp(-2 pi i m k / n) along an axis.

    `n` cuts the axis or pads it with zeros. `norm` "backward" (default) scales the
    inverse by 1/n, "forward" this transform, "ortho" both by 1/sqrt(n). complex64 for
    float32 and complex64 input, else complex128. ValueError for n < 1.

    >>> import pyarr as pa
    >>> pa.fft.fft([1.0, 1.0]).tolist()
    [(2+0j), 0j]
    """
    return finish(_one_axis(a, n, axis, -1, norm), out)


def ifft(a, n=None, axis=-1, norm=None, out=None):
    """The inverse of `fft`.

    >>> import pyarr as pa
    >>> pa.fft.ifft([2.0, 0.0])
    array([1.+0.j, 1.+0.j])
    """
    return finish(_one_axis(a, n, axis, 1, norm), out)


def fftn(a, s=None, axes=None, norm=None, out=None):
    """`fft` over several axes (default all, or the last len(s)) of lengths `s`.

    >>> import pyarr as pa
    >>> pa.fft.fftn([[1.0, 1.0]])
    array([[2.+0.j, 0.+0.j]])
    """
    a = array_of(a)
    return finish(_transform(a, *_lengths(a, s, axes), -1, norm), out)


def ifftn(a, s=None, axes=None, norm=None, out=None):
    """The inverse of `fftn`.

    >>> import pyarr as pa
    >>> pa.fft.ifftn([[2.0, 0.0]])
    array([[1.+0.j, 1.+0.j]])
    """
    a = array_of(a)
    return finish(_transform(a, *_lengths(a, s, axes), 1, norm), out)


def fft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`fft` over two axes.

    >>> import pyarr as pa
    >>> pa.fft.fft2([[1.0, 1.0]])
    array([[2.+0.j, 0.+0.j]])
    """
    return fftn(a, s, axes, norm, out)


def ifft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """The inverse of `fft2`.

    >>> import pyarr as pa
    >>> pa.fft.ifft2([[2.0, 0.0]])
    array([[1.+0.j, 1.+0.j]])
    """
    return ifftn(a, s, axes, norm, out)


# ---- real transforms ----


def rfft(a, n=None, axis=-1, norm=None, out=None):
    """`fft` of real input: the first n//2 + 1 elements, which say everything.

    >>> import pyarr as pa
    >>> pa.fft.rfft([1.0, 1.0, 1.0])
    array([3.+0.j, 0.+0.j])
    """
    a = _real(a, "rfft")
    axis = axis_of(axis, a.ndim)
    n = _check_length(a.shape[axis] if n is None else n)
    params = (-1, _scale(norm, -1), axis, n)
    return finish(_core.apply("fft_r2c", _cut(a, n, axis), params=params), out)


def irfft(a, n=None, axis=-1, norm=None, out=None):
    """The inverse of `rfft`: real, of length n, by default twice the input's less 2.

    The imaginary parts of elements 0 and n/2 are ignored.

    >>> import pyarr as pa
    >>> pa.fft.irfft([2.0, 0.0])
    array([1., 1.])
    """
    a = _complex(a)
    axis = axis_of(axis, a.ndim)
    n = _check_length(2 * (a.shape[axis] - 1) if n is None else n)
    params = (1, _scale(norm, 1), axis, n)
    return finish(_core.apply("fft_c2r", _cut(a, n // 2 + 1, axis), params=params), out)


def rfftn(a, s=None, axes=None, norm=None, out=None):
    """`fftn` of real input: of the last of the axes the first n//2 + 1 elements.

    >>> import pyarr as pa
    >>> pa.fft.rfftn([[1.0, 1.0]])
    array([[2.+0.j, 0.+0.j]])
    """
    a = _real(a, "rfftn")
    axes, sizes = _lengths(a, s, axes)
    if not axes:
        raise ValueError("at least 1 axis must be transformed")
    z = rfft(a, sizes[-1], axes[-1], norm)
    if len(axes) > 1:
        z = _transform(z, axes[:-1], sizes[:-1], -1, norm)
    return finish(z, out)


def irfftn(a, s=None, axes=None, norm=None, out=None):
    """The inverse of `rfftn`.

    >>> import pyarr as pa
    >>> pa.fft.irfftn([[2.0, 0.0]])
    array([[1., 1.]])
    """
    a = _complex(a)
    axes, sizes = _lengths(a, s, axes)
    if not axes:
        raise ValueError("at least 1 axis must be transformed")
    last = sizes[-1]
    if s is None:
        last = 2 * (a.shape[axes[-1]] - 1)
    if len(axes) > 1:
        a = _transform(a, axes[:-1], sizes[:-1], 1, norm)
    return irfft(a, last, axes[-1], norm, out)


def rfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`rfftn` over two axes.

    >>> import pyarr as pa
    >>> pa.fft.rfft2([[1.0, 1.0]])
    array([[2.+0.j, 0.+0.j]])
    """
    return rfftn(a, s, axes, norm, out)


def irfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """The inverse of `rfft2`.

    >>> import pyarr as pa
    >>> pa.fft.irfft2([[2.0, 0.0]])
    array([[1., 1.]])
    """
    return irfftn(a, s, axes, norm, out)


_SWAPPED = {
    None: "forward",
    "backward": "forward",
    "ortho": "ortho",
    "forward": "backward",
}


def hfft(a, n=None, axis=-1, norm=None, out=None):
    """`fft` of input with Hermitian symmetry, of which only half is given: real.

    >>> import pyarr as pa
    >>> pa.fft.hfft([1.0, 0.5])
    array([1.5, 0.5])
    """
    _forward_norm(norm)
    a = _complex(a)
    n = 2 * (a.shape[axis_of(axis, a.ndim)] - 1) if n is None else n
    return irfft(_core.conjugate(a), n, axis, _SWAPPED[norm], out)


def ihfft(a, n=None, axis=-1, norm=None, out=None):
    """The inverse of `hfft`.

    >>> import pyarr as pa
    >>> pa.fft.ihfft([2.0, 0.0])
    array([1.-0.j, 1.-0.j])
    """
    _forward_norm(norm)
    return finish(_core.conjugate(rfft(a, n, axis, _SWAPPED[norm])), out)


# ---- frequencies and shifts ----


def fftfreq(n, d=1.0, device=None):
    """The frequencies of `fft` of n samples at distance d: 0, 1, ..., -1 over n d.

    >>> import pyarr as pa
    >>> pa.fft.fftfreq(4)
    array([ 0.  ,  0.25, -0.5 , -0.25])
    """
    return _core.asarray(numpy.fft.fftfreq(n)) / d


def rfftfreq(n, d=1.0, device=None):
    """The frequencies of `rfft`.

    >>> import pyarr as pa
    >>> pa.fft.rfftfreq(4)
    array([0.  , 0.25, 0.5 ])
    """
    return _core.asarray(numpy.fft.rfftfreq(n)) / d


def _shift(x, axes, halves):
    from pyarr.repeating import roll

    x = array_of(x)
    axes = axes_of(axes, x.ndim)
    return roll(x, tuple(halves(x.shape[one]) for one in axes), axes)


def fftshift(x, axes=None):
    """Zero frequency moved from the start to the middle.

    >>> import pyarr as pa
    >>> pa.fft.fftshift([0, 1, 2, -1])
    array([ 2, -1,  0,  1])
    """
    return _shift(x, axes, lambda n: n // 2)


def ifftshift(x, axes=None):
    """The inverse of `fftshift`.

    >>> import pyarr as pa
    >>> pa.fft.ifftshift([-1, 0, 1, 2])
    array([ 1,  2, -1,  0])
    """
    return _shift(x, axes, lambda n: -(n // 2))
