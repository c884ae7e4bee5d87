"""Traced elementwise work runs as one program: same bits as eager, no stored intermediates."""

import time

import numpy as np
import pytest

import pyarr as pa

SHAPES = [(5000,), (40_000,), (100, 331), (3, 7, 1000), (70_000, 2)]


def residuals(a, b, scale):
    d = (a - b * 2.0) / scale
    return pa.where(d > 0.3, pa.log1p(d * d), pa.exp(-d) - 1.0)


def functions(scale):
    return {
        "sum": lambda a, b: pa.sum(residuals(a, b, scale) ** 2),
        "two sums": lambda a, b: (
            pa.sum(a * b * scale) * 2.0 - pa.sum(residuals(a, b, scale))
        ),
        "mean of complex": lambda a, b: pa.mean(
            pa.abs(pa.exp(1j * a * scale) + b) ** 2
        ),
        "rows": lambda a, b: pa.sum(pa.sum(a * b, axis=-1) * 0.5 + pa.sum(a, axis=-1)),
        "float32": lambda a, b: pa.sum(
            (a.astype("f4") * b.astype("f4") - a).astype(float)
        ),
        "sum of a constant": lambda a, b: pa.sum(a * 0.0 + scale) + pa.sum(a * b),
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", functions(1.0))
@pytest.mark.parametrize("layout", ["plain", "strided", "broadcast"])
def test_traced_equals_eager_to_the_bit(shape, name, layout):
    rng = np.random.default_rng(0)
    a = rng.standard_normal(shape)
    b = rng.standard_normal(shape)
    if layout == "strided":
        a = np.repeat(a, 2, axis=-1)[..., ::2]
        b = b[::-1]
    elif layout == "broadcast":
        b = b[..., :1]
    f = functions(1.3)[name]
    eager = f(pa.asarray(a), pa.asarray(b))
    scaled = pa.value_and_grad(
        lambda s: functions(s)[name](pa.asarray(a), pa.asarray(b))
    )
    with pa.config(rounding="strict"):
        value, _ = scaled(1.3)
    assert value == float(eager)
    value, _ = scaled(1.3)
    assert value == pytest.approx(float(eager), rel=1e-13)


def test_programs_and_single_ops_agree_to_the_bit():
    x = np.random.default_rng(4).standard_normal(30_000)
    f = pa.value_and_grad(
        lambda t: pa.sum(residuals(pa.asarray(x) * t[0], t[1], 1.1) ** 2)
    )
    value, gradient = f(np.array([0.4, 0.9]))
    with pa.config(executor="nodes"):
        alone, slope = f(np.array([0.4, 0.9]))
    assert value == alone
    np.testing.assert_array_equal(gradient, slope)


@pytest.mark.parametrize("n", [1024, 16_384, 16_385, 100_001])
def test_bits_do_not_depend_on_threads(n):
    x = np.random.default_rng(1).standard_normal(n)
    f = pa.value_and_grad(
        lambda t: pa.sum(pa.exp(-((pa.asarray(x) - t[0]) ** 2) * t[1]))
    )
    before = pa.show_config()["num_threads"]
    found = []
    try:
        for threads in (1, 2, 3):
            pa.set_num_threads(threads)
            value, gradient = f(np.array([0.1, 0.7]))
            found.append((value, *gradient))
    finally:
        pa.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_bits_do_not_depend_on_threads_that_wait():
    """Awake threads get smaller tasks than those that must be woken."""
    r = np.random.default_rng(4)
    x, y = r.standard_normal((40, 20, 20)), r.standard_normal((40, 1, 20))
    c, large = r.standard_normal((40, 30)), pa.asarray(r.standard_normal(2_000_000))
    at = r.integers(-30, 30, (20, 20))

    def f(x, y, c):
        return pa.sum(pa.sin(x * y) * x + c[:, at] * y)

    call = pa.value_and_grad(f, argnums=(0, 1, 2))
    results = []
    for rest in (0.02, 0.0):
        pa.sum(large * large)
        time.sleep(rest)
        value, grads = call(x, y, c)
        results.append([float(value).hex(), *(g.tobytes() for g in grads)])
    assert results[0] == results[1]


def test_gradient_against_differences():
    x = np.random.default_rng(2).standard_normal((300, 40))

    def f(t):
        model = t[0] * pa.exp(-(x**2) / t[1]) + t[2] * x
        return pa.mean(pa.log1p((model - 0.5) ** 2)) + pa.sum(model[:, 3] ** 2) * 1e-3

    pa.testing.check_grad(f, (np.array([0.7, 1.3, -0.4]),), rtol=1e-6)


def test_memory_of_one_sweep_does_not_grow_with_the_data():
    n = 2_000_000
    x = pa.asarray(np.random.default_rng(3).standard_normal(n))
    f = pa.value_and_grad(lambda t: pa.sum((pa.sin(x * t) - t) ** 2 / (1 + x * x)))
    f(0.5)
    before = pa._core.mem_stats()["bytes_live"]
    pa._core.mem_reset_peak()
    f(0.7)
    assert pa._core.mem_stats()["bytes_peak"] - before < 4_000_000


def test_errors_in_a_group_name_the_line():
    def f(x):
        i = pa.arange(5000) - 3
        return pa.sum(x * 2.0) + pa.sum(2**i)

    with pytest.raises(ValueError, match="negative integer powers"):
        pa.grad(f)(np.ones(5000))
