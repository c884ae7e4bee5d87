"""What becomes an array: scalars, sequences, dtypes, shapes, axes."""

import array as stdlib_array
import collections
import decimal
import enum
import fractions

import numpy as np
import pytest

import pyarr


class Level(enum.IntEnum):
    LOW = 1


SCALARS = [
    1.5,
    3,
    -(2**63),
    2**63 - 1,
    True,
    1 + 2j,
    np.float32(1.5),
    np.float64(1.5),
    np.int8(3),
    np.uint64(2**64 - 1),
    np.bool_(True),
    np.complex64(1 + 2j),
    Level.LOW,
]


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_scalars(value):
    x, a = pyarr.asarray(value), np.asarray(value)
    assert x.shape == () and x.dtype == a.dtype
    assert x.item() == a.item() and type(x.item()) is type(a.item())


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "complex64", "bool"])
@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_weak_and_strong_scalars(dtype, scalar):
    a = np.ones(3, dtype)
    try:
        expected = a + scalar
    except (OverflowError, TypeError) as error:
        with pytest.raises(type(error)):
            pyarr.asarray(a) + scalar
        return
    result = pyarr.asarray(a) + scalar
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    assert (scalar + pyarr.asarray(a)).dtype == expected.dtype


def test_integers_too_large():
    with pytest.raises(OverflowError):
        pyarr.asarray(2**64)
    with pytest.raises(OverflowError):
        pyarr.asarray([2**64])
    with pytest.raises(OverflowError):
        pyarr.asarray([[1], [10**400]])
    with pytest.raises(OverflowError):
        pyarr.asarray(300, dtype="int8")
    with pytest.raises(OverflowError):
        pyarr.asarray([-1], dtype="uint8")
    with pytest.raises(OverflowError, match="out of bounds"):
        pyarr.ones(3, dtype="int8") + 300
    with pytest.raises(OverflowError):
        pyarr.ones(3, dtype="int64") + 2**70
    with pytest.raises(OverflowError):
        pyarr.ones(3) + 10**400
    assert pyarr.asarray(2**63).dtype == np.uint64
    np.testing.assert_array_equal(pyarr.ones(2) * 10**30, [1e30, 1e30])


LISTS = [
    [],
    [[]],
    [[], []],
    [1, 2],
    [1, 2.5],
    [True, False],
    [True, 2],
    [1, 2j],
    [[1, 2], [3, 4]],
    [np.float32(1), 2.0],
    [np.ones(2), np.zeros(2)],
    [[np.ones(2), [1, 2]]],
    (1, (2,)[0]),
    range(4),
    [range(2), range(2)],
    collections.deque([1, 2]),
    stdlib_array.array("i", [1, 2]),
    bytearray(b"ab"),
    memoryview(np.arange(3.0)),
]


@pytest.mark.parametrize("value", LISTS, ids=repr)
def test_sequences(value):
    x, a = pyarr.asarray(value), np.asarray(value)
    assert x.dtype == a.dtype and x.shape == a.shape
    np.testing.assert_array_equal(x, a)


def test_sequences_of_arrays():
    x = pyarr.arange(3.0)
    i = pyarr.asarray(2)
    cases = [
        [x, x],
        [x[0], x[1]],
        [x[0], 1],
        [[x[0], 1.0], [2, i]],
        [x, [1, 2, 3]],
        [x, np.ones(3)],
        [[x], [x]],
        ([x[0]], [x[1]]),
        [pyarr.ones(2, dtype="float32"), pyarr.ones(2, dtype="int64")],
        [i, True],
        [pyarr.zeros((0, 2))],
        [x[k % 3] for k in range(100)],
        [[x[k % 3], k] for k in range(40)],
    ]
    for case in cases:
        expected = np.array(
            [
                np.asarray(v)
                if not isinstance(v, (list, tuple))
                else [np.asarray(w) if hasattr(w, "shape") else w for w in v]
                for v in case
            ]
        )
        result = pyarr.asarray(case)
        assert result.dtype == expected.dtype and result.shape == expected.shape
        np.testing.assert_array_equal(result, expected)


def test_sequences_of_traced_scalars_keep_derivatives():
    def f(t):
        rotation = pyarr.array([[pyarr.cos(t), -pyarr.sin(t)], [pyarr.sin(t), 0.5]])
        return (rotation * pyarr.asarray([[1.0, 2.0], [3.0, 4.0]])).sum()

    t = 0.3
    expected = -np.sin(t) - 2 * np.cos(t) + 3 * np.cos(t)
    assert pyarr.grad(f)(t) == pytest.approx(expected, rel=1e-14)

    def g(p):
        a, b = p
        return (pyarr.array([a, b, a * b]) ** 2).sum()

    np.testing.assert_allclose(
        pyarr.grad(g)(np.array([2.0, 3.0])), [2 * 2 + 2 * 2 * 9, 2 * 3 + 2 * 3 * 4]
    )

    def many(p):
        return (pyarr.asarray([p[k] * k for k in range(70)])).sum()

    np.testing.assert_array_equal(pyarr.grad(many)(np.ones(70)), np.arange(70.0))


@pytest.mark.parametrize(
    "ragged",
    [
        [[1, 2], [3]],
        [1, [2]],
        [[1], 2],
        [np.ones(2), np.ones(3)],
        [pyarr.ones(2), pyarr.ones(3)],
        [pyarr.ones(2), 1.0],
        [[pyarr.ones(2)], [1.0]],
    ],
    ids=str,
)
def test_ragged(ragged):
    with pytest.raises(ValueError, match=r"inhomogeneous|setting an array element"):
        pyarr.asarray(ragged)


