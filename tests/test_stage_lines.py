"""Stages of pairs that walk along a long inner axis: each way to read, keep and sum."""

import numpy as np
import pytest
from stage_functions import rng

import pyarr as pa
from pyarr import _core

pytestmark = pytest.mark.usefixtures("small_stages")
# long axes: shorter ones have rows in lanes; from 8193 on values are computed again
LINES = [1025, 1543, 4096, 9001]
ROWS = [33, 64, 101]


def density(m, n):
    """The benchmark's: weights and width, sums over both axes."""
    x, y = pa.asarray(rng(m).normal(size=m)), pa.asarray(rng(n).normal(size=n))

    def f(weight, width):
        u = (x[:, None] - y[None, :]) / width
        return -pa.sum(pa.log(pa.sum(weight * pa.exp(-0.5 * u**2), axis=1)))

    return f, [rng(1).uniform(0.5, 1.5, n) / n, 0.3]


def all_arguments(m, n):
    """Gradients of both sides, with weights on either axis."""

    def f(v, w, x, y, s):
        d = x[:, None] - y
        rows = pa.sum(w * pa.exp(-s * pa.abs(d)), axis=1)
        return pa.sum(v * pa.sqrt(rows))

    r = rng(m + n)
    return f, [
        r.uniform(1, 2, m),
        r.uniform(1, 2, n),
        r.normal(size=m),
        r.normal(size=n),
        0.7,
    ]


def columns_swept(m, n):
    """The reduced axis comes first."""

    def f(x, y):
        return pa.sum(pa.log(pa.sum(1 / (1 + (x[:, None] - y) ** 2), axis=0)))

    return f, [rng(n).normal(size=n), rng(m).normal(size=m)]


def strided(m, n):
    """Shared operands with elements apart, backwards, and repeated."""
    table = rng(n).normal(size=(n, 3))
    y, w = pa.asarray(table)[:, 1], pa.asarray(rng(2).uniform(1, 2, 2 * n))[::-2]

    def f(x, s):
        rows = pa.sum(w * pa.exp(-((x[:, None] - y) ** 2) * s), axis=1)
        return pa.sum(pa.log(rows)) + pa.sum(rows * rows)

    return f, [rng(m).normal(size=m), 0.4]


def masked(m, n):
    """Bools along the line, and a choice."""

    def f(x, y):
        d = x[:, None] - y
        huber = pa.where(pa.abs(d) < 0.5, 0.5 * d * d, 0.5 * pa.abs(d) - 0.125)
        return pa.sum(pa.log(pa.sum(pa.exp(-huber), axis=1)))

    return f, [rng(m).normal(size=m), rng(n).normal(size=n)]


def waves(m, n):
    """Functions that emitted code guards: some arguments are beyond their straight line."""

    def f(x, y):
        z = x[:, None] * y
        return pa.sum(pa.log(pa.sum(2 + pa.sin(z) * pa.cos(1e7 * z), axis=1)))

    x = rng(m).normal(size=m)
    x[3] = 1e9
    return f, [x, rng(n).normal(size=n) * 1e-7]


def several_sums(m, n):
    """Sums of one value over either axis and both, used after each other."""

    def f(x, y, w):
        k = pa.exp(-((x[:, None] - y) ** 2))
        rows, columns = pa.sum(k, axis=1), pa.sum(w * k, axis=0)
        return pa.sum(rows * rows) / n + pa.sum(pa.sqrt(columns)) + pa.sum(pa.tanh(k))

    r = rng(m)
    return f, [r.normal(size=m), r.normal(size=n), r.uniform(1, 2, n)]


def two_kernels(m, n):
    """Blocks that keep two values, one of them behind values that are computed again."""

    def f(x, y, a, b):
        d = (x[:, None] - y) / a
        p, q = pa.sum(pa.exp(-(d**2)), axis=1), pa.sum(b / (1 + d * d), axis=1)
        return pa.sum(pa.log(p) * pa.sqrt(q))

    return f, [rng(m).normal(size=m), rng(n).normal(size=n), 0.6, 1.3]


def two_weights(m, n):
    """Two sums over rows in one program of several rows."""
    x, y = pa.asarray(rng(m).normal(size=m)), pa.asarray(rng(n).normal(size=n))

    def f(v, w):
        k = pa.exp(-pa.abs(x[:, None] - y))
        return pa.sum(pa.log(pa.sum(v * k + w * (k * k), axis=1)))

    return f, [rng(3).uniform(1, 2, n), rng(4).uniform(1, 2, n)]


