"""The ndarray type: operators, methods, attributes, scalars, text, against NumPy."""

import copy
import gc
import math
import operator
import weakref

import numpy as np
import pytest

import pyarr as pa


def same(found, wanted, rtol=0):
    wanted = np.asarray(wanted)
    assert type(found) is pa.ndarray
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=rtol, atol=rtol)


A = np.arange(1.0, 13.0).reshape(3, 4) / 3
B = np.array([[1.0, -2.0, 0.5, 3.0]])


# ---- operators ----

ARITHMETIC = "add sub mul truediv floordiv mod pow lt le eq ne gt ge".split()
BITWISE = "and_ or_ xor lshift rshift".split()


@pytest.mark.parametrize("name", ARITHMETIC)
def test_operators(name):
    op = getattr(operator, name)
    with np.errstate(all="ignore"):
        same(op(pa.array(A), pa.array(B)), op(A, B), 1e-14)
        same(op(pa.array(A), 2), op(A, 2), 1e-14)
        same(op(2.5, pa.array(A)), op(2.5, A), 1e-14)
        same(op(pa.array(A), B), op(A, B), 1e-14)
        same(op(B, pa.array(A)), op(B, A), 1e-14)
        same(op(np.float32(2), pa.array(A)), op(np.float32(2), A), 1e-14)


@pytest.mark.parametrize("name", BITWISE)
def test_bitwise_operators(name):
    op = getattr(operator, name)
    a, b = np.array([5, 6, 7]), np.array([1, 2, 3])
    same(op(pa.array(a), pa.array(b)), op(a, b))
    same(op(3, pa.array(b)), op(3, b))


def test_unary_operators():
    x = pa.array(B)
    same(-x, -B)
    same(+x, +B)
    same(abs(x), abs(B))
    same(~pa.array([True, False]), [False, True])
    assert divmod(pa.array(7.0), 2)[0] == 3.0


@pytest.mark.parametrize("exponent", [2, 1, 0.5, -1, 3, 2.0, -2, 0])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_powers(exponent, dtype):
    a = np.array([0.5, 1.0, 2.5], dtype)
    same(pa.array(a) ** exponent, a**exponent, 2e-6 if dtype == "float32" else 1e-14)


def test_powers_of_integers():
    a = np.array([1, -2, 3])
    same(pa.array(a) ** 2, a**2)
    same(pa.array(a) ** 5, a**5)
    same(pa.array(a) ** 2.0, a**2.0)
    with pytest.raises(ValueError, match="negative integer powers"):
        pa.array(a) ** -1


@pytest.mark.parametrize(
    "name", ["iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"]
)
def test_in_place(name):
    op = getattr(operator, name)
    a, x = A.copy(), pa.array(A)
    view = x[0]
    before = x
    a, x = op(a, B), op(x, pa.array(B))
    assert x is before
    same(x, a, 1e-14)
    same(view, a[0], 1e-14)


def test_in_place_on_a_scalar_rebinds():
    x = pa.array([1.0, 2.0])
    t = s = x[0]
    t += 5.0
    assert (t, s, x[0]) == (6.0, 1.0, 1.0)
    total = x.sum()
    other = total
    total *= 2
    assert (total, other) == (6.0, 3.0)


def test_in_place_on_a_0d_array_writes():
    x = pa.array(1.0)
    y = x
    y += 1
    assert x == 2.0


def test_in_place_overlap():
    a, x = np.arange(5.0), pa.arange(5.0)
    a[1:] += a[:-1]
    x[1:] += x[:-1]
    same(x, a)
    a += a[::-1]
    x += x[::-1]
    same(x, a)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4), (4,)),
        ((4,), (4, 3)),
        ((4,), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((3, 4), (4, 0)),
        ((0, 4), (4, 2)),
        ((3, 0), (0, 2)),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "complex128", "bool"])
def test_matmul(left, right, dtype):
    a = (np.arange(np.prod(left)) % 7).reshape(left).astype(dtype)
    b = (np.arange(np.prod(right)) % 5).reshape(right).astype(dtype)
    same(pa.array(a) @ pa.array(b), a @ b)
    same(a @ pa.array(b), a @ b)
    x = pa.array(a)
    if left == (2, 3, 4):
        y = pa.array(np.eye(4).astype(dtype))
        x @= y
        same(x, a)


