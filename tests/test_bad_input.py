"""Bad input: NumPy's exception types, messages that say what was given, nothing
changed, nothing leaked, whatever fails."""

import gc
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import pyarr as pa
from pyarr import _core


class Liar:
    """Claims to be an array and fails when asked."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array here")


class Index:
    def __index__(self):
        raise RuntimeError("no index here")


UNACCEPTABLE = [
    object(),
    "text",
    b"bytes",
    None,
    {1: 2},
    {1, 2},
    Decimal(1),
    Fraction(1, 2),
    lambda: 0,
    np.array([1, "a"], dtype=object),
    np.array(["a", "b"]),
    np.zeros(2, dtype=[("x", float)]),
    np.zeros(2, "longdouble"),
    np.zeros(2, "datetime64[s]"),
    np.ma.masked_array([1.0, 2.0], [True, False]),
    np.zeros((1, 2)).view(np.matrix),
    [1.0, object()],
    ["a"],
]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("value", UNACCEPTABLE, ids=lambda v: type(v).__name__)
def test_what_is_no_array(value):
    for call in (pa.array, pa.asarray, pa.sin, lambda v: pa.add(v, 1.0), pa.sum):
        with pytest.raises(TypeError) as found:
            call(value)
        assert len(str(found.value)) > 10


def test_errors_of_conversions_pass_through():
    with pytest.raises(RuntimeError, match="no array here"):
        pa.asarray(Liar())
    with pytest.raises(RuntimeError, match="no array here"):
        pa.zeros(2) + Liar()
    x = pa.zeros(3)
    with pytest.raises(RuntimeError, match="no index here"):
        x[Index()]
    with pytest.raises(RuntimeError, match="no index here"):
        pa.zeros(Index())


def test_foreign_byte_order_is_copied():
    a = np.arange(3.0)
    x = pa.asarray(a.astype(">f8"))
    assert x.dtype.isnative
    assert x.tolist() == a.tolist()
    assert (x + a.astype(">f8")).tolist() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.zeros((2**62, 4)),
        lambda m: m.zeros((2**31, 2**31, 2**31)),
        lambda m: m.ones(3).reshape(2**62, 2**62),
        lambda m: m.broadcast_to(m.ones(1), (2**62, 2**62)),
        lambda m: m.arange(0, 2**62),
        lambda m: m.zeros(2**64),
        lambda m: m.ones(3)[2**63],
        lambda m: m.ones(3).sum(2**70),
        lambda m: m.ones(3).repeat(2**62),
        lambda m: m.eye(2**40),
        lambda m: m.concatenate([m.broadcast_to(m.ones(1), 2**60)] * 3),
        lambda m: m.multiply.outer(
            m.broadcast_to(m.ones(1), 2**40), m.broadcast_to(m.ones(1), 2**40)
        ),
    ],
)
def test_overflowing_sizes(call):
    kinds = (ValueError, MemoryError, OverflowError, IndexError, TypeError)
    with pytest.raises(kinds):
        call(np)
    with pytest.raises(kinds) as found:
        call(pa)
    assert str(found.value) or isinstance(found.value, MemoryError)


def test_huge_steps_do_not_overflow():
    x = pa.arange(5)
    assert x[:: 2**62].tolist() == [0]
    assert x[:: -(2**62)].tolist() == [4]
    assert x[-(2**62) : 2**62].tolist() == [0, 1, 2, 3, 4]


BAD_CALLS = [
    lambda m: m.ones((2, 3)) + m.ones((3, 2)),
    lambda m: m.ones((2, 3)) @ m.ones((2, 3)),
    lambda m: m.ones((2, 3)).sum(axis=5),
    lambda m: m.ones((2, 3)).sum(axis=(0, -2)),
    lambda m: m.concatenate([m.ones(2), m.ones((2, 2))]),
    lambda m: m.concatenate([]),
    lambda m: m.concatenate([m.ones((2, 3)), m.ones((3, 2))]),
    lambda m: m.concatenate([m.ones(())]),
    lambda m: m.concatenate([m.ones(2)], axis=1),
    lambda m: m.stack([m.ones(2), m.ones(3)]),
    lambda m: m.stack([]),
    lambda m: m.stack([m.ones(2)], axis=5),
    lambda m: m.broadcast_to(m.ones(3), (2, 2)),
    lambda m: m.broadcast_to(m.ones((2, 2)), 2),
    lambda m: m.broadcast_to(m.ones(1), -1),
    lambda m: m.where([True], m.ones(2)),
    lambda m: m.where([True, False, True], m.ones(2), 1.0),
    lambda m: m.take(m.ones(0), [0]),
    lambda m: m.take_along_axis(m.ones((2, 2)), m.array([[5]]), 1),
    lambda m: m.searchsorted(m.ones((2, 2)), 1.0),
    lambda m: m.argmax(m.ones((0, 2)), axis=0),
    lambda m: m.max(m.ones((0, 2)), axis=0),
    lambda m: m.sort(m.ones(())),
    lambda m: m.sort(m.ones(3), axis=1),
    lambda m: m.split(m.ones(3), 2),
    lambda m: m.moveaxis(m.ones((2, 2)), 0, 5),
    lambda m: m.expand_dims(m.ones(2), 5),
    lambda m: m.cumsum(m.ones(2), axis=1),
    lambda m: m.left_shift(m.ones(2), 1),
    lambda m: m.sum(m.ones(2), dtype="U1"),
    lambda m: m.sum(m.ones(2), out=[0.0]),
    lambda m: m.einsum("ij,jk", m.ones((2, 2)), m.ones((3, 2))),
    lambda m: m.tensordot(m.ones((2, 3)), m.ones((2, 3)), 1),
]


@pytest.mark.parametrize("call", BAD_CALLS, ids=range(len(BAD_CALLS)))
def test_numpys_exception_types(call):
    with pytest.raises(Exception) as wanted:
        call(np)
    kinds = (np.exceptions.AxisError, IndexError, TypeError, ValueError)
    kind = next(k for k in kinds if isinstance(wanted.value, k))
    with pytest.raises(kind) as found:
        call(pa)
    assert str(found.value)


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.__setitem__(slice(None), np.ones(7)),
        lambda x: x.__setitem__([0, 9], 1.0),
        lambda x: x.__setitem__(0, "a"),
        lambda x: x.__setitem__(0, [1.0, 2.0]),
        lambda x: x.__iadd__(np.ones(7)),
        lambda x: x.__iadd__(1j),
        lambda x: pa.add(x, np.ones(7), out=x),
        lambda x: x.fill("a"),
        lambda x: x.put([99], 1.0),
        lambda x: pa.add.at(x, [0, 99], 1.0),
        lambda x: x.sort(axis=4),
        lambda x: x.resize(-1),
        lambda x: setattr(x, "shape", (3,)),
    ],
)
def test_failed_writes_change_nothing(write):
    x = pa.arange(4.0)
    with pytest.raises((TypeError, ValueError, IndexError, AttributeError)):
        write(x)
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert x.shape == (4,)


def test_overlapping_out():
    a = np.arange(8.0)
    x = pa.asarray(a.copy())
    np.add(a[:-1], a[1:], out=a[1:])
    pa.add(x[:-1], x[1:], out=x[1:])
    assert x.tolist() == a.tolist()
    m = np.arange(9.0).reshape(3, 3)
    y = pa.array(m)
    pa.matmul(y, y.T, out=y)
    np.testing.assert_allclose(np.asarray(y), m @ m.T)
    z = pa.asarray(np.lib.stride_tricks.as_strided(np.arange(4.0), (3, 2), (8, 8)))
    z += 1  # elements that share memory: whichever is written last stays
    assert np.isfinite(np.asarray(z)).all()


def test_nan_goes_through():
    x = pa.array([1.0, np.nan, 3.0])
    assert np.isnan(x.sum().item())
    assert np.isnan(x.max().item())
    assert x.argmax().item() == 1
    assert (x == x).tolist() == [True, False, True]
    assert np.isnan(pa.sort(x)[-1].item())
    assert bool(pa.array(np.nan))


def test_arrays_refuse_attributes():
    x = pa.zeros(2)
    with pytest.raises(AttributeError):
        x.nonsense = 1
    with pytest.raises(AttributeError):
        _ = x.nonsense


# ---- every allocation in turn ----


def program():
    x = pa.array([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]])
    y = pa.ones((2, 3))
    y += x * 2.0 - 1
    y[0] = x[1, ::-1]
    y[x > 4] = 7.0
    y[:, [0, 2]] = x[:, [2, 0]]
    z = pa.concatenate([x, y], axis=1) @ pa.linspace(0, 1, 6)
    t = pa.where(z > 1, z, 0.0).sum() + x.max(axis=0).min() + y.cumsum()[-1]
    u = pa.sort(x, axis=1).T.reshape(-1).astype("float32").copy()
    u[1:] += u[:-1]
    pa.add.at(u, [0, 0], 1.0)
    return float(t), u.tolist(), repr(z), x.argmax().item(), pa.exp(x, out=y).tolist()


def test_every_allocation_may_fail():
    wanted = program()
    gc.collect()
    before = _core.live()
    bytes_before = _core.mem_stats()["bytes_live"]
    failures = 0
    for n in range(1, 2000):
        _core._fail_alloc(n)
        try:
            found = program()
        except MemoryError:
            failures += 1
            continue
        finally:
            pending = _core._fail_alloc(0)
        if pending:
            assert found == wanted
            break
        failures += 1  # it failed where the program could go on without
        assert found == wanted
    else:
        pytest.fail("the program asks for memory without end")
    assert failures > 20
    gc.collect()
    assert _core.live() == before
    assert _core.mem_stats()["bytes_live"] <= bytes_before + 65536
    assert program() == wanted


@pytest.mark.parametrize("call", BAD_CALLS, ids=range(len(BAD_CALLS)))
def test_errors_leak_nothing(call):
    def attempt():
        with pytest.raises((TypeError, ValueError, IndexError)):
            call(pa)

    for _ in range(3):
        attempt()
    gc.collect()
    before = _core.live()
    for _ in range(10):
        attempt()
    gc.collect()
    assert _core.live() == before
