"""Squared distances after a linear map, which stages add up without storing the map's rows."""

import numpy as np
import pytest
from stage_functions import nodes, rng, staged

import pyarr as pa

pytestmark = pytest.mark.usefixtures("small_stages")

SHIFTS = {
    "none": lambda y, s: y,
    "each": lambda y, s: y - s,
    "turned": lambda y, s: s - y,
    "of a group": lambda y, s: y - s[:, :1],
    "of a row": lambda y, s: y - s[0],
    "one": lambda y, s: y - s[0, 0],
    "every other": lambda y, s: y - pa.repeat(s[:, ::2], 2, axis=1)[:, : s.shape[1]],
    "reversed": lambda y, s: y - s[:, ::-1],
}


def likelihood(shift, x, alpha, matrices, s):
    """A mixture's: `matrices` (k, i, j) map rows x (n, j)."""
    k, i, j = matrices.shape
    y = (x @ matrices.reshape(k * i, j).T).reshape(x.shape[0], k, i)
    y = SHIFTS[shift](y, s)
    return pa.sum(pa.logsumexp(alpha - 0.5 * pa.sum(y * y, axis=2), axis=1))


def problem(n, k, i, j, dtype=np.float64):
    r = rng(n + 10 * k + 100 * i + 1000 * j)
    shapes = (n, j), (k,), (k, i, j), (k, i)
    x, alpha, matrices, s = (r.standard_normal(shape) for shape in shapes)
    return [a.astype(dtype) for a in (x, alpha, matrices / np.sqrt(i * j), s)]


def check(shift, x, *parameters, argnums=(0, 1, 2)):
    """Value and gradients are those of one node after the other."""

    def f(*p):
        return likelihood(shift, x, *p)

    call = pa.value_and_grad(f, argnums=argnums)
    (value, grads), runs = staged(lambda: call(*parameters))
    expected, expected_grads = nodes(lambda: call(*parameters))
    assert runs > 0
    tolerance = 1e-11 if x.dtype == np.float64 else 1e-4
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    alone, runs = staged(lambda: pa.jit(f)(*parameters))
    assert runs > 0
    np.testing.assert_allclose(alone, expected, rtol=tolerance)
    for got, want in zip(grads, expected_grads, strict=True):
        scale = np.max(np.abs(want), initial=0, where=np.isfinite(want))
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)
    return value


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("i", [1, 2, 3, 4, 5, 7, 20, 32, 33, 40, 64, 70])
def test_any_number_of_terms(i, shift):
    x, *parameters = problem(1000, 5, i, 3)
    check(shift, x, *parameters)
    check(shift, x, *parameters, argnums=(0,))


@pytest.mark.parametrize("n", [64, 65, 255, 256, 257, 1000, 4099])
@pytest.mark.parametrize("k", [2, 9])
def test_any_number_of_rows(n, k):
    check("each", *problem(n, k, 12, 6))


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("i", [5, 40])
def test_single_precision(i, shift):
    check(shift, *problem(1000, 4, i, 4, np.float32))


TRIANGLES = {
    "lower": np.tril,
    "upper": np.triu,
    "band": lambda m: np.tril(np.triu(m, -1), 2),
    "zero": np.zeros_like,
    "alternating": lambda m: m * (np.arange(m.shape[-2])[:, None] % 2),
}


@pytest.mark.parametrize("shape", TRIANGLES)
@pytest.mark.parametrize("i", [3, 8, 20, 40])
def test_matrices_with_zeros(i, shape):
    x, alpha, matrices, s = problem(1000, 5, i, 11)
    check("each", x, alpha, TRIANGLES[shape](matrices), s)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_zeros_are_not_left_out_of_what_is_not_finite(bad):
    x, alpha, matrices, s = problem(1000, 5, 8, 8)
    x[300, 7] = bad
    with np.errstate(all="ignore"):
        value = check("each", x, alpha, np.tril(matrices), s, argnums=(0,))
    assert np.isnan(value)  # 0 * inf


def test_rows_of_any_layout():
    x, *parameters = problem(1000, 5, 7, 6)
    wide = np.zeros((1000, 12))
    wide[:, ::2] = x
    value = check("each", x, *parameters)
    for other in np.asfortranarray(x), wide[:, ::2], x[::-1].copy()[::-1]:
        assert check("each", other, *parameters) == value


def test_squares_that_are_stored_as_well():
    """Someone else needs the sums of squares, or the rows."""
    x, _, matrices, s = problem(1000, 1, 6, 4)

    def f(m, s):
        y = x @ m[0].T
        distance = pa.sum((y - s[0]) ** 2, axis=1)
        return pa.sum(pa.exp(-distance)) + pa.sum(y[:, 0] * distance), distance

    call = pa.value_and_grad(f, argnums=(0, 1), has_aux=True)
    ((value, distance), grads), runs = staged(lambda: call(matrices, s))
    (expected, distances), expected_grads = nodes(lambda: call(matrices, s))
    assert runs > 0
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(distance), distances, rtol=1e-12)
    for got, want in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)
