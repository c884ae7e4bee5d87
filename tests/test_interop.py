"""Memory shared with NumPy and others: overlap, lifetime, DLPack, pickles."""

import array as stdlib_array
import copy
import gc
import itertools
import mmap
import pickle
import sys
import weakref

import numpy as np
import pytest

import pyarr

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


def alive():
    gc.collect()
    return pyarr._core._memory()["arrays"]


class Tracked(np.ndarray):
    """Never given to pyarr itself: an owner whose death can be seen."""


def numbers(dtype, shape=(3, 4)):
    size = int(np.prod(shape))
    return (np.arange(size) % 7).astype(dtype).reshape(shape)


# ---- sharing ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_asarray_shares_memory_both_ways(dtype):
    a = numbers(dtype)
    x = pyarr.asarray(a)
    assert x.dtype == a.dtype and x.shape == a.shape
    b = np.asarray(x)
    assert np.shares_memory(a, b) and b.dtype == a.dtype
    a[1, 2] = 1
    assert x[1, 2] == 1
    x[0, 0] = 1
    assert a[0, 0] == 1
    b[2, 3] = 1
    assert a[2, 3] == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_our_memory_in_numpy(dtype):
    x = pyarr.asarray(numbers(dtype).tolist(), dtype=dtype)
    for view in (np.asarray(x), np.from_dlpack(x), pyarr.asnumpy(x), x.__array__()):
        assert view.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(view, numbers(dtype))
        view[0, 1] = 0
        assert x[0, 1] == 0
        view[0, 1] = 1
        assert x[0, 1] == 1


def test_views_with_any_strides_are_shared():
    a = np.arange(24.0).reshape(4, 6)
    for view in (a[::2], a[:, ::-1], a.T, a[1:3, 1:5:2], a[::-1, ::-2], a[2], a[1:1]):
        x = pyarr.asarray(view)
        np.testing.assert_array_equal(np.asarray(x), view)
        if view.size:
            assert np.shares_memory(np.asarray(x), a)
            x[...] = 0.0
            assert (view == 0.0).all()


def test_two_views_of_one_numpy_array_are_known_to_overlap():
    a = np.arange(10.0)
    x, y = pyarr.asarray(a[:-1]), pyarr.asarray(a[1:])
    y[...] = x  # as NumPy: the result is as if x were copied first
    np.testing.assert_array_equal(a, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8])


def test_overlap_is_known_through_every_way_in():
    base = pyarr.arange(10.0)
    ways = [
        np.asarray,
        np.from_dlpack,
        pyarr.asnumpy,
        memoryview,
        lambda x: np.asarray(memoryview(x)),
        lambda x: np.asarray(x)[::1],
    ]
    for way in ways:
        base[...] = np.arange(10.0)
        back = pyarr.asarray(way(base))
        back[1:] = base[:-1]
        np.testing.assert_array_equal(base, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8])


def test_round_trip_gives_the_array_numpy_had():
    a = np.arange(5.0)
    b = np.asarray(pyarr.asnumpy(pyarr.asarray(a)))
    assert b.base is a


def test_buffers_are_shared():
    raw = bytearray(np.arange(4.0).tobytes())
    x = pyarr.asarray(np.frombuffer(raw))
    y = pyarr.asarray(np.frombuffer(raw)[1:])
    x[1] = 7.0
    assert y[0] == 7.0
    with pytest.raises(BufferError):
        raw.extend(b"more")
    del x, y
    gc.collect()
    raw.extend(b"more")

    numbers = stdlib_array.array("d", [1.0, 2.0])
    z = pyarr.asarray(numbers)
    z[0] = 5.0
    assert numbers[0] == 5.0