def test_matmul_errors():
    with pytest.raises(
        ValueError, match=r"shapes \(3, 4\) and \(5, 2\): 4 does not match 5"
    ):
        pa.zeros((3, 4)) @ pa.zeros((5, 2))
    with pytest.raises(ValueError, match="does not have enough dimensions"):
        pa.zeros(3) @ 2.0


def test_unknown_operands():
    class Odd:
        __array_ufunc__ = None

        def __radd__(self, other):
            return "mine"

    assert pa.zeros(2) + Odd() == "mine"
    with pytest.raises(TypeError):
        pa.zeros(2) + object()
    with pytest.raises(TypeError):
        pa.zeros(2) + "a"


def test_comparison_with_what_is_no_number():
    x = pa.arange(2)
    assert (x == None).tolist() == [False, False]  # noqa: E711
    assert (x != "a").tolist() == [True, True]
    with pytest.raises(TypeError):
        x < "a"


# ---- scalars ----


def test_scalars_hash_by_value():
    x = pa.array([1.5, 2.0])
    assert hash(x[0]) == hash(1.5)
    assert {x[1]: "two"}[2.0] == "two"
    for unhashable in (x, pa.array(1.0), x[0, ...]):
        with pytest.raises(TypeError, match="unhashable"):
            hash(unhashable)


def test_conversion_to_python():
    assert float(pa.array(1.5)) == 1.5
    assert int(pa.array(2.9)) == 2
    assert complex(pa.array(1j)) == 1j
    assert complex(pa.array(2.0)) == 2
    assert [10, 20, 30][pa.array(1)] == 20
    assert math.exp(pa.zeros(2)[0]) == 1.0
    assert bool(pa.array([3.0]))
    assert not pa.array(0)
    assert f"{pa.array(1.23456):.2f}" == "1.23"
    assert round(pa.array(1.26)[()], 1) == 1.3
    with pytest.raises(TypeError, match="0-dimensional"):
        float(pa.zeros(2))
    with pytest.raises(TypeError, match="integer scalar"):
        operator.index(pa.array(1.0))
    with pytest.raises(TypeError):
        int(pa.array(1j))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(pa.zeros(2))
    with pytest.raises(ValueError, match="empty"):
        bool(pa.zeros(0))


def test_full_reductions_are_scalars():
    x = pa.array(A)
    for scalar in (x.sum(), x.max(), x.mean(), x[0, 0] * 2, x[0] @ x[0]):
        hash(scalar)
        assert not scalar.flags.writeable


# ---- methods ----

REDUCTIONS = ["sum", "prod", "min", "max", "mean", "var", "std", "ptp", "any", "all"]


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    if name == "ptp":
        wanted = np.ptp(A, axis=axis, keepdims=keepdims)
    else:
        wanted = getattr(A, name)(axis=axis, keepdims=keepdims)
    same(getattr(pa.array(A), name)(axis=axis, keepdims=keepdims), wanted, 1e-14)


@pytest.mark.parametrize("name", ["sum", "prod", "min", "max", "any", "all"])
@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float32", "complex64"]
)
def test_reduction_dtypes(name, dtype):
    a = np.array([[1, 0, 3], [2, 1, 1]]).astype(dtype)
    same(getattr(pa.array(a), name)(), getattr(a, name)())
    same(getattr(pa.array(a), name)(axis=1), getattr(a, name)(axis=1))


def test_reduction_arguments():
    mask = A > 1
    x = pa.array(A)
    same(x.sum(where=mask), A.sum(where=mask), 1e-15)
    same(x.max(where=mask, initial=0), A.max(where=mask, initial=0))
    same(x.sum(initial=5.0), A.sum(initial=5.0), 1e-15)
    same(x.sum(dtype="float32"), A.sum(dtype="float32"), 1e-6)
    out = pa.zeros(4)
    assert x.sum(0, out=out) is out
    same(out, A.sum(0), 1e-15)
    with pytest.raises(ValueError, match="identity"):
        x.max(where=mask)
    with pytest.raises(
        ValueError, match="zero-size array to reduction operation minimum"
    ):
        pa.zeros(0).min()
    assert pa.zeros(0).min(initial=3.0) == 3.0
    assert pa.zeros((0, 2)).sum().item() == 0.0
    assert pa.zeros((0, 2)).max(axis=1).shape == (0,)
    with pytest.raises(np.exceptions.AxisError):
        x.sum(axis=2)
    with pytest.raises(ValueError, match="duplicate"):
        x.sum(axis=(0, 0))
    with pytest.raises(TypeError):
        x.sum(axis=1.5)