def given(m, n):
    """Rows of data along the axis, and every other of longer rows."""
    data, more = rng(1).normal(size=(m, n)), rng(2).uniform(1, 2, (m, 2 * n))[:, 1::2]

    def f(s, y):
        return pa.sum(pa.log(pa.sum(more * pa.exp(-s * (data - y) ** 2), axis=1)))

    return f, [0.3, rng(2).normal(size=n)]


MAKERS = {
    f.__name__: f
    for f in [
        density, all_arguments, columns_swept, strided, masked, waves, several_sums,
        two_kernels, two_weights, given,
    ]
}  # fmt: skip


def transformed(f, args):
    return pa.value_and_grad(f, argnums=tuple(range(len(args))))


def has_line(f, args):
    return "lines" in str(pa.explain(transformed(f, args))(*args))


def assert_as_nodes(f, args, tolerance):
    args = [np.asarray(a) for a in args]
    call = transformed(f, args)
    value, grads = call(*args)
    with pa.config(executor="nodes"):
        expected, expected_grads = call(*args)
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    for got, want in zip(grads, expected_grads, strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        scale = float(np.max(np.abs(want)))
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("n", LINES)
@pytest.mark.parametrize("name", MAKERS)
def test_values_and_gradients(name, n):
    m = ROWS[LINES.index(n) % len(ROWS)]
    f, args = MAKERS[name](m, n)
    assert_as_nodes(f, args, 1e-11)


@pytest.mark.parametrize("name", [n for n in MAKERS if n != "several_sums"])
def test_lines_are_walked(name):
    assert has_line(*MAKERS[name](40, 1300))


def test_short_axes_are_not():
    assert not has_line(*density(2000, 300))


@pytest.mark.parametrize("make", [all_arguments, masked, two_kernels])
def test_single_precision(make):
    f, args = make(45, 1291)
    args = [np.asarray(a, np.float32) for a in args]
    assert has_line(f, args)
    assert_as_nodes(f, args, 2e-4)


@pytest.mark.parametrize("n", [1025, 1300, 8200])
@pytest.mark.parametrize("name", MAKERS)
def test_bits_do_not_depend_on_executors_or_threads(name, n):
    f, args = MAKERS[name](75, n)
    args = [np.asarray(a) for a in args]
    found = []
    before = pa.get_num_threads()
    try:
        for executor in "interpreter", "native":
            with pa.config(executor=executor):
                call = transformed(f, args)
                for threads in 1, 2, 3:
                    pa.set_num_threads(threads)
                    value, grads = call(*args)
                    found.append([float(value).hex(), *(g.tobytes() for g in grads)])
    finally:
        pa.set_num_threads(before)
    assert all(one == found[0] for one in found)


def test_parts_of_the_line_are_read():
    """A slice along the axis, and its reverse, beside the whole."""

    def f(x, y):
        k = pa.exp(-((x[:, None] - y) ** 2))
        folded = k + k[:, ::-1]
        return pa.sum(pa.log(pa.sum(folded, axis=1))) + pa.sum(
            pa.sum(k[:, :7], axis=1) ** 2
        )

    assert_as_nodes(f, [rng(1).normal(size=50), rng(2).normal(size=1100)], 1e-11)


def test_a_line_is_a_result():
    def f(x, y):
        return pa.exp(-((x[:, None] - y) ** 2)), pa.sum(x)

    x, y = rng(1).normal(size=50), rng(2).normal(size=1100)
    matrix, _ = pa.jit(f)(x, y)
    np.testing.assert_allclose(matrix, np.exp(-((x[:, None] - y) ** 2)), rtol=1e-14)


def test_special_values_stay_in_their_rows():
    """Infinities and NaN of one row are no other row's."""

    def f(x, y):
        return pa.log(pa.sum(pa.exp(-((x[:, None] - y) ** 2)), axis=1))

    x, y = rng(1).normal(size=41), rng(2).normal(size=1111)
    x[5], x[17], x[40] = np.inf, np.nan, 60.0
    with np.errstate(all="ignore"):
        want = np.log(np.sum(np.exp(-((x[:, None] - y) ** 2)), axis=1))
    np.testing.assert_allclose(pa.jit(f)(x, y), want, rtol=1e-12)


def test_memory_of_long_lines():
    f, args = two_kernels(2000, 8000)
    call = transformed(f, args)
    args = [np.asarray(a) for a in args]
    call(*args)
    before = _core.mem_stats()["bytes_live"]
    _core.mem_reset_peak()
    call(*args)
    peak = _core.mem_stats()["bytes_peak"] - before
    assert peak < 4_000_000 + 2_000_000 * pa.get_num_threads()
