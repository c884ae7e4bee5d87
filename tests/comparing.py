"""One call by NumPy and by pyarr; derivatives against central differences."""

import numpy as np
import pytest

import pyarr as pa


def to_pyarr(value):
    """The same arguments with NumPy arrays as pyarr arrays (copies)."""
    if isinstance(value, np.ndarray):
        return pa.asarray(value.copy(order="K"))
    if isinstance(value, (list, tuple)):
        return type(value)(to_pyarr(one) for one in value)
    if isinstance(value, dict):
        return {key: to_pyarr(one) for key, one in value.items()}
    return value


def same(ours, theirs, rtol=1e-12, atol=1e-13):
    """Equal in structure, shape, dtype and, within rounding, in value."""
    if isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other, rtol, atol)
        return
    if isinstance(ours, (bool, int, float)):
        assert ours == theirs
        return
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    assert ours.dtype == theirs.dtype, (ours.dtype, theirs.dtype)
    host = np.asarray(ours)
    if theirs.dtype.kind in "fc":
        single = theirs.dtype.itemsize // (2 if theirs.dtype.kind == "c" else 1) == 4
        scale = 1e7 if single else 1.0
        np.testing.assert_allclose(host, theirs, rtol * scale, atol * scale)
    else:
        np.testing.assert_array_equal(host, theirs)


def find(module, name):
    for part in name.split("."):
        module = getattr(module, part)
    return module


def compare(name, *args, rtol=1e-12, atol=1e-13, **kwargs):
    """Call numpy.<name> and pyarr.<name>: one result, or errors of one type."""
    with np.errstate(all="ignore"):
        try:
            theirs = find(np, name)(*args, **kwargs)
        except Exception as error:
            with pytest.raises(error_type(error)):
                find(pa, name)(*to_pyarr(args), **to_pyarr(kwargs))
            return
    same(find(pa, name)(*to_pyarr(args), **to_pyarr(kwargs)), theirs, rtol, atol)


def error_type(error):
    """The public exception that stands for NumPy's private ones."""
    for public in (
        np.exceptions.AxisError,
        np.linalg.LinAlgError,
        IndexError,
        ZeroDivisionError,
        RuntimeError,
        TypeError,
        ValueError,
    ):
        if isinstance(error, public):
            return public
    return type(error)


def total(result):
    """A real number that depends on every element of the results."""
    if isinstance(result, (list, tuple)):
        return sum(total(one) for one in result)
    weights = np.cos(1.0 + np.arange(result.size)).reshape(result.shape)
    if result.dtype.kind == "c":
        turned = np.sin(2.0 + np.arange(result.size)).reshape(result.shape)
        return pa.sum(result.real * weights) + pa.sum(result.imag * turned)
    return pa.sum(result * weights)


def central(f, x, step):
    """The gradient of a real function of an array; df/dRe + i df/dIm if complex."""
    x = np.array(x)
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        for unit in (1.0, 1j) if x.dtype.kind == "c" else (1.0,):
            above, below = x.copy(), x.copy()
            above[i] += step * unit
            below[i] -= step * unit
            gradient[i] += unit * (float(f(above)) - float(f(below))) / (2 * step)
    return gradient


def check_derivatives(f, *args, order=2, step=1e-5, tol=2e-7):
    """Gradients of total(f(...)) by each argument, to the given order, against
    central differences; arguments are float64 or complex128 NumPy arrays."""
    for place, x in enumerate(args):

        def value(x, place=place):
            full = [pa.asarray(one) for one in args]
            full[place] = x
            return total(f(*full))

        gradient = np.asarray(pa.grad(value)(pa.array(x)))
        expected = central(lambda x, value=value: value(pa.array(x)), x, step)
        scale = max(1.0, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(gradient, expected, rtol=tol, atol=tol * scale)
        if order < 2:
            continue

        def slope(x, value=value):
            return total(pa.grad(value)(x))

        second = np.asarray(pa.grad(slope)(pa.array(x)))
        expected = central(lambda x, slope=slope: slope(pa.array(x)), x, step)
        scale = max(1.0, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(
            second, expected, rtol=10 * tol, atol=10 * tol * scale
        )
