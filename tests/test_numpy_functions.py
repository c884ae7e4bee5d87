"""NumPy's own functions, called on pyarr arrays inside derivatives."""

import numpy as np
import pytest

import pyarr as pa

X = np.array([0.6, 1.7, 2.4, -1.1])
A = np.arange(16.0).reshape(4, 4) + np.eye(4)

FUNCTIONS = [
    lambda x: np.mean(x) * np.std(x),
    lambda x: np.sum(np.where(x > 1, x**2, 0)),
    lambda x: np.linalg.norm(x),
    lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2),
    lambda x: np.sum(np.concatenate((x, [1.0, 2.0])) ** 2),
    lambda x: np.einsum("i,i", x, x),
    lambda x: np.sum(np.clip(x, 0, 2)),
    lambda x: np.sum(np.interp(x, [0, 1, 2], [1, 5, 2])),
    lambda x: np.trapezoid(x**2),
    lambda x: np.dot(x, A @ x),
    lambda x: np.linalg.solve(A, x).sum(),
    lambda x: np.linalg.det(A * x),
    lambda x: np.median(x) + np.quantile(x, 0.3),
    lambda x: np.sum(np.cumsum(x) ** 2),
    lambda x: np.max(x) * np.ptp(x),
    lambda x: np.sum(np.sort(x) * A[0]),
    lambda x: np.sum(np.stack([x, x * 2]) ** 2),
    lambda x: np.sum(np.roll(x, 1) * np.flip(x)),
    lambda x: np.average(x, weights=x**2),
    lambda x: np.sum(np.convolve(x, x[:2]) ** 2),
    lambda x: np.sum(np.real(np.exp(1j * x))),
    lambda x: np.sum(np.kron(x, x)),
    lambda x: np.nansum(np.gradient(x) ** 2),
    lambda x: np.sum(np.pad(x, 1) ** 2),
    lambda x: np.trace(np.diag(x) ** 2),
    lambda x: np.sum(np.meshgrid(x, x)[0] ** 2),
    lambda x: np.sum(np.linalg.eigvalsh(A + A.T + np.diag(x)) ** 2),
    lambda x: np.sum(np.linalg.lstsq(A[:, :2], x)[0]),
    lambda x: np.sum(np.piecewise(x, [x > 1], [lambda v: v**2, lambda v: v])),
    lambda x: np.sum(np.ones_like(x) * np.copy(x) ** 2),
]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_same_code_has_a_derivative(f):
    gradient = pa.grad(f)(X)
    assert isinstance(gradient, np.ndarray)
    expected, step = np.zeros_like(X), 1e-6
    for i in range(X.size):
        above, below = X.copy(), X.copy()
        above[i] += step
        below[i] -= step
        expected[i] = (f(above) - f(below)) / (2 * step)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


def test_functions_without_derivative_say_so():
    for f, name in [
        (lambda x: np.linalg.svd(np.outer(x, x))[1].sum(), "svd"),
        (lambda x: np.histogram2d(x, x)[0].sum(), "histogram2d"),
        (lambda x: np.apply_over_axes(np.sum, x, 0).sum(), "apply_over_axes"),
    ]:
        with pytest.raises(TypeError, match=name):
            pa.grad(f)(X)
        assert isinstance(f(pa.asarray(X)), pa.ndarray)


def test_foreign_types_stay_in_charge():
    class Other:
        def __array_function__(self, func, types, args, kwargs):
            return "other"

    assert np.concatenate([pa.ones(2), Other()]) == "other"
