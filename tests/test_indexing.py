"""Indexing: reading and assignment, against NumPy over random index expressions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyarr as pa

EXAMPLES = 400


def outcome(function):
    """The result of a call, or the type of its exception."""
    try:
        return function()
    except Exception as error:
        return type(error)


def sequence(shape):
    return np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)


@st.composite
def slices(draw, size):
    bound = st.one_of(st.none(), st.integers(-size - 2, size + 2))
    step = draw(st.one_of(st.none(), st.integers(-3, 3).filter(bool)))
    return slice(draw(bound), draw(bound), step)


@st.composite
def integer_arrays(draw, size, shapes):
    shape = draw(st.sampled_from(shapes))
    low, high = (-size, size - 1) if size else (0, 0)
    count = int(np.prod(shape))
    values = draw(st.lists(st.integers(low, high), min_size=count, max_size=count))
    dtype = draw(st.sampled_from([np.int64, np.int32, np.int8]))
    array = np.array(values, dtype=dtype).reshape(shape)
    return array.tolist() if draw(st.booleans()) and array.ndim else array


@st.composite
def masks(draw, shape):
    count = int(np.prod(shape))
    values = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return np.array(values, dtype=bool).reshape(shape)


@st.composite
def indexings(draw):
    """A shape and an index expression for it."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=0, max_size=4)))
    shapes = draw(
        st.sampled_from(
            [[(2,), (1,), ()], [(2, 3), (3,), (1, 1)], [(0,), (1,)], [(3,)]]
        )
    )
    key = []
    axis = 0
    ellipsis = False
    while axis < len(shape) and draw(st.integers(0, 5)):
        size = shape[axis]
        kind = draw(st.integers(0, 8))
        if kind <= 1:
            key.append(draw(st.integers(-size - (size == 0), max(size - 1, 0))))
        elif kind <= 3:
            key.append(draw(slices(size)))
        elif kind == 4:
            key.append(None)
            continue
        elif kind == 5 and not ellipsis:
            ellipsis = True
            key.append(Ellipsis)
            axis += draw(st.integers(0, len(shape) - axis))
            continue
        elif kind == 6:
            key.append(draw(integer_arrays(size, shapes)))
        elif kind == 7:
            width = draw(st.integers(1, len(shape) - axis))
            key.append(draw(masks(shape[axis : axis + width])))
            axis += width - 1
        else:
            key.append(draw(st.booleans()))
            continue
        axis += 1
    if len(key) == 1 and draw(st.booleans()):
        return shape, key[0]
    return shape, tuple(key)


def ported(key):
    """The key with its NumPy arrays as pyarr arrays."""
    if isinstance(key, tuple):
        return tuple(ported(one) for one in key)
    return pa.array(key) if isinstance(key, np.ndarray) and key.ndim else key


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(indexings(), st.booleans())
def test_reading_is_numpys(indexing, port):
    shape, key = indexing
    a = sequence(shape)
    x = pa.array(a)
    wanted = outcome(lambda: a[key])
    found = outcome(lambda: x[ported(key) if port else key])
    if isinstance(wanted, type):
        assert found is wanted, key
    else:
        assert not isinstance(found, type), (found, key)
        assert found.shape == np.shape(wanted)
        np.testing.assert_array_equal(np.asarray(found), wanted)
        if isinstance(wanted, np.ndarray) and wanted.size:
            assert np.shares_memory(wanted, a) == np.shares_memory(
                np.asarray(found), np.asarray(x)
            )


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(indexings(), st.integers(0, 3), st.data())
def test_assignment_is_numpys(indexing, kind, data):
    shape, key = indexing
    a = sequence(shape)
    b = a.copy()
    target = outcome(lambda: b[key])
    if isinstance(target, type):
        value = 7.0
    else:
        full = np.shape(target)
        if kind == 0:
            value = -1.5
        elif kind == 1:
            value = 100.0 + sequence(full)
        elif kind == 2:
            keep = tuple(n if data.draw(st.booleans()) else 1 for n in full)
            value = 100.0 + sequence(keep[data.draw(st.integers(0, len(keep))) :])
        else:
            value = 100 + np.arange(data.draw(st.integers(0, 4)))
    x = pa.array(a)

    def set_in(array, key, value):
        array[key] = value
        return array

    wanted = outcome(lambda: set_in(a, key, value))
    found = outcome(lambda: set_in(x, ported(key), ported(np.asarray(value))))
    if isinstance(wanted, type):
        assert found is wanted, (key, value)
    else:
        assert not isinstance(found, type), (found, key, value)
        np.testing.assert_array_equal(np.asarray(found), wanted)


