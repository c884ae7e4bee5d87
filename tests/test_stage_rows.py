"""Stages that multiply rows of data with few vectors and read them where they lie."""

import subprocess
import sys

import numpy as np
import pytest

import pyarr as pa
from pyarr import _core

pytestmark = pytest.mark.usefixtures("small_stages")
WIDTHS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 63, 64, 65, 72, 100, 131]


def data(n, width, dtype=np.float64):
    rng = np.random.default_rng(n + width)
    return rng.standard_normal((n, width)).astype(dtype), rng.standard_normal(width) * (
        0.5 / np.sqrt(width)
    )


def regression(x, w):
    """The value and gradient of one vector or several, by a stage."""
    call = pa.value_and_grad(lambda w: pa.sum(pa.tanh(x @ w)))
    before = _core._stage_runs()
    value, grad = call(np.asarray(w, x.dtype))
    assert _core._stage_runs() > before
    return value, np.asarray(grad)


def check(x, w, plain=None):
    """`x` in whatever layout gives what NumPy makes of `plain`."""
    plain = np.asarray(x if plain is None else plain, np.float64)
    value, grad = regression(x, w)
    single = np.asarray(x).dtype == np.float32
    y = np.tanh(plain @ w)
    expected = plain.T @ (1 - y**2)
    tolerance = 3e-5 if single else 1e-12
    scale = np.abs(plain).sum(0).max()
    np.testing.assert_allclose(value, y.sum(), rtol=tolerance, atol=tolerance * len(y))
    np.testing.assert_allclose(grad, expected, rtol=tolerance, atol=tolerance * scale)
    return value, grad


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("width", WIDTHS)
def test_any_width(width, dtype):
    check(*data(2003, width, dtype))


@pytest.mark.parametrize("n", [520, 527, 528, 529, 1023, 1025, 4097])
@pytest.mark.parametrize("width", [1, 4, 11, 32])
def test_any_number_of_rows(n, width):
    check(*data(n, width))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("width", WIDTHS)
def test_elements_beside_the_rows_are_not_used(width, dtype):
    x, w = data(2003, width, dtype)
    wide = np.full((2005, width + 5), np.nan, dtype)
    wide[1:-1, 3:-2] = x
    value, grad = check(wide[1:-1, 3:-2], w, x)
    assert value == regression(x, w)[0]
    np.testing.assert_array_equal(grad, regression(x, w)[1])