# ---- lifetime ----


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_every_order_of_deletion_from_numpy(order):
    a = np.arange(100.0)
    dead = weakref.ref(a)
    x = pyarr.asarray(a[10:])
    y = x[5:]
    objects = [a, x, y, np.asarray(y)]
    del a, x, y
    for k in order:
        for o in objects:
            if o is not None:
                assert float(np.asarray(o).sum()) > 0
        objects[k] = None
    del o
    gc.collect()
    assert dead() is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_every_order_of_deletion_of_ours(order):
    before = alive()
    x = pyarr.ones(100)
    objects = [x, x[3:], np.asarray(x), np.from_dlpack(x)]
    del x
    for k in order:
        for o in objects:
            if o is not None:
                assert float(np.asarray(o).sum()) > 90
        objects[k] = None
    del o
    gc.collect()
    assert alive() == before


def test_references_are_counted():
    a = np.arange(3.0)
    count = sys.getrefcount(a)
    for _ in range(10):
        x = pyarr.asarray(a)
        y = pyarr.asarray(a)
        np.asarray(x)
        del x, y
    gc.collect()
    assert sys.getrefcount(a) == count


def test_owner_that_dies_is_forgotten():
    for k in range(50):  # NumPy reuses addresses
        a = np.full(4, float(k))
        assert (np.asarray(pyarr.asarray(a)) == k).all()
        del a


def test_memory_of_a_trace_survives_it():
    kept = []

    def f(x):
        kept.append(x * 2.0)
        return (x * x).sum()

    pyarr.grad(f)(np.arange(3.0))
    np.testing.assert_array_equal(np.asarray(kept[0]), [0.0, 2.0, 4.0])


# ---- read-only ----


