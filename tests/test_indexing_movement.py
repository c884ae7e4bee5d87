"""Gather, scatter, sort, search and joining against NumPy, on random inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyarr as pa

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
DTYPES += "float32 float64 complex64 complex128".split()


def numbers(rng, shape, dtype):
    low = 0 if np.dtype(dtype).kind in "ub" else -40
    x = rng.integers(low, 40, shape).astype(dtype)
    if np.dtype(dtype).kind == "c":
        x = x + (1j * rng.integers(-4, 4, shape)).astype(dtype)
    return x.astype(dtype)


def shuffled(rng, x):
    """The same array in some other memory layout."""
    way = rng.integers(4)
    if way == 0 or x.ndim == 0:
        return x
    if way == 1:
        return np.asfortranarray(x)
    if way == 2:
        return np.repeat(x, 2, axis=0)[::2]
    return x[::-1].copy()[::-1]


def same(got, expected):
    got = np.asarray(got)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


SEEDS = st.integers(0, 2**32 - 1)


def advanced_case(seed, dtype):
    """An array, and a key of slices around neighbouring index arrays."""
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(1, 4))
    x = shuffled(rng, numbers(rng, rng.integers(1, 6, ndim), dtype))
    count = int(rng.integers(1, ndim + 1))
    axis = int(rng.integers(0, ndim - count + 1))
    places = rng.integers(0 if rng.random() < 0.1 else 1, 4, rng.integers(1, 3))
    index = [
        shuffled(rng, rng.integers(-x.shape[axis + k], x.shape[axis + k], places))
        for k in range(count)
    ]
    return rng, x, (slice(None),) * axis + tuple(index)


@given(SEEDS, st.sampled_from(DTYPES))
def test_advanced_indexing(seed, dtype):
    _, x, key = advanced_case(seed, dtype)
    same(pa.array(x)[key], x[key])


@given(SEEDS, st.sampled_from(DTYPES))
def test_advanced_assignment(seed, dtype):
    rng, x, key = advanced_case(seed, dtype)
    value = shuffled(rng, numbers(rng, x[key].shape, dtype))
    a = pa.array(x)
    a[key] = value
    # Of several values for one place the last in C order stays.
    place = np.arange(x.size).reshape(x.shape)[key].ravel()
    expected = np.array(x, order="C")
    for at, v in zip(place, value.ravel(), strict=True):
        expected.reshape(-1)[at] = v
    same(a, expected)


@given(SEEDS, st.sampled_from(DTYPES))
def test_addition_at(seed, dtype):
    rng, x, key = advanced_case(seed, dtype)
    value = numbers(rng, x[key].shape, dtype)
    a = pa.array(x)
    pa.add.at(a, key, value)
    expected = np.array(x, order="C")
    place = np.arange(x.size).reshape(x.shape)[key].ravel()
    np.add.at(expected.reshape(-1), place, value.ravel())
    same(a, expected)


@given(SEEDS, st.sampled_from(["bool", "int16", "float64"]))
def test_masks(seed, dtype):
    rng = np.random.default_rng(seed)
    x = shuffled(rng, numbers(rng, rng.integers(0, 6, rng.integers(1, 4)), dtype))
    mask = rng.random(x.shape) < rng.random()
    a = pa.array(x)
    same(a[mask], x[mask])
    a[mask] = 1
    expected = np.array(x)
    expected[mask] = 1
    same(a, expected)
    for got, want in zip(pa.nonzero(a), np.nonzero(expected), strict=True):
        same(got, want)


@pytest.mark.parametrize("key", [[3], [-4], (slice(None), [0, 5]), ([0, 1], [0, -6])])
def test_bad_index_writes_nothing(key):
    x = np.arange(12.0).reshape(3, 4)
    a = pa.array(x)
    with pytest.raises(IndexError) as expected:
        x[key]
    with pytest.raises(IndexError) as got:
        a[key]
    assert str(got.value) == str(expected.value)
    with pytest.raises(IndexError):
        a[key] = -1
    with pytest.raises(IndexError):
        pa.add.at(a, key, 5)
    same(a, x)


@given(SEEDS, st.sampled_from(DTYPES))
def test_take_along_axis(seed, dtype):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 6, rng.integers(1, 4))
    axis = int(rng.integers(len(shape)))
    x = shuffled(rng, numbers(rng, shape, dtype))
    places = shape.copy()
    places[axis] = rng.integers(0, 7)
    index = shuffled(rng, rng.integers(-shape[axis], shape[axis], places))
    same(
        pa.take_along_axis(pa.array(x), pa.array(index), axis),
        np.take_along_axis(x, index, axis),
    )


@given(SEEDS, st.sampled_from(DTYPES), st.sampled_from([0, 5, 40, 900]))
def test_sort(seed, dtype, length):
    rng = np.random.default_rng(seed)
    shape = list(rng.integers(1, 4, rng.integers(1, 3)))
    axis = int(rng.integers(len(shape)))
    shape[axis] = length
    x = numbers(rng, shape, dtype)
    kind = np.dtype(dtype).kind
    if kind in "fc" and length:
        x[rng.random(shape) < 0.1] = np.nan
        x[rng.random(shape) < 0.1] = -0.0
        x[rng.random(shape) < 0.05] = -np.inf
    if kind == "c" and length:
        x.imag[rng.random(shape) < 0.1] = np.nan
    x = shuffled(rng, x)
    a = pa.asarray(x)
    same(pa.sort(a, axis=axis), np.sort(x, axis=axis))
    order = pa.argsort(a, axis=axis, stable=True)
    same(order, np.argsort(x, axis=axis, stable=True))


@given(SEEDS, st.sampled_from(DTYPES), st.sampled_from(["left", "right"]))
def test_searchsorted(seed, dtype, side):
    rng = np.random.default_rng(seed)
    table = numbers(rng, int(rng.integers(0, 40)), dtype)
    values = numbers(rng, (5, 7), dtype)
    if np.dtype(dtype).kind in "fc" and table.size:
        table[rng.random(table.shape) < 0.1] = np.nan
        values[0, 0] = np.nan
    table = np.sort(table)
    same(
        pa.searchsorted(pa.asarray(table), pa.asarray(values), side=side),
        np.searchsorted(table, values, side=side),
    )


@given(SEEDS, st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_concatenate(seed, first, second):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 4, rng.integers(1, 4))
    axis = int(rng.integers(len(shape)))
    parts = []
    for k in range(int(rng.integers(1, 5))):
        shape[axis] = rng.integers(0, 4)
        parts.append(shuffled(rng, numbers(rng, shape, second if k % 2 else first)))
    same(
        pa.concatenate([pa.asarray(p) for p in parts], axis=axis),
        np.concatenate(parts, axis=axis),
    )


LENGTHS = st.one_of(st.integers(1, 18), st.integers(30, 70))


@given(SEEDS, st.sampled_from(DTYPES), st.lists(LENGTHS, min_size=2, max_size=3))
def test_copies_between_layouts(seed, dtype, shape):
    """Short and long runs, transposed, backwards and with gaps, on either side."""
    rng = np.random.default_rng(seed)
    x = shuffled(rng, numbers(rng, shape, dtype))
    axes = rng.permutation(len(shape))
    steps = tuple(
        slice(None, None, int(k)) for k in rng.choice([1, 1, -1, 2], len(shape))
    )
    turned = x[steps].transpose(axes)
    same(pa.asarray(x)[steps].transpose(tuple(map(int, axes))).copy(), turned.copy())
    gap = int(rng.integers(3))
    expected = np.zeros((*turned.shape[:-1], turned.shape[-1] + gap), dtype)
    got = pa.asarray(expected.copy())
    expected[..., : turned.shape[-1]] = turned
    got[..., : turned.shape[-1]] = pa.asarray(x)[steps].transpose(tuple(map(int, axes)))
    same(got, expected)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "complex128"])
@pytest.mark.parametrize("shape", [(700, 900), (3, 90_000), (90_000, 5), (40, 30, 500)])
def test_large_copies_between_layouts(shape, dtype):
    x = numbers(np.random.default_rng(7), shape, dtype)
    for axes in [(0, 1), (1, 0)] if len(shape) == 2 else [(2, 1, 0), (1, 2, 0)]:
        same(pa.asarray(x).transpose(axes).copy(), x.transpose(axes).copy())
    same(pa.concatenate([pa.asarray(x)] * 2, axis=-1), np.concatenate([x] * 2, axis=-1))


@pytest.mark.parametrize("dtype", ["float64", "int64", "float32", "complex128"])
def test_copies_of_unaligned_memory(dtype):
    x = numbers(np.random.default_rng(8), (40, 50), dtype)
    odd = np.frombuffer(b"-" + x.tobytes(), dtype, offset=1).reshape(x.shape)
    for view in odd.T, odd[:, :3], odd.T[:, ::2], odd[:, ::-1].T:
        same(pa.asarray(view).copy(), view.copy())


def test_large_gather_and_addition():
    """Above the size at which threads take part, bits do not depend on their number."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(5000, 40))
    index = rng.integers(-5000, 5000, 100_000)
    value = rng.normal(size=(100_000, 40))
    same(pa.asarray(x)[index], x[index])
    expected = x.copy()
    np.add.at(expected, index, value)
    for threads in (1, 2, 3):
        pa.set_num_threads(threads)
        try:
            a = pa.array(x)
            pa.add.at(a, index, value)
        finally:
            pa.set_num_threads(None)
        same(a, expected)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "complex128"])
def test_large_sorts(axis, dtype):
    x = numbers(np.random.default_rng(6), (400, 600), dtype)
    pa.set_num_threads(3)
    try:
        values = pa.sort(pa.asarray(x), axis=axis)
        order = pa.argsort(pa.asarray(x), axis=axis, stable=True)
    finally:
        pa.set_num_threads(None)
    same(values, np.sort(x, axis=axis))
    same(order, np.argsort(x, axis=axis, stable=True))