@pytest.mark.parametrize("vectors", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("width", [1, 3, 8, 20, 33, 70])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_several_vectors(width, vectors, dtype):
    x, _ = data(3001, width, dtype)
    w = np.random.default_rng(vectors).standard_normal((width, vectors)) * 0.2
    check(x, w)


@pytest.mark.parametrize("vectors", [1, 2, 4, 5])
@pytest.mark.parametrize("width", [3, 20, 33])
def test_vectors_before_the_rows(width, vectors):
    x, _ = data(3001, width)
    w = np.random.default_rng(vectors).standard_normal((vectors, width)) * 0.2
    call = pa.value_and_grad(lambda w: pa.sum(pa.tanh(w @ pa.transpose(x))))
    before = _core._stage_runs()
    value, grad = call(w)
    assert _core._stage_runs() > before
    y = np.tanh(w @ x.T)
    np.testing.assert_allclose(value, y.sum(), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(grad, (1 - y**2) @ x, rtol=1e-11, atol=1e-9)


def test_several_products_of_the_same_rows():
    x, w = data(3001, 21)
    v = w[::-1].copy()

    def f(w, v):
        a, b = x @ w, x @ v
        return pa.sum(a * pa.tanh(b))

    value, (gw, gv) = pa.value_and_grad(f, argnums=(0, 1))(w, v)
    a, b = x @ w, x @ v
    np.testing.assert_allclose(value, np.sum(a * np.tanh(b)), rtol=1e-12)
    np.testing.assert_allclose(gw, x.T @ np.tanh(b), rtol=1e-11, atol=1e-10)
    expected = x.T @ (a * (1 - np.tanh(b) ** 2))
    np.testing.assert_allclose(gv, expected, rtol=1e-11, atol=1e-10)


# ---- layouts: values do not depend on them, to the bit ----


def in_columns(x):
    return np.asfortranarray(x)


def slices(x):
    wide = np.full((x.shape[0], 2 * x.shape[1] + 1), np.nan)
    wide[:, 1::2] = x
    return wide[:, 1::2]


def backwards(x):
    return x[::-1].copy()[::-1]


def turned(x):
    return x[:, ::-1].copy()[:, ::-1]


def every_other_row(x):
    wide = np.full((2 * x.shape[0], x.shape[1]), np.nan)
    wide[::2] = x
    return wide[::2]


def unaligned(x):
    packed = np.zeros(x.shape[0], dtype=[("tag", "u1"), ("x", "f8", x.shape[1:])])
    packed["x"] = x
    return packed["x"]


def shifted(x):
    return np.concatenate([np.full(3, np.nan), x.ravel()])[3:].reshape(x.shape)


LAYOUTS = [
    in_columns, slices, backwards, turned, every_other_row, unaligned, shifted
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("width", [2, 5, 16, 27, 40])
def test_layouts_give_the_same_bits(layout, width):
    x, w = data(5003, width)
    value, grad = check(layout(x), w, x)
    expected, expected_grad = regression(x, w)
    assert value == expected
    np.testing.assert_array_equal(grad, expected_grad)


@pytest.mark.parametrize("width", [3, 12])
def test_rows_that_overlap(width):
    series = np.random.default_rng(1).standard_normal(9000)
    windows = np.lib.stride_tricks.sliding_window_view(series, width)
    check(windows, data(1, width)[1])


@pytest.mark.parametrize("width", [3, 11, 32])
def test_infinities_stay_in_their_rows(width):
    x, w = data(2003, width)
    x[700, width - 1] = np.inf
    x[1501, 0] = np.nan
    seen = []

    def f(w):
        z = x @ w
        seen.append(z)
        return pa.sum(pa.where(pa.isfinite(z), z, 0.0) ** 2)

    value, _ = pa.value_and_grad(f)(w)
    z = np.asarray(seen[0])
    assert np.isinf(z[700]) and np.isnan(z[1501])
    keep = np.isfinite(x).all(axis=1)
    np.testing.assert_allclose(z[keep], x[keep] @ w, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(value, np.sum((x[keep] @ w) ** 2), rtol=1e-12)


# ---- bits, and the end of memory ----


@pytest.mark.parametrize("width", [3, 32, 70])
@pytest.mark.parametrize("vectors", [None, 3])
def test_bits_do_not_depend_on_threads_or_executors(width, vectors):
    x, w = data(50_003, width)
    w = w if vectors is None else np.stack([w] * vectors, axis=1)
    before = pa.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            for executor in ("interpreter", "native"):
                pa.set_num_threads(threads)
                with pa.config(executor=executor):
                    value, grad = regression(x, w)
                found.append((float(value).hex(), grad.tobytes()))
    finally:
        pa.set_num_threads(before)
    assert len(set(found)) == 1


# Data that end where the memory ends, or begin where it begins.
GUARDED = """
import ctypes, mmap, sys
import numpy as np
import pyarr as pa
from pyarr import _core

_core._stage_least_size(512)
libc = ctypes.CDLL(None, use_errno=True)
page = mmap.PAGESIZE
for width in (1, 3, 8, 13, 33):
    for dtype in (np.float64, np.float32):
        n = 5001
        bytes_ = n * width * dtype().itemsize
        pages = -(-bytes_ // page)
        memory = mmap.mmap(-1, (pages + 2) * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        x = np.random.default_rng(width).standard_normal((n, width)).astype(dtype)
        for offset in (page, (pages + 1) * page - bytes_):
            y = np.frombuffer(memory, dtype, n * width, offset).reshape(n, width)
            y[:] = x
            for guard in (start, start + (pages + 1) * page):
                assert libc.mprotect(ctypes.c_void_p(guard), page, 0) == 0
            for rows in (y, y[::-1]):
                call = pa.value_and_grad(lambda w: pa.sum(pa.tanh(rows @ w)))
                before = _core._stage_runs()
                value, grad = call(np.full(width, 0.1, dtype))
                assert _core._stage_runs() > before
                expected = np.tanh(rows @ np.full(width, 0.1)).sum()
                assert abs(value - expected) < 1e-3 * n ** 0.5, (value, expected)
            for guard in (start, start + (pages + 1) * page):
                assert libc.mprotect(ctypes.c_void_p(guard), page, 3) == 0
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for guard pages")
def test_nothing_beyond_the_data_is_read():
    result = subprocess.run(
        [sys.executable, "-c", GUARDED], capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.returncode) == ("done\n", 0), result.stderr
