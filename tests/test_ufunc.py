"""ufunc objects: calls, keywords, dtypes and methods, against NumPy."""

import pickle

import numpy as np
import pytest

import pyarr as pa
from pyarr import _core

UFUNCS = sorted(
    op["name"]
    for op in _core.ops()
    if op["ufunc"]
    and not op["internal"]
    and isinstance(getattr(np, op["name"], None), np.ufunc)
)
UNARY = [n for n in UFUNCS if getattr(np, n).nin == 1]
BINARY = [n for n in UFUNCS if getattr(np, n).nin == 2]
DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex128"
)
VALUES = {
    "b": [True, False, True, True],
    "i": [-3, 2, 5, 1],
    "u": [3, 2, 5, 1],
    "f": [-1.5, 0.25, 0.75, 3.0],
    "c": [0.5 + 0.25j, -1.5 + 2j, 0.75 - 0.5j, 1j],
}


def sample(dtype, roll=0):
    dtype = np.dtype(dtype)
    return np.roll(np.array(VALUES[dtype.kind], dtype), roll)


def close(found, wanted):
    assert isinstance(found, pa.ndarray)
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape
    tolerance = {"f": 1e-12, "c": 1e-12}.get(wanted.dtype.kind, 0)
    if wanted.dtype.itemsize == 4 or wanted.dtype == np.complex64:
        tolerance = 2e-6 if tolerance else 0
    if wanted.dtype == np.float16:
        tolerance = 2e-3
    np.testing.assert_allclose(
        np.asarray(found), wanted, rtol=tolerance, atol=tolerance
    )
    if wanted.dtype != np.float16:
        assert found.dtype == wanted.dtype


def compare(call_np, call_pa):
    with np.errstate(all="ignore"):
        try:
            wanted = call_np()
        except (TypeError, ValueError):
            with pytest.raises((TypeError, ValueError)):
                call_pa()
            return
    close(call_pa(), wanted)


@pytest.mark.parametrize("dtype", DTYPES.split())
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, dtype):
    if name == "spacing" and dtype in ("int8", "uint8"):
        pytest.skip("float16 in NumPy, float32 here")
    a = sample(dtype)
    compare(lambda: getattr(np, name)(a), lambda: getattr(pa, name)(a))


@pytest.mark.parametrize("dtype", DTYPES.split())
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, dtype):
    a, b = sample(dtype), sample(dtype, 1)
    if name in ("left_shift", "right_shift", "power"):
        b = np.abs(b) if b.dtype.kind in "iu" else b
    if name == "ldexp":
        b = np.arange(4)
    compare(lambda: getattr(np, name)(a, b), lambda: getattr(pa, name)(a, b))


def test_there_are_many():
    assert len(UFUNCS) > 70


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "maximum"])
@pytest.mark.parametrize("left", DTYPES.split())
@pytest.mark.parametrize("right", DTYPES.split())
def test_promotion(name, left, right):
    a, b = sample(left), sample(right, 1)
    compare(lambda: getattr(np, name)(a, b), lambda: getattr(pa, name)(a, b))


@pytest.mark.parametrize(
    "scalar", [2, 2.5, True, 1j, np.float64(2), np.float32(2), np.int8(2)]
)
@pytest.mark.parametrize("dtype", DTYPES.split())
def test_scalars_are_weak_only_if_pythons(dtype, scalar):
    a = sample(dtype)
    compare(lambda: np.add(a, scalar), lambda: pa.add(pa.array(a), scalar))
    compare(lambda: scalar * a, lambda: scalar * pa.array(a))


def test_attributes():
    assert pa.add.__name__ == "add"
    assert pa.add.nin == 2
    assert pa.add.nout == 1
    assert pa.add.nargs == 3
    assert pa.add.identity == 0
    assert pa.divmod.nout == 2
    assert repr(pa.sin) == "<ufunc 'sin'>"
    assert "x1, x2" in pa.add.__doc__
    assert type(pa.add).__name__ == "ufunc"
    assert pickle.loads(pickle.dumps(pa.add)) is pa.add


