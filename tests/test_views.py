"""Views, overlap and assignment against NumPy, on random geometries."""

import contextlib
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyarr as pa

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
DTYPES += "float32 float64 complex64 complex128".split()


def both(shape, dtype="float64"):
    """The same numbers in NumPy's and in pyarr's own memory."""
    x = (np.arange(int(np.prod(shape))) % 120).reshape(shape).astype(dtype)
    return x, pa.array(x)


@contextlib.contextmanager
def quiet():
    """NumPy's warnings about casts are not what is tested."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def same(got, expected):
    got = np.asarray(got)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


@st.composite
def a_slice(draw, size):
    bound = st.one_of(st.none(), st.integers(-size - 2, size + 2))
    step = draw(st.sampled_from([None, 1, 2, 3, -1, -2]))
    return slice(draw(bound), draw(bound), step)


@st.composite
def basic_index(draw, shape):
    items = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        choices = [a_slice(size)]
        if size > 0:
            choices.append(st.integers(-size, size - 1))
        items.append(draw(st.one_of(*choices)))
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), None)
    if draw(st.booleans()):
        items.append(Ellipsis)
    return tuple(items)


def ending_open(index):
    """With an ellipsis at the end, so that the result is a view and no scalar."""
    return (*(i for i in index if i is not Ellipsis), Ellipsis)


@st.composite
def operations(draw, shape):
    """Steps that make a view of an array of this shape, for NumPy and pyarr alike."""
    steps = []
    probe = np.empty(shape)
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["index", "transpose", "expand", "swap"]))
        if kind == "index":
            index = ending_open(draw(basic_index(probe.shape)))
            step = lambda a, i=index: a[i]
        elif kind == "swap" and probe.ndim >= 2:
            i, j = draw(st.tuples(*[st.integers(0, probe.ndim - 1)] * 2))
            step = lambda a, i=i, j=j: a.swapaxes(i, j)
        elif kind == "expand":
            step = lambda a: a[None]
        else:
            step = lambda a: a.T
        steps.append(step)
        probe = step(probe)
    return steps


def apply(steps, a):
    for step in steps:
        a = step(a)
    return a


SHAPES = st.lists(st.integers(0, 5), min_size=0, max_size=3).map(tuple)


@given(st.data(), SHAPES, st.sampled_from(DTYPES))
def test_basic_indexing(data, shape, dtype):
    x, a = both(shape, dtype)
    index = data.draw(basic_index(shape))
    same(a[index], x[index])


@given(st.data(), SHAPES)
def test_views_share_memory(data, shape):
    x, a = both(shape)
    steps = data.draw(operations(shape))
    v, w = apply(steps, x), apply(steps, a)
    assert w.shape == v.shape
    same(w, v)
    assert w.flags.c_contiguous == v.flags.c_contiguous
    assert w.flags.f_contiguous == v.flags.f_contiguous
    if v.size and v.flags.writeable:
        v[...] = -1
        w[...] = -1
        same(a, x)


@given(st.data(), SHAPES, st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_assignment_casts(data, shape, dtype, other):
    x, a = both(shape, dtype)
    index = ending_open(data.draw(basic_index(shape)))
    value = (np.arange(x[index].size) % 100).reshape(x[index].shape).astype(other)
    with quiet():
        x[index] = value
        a[index] = value
    same(a, x)


@given(st.data(), st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple))
def test_overlapping_assignment(data, shape):
    """dst and src are views of one array: as if src had been copied first."""
    x, a = both(shape)
    first, second = data.draw(operations(shape)), data.draw(operations(shape))
    dst, src = apply(first, x), apply(second, x)
    try:
        np.empty(dst.shape)[...] = src
    except ValueError:
        with pytest.raises(ValueError):
            apply(first, a)[...] = apply(second, a)
        return
    if dst.ndim == 0:
        return
    dst[...] = src.copy()
    apply(first, a)[...] = apply(second, a)
    same(a, x)


@given(st.data(), st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple))
def test_overlapping_update(data, shape):
    x, a = both(shape)
    first, second = data.draw(operations(shape)), data.draw(operations(shape))
    dst, src = apply(first, x), apply(second, x)
    if dst.ndim == 0 or dst.shape != src.shape:
        return
    dst += src.copy()
    w = apply(first, a)
    w += apply(second, a)
    same(a, x)


@given(st.data(), SHAPES)
def test_reshape(data, shape):
    x, a = both(shape)
    steps = data.draw(operations(shape))
    v, w = apply(steps, x), apply(steps, a)
    for new in [(-1,), (v.size,), (1, v.size), (*v.shape, 1), v.shape[::-1]]:
        if v.size == 0 and -1 in new:
            continue
        expected = v.reshape(new)
        got = w.reshape(new)
        same(got, expected)
        if v.size and np.shares_memory(expected, x) and expected.flags.writeable:
            got[...] = 5
            expected[...] = 5
            same(a, x)


@pytest.mark.parametrize("shape", [(6,), (2, 3), (0, 4), ()])
def test_reshape_errors(shape):
    x, a = both(shape)
    for new in [(7,), (-1, -1), (4, -1), (2, 2, 2)]:
        try:
            expected = x.reshape(new)
        except ValueError as error:
            with pytest.raises(ValueError) as raised:
                a.reshape(new)
            assert str(raised.value) == str(error)
        else:
            same(a.reshape(new), expected)


@pytest.mark.parametrize("offset", [-9, -2, -1, 0, 1, 3, 9])
@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (2, 0)])
def test_diagonal(offset, axes):
    x, a = both((3, 4, 2))
    same(pa.diagonal(a, offset, *axes), np.diagonal(x, offset, *axes))


def test_real_and_imag_are_views():
    x = np.array([1 + 2j, 3 - 4j])
    a = pa.array(x)
    a.real[0] = 9
    a.imag[...] = 5
    same(a, np.array([9 + 5j, 3 + 5j]))


@pytest.mark.parametrize("dtype", ["int8", "int32", "float32", "float64", "complex128"])
def test_view_of_another_dtype(dtype):
    x, a = both((4, 8), "float32")
    if np.dtype(dtype).itemsize > 4:
        # The start of NumPy's memory may be aligned for less than complex128.
        expected = x.view(dtype)
        same(a.view(dtype).view("int8"), expected.view("int8"))
    else:
        same(a.view(dtype).view("int8"), x.view(dtype).view("int8"))
    with pytest.raises(ValueError):
        a[:, ::2].view("float64")


def test_broadcast_is_read_only():
    a = pa.broadcast_to(pa.arange(3.0), (2, 3))
    same(a, np.broadcast_to(np.arange(3.0), (2, 3)))
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1


def test_index_errors():
    x, a = both((2, 3))
    for index in [2, -3, (0, 3), (slice(None), -4), (0, 0, 0)]:
        with pytest.raises(IndexError) as expected:
            x[index]
        with pytest.raises(IndexError) as got:
            a[index]
        assert str(got.value) == str(expected.value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", DTYPES)
def test_casts(dtype, other):
    numbers = np.array([0, 1, 2, 100, 127], dtype)
    many = np.tile(numbers, 700)
    for x in (
        numbers,
        many,
        many[::3],
        many.reshape(50, 70).T,
        many[:64].reshape(2, 32),
    ):
        with quiet():
            expected = x.astype(other)
            got = pa.asarray(x).astype(other)
        same(got, expected)


@pytest.mark.parametrize(
    "shape", [(1000, 1000), (70, 3, 500), (3, 70, 500), (130, 65, 33), (4000, 3)]
)
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "float64", "complex128"])
def test_large_transposes(shape, dtype):
    x = (np.arange(np.prod(shape)) % 113).reshape(shape).astype(dtype)
    a = pa.asarray(x)
    axes = tuple(np.roll(range(len(shape)), 1))
    same(a.transpose(axes).copy(), x.transpose(axes))
    same(a.T.copy(), x.T)
    same(a[::-1, ..., ::-1].T.copy(), x[::-1, ..., ::-1].T)
    with quiet():
        same(a.T.astype("float32"), x.T.astype("float32"))