def test_read_only_is_kept():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = pyarr.asarray(a)
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 1.0
    assert not np.asarray(x).flags.writeable
    assert memoryview(x).readonly
    assert not np.from_dlpack(x).flags.writeable
    with pytest.raises(BufferError):
        x.__dlpack__()
    y = pyarr.asarray(b"12345678" and np.frombuffer(b"12345678", dtype=np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 1


def test_read_only_view_of_a_writable_array():
    a = np.arange(3.0)
    view = a[:]
    view.flags.writeable = False
    x, y = pyarr.asarray(view), pyarr.asarray(a)
    with pytest.raises(ValueError):
        x[0] = 1.0
    y[0] = 5.0
    assert x[0] == 5.0


def test_broadcast_views_from_numpy():
    x = pyarr.asarray(np.broadcast_to(np.arange(3.0), (2, 3)))
    np.testing.assert_array_equal(x, [[0, 1, 2], [0, 1, 2]])
    with pytest.raises(ValueError):
        x[0, 0] = 1.0


def test_scalars_are_copies_and_read_only():
    x = pyarr.arange(3.0)
    s = x[1]
    v = np.asarray(s)
    assert not v.flags.writeable
    x[1] = 9.0
    assert s == 1.0


# ---- what is copied, what is refused ----


def test_foreign_byte_order_is_copied():
    a = np.arange(3, dtype=">f8")
    x = pyarr.asarray(a)
    assert x.dtype == np.float64
    np.testing.assert_array_equal(x, [0.0, 1.0, 2.0])
    x[0] = 5.0
    assert a[0] == 0.0


def test_unaligned_memory_is_copied():
    raw = np.zeros(17, np.uint8)
    a = raw[1:].view(np.float64)
    a[:] = [1.0, 2.0]
    x = pyarr.asarray(a)
    np.testing.assert_array_equal(x, [1.0, 2.0])
    x[0] = 5.0
    assert a[0] == 1.0


def test_fields_of_structured_arrays():
    a = np.zeros(4, dtype=[("x", "f8"), ("n", "i4"), ("m", "i4")])
    x = pyarr.asarray(a["x"])
    x[1] = 2.0
    assert a["x"][1] == 2.0
    n = pyarr.asarray(a["n"])
    n[1] = 3
    assert a["n"][1] == 3
    packed = np.zeros(4, dtype=np.dtype([("n", "i4"), ("x", "f8")]))
    packed["x"] = 1.0
    assert pyarr.asarray(packed["x"]).sum() == 4.0


REFUSED = {
    "masked": lambda: np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    "matrix": lambda: np.matrix([[1.0, 2.0]]),
    "object": lambda: np.array([1, None], dtype=object),
    "structured": lambda: np.zeros(2, dtype=[("a", "f8")]),
    "longdouble": lambda: np.zeros(2, dtype=np.longdouble),
    "clongdouble": lambda: np.zeros(2, dtype=np.clongdouble),
    "float16": lambda: np.zeros(2, dtype=np.float16),
    "datetime": lambda: np.zeros(2, dtype="M8[s]"),
    "timedelta": lambda: np.zeros(2, dtype="m8[s]"),
    "string": lambda: np.array(["a"]),
    "bytes": lambda: np.array([b"a"]),
    "subclass": lambda: np.zeros(2).view(Tracked),
    "recarray": lambda: np.rec.array([(1.0,)], dtype=[("a", "f8")]),
}


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="is float64 here")
@pytest.mark.parametrize("kind", REFUSED)
def test_refusals_give_advice(kind):
    a = REFUSED[kind]()
    for use in (
        pyarr.asarray,
        pyarr.from_numpy,
        lambda a: pyarr.add(pyarr.ones(2), a),
        lambda a: pyarr.exp(a),
    ):
        with pytest.raises(TypeError, match=r"pyarr (has no dtype|does not take)"):
            use(a)


@pytest.mark.parametrize(
    "thing",
    ["text", b"bytes", None, object(), {1, 2}, {"a": 1}, iter([1]), (i for i in "ab")],
)
def test_non_numeric_objects(thing):
    with pytest.raises(TypeError):
        pyarr.asarray(thing)


def test_memmap(tmp_path):
    path = tmp_path / "numbers"
    np.arange(1000.0).tofile(path)
    m = np.memmap(path, dtype=np.float64, mode="r+")
    x, tail = pyarr.asarray(m), pyarr.asarray(m[500:])
    x[600] = -1.0
    assert m[600] == -1.0 and tail[100] == -1.0
    del m
    gc.collect()
    assert x.sum() == np.arange(1000.0).sum() - 601.0
    readonly = pyarr.asarray(np.memmap(path, dtype=np.float64, mode="r"))
    with pytest.raises(ValueError):
        readonly[0] = 1.0


def test_mmap_can_not_be_closed_under_an_array(tmp_path):
    path = tmp_path / "numbers"
    np.arange(10.0).tofile(path)
    with open(path, "r+b") as file:
        region = mmap.mmap(file.fileno(), 0)
    x = pyarr.asarray(np.frombuffer(region))
    with pytest.raises(BufferError):
        region.close()
    assert x[3] == 3.0
    del x
    gc.collect()
    region.close()


# ---- __array__ ----


def test_array_protocol_copy_keyword():
    x = pyarr.arange(3.0)
    assert np.shares_memory(np.array(x, copy=None), np.asarray(x))
    assert not np.shares_memory(np.array(x), np.asarray(x))
    assert np.shares_memory(x.__array__(copy=False), np.asarray(x))
    assert not np.shares_memory(x.__array__(copy=True), np.asarray(x))
    assert x.__array__(np.float32).dtype == np.float32
    assert x.__array__(dtype="f4", copy=None).dtype == np.float32
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        x.__array__(np.float32, copy=False)
    with pytest.raises(ValueError):
        np.asarray(x, dtype=np.int32, copy=False)
    np.testing.assert_array_equal(np.asarray(x, dtype=np.int32), [0, 1, 2])


def test_cuda_interface_is_absent_on_the_cpu():
    assert not hasattr(pyarr.ones(3), "__cuda_array_interface__")


# ---- buffer protocol ----


def test_buffer_fields():
    x = pyarr.asarray([[1, 2, 3], [4, 5, 6]], dtype="int32")
    m = memoryview(x)
    assert (m.format, m.shape, m.strides, m.itemsize) == ("i", (2, 3), (12, 4), 4)
    assert m.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert not m.readonly and m.c_contiguous
    t = memoryview(x.T)
    assert t.f_contiguous and t.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert bytes(x) == np.asarray(x).tobytes()
    assert memoryview(pyarr.asarray(2.5)).shape == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_buffer_formats(dtype):
    x = pyarr.zeros(3, dtype=dtype)
    assert np.asarray(memoryview(x)).dtype == np.dtype(dtype)
    assert np.frombuffer(x, dtype=dtype).shape == (3,)


def test_buffer_refuses_what_it_can_not_give():
    x = pyarr.ones((3, 4))
    with pytest.raises((ValueError, BufferError)):
        np.frombuffer(x[:, ::2])
    with pytest.raises((ValueError, BufferError, TypeError)):
        x[::2].view and bytearray(4).__class__(memoryview(x[:, ::2]).cast("B"))


def test_empty_buffers():
    x = pyarr.zeros((0, 3))
    assert memoryview(x).shape == (0, 3)
    assert np.asarray(x).shape == (0, 3)
    assert pyarr.asarray(np.zeros((2, 0))).shape == (2, 0)


def test_exported_memory_can_not_be_resized():
    x = pyarr.arange(4.0)
    if not hasattr(x, "resize"):
        pytest.skip("arrays have no resize")
    m = memoryview(x)
    with pytest.raises((ValueError, BufferError)):
        x.resize(8)
    del m


# ---- DLPack ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_from_numpy(dtype):
    a = numbers(dtype)
    x = pyarr.from_dlpack(a)
    assert x.dtype == a.dtype
    a[0, 1] = 0
    assert x[0, 1] == 0
    c = pyarr.from_dlpack(a, copy=True)
    a[0, 2] = 0
    assert c[0, 2] == numbers(dtype)[0, 2]


class Exporter:
    """An array of another library, speaking DLPack only."""

    def __init__(self, a, versioned):
        self.a = a
        self.versioned = versioned

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()

    def __dlpack__(self, **kwargs):
        if not self.versioned:
            if kwargs:
                raise TypeError("unexpected keyword")
            return self.a.__dlpack__()
        return self.a.__dlpack__(**kwargs)


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("library", [np, pyarr])
def test_dlpack_of_other_libraries(versioned, library):
    a = library.asarray(np.arange(12.0).reshape(3, 4))[::-1, ::2]
    x = pyarr.from_dlpack(Exporter(a, versioned))
    np.testing.assert_array_equal(x, np.asarray(a))
    x[0, 0] = -5.0
    assert a[0, 0] == -5.0
    del a
    gc.collect()
    assert x[0, 0] == -5.0
    y = pyarr.asarray(Exporter(np.arange(3.0), versioned))
    assert y.tolist() == [0.0, 1.0, 2.0]


def test_dlpack_read_only_flag():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = pyarr.from_dlpack(Exporter(a, True))
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 1.0


def test_dlpack_arguments():
    x = pyarr.arange(3.0)
    assert x.__dlpack_device__() == (1, 0)
    assert "dltensor" in repr(x.__dlpack__())
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 0)))
    copied = np.from_dlpack(x, copy=True)
    copied[0] = 9.0
    assert x[0] == 0.0
    for bad in (
        {"dl_device": (2, 0)},
        {"stream": 1},
    ):
        with pytest.raises((BufferError, RuntimeError, ValueError)):
            x.__dlpack__(**bad)
    with pytest.raises(TypeError):
        x.__dlpack__(max_version=1)
    with pytest.raises((TypeError, AttributeError)):
        pyarr.from_dlpack(3)
    with pytest.raises(ValueError):
        pyarr.from_dlpack(np.ones(2), device="cuda:0")