def test_out():
    x = pa.arange(3.0)
    out = pa.zeros(3)
    assert pa.add(x, 1, out) is out
    assert out.tolist() == [1.0, 2.0, 3.0]
    assert pa.multiply(x, x, out=(out,)) is out
    assert out.tolist() == [0.0, 1.0, 4.0]
    a = np.zeros(3)
    assert pa.exp(x, out=a) is a
    np.testing.assert_allclose(a, np.exp(np.arange(3.0)))
    assert pa.add(x, x, out=x).tolist() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda m, z: m.add(z(3), 0.5, out=z(3, int)),
        lambda m, z: m.add(z(3), 0.5, out=z(4)),
        lambda m, z: m.add(z((2, 3)), 0.5, out=z(3)),
        lambda m, z: m.add(z(3), z(4)),
        lambda m, z: m.add(z(3)),
        lambda m, z: m.add(1, 2, 3, 4),
        lambda m, z: m.add(z(3), 1, nonsense=1),
        lambda m, z: m.add(z(3), 1, out=5),
        lambda m, z: m.add(z(3), 1, out=(z(3), z(3))),
        lambda m, z: m.bitwise_and(z(3), z(3)),
        lambda m, z: m.invert(z(3)),
        lambda m, z: m.add(z(3), 1, where=z(3)),
        lambda m, z: m.add(z(3), 1, dtype="int64"),
        lambda m, z: m.add(z(3), 1, casting="nonsense"),
        lambda m, z: m.subtract(z(3, bool), z(3, bool)),
        lambda m, z: m.negative(z(3, bool)),
        lambda m, z: m.add(z(3, "uint8"), 300),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_errors_are_numpys(call):
    with pytest.raises(Exception) as wanted:
        call(np, np.zeros)
    kind = next(
        k for k in (TypeError, ValueError, OverflowError) if isinstance(wanted.value, k)
    )
    with pytest.raises(kind) as found:
        call(pa, pa.zeros)
    assert str(found.value)


def test_casting_error_text():
    with pytest.raises(TypeError) as found:
        x = pa.zeros(3, int)
        x += 0.5
    assert str(found.value) == (
        "Cannot cast ufunc 'add' output from dtype('float64') to dtype('int64') "
        "with casting rule 'same_kind'"
    )


def test_broadcast_error_text():
    with pytest.raises(
        ValueError, match="operands could not be broadcast together"
    ) as e:
        pa.zeros((2, 3)) + pa.zeros(4)
    assert "(2,3) (4,)" in str(e.value)


def test_where():
    x, mask = pa.arange(4.0), np.array([True, False, True, False])
    out = pa.full(4, -1.0)
    pa.sqrt(x, out=out, where=mask)
    assert out.tolist() == [0.0, -1.0, np.sqrt(2.0), -1.0]


def test_dtype():
    found = pa.add(pa.arange(3), 1, dtype="float32")
    assert found.dtype == np.float32
    found = pa.sum(pa.ones(3, "int8"), dtype="int8")
    assert found.dtype == np.int8


@pytest.mark.parametrize("name", ["divmod", "modf", "frexp"])
@pytest.mark.parametrize("values", [[-2.5, 0.0, 3.75, np.inf], [1.0, 2.0, -3.0, 1e300]])
def test_two_results(name, values):
    a = np.array(values)
    args = (a, np.array([2.0, 1.0, -2.0, 3.0])) if name == "divmod" else (a,)
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(*args)
    found = getattr(pa, name)(*args)
    for one, other in zip(found, wanted, strict=True):
        close(one, other)
    first, second = pa.zeros(4), pa.zeros(4, wanted[1].dtype)
    result = getattr(pa, name)(*args, out=(first, second))
    assert result[0] is first
    assert result[1] is second


REDUCIBLE = "add multiply maximum minimum logical_and logical_or subtract hypot".split()
REDUCIBLE += "logaddexp bitwise_or fmax".split()


@pytest.mark.parametrize("name", REDUCIBLE)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_reduce(name, axis):
    dtype = int if name == "bitwise_or" else float
    a = np.array([[1, 2, 3], [4, 5, 0.5]]).astype(dtype)
    close(
        getattr(pa, name).reduce(pa.array(a), axis), getattr(np, name).reduce(a, axis)
    )
    close(
        getattr(pa, name).reduce(a, axis=axis, keepdims=True),
        getattr(np, name).reduce(a, axis=axis, keepdims=True),
    )


@pytest.mark.parametrize(
    "name", ["add", "multiply", "maximum", "subtract", "logaddexp"]
)
def test_accumulate(name):
    a = np.array([[1.0, 2, 3], [4, 5, 0.5]])
    for axis in (0, 1):
        close(
            getattr(pa, name).accumulate(pa.array(a), axis),
            getattr(np, name).accumulate(a, axis),
        )


def test_outer():
    a, b = np.arange(3.0), np.arange(4.0).reshape(2, 2)
    close(pa.multiply.outer(a, b), np.multiply.outer(a, b))
    close(pa.add.outer(pa.array(a), 1), np.add.outer(a, 1))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum"])
