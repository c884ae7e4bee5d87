"""A second device, whose memory the core must never touch: tests/csrc/dummy_device.c.

Its pointers fault when they are followed, so these tests pass only if arrays, ops and
derivatives reach memory through the device table alone.
"""

import ctypes
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import pyarr as pa
from pyarr import _core

ROOT = Path(__file__).resolve().parent.parent
NAMES = ["allocations", "frees", "bytes", "to_host", "from_host", "waits"]
NAMES += ["programs", "primitives", "strangers"]


class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in NAMES]


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    """Registers the device once for the process; gives its counters."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None or not (ROOT / "csrc").is_dir():
        pytest.skip("no C compiler, or no sources")
    target = tmp_path_factory.mktemp("dummy") / "dummy.so"
    source = ROOT / "tests" / "csrc" / "dummy_device.c"
    flags = ["-std=c11", "-O1", "-shared", "-fPIC", f"-I{ROOT / 'csrc'}"]
    command = [*compiler, *flags, str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(target))
    library.dummy_device.restype = ctypes.c_void_p
    library.dummy_device.argtypes = [ctypes.c_void_p]
    address = library.dummy_device(_core._device_address("cpu"))
    if "dummy" not in pa.devices():
        _core._register_device(address)
    yield Counts.in_dll(library, "dummy_counts")
    # The library must outlive every array on the device: it is never unloaded.


@pytest.fixture(autouse=True)
def only_own_memory(counts):
    before = counts.strangers
    yield
    assert counts.strangers == before, "an operand was not memory of the device"


def on_dummy(x):
    return pa.asarray(x).to("dummy")


def host(x):
    return np.asarray(x.to("cpu"))


def test_moving_there_and_back(counts):
    assert "dummy" in pa.devices()
    x = np.arange(6.0).reshape(2, 3)
    before = counts.from_host
    y = on_dummy(x)
    assert counts.from_host > before
    assert y.device == "dummy" and y.shape == (2, 3) and y.dtype == x.dtype
    np.testing.assert_array_equal(host(y), x)
    assert y.to("dummy") is y or y.to("dummy").device == "dummy"
    np.testing.assert_array_equal(host(on_dummy(x.T)), x.T)
    np.testing.assert_array_equal(host(on_dummy(x)[:, ::-2].T), x[:, ::-2].T)
    assert host(on_dummy(np.zeros((0, 3)))).shape == (0, 3)


def test_no_array_interface():
    x = on_dummy([1.0, 2.0])
    for reach in (np.asarray, memoryview, lambda a: a.__array__()):
        with pytest.raises((TypeError, BufferError), match=r"\.to\(.cpu.\)"):
            reach(x)
    with pytest.raises(TypeError, match=r"\.to\(.cpu.\)"):
        np.asarray(x)
    assert "1." in repr(x) and "2." in str(x)


def test_unknown_device():
    with pytest.raises(ValueError, match="moon"):
        pa.ones(3).to("moon")


def test_elementwise(counts):
    x = np.linspace(0.1, 2, 12).reshape(3, 4)
    a, b = on_dummy(x), on_dummy(x[0])
    before = counts.programs
    got = pa.exp(a) * b + 2 - a / 3
    assert got.device == "dummy" and counts.programs > before
    np.testing.assert_allclose(host(got), np.exp(x) * x[0] + 2 - x / 3, rtol=1e-15)
    np.testing.assert_array_equal(
        host(pa.where(a > 1, a, -b)), np.where(x > 1, x, -x[0])
    )
    np.testing.assert_array_equal(host(a.astype("float32")), x.astype("f4"))
    np.testing.assert_array_equal(host(a[1:, ::2] * 2), x[1:, ::2] * 2)


def test_default_device():
    with pa.config(device="dummy"):
        a = pa.ones((2, 3))
        b = pa.arange(3.0)
        assert a.device == b.device == "dummy"
        c = a * b
        d = pa.linspace(0, 1, 3) + pa.eye(3).sum() + pa.asarray([1, 2, 3])
    assert c.device == d.device == "dummy" and pa.ones(2).device == "cpu"
    np.testing.assert_array_equal(host(d), [4.0, 5.5, 7.0])
    np.testing.assert_array_equal(host(c), np.ones((2, 3)) * np.arange(3.0))


def test_primitives(counts):
    rng = np.random.default_rng(3)
    x, m = rng.normal(size=(4, 5)), rng.normal(size=(5, 5))
    spd = m @ m.T + 5 * np.eye(5)
    a, s = on_dummy(x), on_dummy(spd)
    before = counts.primitives
    np.testing.assert_allclose(host(a.sum(axis=0)), x.sum(axis=0), rtol=1e-14)
    np.testing.assert_allclose(host(a @ on_dummy(m)), x @ m, rtol=1e-13)
    np.testing.assert_allclose(float(a.max()), x.max())
    np.testing.assert_array_equal(host(pa.sort(a, axis=1)), np.sort(x, axis=1))
    np.testing.assert_array_equal(host(pa.argsort(a, axis=0)), np.argsort(x, axis=0))
    np.testing.assert_array_equal(host(pa.cumsum(a, axis=1)), np.cumsum(x, axis=1))
    np.testing.assert_array_equal(
        host(pa.concatenate([a, a[:1]])), np.concatenate([x, x[:1]])
    )
    np.testing.assert_allclose(
        host(pa.linalg.cholesky(s)), np.linalg.cholesky(spd), rtol=1e-12
    )
    assert counts.primitives >= before + 8


def test_indexing():
    x = np.arange(20.0).reshape(4, 5)
    a = on_dummy(x)
    pick = np.array([0, -1, 2])
    np.testing.assert_array_equal(host(a[on_dummy(pick)]), x[pick])
    np.testing.assert_array_equal(host(a[:, pick]), x[:, pick])
    np.testing.assert_array_equal(host(a[2]), x[2])
    assert float(a[1, 2]) == 7.0
    with pytest.raises(
        IndexError, match="index 9 is out of bounds for axis 0 with size 4"
    ):
        a[np.array([9])]


def test_writing():
    x = np.arange(12.0).reshape(3, 4)
    a = on_dummy(x)
    expected = x.copy()
    a[1, ::2] = 7
    expected[1, ::2] = 7
    a[:, 3] = on_dummy(np.ones(3))
    expected[:, 3] = 1
    a[np.array([0, 2])] += 1
    expected[np.array([0, 2])] += 1
    a *= 2
    expected *= 2
    np.testing.assert_array_equal(host(a), expected)
    a[1:] = a[:-1]
    expected[1:] = expected[:-1].copy()
    np.testing.assert_array_equal(host(a), expected)


def test_derivatives():
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(6, 3)), rng.normal(size=3)

    def loss(w, x):
        r = pa.tanh(x @ w)
        return (r * r).sum() + pa.log(1 + pa.exp(w)).mean()

    value, slope = pa.value_and_grad(loss)(on_dummy(w), on_dummy(x))
    assert slope.device == "dummy"
    expected_value, expected = pa.value_and_grad(loss)(w, x)
    np.testing.assert_allclose(float(value), float(expected_value), rtol=1e-14)
    np.testing.assert_allclose(host(slope), np.asarray(expected), rtol=1e-13)


def test_derivative_of_writing():
    def f(t):
        y = pa.zeros(4).to("dummy") if t.device == "dummy" else pa.zeros(4)
        y[1:3] = t * t
        y[0] = t[1]
        return (y * pa.exp(y)).sum()

    t = np.array([0.5, -1.0])
    got = pa.grad(f)(on_dummy(t))
    np.testing.assert_allclose(host(got), np.asarray(pa.grad(f)(t)), rtol=1e-14)


def test_backward():
    t = on_dummy([1.0, 2.0, 3.0]).requires_grad_()
    (t * t * t).sum().backward()
    assert t.grad.device == "dummy"
    np.testing.assert_allclose(host(t.grad), [3.0, 12.0, 27.0])


def test_nothing_left(counts):
    before = counts.bytes
    a = on_dummy(np.ones(100))
    pa.grad(lambda v: (v * v).sum())(a)
    assert counts.bytes >= before + 800
    del a
    assert counts.bytes == before