def test_dlpack_capsules_nobody_takes_are_freed():
    before = alive()
    x = pyarr.ones(10)
    for _ in range(5):
        x.__dlpack__()
        x.__dlpack__(max_version=(1, 0))
    del x
    gc.collect()
    assert alive() == before


def test_dlpack_refuses_what_it_can_not_hold():
    with pytest.raises((BufferError, TypeError)):
        pyarr.from_dlpack(Exporter(np.zeros(2, np.float16), True))


# ---- pickles and copies ----


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", DTYPES)
def test_pickle(protocol, dtype):
    x = pyarr.asarray(numbers(dtype))
    for value in (x, x.T, x[::-1, ::2], x[:0], x[1, 2], x.sum()):
        y = pickle.loads(pickle.dumps(value, protocol))
        assert type(y) is type(value)
        assert y.dtype == value.dtype and y.shape == value.shape
        np.testing.assert_array_equal(y, value)
    y = pickle.loads(pickle.dumps(x, protocol))
    y[0, 0] = 1
    s = pickle.loads(pickle.dumps(x[1, 2], protocol))
    assert hash(s) == hash(x[1, 2])


def test_pickle_out_of_band_copies_nothing():
    x = pyarr.arange(1000.0)
    buffers = []
    data = pickle.dumps(x, 5, buffer_callback=buffers.append)
    assert len(data) < 300 and len(buffers) == 1
    y = pickle.loads(data, buffers=buffers)
    y[0] = 5.0
    assert x[0] == 5.0