def test_deep_and_endless_nesting():
    deep = 1.0
    for _ in range(64):
        deep = [deep]
    assert pyarr.asarray(deep).ndim == 64
    with pytest.raises((ValueError, TypeError)):
        pyarr.asarray([deep])
    endless = []
    endless.append(endless)
    with pytest.raises((ValueError, TypeError, RecursionError)):
        pyarr.asarray(endless)
    mixed = [pyarr.ones(1)]
    mixed.append(mixed)
    with pytest.raises((ValueError, TypeError, RecursionError)):
        pyarr.asarray(mixed)


NOT_NUMBERS = [
    "1.0",
    ["a"],
    [1, "a"],
    [None],
    [1, None],
    object(),
    [object()],
    fractions.Fraction(1),
    decimal.Decimal(1),
    {"a": 1},
    {1},
]


@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=repr)
def test_refused_objects(bad):
    with pytest.raises(TypeError):
        pyarr.asarray(bad)


def test_list_that_changes_while_it_is_read():
    items = []

    class Sly:
        def __array__(self, dtype=None, copy=None):
            items.clear()
            return np.zeros(())

    items += [pyarr.ones(()), Sly(), 1.0, 2.0]
    try:
        pyarr.asarray(items)
    except (RuntimeError, ValueError, TypeError):
        pass


def test_copy_argument():
    a = np.arange(3.0)
    assert np.shares_memory(np.asarray(pyarr.asarray(a, copy=False)), a)
    assert not np.shares_memory(np.asarray(pyarr.asarray(a, copy=True)), a)
    assert not np.shares_memory(np.asarray(pyarr.array(a)), a)
    assert pyarr.asarray(a, dtype="float32").dtype == np.float32
    for bad in (lambda: pyarr.asarray([1.0], copy=False),
                lambda: pyarr.asarray(1.0, copy=False),
                lambda: pyarr.asarray(a, dtype="int32", copy=False)):  # fmt: skip
        with pytest.raises(ValueError, match="copy"):
            bad()


DTYPE_NAMES = [
    float,
    int,
    bool,
    complex,
    "f8",
    "float32",
    "d",
    ">f8",
    "=i4",
    "i",
    np.float64,
    np.int16,
    np.dtype("u4"),
    np.dtype(">i8"),
    "complex64",
    "?",
    "long",
]


@pytest.mark.parametrize("dtype", DTYPE_NAMES, ids=str)
def test_dtypes(dtype):
    x = pyarr.zeros(2, dtype=dtype)
    assert x.dtype == np.zeros(2, dtype).dtype.newbyteorder("=")


@pytest.mark.parametrize("name", ["float32", "int8", "complex128", "uint16"])
def test_own_dtypes(name):
    assert pyarr.zeros(2, dtype=getattr(pyarr, name)).dtype == np.dtype(name)
    assert pyarr.zeros(1, dtype=pyarr.zeros(1, dtype=name).dtype).dtype == name


@pytest.mark.parametrize(
    "bad",
    ["foo", 3, "O", object, str, "M8[s]", "f2", "S3", [("a", "f8")], np.longdouble],
)
def test_bad_dtypes(bad):
    with pytest.raises(TypeError):
        pyarr.zeros(2, dtype=bad)


@pytest.mark.parametrize("shape", [3, (2, 3), [2, 3], (), np.int64(2), (np.int8(1), 2)])
def test_shapes(shape):
    assert pyarr.zeros(shape).shape == np.zeros(shape).shape


@pytest.mark.parametrize(
    "shape",
    [1.0, "3", (1, 2.0), None and 1, -1, (2, -1), (1,) * 65, 2**80, (2**40, 2**40)],
)
def test_bad_shapes(shape):
    if shape is None:
        return
    with pytest.raises((TypeError, ValueError, OverflowError, MemoryError)) as ours:
        pyarr.zeros(shape)
    with pytest.raises((TypeError, ValueError, OverflowError, MemoryError)) as theirs:
        np.zeros(shape)
    assert ours.type in (theirs.type, ValueError, OverflowError)


@pytest.mark.parametrize("axis", [0, -1, (0, 1), (-1, 0), (), None, np.int64(1)])
def test_axes(axis):
    a = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(pyarr.asarray(a).sum(axis=axis), a.sum(axis=axis))


@pytest.mark.parametrize(
    "axis", [2, -3, (0, 0), (0, -2), (0, 5), 1.0, "a", (0, 1.5), 2**70]
)
def test_bad_axes(axis):
    a = np.arange(6.0).reshape(2, 3)
    with pytest.raises(Exception) as theirs:
        a.sum(axis=axis)
    with pytest.raises(theirs.type):
        pyarr.asarray(a).sum(axis=axis)


class Charge:
    """Stays in charge, as a Quantity does."""

    __array_ufunc__ = None

    def __radd__(self, other):
        return "charge"

    __add__ = __radd__


class Units(np.ndarray):
    def __array_ufunc__(self, *args, **kwargs):
        return "units"


class Sparse:
    __array_priority__ = 10.1

    def __rmatmul__(self, other):
        return "sparse"


def test_operators_defer():
    x = pyarr.ones(2)
    assert x + Charge() == "charge" and Charge() + x == "charge"
    units = np.ones(2).view(Units)
    assert x + units == "units" and units + x == "units"
    assert np.add(x, units) == "units"
    assert x @ Sparse() == "sparse"
    for bad in ("a", None, object(), {}):
        with pytest.raises(TypeError):
            x + bad
        with pytest.raises(TypeError):
            bad + x
    with pytest.raises(TypeError):
        x + fractions.Fraction(1, 2)
