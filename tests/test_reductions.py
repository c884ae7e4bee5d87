"""Reductions, arg reductions and scans against NumPy; the order and accuracy of sums."""

import itertools
import math
import warnings

import numpy as np
import pytest

import pyarr
from pyarr import _core

DTYPES = [np.dtype(t) for t in "? i1 i2 i4 i8 u1 u2 u4 u8 f4 f8 c8 c16".split()]
REDUCTIONS = ["sum", "prod", "min", "max", "any", "all"]
ALONG_ONE = ["argmin", "argmax", "cumsum", "cumprod"]
SHAPES = [(), (0,), (1,), (33,), (1000,), (20000,), (3, 4), (7, 100), (2, 3, 4)]
SHAPES += [(5, 1, 6), (70, 80), (17000, 3), (3, 17000), (0, 3), (3, 0), (4, 5, 6, 7)]
VIEWS = [
    lambda a: a,
    lambda a: a.T,
    lambda a: a[::-1] if a.ndim else a,
    lambda a: a[..., ::2] if a.ndim else a,
    lambda a: a.swapaxes(0, 1)[::2] if a.ndim > 2 else a,
    lambda a: np.broadcast_to(a, (3, *a.shape)) if a.size < 5000 else a,
]


def draw(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.random(shape) > 0.5
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -9, 9, shape).astype(dtype)
    values = rng.uniform(0.9, 1.1, shape)  # so that products stay of order one
    if dtype.kind == "c":
        values = values * np.exp(1j * rng.uniform(-3, 3, shape))
    return np.asarray(values).astype(dtype)


def axes_of(ndim, one):
    axes = [None, *range(ndim)]
    if not one:
        for count in (2, 3):
            axes += itertools.combinations(range(ndim), count)
    return axes