def test_copy():
    x = pyarr.arange(6.0).reshape(2, 3)
    for duplicate in (copy.copy(x), copy.deepcopy(x), copy.deepcopy([x])[0]):
        np.testing.assert_array_equal(duplicate, x)
        duplicate[0, 0] = 9.0
        assert x[0, 0] == 0.0
    g = pyarr.grad(lambda v: (copy.deepcopy(v) * v).sum())(np.ones(3))
    np.testing.assert_array_equal(g, [2.0, 2.0, 2.0])


def test_sizes():
    small, large = pyarr.ones(1), pyarr.ones(10_000)
    assert sys.getsizeof(large) >= 80_000
    assert sys.getsizeof(large[:5]) < 1000
    assert sys.getsizeof(small) < 1000


# ---- no silently lost gradient ----

LEAKS = {
    "float": lambda v: float(v[0]),
    "int": lambda v: int(v[0]),
    "complex": lambda v: complex(v[0]),
    "item": lambda v: v[0].item(),
    "tolist": lambda v: v.tolist(),
    "array": lambda v: np.array(v),
    "asarray": lambda v: np.asarray(v),
    "asnumpy": lambda v: pyarr.asnumpy(v),
    "numpy": lambda v: v.numpy(),
    "buffer": lambda v: memoryview(v),
    "bytes": lambda v: bytes(v),
    "dlpack": lambda v: v.__dlpack__(),
    "np.from_dlpack": lambda v: np.from_dlpack(v),
    "pickle": lambda v: pickle.dumps(v),
    "math": lambda v: __import__("math").exp(v[0]),
    "list of scalars": lambda v: np.array([v[0], v[1]]),
    "assignment": lambda v: np.zeros(3).__setitem__(slice(None), v),
    "out": lambda v: np.add(v, 1.0, out=np.zeros(3)),
    "in place": lambda v: np.zeros(3).__iadd__(v),
    "at": lambda v: np.add.at(np.zeros(3), [0, 1, 2], v),
}


@pytest.mark.parametrize("name", LEAKS)
def test_active_arrays_do_not_leave(name):
    def f(v):
        with pytest.raises(TypeError, match="detach"):
            LEAKS[name](v * 1.0)
        return (v * v).sum()

    np.testing.assert_array_equal(pyarr.grad(f)(np.ones(3)), [2.0, 2.0, 2.0])
    leaf = pyarr.ones(3).requires_grad_()
    with pytest.raises(TypeError, match="detach"):
        LEAKS[name](leaf * 1.0)


def test_what_may_be_looked_at():
    def f(v):
        assert v[0] == 1.0 and bool(v[0] > 0.5)
        assert "1" in repr(v) and "1" in str(v) and "1.00" in f"{v[0]:.2f}"
        assert np.asarray(pyarr.detach(v)).tolist() == [1.0, 1.0, 1.0]
        assert float(pyarr.detach(v[0])) == 1.0
        return (v * v).sum()

    pyarr.grad(f)(np.ones(3))