def test_at(name):
    a = np.arange(5.0)
    x = pa.array(a)
    where, values = np.array([0, 0, 3, -1]), np.array([1.0, 2.0, 7.0, 5.0])
    getattr(np, name).at(a, where, values)
    getattr(pa, name).at(x, where, values)
    np.testing.assert_array_equal(np.asarray(x), a)


def test_at_of_one_argument():
    x = pa.arange(4.0)
    pa.negative.at(x, [1, 1, 2])
    assert x.tolist() == [0.0, 1.0, -2.0, 3.0]


def test_reduceat():
    a = np.arange(8.0)
    close(pa.add.reduceat(pa.array(a), [0, 4, 6]), np.add.reduceat(a, [0, 4, 6]))


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.sin.reduce(m.zeros(3)),
        lambda m: m.sin.outer(m.zeros(3), m.zeros(3)),
        lambda m: m.maximum.reduce(m.zeros(0)),
        lambda m: m.add.reduce(m.zeros((2, 3)), axis=2),
        lambda m: m.add.at(m.zeros(3), [5], 1),
    ],
)
def test_method_errors(call):
    with pytest.raises(Exception) as wanted:
        call(np)
    with pytest.raises(type(wanted.value)):
        call(pa)


@pytest.mark.parametrize("op", ["<", "<=", "==", "!=", ">", ">="])
@pytest.mark.parametrize("value", [300, -5, 2**64, -(2**70)])
def test_comparisons_with_any_integer(op, value):
    a = np.array([0, 3, 255], dtype="uint8")
    text = f"a {op} value"
    found = eval(text, {"a": pa.array(a), "value": value})
    assert found.tolist() == eval(text, {"a": a, "value": value}).tolist()


def test_reductions_without_a_primitive_take_all_arguments():
    x = np.arange(1.0, 13.0).reshape(3, 4)
    a = pa.asarray(x)
    for name in ("subtract", "hypot", "arctan2"):
        ours, theirs = getattr(pa, name), getattr(np, name)
        for kwargs in (
            {},
            {"axis": 1},
            {"axis": 0, "keepdims": True},
            {"axis": -1, "initial": 2.0},
            {"axis": 1, "dtype": "float32"},
        ):
            expected = theirs.reduce(x, **kwargs)
            np.testing.assert_array_equal(
                np.asarray(ours.reduce(a, **kwargs)), expected
            )
    slope = pa.grad(lambda t: pa.hypot.reduce(t, keepdims=True).sum())(x[:, 0])
    np.testing.assert_allclose(slope, x[:, 0] / np.linalg.norm(x[:, 0]))
    with pytest.raises(TypeError, match="initial"):
        pa.grad(lambda t: pa.hypot.reduce(t, initial=1.0))(x[:, 0])


def test_results_lie_in_memory_like_their_operands():
    x = np.arange(24.0).reshape(2, 3, 4)
    for y in (
        x,
        x.T,
        x.transpose(1, 0, 2),
        x.transpose(2, 0, 1),
        x[:, ::-1],
        x[..., ::2],
    ):
        a = pa.asarray(y)
        for ours, theirs in (
            (a + a, y + y),
            (a * 2.0, y * 2.0),
            (pa.sin(a), np.sin(y)),
        ):
            assert ours.strides == theirs.strides
            np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-14)


@pytest.mark.parametrize("name", ["arctan2", "hypot", "copysign", "logaddexp"])
def test_python_int_beside_bools(name):
    flags = np.array([True, False])
    got = getattr(pa, name)(pa.array(flags), 3)
    want = getattr(np, name)(flags, 3)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want)


@pytest.mark.parametrize(
    "part, target",
    [
        (np.s_[:-1], np.s_[1:]),
        (np.s_[1:], np.s_[:-1]),
        (np.s_[::-1], np.s_[:]),
        (np.s_[:], np.s_[:]),
        (np.s_[::2], np.s_[:5]),
    ],
)
def test_results_written_over_their_operands(part, target):
    x = np.arange(10.0)
    theirs, ours = x.copy(), pa.array(x)
    np.add(theirs[part], theirs[part] * 2, out=theirs[target])
    pa.add(ours[part], ours[part] * 2, out=ours[target])
    np.testing.assert_array_equal(np.asarray(ours), theirs)
    square, mine = np.arange(9.0).reshape(3, 3), pa.array(np.arange(9.0).reshape(3, 3))
    square += square.T
    mine += mine.T
    np.testing.assert_array_equal(np.asarray(mine), square)


def test_a_failed_write_into_an_operand_changes_nothing():
    x = pa.array([2, 3])
    with pytest.raises(ValueError, match="negative integer powers"):
        pa.power(x, pa.array([1, -1]), out=x)
    np.testing.assert_array_equal(np.asarray(x), [2, 3])
