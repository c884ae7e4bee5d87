"""Complex arrays and their parts as one memory, inside derivatives."""

import numpy as np
import pytest

import pyarr

X = np.array([1.3, 0.7, -0.4, 2.1, 0.9, -1.6])


def set_real(x):
    z = pyarr.zeros(3, complex)
    z.real = x[:3]
    z.imag[:] = x[3:]
    return pyarr.sum(abs(z * z + 1))


def write_imag(x):
    z = x[:3] * (1 + 2j)
    z.imag[:2] = x[4:]
    return pyarr.sum(abs(z * z + 1))


def keep_parts(x):
    z = x[:3] * (1 + 2j)
    re, im = z.real, z.imag
    re *= 2
    re[0] = x[5]
    im[1:] += x[3:5]
    return pyarr.sum(abs(z * z + re + im))


def interleaved(x):
    z = pyarr.zeros((3, 2))
    z[:, 0] = x[:3]
    z[:, 1] = x[3:]
    return pyarr.sum(abs(z.view(complex) ** 2 + 1))


def as_pairs(x):
    z = x[:3] * (1 + 2j) * x[3:]
    return pyarr.sum(z.view(float) ** 2 * np.arange(6))


@pytest.mark.parametrize("f", [set_real, write_imag, keep_parts, interleaved, as_pairs])
def test_derivative(f):
    steps = 1e-6 * np.eye(X.size)
    slope = [(f(pyarr.array(X + h)) - f(pyarr.array(X - h))) / 2e-6 for h in steps]
    np.testing.assert_allclose(pyarr.grad(f)(X), np.array(slope, float), atol=1e-7)


def test_parts_of_computed_arrays():
    z = pyarr.array([1 + 2j, 3 - 1j]).requires_grad_()
    pyarr.sum(z.real**2 * 3 + z.imag**3).backward()
    np.testing.assert_allclose(z.grad, [6 + 12j, 18 + 3j])
    np.testing.assert_allclose(z.imag.grad, [12, 3])
    w = z * 1
    w.imag[:] = w.real * 2
    w.real[0] = 5
    (g,) = pyarr.autograd.grad(pyarr.sum(abs(w) ** 2), [z])
    np.testing.assert_allclose(g, [8, 30])


def test_bytes_as_integers():
    with pytest.raises(TypeError, match=r"float64 array cannot be read .* int64"):
        pyarr.grad(lambda x: pyarr.sum(x.view(np.int64)) * 1.0)(X)


@pytest.mark.parametrize("ufunc", [np.maximum.accumulate, np.subtract.accumulate])
def test_partial_results_without_derivative(ufunc):
    with pytest.raises(TypeError, match="accumulate would lose the derivative"):
        pyarr.grad(lambda x: pyarr.sum(ufunc(x)))(X)