@pytest.mark.parametrize("name", ["argmin", "argmax"])
def test_arg_reductions(name):
    a = np.array([[3.0, np.nan, 1.0], [1.0, 5.0, 1.0]])
    for axis in (None, 0, 1):
        same(getattr(pa.array(a), name)(axis), getattr(a, name)(axis))
        same(
            getattr(pa.array(a), name)(axis=axis, keepdims=True),
            getattr(a, name)(axis=axis, keepdims=True),
        )
    with pytest.raises(ValueError, match=f"attempt to get {name} of an empty sequence"):
        getattr(pa.zeros(0), name)()


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_scans(name):
    for axis in (None, 0, 1):
        same(getattr(pa.array(A), name)(axis), getattr(A, name)(axis), 1e-13)
    same(
        getattr(pa.array([True, True]), name)(), getattr(np.array([True, True]), name)()
    )


CALLS = [
    lambda a: a.reshape(4, 3),
    lambda a: a.reshape((2, -1)),
    lambda a: a.reshape(-1),
    lambda a: a.reshape(4, 3, order="F"),
    lambda a: a.T.reshape(2, 6),
    lambda a: a.transpose(),
    lambda a: a.transpose(1, 0),
    lambda a: a.transpose((1, 0)),
    lambda a: a.swapaxes(0, -1),
    lambda a: a.ravel(),
    lambda a: a.ravel("F"),
    lambda a: a.T.ravel("K"),
    lambda a: a.flatten(),
    lambda a: a[:1].squeeze(),
    lambda a: a[:1].squeeze(0),
    lambda a: a.astype("float32"),
    lambda a: a.astype(int),
    lambda a: a.astype(bool),
    lambda a: a.copy(),
    lambda a: a.copy("F"),
    lambda a: a.view(),
    lambda a: a.view("int64"),
    lambda a: a.view("float32"),
    lambda a: a.diagonal(),
    lambda a: a.diagonal(1),
    lambda a: a.trace(),
    lambda a: a.repeat(2),
    lambda a: a.repeat([1, 2, 3], axis=0),
    lambda a: a.take([0, 5, -1]),
    lambda a: a.take([[0, 1], [2, 0]], axis=0),
    lambda a: a.take([7, -9], axis=1, mode="wrap"),
    lambda a: a.take([7, -9], axis=1, mode="clip"),
    lambda a: a.compress([True, False, True], axis=0),
    lambda a: a.round(1),
    lambda a: a.clip(1, 2),
    lambda a: a.clip(max=2),
    lambda a: a.conj(),
    lambda a: a.dot(a.T),
    lambda a: a.argsort(axis=0),
    lambda a: a.argsort(axis=None),
    lambda a: a[0].searchsorted([0.5, 1.0]),
    lambda a: a[0].searchsorted(0.7, side="right"),
    lambda a: a.T,
    lambda a: a.mT,
    lambda a: a.real,
    lambda a: a.imag,
    lambda a: (a + 2j * a).real,
    lambda a: (a + 2j * a).imag,
    lambda a: (a + 2j * a).conjugate(),
]


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_methods(call):
    same(call(pa.array(A)), call(A.copy()), 1e-14)


def test_nonzero():
    a = np.array([[0, 1, 0], [2, 0, 3]])
    for one, other in zip(pa.array(a).nonzero(), a.nonzero(), strict=True):
        same(one, other)


