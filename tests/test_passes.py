"""Sums over the data that later work waits for: values needed again are computed again."""

import numpy as np
import pytest
from stage_functions import rng

import pyarr as pa

N = 200_000  # long enough for stages


X = rng(1).standard_normal(N)
ROWS = rng(2).standard_normal((N // 8, 8))


def weighted_variance(s):
    weight = 1 / (1 + s * X * X)
    mean = pa.sum(weight * X) / pa.sum(weight)
    return pa.sum(weight * (X - mean) ** 2)


def skewness(s):
    centred = pa.where(X > 0, s * X, X) - pa.mean(X * s)
    return pa.mean((centred / pa.sqrt(pa.mean(centred**2))) ** 3)


def entropy(s):
    p = pa.abs(X) ** 2 + s
    p = p / pa.sum(p)
    return -pa.sum(p * pa.log(p))


def softmax(s):
    e = pa.exp(s * X)
    return pa.sum(e / pa.sum(e) * X**2)


def standardised(s):
    x = ROWS * s + ROWS**2
    z = (x - pa.mean(x, axis=0)) / pa.std(x, axis=0)
    return pa.sum((z * s) ** 3 + s * z * z)


def products(s):
    """What is summed is a product with the transpose."""
    x = ROWS * s + ROWS**2
    gram = x.T @ x / N
    return pa.sum((x - pa.tanh(gram[0])) ** 2)


def columns(s):
    """Views between the values."""
    x = (s * X + 1).reshape(-1, 4)
    centred = x - pa.mean(x, axis=0)
    return pa.sum(centred.T[:2] ** 3) + pa.sum(centred[::2, 1])


FUNCTIONS = {
    f.__name__: f
    for f in (
        weighted_variance,
        skewness,
        entropy,
        softmax,
        standardised,
        products,
        columns,
    )
}


def both(f, **settings):
    with pa.config(**settings):
        value, grad = pa.value_and_grad(f)(0.7)
    return [float(value), float(grad)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(name):
    f = FUNCTIONS[name]
    found = both(f)
    np.testing.assert_allclose(found, both(f, executor="nodes"), rtol=1e-10, atol=1e-12)
    h = 1e-6
    with pa.config(executor="nodes"):
        slope = float(f(0.7 + h) - f(0.7 - h)) / (2 * h)
    np.testing.assert_allclose(found[1], slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits(name):
    f = FUNCTIONS[name]
    before, found = pa.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            pa.set_num_threads(threads)
            found += [both(f), both(f, executor="interpreter")]
    finally:
        pa.set_num_threads(before)
    assert all(pair == found[0] for pair in found)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("columns",)])
def test_nothing_long_is_kept(name):
    """No step writes a value of the data's size."""
    (plan,) = pa.explain(pa.value_and_grad(FUNCTIONS[name]))(0.7).plans
    assert max(step["bytes_written"] for step in plan["steps"]) < N


def test_dear_values_are_kept():
    """A second gamma function would cost more than memory does."""

    def f(s):
        g = pa.lgamma(X * X * s + 1)
        return pa.sum((g - pa.mean(g)) ** 2)

    (plan,) = pa.explain(f)(0.7).plans
    assert sum(step["bytes_written"] for step in plan["steps"]) >= 8 * N
    np.testing.assert_allclose(both(f), both(f, executor="nodes"), rtol=1e-10)


def test_results_are_kept():
    """What the user holds is there, and later passes read it."""
    held = []

    def f(s):
        centred = X * s - pa.mean(X * s)
        held[:] = [centred]
        return pa.mean((centred / pa.sqrt(pa.mean(centred**2))) ** 4)

    found = both(f)
    np.testing.assert_allclose(held[0], X * 0.7 - np.mean(X * 0.7), rtol=1e-12)
    np.testing.assert_allclose(found, both(f, executor="nodes"), rtol=1e-10, atol=1e-12)


def test_many_passes():
    def f(s):
        x = X * s
        for _ in range(12):
            x = x - pa.mean(x * x) * 0.1
        return pa.sum(x)

    np.testing.assert_allclose(both(f), both(f, executor="nodes"), rtol=1e-10)
