"""Creation functions: values, dtypes, orders and errors against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyarr as pa

DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def same(found, wanted):
    wanted = np.asarray(wanted)
    assert type(found) is pa.ndarray
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(np.asarray(found), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), 3, (0,), (2, 3), (2, 0, 3), [2, 2]])
def test_filled(shape, dtype):
    same(pa.zeros(shape, dtype), np.zeros(shape, dtype))
    same(pa.ones(shape, dtype), np.ones(shape, dtype))
    same(pa.full(shape, 1, dtype), np.full(shape, 1, dtype))
    assert pa.empty(shape, dtype).shape == np.empty(shape, dtype).shape
    assert pa.empty(shape, dtype).dtype == dtype


@pytest.mark.parametrize("value", [True, 3, 2.5, 1j, np.float32(2), np.int8(4)])
def test_full_takes_the_values_dtype(value):
    same(pa.full((2, 2), value), np.full((2, 2), value))


def test_full_broadcasts_its_value():
    same(pa.full((2, 3), [1, 2, 3]), np.full((2, 3), [1, 2, 3]))


@pytest.mark.parametrize("name", ["zeros_like", "ones_like"])
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_like(name, dtype):
    a = np.arange(6).reshape(2, 3)
    same(getattr(pa, name)(a, dtype), getattr(np, name)(a, dtype))
    same(getattr(pa, name)(pa.array(a), dtype), getattr(np, name)(a, dtype))
    same(getattr(pa, name)(a, shape=(4,)), getattr(np, name)(a, shape=(4,)))
    assert getattr(pa, name)(pa.asarray(a.T)).flags.f_contiguous


def test_full_like():
    same(pa.full_like([1, 2], 7.9), np.full_like([1, 2], 7.9))
    same(pa.full_like([1.0, 2.0], 7), np.full_like([1.0, 2.0], 7))


@pytest.mark.parametrize("order", ["C", "F"])
def test_order(order):
    for make in (pa.zeros, pa.ones, pa.empty):
        x = make((2, 3), order=order)
        assert x.flags[order]
    assert pa.array([[1, 2], [3, 4]], order=order).flags[order]
    same(pa.array([[1, 2], [3, 4]], order=order), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    "args",
    [
        (5,),
        (2, 7),
        (2, 7, 2),
        (7, 2, -2),
        (7, 2),
        (0.0, 1.0, 0.1),
        (5.0,),
        (1, 2, 0.3),
        (np.float32(3),),
        (np.int8(1), np.int8(5)),
        (-3,),
        (2**53, 2**53 + 4),
        (0, 1, -1e300),
    ],
)
def test_arange(args):
    same(pa.arange(*args), np.arange(*args))


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_arange_dtype(dtype):
    same(pa.arange(3, 9, 2, dtype=dtype), np.arange(3, 9, 2, dtype=dtype))


def test_arange_of_floats_as_integers():
    same(pa.arange(0.5, 5, 1.5, dtype=int), np.arange(0.5, 5, 1.5, dtype=int))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(0, 40), st.booleans())
def test_linspace(start, stop, num, endpoint):
    wanted, wanted_step = np.linspace(start, stop, num, endpoint, retstep=True)
    found, step = pa.linspace(start, stop, num, endpoint, retstep=True)
    same(found, wanted)
    np.testing.assert_array_equal(step, wanted_step)


def test_linspace_of_arrays():
    start, stop = np.array([0.0, 1.0]), np.array([4.0, 7.0])
    for axis in (0, 1, -1):
        found = pa.linspace(start, stop, 5, axis=axis)
        np.testing.assert_allclose(
            np.asarray(found), np.linspace(start, stop, 5, axis=axis), rtol=1e-15
        )
    same(pa.linspace(0, 10, 4, dtype=int), np.linspace(0, 10, 4, dtype=int))


@pytest.mark.parametrize(
    "args", [(3,), (2, 4), (4, 2), (3, 3, 1), (3, 3, -2), (2, 2, 5)]
)
def test_eye(args):
    same(pa.eye(*args), np.eye(*args))
    same(pa.eye(*args, dtype="int32"), np.eye(*args, dtype="int32"))


def test_identity():
    same(pa.identity(3), np.identity(3))


@pytest.mark.parametrize(
    "value",
    [
        1,
        2.5,
        True,
        1j,
        [],
        [1, 2],
        [1, 2.5],
        [True, 2],
        [[1, 2], [3, 4]],
        (1, 2),
        [np.float32(1), np.float32(2)],
        np.arange(3, dtype="int16"),
        range(4),
        [np.arange(2), np.arange(2)],
        2**63,
        [[]],
    ],
    ids=repr,
)
def test_array_of(value):
    same(pa.array(value), np.array(value))
    same(pa.asarray(value), np.asarray(value))


def test_array_copies_and_asarray_shares():
    a = np.arange(3.0)
    x, y = pa.array(a), pa.asarray(a)
    a[0] = 9.0
    assert x[0] == 0.0
    assert y[0] == 9.0
    assert pa.asarray(y) is y
    assert pa.array(y) is not y
    assert pa.array(a, copy=None).base is not None


def test_copy_false_refuses():
    with pytest.raises(ValueError):
        pa.array([1, 2], copy=False)
    with pytest.raises(ValueError):
        pa.asarray(np.arange(3), dtype=float, copy=False)


def test_ndmin():
    assert pa.array(1.0, ndmin=3).shape == (1, 1, 1)
    assert pa.array([1.0, 2.0], ndmin=2).shape == (1, 2)


def test_scalars_are_lifted():
    x = pa.arange(3.0)
    same(pa.array([x[0], x[1] * 2, 5]), [0.0, 2.0, 5.0])
    assert not pa.array(x[0]).flags.owndata or pa.array(x[0]).flags.writeable


def test_python_scalars_become_strong():
    x = pa.asarray(2.0)
    assert (x * pa.ones(2, "float32")).dtype == np.float64
    assert (pa.sin(2.0) * pa.ones(2, "float32")).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m: m.zeros(-1), ValueError),
        (lambda m: m.zeros((2, -3)), ValueError),
        (lambda m: m.zeros(1.5), TypeError),
        (lambda m: m.zeros("a"), TypeError),
        (lambda m: m.zeros((1,) * 65), ValueError),
        (lambda m: m.empty((2**40, 2**40)), ValueError),
        (lambda m: m.zeros(2, "no such"), TypeError),
        (lambda m: m.arange(), TypeError),
        (lambda m: m.arange(0, 5, 0), ZeroDivisionError),
        (lambda m: m.arange(0, float("nan")), ValueError),
        (lambda m: m.arange(0, 1e30), ValueError),
        (lambda m: m.linspace(0, 1, -1), ValueError),
        (lambda m: m.linspace(0, 1, 2.5), TypeError),
        (lambda m: m.eye(2.5), TypeError),
        (lambda m: m.eye(-1), ValueError),
        (lambda m: m.full((2,), 300, "uint8"), OverflowError),
        (lambda m: m.full((2,), [1, 2, 3]), ValueError),
        (lambda m: m.array([[1, 2], [3]]), ValueError),
        (lambda m: m.array(), TypeError),
        (lambda m: m.zeros(2, order="X"), ValueError),
        (lambda m: m.zeros(2, nonsense=1), TypeError),
    ],
)
def test_errors(call, error):
    with pytest.raises(error):
        call(np)
    with pytest.raises(error):
        call(pa)


def test_memory_that_does_not_exist():
    with pytest.raises(MemoryError):
        pa.empty(2**58, "int8")


def test_unknown_device():
    with pytest.raises(ValueError, match="no such"):
        pa.zeros(2, device="no such")
    assert pa.zeros(2, device="cpu").device == "cpu"


LAYOUTS = {
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "turned": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "reversed": np.arange(12.0).reshape(3, 4)[::-1].T,
    "broadcast": np.broadcast_to(np.arange(4.0), (3, 4)),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_copies_keep_the_order_of_axes(kind):
    a = LAYOUTS[kind]
    for dtype in (None, "float32"):
        wanted = np.array(a, dtype=dtype)
        got = pa.array(a, dtype=dtype)
        assert got.strides == wanted.strides and np.array_equal(got, wanted)
    for order in "KCFA":
        x = pa.asarray(a)
        assert x.copy(order).strides == a.copy(order).strides
        got, wanted = x.astype("f4", order=order), a.astype("f4", order=order)
        assert got.strides == wanted.strides and np.array_equal(got, wanted)