def test_views_share_and_copies_do_not():
    x = pa.array(A)
    for view in (
        x.reshape(-1),
        x.T,
        x.ravel(),
        x[1:],
        x.view(),
        x.diagonal(),
        x.swapaxes(0, 1),
    ):
        assert np.shares_memory(np.asarray(view), np.asarray(x))
        assert view.base is x
        assert not view.flags.owndata
    for other in (x.copy(), x.flatten(), x.astype(float), x + 0, x.T.reshape(-1)):
        assert not np.shares_memory(np.asarray(other), np.asarray(x))
        assert other.base is None
    assert x.astype(float, copy=False) is x


def test_sort_fill_put_resize():
    x = pa.array([[3.0, 1.0, 2.0], [9.0, np.nan, 7.0]])
    x.sort()
    np.testing.assert_array_equal(np.asarray(x), [[1, 2, 3], [7, 9, np.nan]])
    x.fill(4)
    assert x.tolist() == [[4.0] * 3] * 2
    x.put([0, 5], [1.0, 2.0])
    assert x.tolist() == [[1.0, 4.0, 4.0], [4.0, 4.0, 2.0]]
    y = pa.arange(4)
    y.resize((2, 3))
    assert y.tolist() == [[0, 1, 2], [3, 0, 0]]
    y.resize(2)
    assert y.tolist() == [0, 1]


def test_resize_refuses_shared_memory():
    x = pa.arange(4.0)
    view = x[1:]
    with pytest.raises(ValueError, match="resize"):
        x.resize(9)
    del view
    exported = memoryview(x)
    with pytest.raises(ValueError, match="resize"):
        x.resize(9)
    exported.release()
    y = pa.asarray(np.arange(3.0))
    with pytest.raises(ValueError, match="own its data"):
        y.resize(9)


def test_elements_out():
    x = pa.array(A)
    assert x.item(0) == A.item(0)
    assert x.item(1, 2) == A.item(1, 2)
    assert x.item((1, 2)) == A.item(1, 2)
    assert x.item(-1) == A.item(-1)
    assert x.tolist() == A.tolist()
    assert x.T.tobytes() == A.T.tobytes()
    assert x.tobytes("F") == A.tobytes("F")
    assert type(pa.array([1])[0].item()) is int
    assert type(pa.array([True]).tolist()[0]) is bool
    assert pa.array(3).tolist() == 3
    for bad in ((12,), (3, 0), (0, 0, 0)):
        with pytest.raises((IndexError, ValueError)):
            x.item(*bad)
    with pytest.raises(ValueError, match="size 1"):
        x.item()


METHOD_ERRORS = [
    lambda a: a.reshape(5),
    lambda a: a.reshape(-1, -1),
    lambda a: a.reshape(-1, 5),
    lambda a: a.reshape("a"),
    lambda a: a.reshape(4, 3, order="X"),
    lambda a: a.transpose(0),
    lambda a: a.transpose(0, 0),
    lambda a: a.transpose(0, 5),
    lambda a: a.squeeze(0),
    lambda a: a.swapaxes(0, 2),
    lambda a: a.astype("no such"),
    lambda a: a.astype(int, casting="safe"),
    lambda a: a.view("complex256x"),
    lambda a: a[0, 0].reshape(2),
    lambda a: a.diagonal(axis1=0, axis2=0),
    lambda a: a[0].diagonal(),
    lambda a: a.take([99]),
    lambda a: a.take(np.array([0.5])),
    lambda a: a.take(0, axis=3),
    lambda a: a.take(0, mode="x"),
    lambda a: a.repeat([1, 2]),
    lambda a: a.sum(nonsense=1),
    lambda a: a.sum(0, None, None, False, 0, True, 1),
    lambda a: a.argsort(kind="nonsense"),
    lambda a: a.searchsorted(1),
    lambda a: a[0].searchsorted(1, side="x"),
    lambda a: a.dot(a),
    lambda a: a.mT[0].mT,
    lambda a: setattr(a, "shape", (5,)),
    lambda a: setattr(a.T, "shape", (12,)),
    lambda a: setattr(a, "size", 3),
    lambda a: setattr(a, "imag", 1.0),
    lambda a: delattr(a, "shape"),
]