def check(name, array, axis):
    """Equal to NumPy in value, shape and dtype, or the same error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = np.asarray(getattr(np, name)(array, axis=axis))
    except ValueError as error:
        with pytest.raises(ValueError) as caught:
            getattr(pyarr, name)(pyarr.asarray(array), axis=axis)
        assert str(caught.value) == str(error)
        return
    got = np.asarray(getattr(pyarr, name)(pyarr.asarray(array), axis=axis))
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if want.dtype.kind in "biu" or name in ("min", "max"):
        np.testing.assert_array_equal(got, want)
    else:
        eps = np.finfo(want.dtype).eps
        size = max(array.size, 1)
        scale = size if name in ("sum", "cumsum") else np.abs(want)
        assert np.all(np.abs(got - want) <= 4 * eps * scale * max(size**0.5, 8))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS + ALONG_ONE)
def test_reductions(name, dtype):
    for shape in SHAPES:
        array = draw(dtype, shape)
        views = VIEWS if array.size < 5000 else VIEWS[:4]
        for view in views:
            for axis in axes_of(view(array).ndim, name in ALONG_ONE):
                check(name, view(array), axis)


def test_keepdims():
    x = draw(np.dtype("f8"), (3, 4, 5))
    for axis in (None, 1, (0, 2)):
        got = pyarr.sum(pyarr.asarray(x), axis=axis, keepdims=True)
        assert got.shape == np.sum(x, axis=axis, keepdims=True).shape


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_nan_wins(dtype):
    for size in (1, 5, 40, 700, 20000):
        for place in {0, size // 2, size - 1}:
            x = draw(np.dtype(dtype), size)
            x[place] = np.nan
            a = pyarr.asarray(x)
            assert np.isnan(np.asarray(pyarr.min(a)))
            assert np.isnan(np.asarray(pyarr.max(a)))
            assert int(pyarr.argmin(a)) == place
            assert int(pyarr.argmax(a)) == place
            columns = pyarr.asarray(np.stack([x, x[::-1]], axis=1))
            assert np.isnan(np.asarray(pyarr.max(columns, axis=0))).all()


def test_infinities():
    x = pyarr.asarray(np.array([1.0, -np.inf, np.inf, 2.0] * 30))
    assert float(pyarr.min(x)) == -np.inf
    assert float(pyarr.max(x)) == np.inf
    assert int(pyarr.argmax(x)) == 2
    assert math.isnan(float(pyarr.sum(x)))


def test_first_extreme_is_found():
    x = np.zeros(10001)
    x[[700, 5000, 9000]] = 1
    assert int(pyarr.argmax(pyarr.asarray(x))) == 700
    assert int(pyarr.argmin(pyarr.asarray(-x))) == 700
    assert int(pyarr.argmax(pyarr.asarray(x[::-1]))) == 1000


def test_empty():
    x = pyarr.zeros((0, 3))
    assert pyarr.sum(x, axis=0).tolist() == [0.0, 0.0, 0.0]
    assert pyarr.prod(x, axis=0).tolist() == [1.0, 1.0, 1.0]
    assert pyarr.all(x, axis=0).tolist() == [True, True, True]
    assert pyarr.any(x, axis=0).tolist() == [False, False, False]
    with pytest.raises(ValueError, match="reduction operation minimum which has no"):
        pyarr.min(x, axis=0)
    with pytest.raises(ValueError, match="attempt to get argmax of an empty sequence"):
        pyarr.argmax(x, axis=0)
    assert pyarr.min(x, axis=1).shape == (0,)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
@pytest.mark.parametrize("name", ["sum", "prod"])
def test_bits_depend_on_the_elements_alone(name, dtype):
    """Not on threads, strides, or whether results are made as rows or as columns."""
    x = draw(np.dtype(dtype), 50_003)
    function = getattr(pyarr, name)
    threads = _core.get_num_threads()
    results = set()
    try:
        for count in (1, 2, 7):
            _core.set_num_threads(count)
            spread = np.repeat(x, 3)[::3]
            rows = np.stack([x, x, x])
            columns = np.stack([x] * 3, axis=1)
            for a in (x, spread):
                results.add(np.asarray(function(pyarr.asarray(a))).tobytes())
            for row in np.asarray(function(pyarr.asarray(rows), axis=1)):
                results.add(row.tobytes())
            for row in np.asarray(function(pyarr.asarray(columns), axis=0)):
                results.add(row.tobytes())
    finally:
        _core.set_num_threads(threads)
    assert len(results) == 1


def test_sums_are_accurate():
    """The error of a long sum stays near one rounding."""
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 1, 1_000_000).astype("f4")
    exact = math.fsum(x.astype("f8"))
    assert abs(float(pyarr.sum(pyarr.asarray(x))) - exact) <= 4e-7 * exact
    y = rng.normal(0, 1, 1_000_000)
    error = abs(float(pyarr.sum(pyarr.asarray(y))) - math.fsum(y))
    assert error <= 1e-11


def test_scans_backwards():
    x = draw(np.dtype("f8"), (4, 700))
    for axis in (0, 1):
        got = _core.apply("cumsum", pyarr.asarray(x), params=(axis, 1))
        want = np.flip(np.cumsum(np.flip(x, axis), axis), axis)
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-12)


def test_wrapping_sums():
    x = np.full(100, 2**62, "i8")
    assert int(pyarr.sum(pyarr.asarray(x))) == int(x.sum())
    assert int(pyarr.prod(pyarr.asarray(x + 1))) == int((x + 1).prod())


@pytest.mark.parametrize("name", "sum prod max min any all ptp".split())
def test_numbers_along_an_axis(name):
    x = pyarr.array(3.0)
    for axis in (0, -1, None, ()):
        wanted = getattr(np, name)(np.float64(3.0), axis=axis)
        got = getattr(pyarr, name)(x, axis=axis)
        assert got.shape == () and got == wanted
    for axis in (1, (0,)):
        with pytest.raises(np.exceptions.AxisError):
            getattr(np, name)(np.float64(3.0), axis=axis)
        with pytest.raises(np.exceptions.AxisError):
            getattr(pyarr, name)(x, axis=axis)
