"""One pass through everything, in a second: run on every Python that is supported."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import pyarr as pa


def test_smoke_arrays():
    x = pa.arange(12.0).reshape(3, 4)
    n = np.asarray(x)
    assert n.shape == (3, 4) and n.dtype == np.float64
    n[0, 0] = 7.0  # the memory is shared
    assert float(x[0, 0]) == 7.0
    assert_allclose(np.asarray(x[1:, ::-2]), n[1:, ::-2])
    assert_allclose(np.asarray(x @ x.T), n @ n.T)
    assert_allclose(np.asarray(np.sin(x)), np.sin(n))
    assert_allclose(np.asarray(pickle.loads(pickle.dumps(x))), n)
    with pytest.raises(IndexError):
        x[5]
    with pytest.raises(ValueError):
        x + pa.ones(3)
    x[x > 5] = 0.0
    assert float(pa.sum(x)) == n.sum()


def test_smoke_derivatives():
    def f(v):
        w = pa.array([v[0], v[1], v[0] * v[1]])
        w[1] = pa.sin(w[1])
        return pa.sum(pa.exp(w) ** 2) + pa.linalg.norm(w)

    x = np.array([0.3, -0.7])
    value, gradient = pa.value_and_grad(f)(x)
    assert isinstance(value, float) and isinstance(gradient, np.ndarray)
    step = 1e-6
    for i in range(2):
        d = step * np.eye(2)[i]
        slope = (float(f(x + d)) - float(f(x - d))) / (2 * step)
        assert_allclose(gradient[i], slope, rtol=1e-7)
    hessian = np.asarray(pa.hessian(f)(x))
    assert_allclose(hessian, hessian.T, rtol=1e-12)
    with pytest.raises(TypeError):
        pa.grad(lambda v: float(v[0]))(x)


def test_smoke_scipy():
    def rosenbrock(v):
        return pa.sum(100 * (v[1:] - v[:-1] ** 2) ** 2 + (1 - v[:-1]) ** 2)

    start = np.array([-1.2, 1.0, 0.5])
    fit = minimize(pa.value_and_grad(rosenbrock), start, jac=True, method="BFGS")
    assert fit.success
    assert_allclose(fit.x, 1.0, atol=1e-4)
    fit = pa.optimize.minimize(rosenbrock, start, method="trust-exact")
    assert_allclose(fit.x, 1.0, atol=1e-6)