@pytest.mark.parametrize(
    "key",
    [
        5,
        -4,
        (0, 9),
        (slice(None), 4),
        (0, 0, 0, 0),
        1.0,
        "a",
        [1.0],
        [5],
        (slice(None), [3, -5]),
        ([0, 1], [0, 1, 2]),
        np.zeros(4, bool),
        (Ellipsis, Ellipsis),
        (slice(None), np.zeros((4, 5), bool)),
        object(),
        np.array(1.0),
        np.array([1.0]),
        2**70,
        slice(None, None, 0),
        slice(1.0, 2),
    ],
    ids=repr,
)
def test_errors_are_numpys(key):
    a = sequence((3, 4, 2))
    x = pa.array(a)
    with pytest.raises(Exception) as wanted:
        a[key]
    with pytest.raises(type(wanted.value)) as found:
        x[key]
    assert str(found.value).strip() == str(wanted.value).strip() or key == 2**70
    with pytest.raises(type(wanted.value)):
        x[key] = 0.0
    np.testing.assert_array_equal(np.asarray(x), a)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, [1.0, 2.0, 3.0]),
        ([0], [1.0, 2.0, 3.0]),
        ((0, 0, 0), [1.0, 2.0]),
        ((0, 0, 0), 1j),
        (slice(0, 2), np.ones((3, 4, 2))),
    ],
)
def test_assignment_errors_change_nothing(key, value):
    a = sequence((3, 4, 2))
    x = pa.array(a)
    before = a.copy()
    with pytest.raises(Exception) as wanted:
        a[key] = value
    with pytest.raises(type(wanted.value)) as found:
        x[key] = value
    assert str(found.value).strip() == str(wanted.value).strip()
    np.testing.assert_array_equal(np.asarray(x), before)


def test_mask_assignment_of_wrong_length():
    x = pa.arange(4.0)
    with pytest.raises(
        ValueError, match="cannot assign 3 input values to the 2 output values"
    ):
        x[x > 1.5] = [1.0, 2.0, 3.0]
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_integers_that_do_not_fit():
    x = pa.zeros(3, dtype="uint8")
    with pytest.raises(
        OverflowError, match="Python integer 300 out of bounds for uint8"
    ):
        x[0] = 300
    with pytest.raises(ValueError, match="cannot convert float NaN to integer"):
        x[0] = float("nan")
    with pytest.raises(OverflowError, match="cannot convert float infinity to integer"):
        x[0] = float("inf")
    x[0] = 3.7
    assert x.tolist() == [3, 0, 0]


def test_elements_are_copies_and_views_are_views():
    x = pa.arange(4.0)
    t = x[0]
    x[0] = x[1]
    x[1] = t
    assert x.tolist() == [1.0, 0.0, 2.0, 3.0]
    view = x[2, ...]
    view[...] = 9.0
    assert x[2] == 9.0
    with pytest.raises(TypeError, match="item assignment"):
        t[()] = 1.0


def test_swap_of_rows_by_unpacking_is_numpys():
    a = sequence((2, 2))
    x = pa.array(a)
    a[0], a[1] = a[1].copy(), a[0].copy()
    x[0], x[1] = x[1].copy(), x[0].copy()
    np.testing.assert_array_equal(np.asarray(x), a)


def test_writes_through_overlapping_views():
    a, x = np.arange(6.0), pa.arange(6.0)
    a[1:] = a[:-1]
    x[1:] = x[:-1]
    np.testing.assert_array_equal(np.asarray(x), a)
    a[::-1] = a
    x[::-1] = x
    np.testing.assert_array_equal(np.asarray(x), a)


def test_iteration_and_membership():
    x = pa.arange(3)
    assert [hash(one) for one in x] == [hash(0), hash(1), hash(2)]
    assert 2 in x
    assert 5 not in x
    rows = list(pa.ones((2, 3)))
    assert [row.shape for row in rows] == [(3,), (3,)]
    with pytest.raises(TypeError, match="iteration over a 0-d array"):
        iter(pa.array(1.0))
    with pytest.raises(TypeError, match="len"):
        len(pa.array(1.0))


def test_deletion_is_refused():
    x = pa.arange(3)
    with pytest.raises(ValueError, match="cannot delete array elements"):
        del x[0]


def test_read_only_arrays_are_not_written():
    x = pa.arange(3.0)
    x.flags.writeable = False
    for key in (0, slice(None), [0, 1], x > 1):
        with pytest.raises(ValueError, match="read-only"):
            x[key] = 1.0
    assert x.tolist() == [0.0, 1.0, 2.0]


def test_complex_values_into_real_arrays_warn():
    x = pa.zeros(2)
    with pytest.warns(np.exceptions.ComplexWarning):
        x[:] = pa.array([1 + 2j, 3j])
    assert x.tolist() == [1.0, 0.0]


def test_sixty_four_axes():
    x = pa.zeros((1,) * 64)
    assert x[(0,) * 64].shape == ()
    assert x[(slice(None),) * 64].ndim == 64
    with pytest.raises(IndexError):
        x[None]


@pytest.mark.parametrize("outer", [1, 3, 300])
@pytest.mark.parametrize("shape", [(7,), (700,), (20, 35), (2, 300)])
@pytest.mark.parametrize("inner", [(), (3,)])
def test_places_of_inner_axes(outer, shape, inner):
    """Many outer elements have one set of places, which is found in blocks."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((outer, 211, *inner))
    index = rng.integers(-211, 211, shape)
    values = rng.standard_normal((outer, *shape, *inner))
    weights = pa.asarray(values)
    for at in (index, index[::-1], np.asfortranarray(index)):
        np.testing.assert_array_equal(np.asarray(pa.asarray(x)[:, at]), x[:, at])
        written, expected = pa.array(x), x.copy()
        written[:, at] = values
        expected[:, at] = values
        np.testing.assert_array_equal(np.asarray(written), expected)
        _, grad = pa.value_and_grad(lambda a, at=at: pa.sum(a[:, at] * weights))(x)
        expected = np.zeros_like(x)
        np.add.at(expected, (slice(None), at), values)
        np.testing.assert_allclose(grad, expected, rtol=1e-13, atol=1e-13)