@pytest.mark.parametrize("call", METHOD_ERRORS, ids=range(len(METHOD_ERRORS)))
@pytest.mark.filterwarnings("ignore")
def test_method_errors(call):
    a = A.copy()
    x = pa.array(A)
    with pytest.raises(Exception) as wanted:
        call(a)
    kinds = (TypeError, IndexError, AttributeError, np.exceptions.AxisError, ValueError)
    kind = next((k for k in kinds if isinstance(wanted.value, k)), Exception)
    with pytest.raises(kind) as found:
        call(x)
    assert str(found.value)
    same(x, A)


# ---- attributes ----


def test_attributes():
    x = pa.array(A)
    for name in ("shape", "strides", "dtype", "ndim", "size", "itemsize", "nbytes"):
        assert getattr(x, name) == getattr(A, name)
    assert isinstance(x.dtype, np.dtype)
    assert x.device == "cpu"
    x.shape = (4, 3)
    assert x.strides == (24, 8)
    x.shape = -1
    assert x.shape == (12,)
    assert bytes(x.data) == A.tobytes()
    assert x.ctypes.data == np.asarray(x).ctypes.data


def test_flags():
    x = pa.array(A)
    assert x.flags.c_contiguous
    assert x.T.flags.f_contiguous
    assert not x[:, 1:].flags["C_CONTIGUOUS"]
    assert x.flags.writeable
    assert "OWNDATA : True" in repr(x.flags)
    x.setflags(write=False)
    assert not x.flags.writeable
    assert not x[0].flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        x += 1
    x.flags["WRITEABLE"] = True
    x += 1
    with pytest.raises(KeyError):
        x.flags["NOPE"]
    a = np.arange(3.0)
    a.flags.writeable = False
    y = pa.asarray(a)
    assert not y.flags.writeable
    with pytest.raises(ValueError):
        y.flags.writeable = True


def test_real_and_imaginary_parts_are_views():
    z = pa.array([1 + 2j, 3 - 1j])
    z.real = 5
    z.imag[0] = 7
    assert z.tolist() == [5 + 7j, 5 - 1j]
    assert pa.ones(2).imag.tolist() == [0.0, 0.0]


def test_flat():
    a, x = A.copy(), pa.array(A)
    assert x.flat[5] == a.flat[5]
    assert list(x.flat) == list(a.flat)
    assert len(x.flat) == 12
    x.T.flat[1] = a.T.flat[1] = 9.0
    x.flat = a.flat = [1.0, 2.0]
    same(x, a)


# ---- text ----


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        [1, 2],
        [],
        [[1.5, np.nan], [np.inf, -0.0]],
        np.arange(3, dtype="float32"),
        np.zeros((2, 0)),
        np.arange(2000),
        [True, False],
        [1 + 2j],
        np.ones((2, 2, 2)) / 3,
    ],
    ids=range(10),
)
def test_text(value):
    a = np.array(value)
    x = pa.array(value)
    assert repr(x) == repr(a)
    assert str(x) == str(a)
    assert f"{x}" == f"{a}"


def test_format_of_arrays_is_refused():
    with pytest.raises(TypeError, match="unsupported format string"):
        format(pa.zeros(2), ".2f")


# ---- objects ----


def test_copies():
    x = pa.array(A)
    for y in (copy.copy(x), copy.deepcopy(x)):
        same(y, A)
        assert not np.shares_memory(np.asarray(x), np.asarray(y))


def test_weak_references():
    x = pa.zeros(3)
    ref = weakref.ref(x)
    assert ref() is x
    del x
    assert ref() is None


def test_construction():
    assert pa.ndarray((2, 3)).shape == (2, 3)
    assert pa.ndarray((2,), "int32").dtype == np.int32
    data = bytearray(16)
    x = pa.ndarray((2,), float, buffer=data)
    x[1] = 1.0
    assert bytes(data) == np.array([0.0, 1.0]).tobytes()
    with pytest.raises(TypeError):

        class Sub(pa.ndarray):
            pass


def test_nothing_stays_alive():
    def work():
        x = pa.array(A)
        y = (x[1:] * 2 + x[:-1]).sum(axis=0)
        y[x[0] > 1] = 0
        x.T[...] = 1
        return y.tolist(), repr(x), list(x), x.sum().item()

    work()
    gc.collect()
    before = pa.live()
    for _ in range(50):
        work()
    gc.collect()
    assert pa.live() == before
