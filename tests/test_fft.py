"""Fourier transforms against numpy.fft; derivatives; padding."""

import numpy as np
import pytest
from comparing import check_derivatives, compare, same

import pyarr as pa

RNG = np.random.default_rng(2)
X = RNG.normal(size=(3, 4, 5))
Z = X + 1j * RNG.normal(size=X.shape)
V = RNG.normal(size=8)
I = RNG.integers(-5, 5, (4, 6))
F = X.astype(np.float32)
COMPLEX = ["fft", "ifft"]
REAL = ["rfft", "ihfft"]
HALF = ["irfft", "hfft"]
MANY = ["fft2", "ifft2", "fftn", "ifftn", "rfft2", "rfftn", "irfft2", "irfftn"]


def inputs(name):
    if name in REAL or name.startswith("rfft"):
        return [X, V, I, F, X.T, X[:, ::-1, ::2]]
    return [Z, X, V, I, F, Z.astype(np.complex64), Z.T, Z[:, ::-1, ::2]]


@pytest.mark.parametrize("name", COMPLEX + REAL + HALF)
@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
def test_one_axis(name, norm):
    for x in inputs(name):
        for n in (None, 1, 3, 7, 16):
            for axis in {-1, 0}:
                compare(f"fft.{name}", x, n=n, axis=axis, norm=norm)


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
def test_several_axes(name, norm):
    for x in inputs(name):
        if x.ndim == 1:
            continue
        for s in (None, (4, 6), (2, 9)):
            for axes in ((-2, -1), (0, 1), (1, 0)):
                compare(f"fft.{name}", x, s=s, axes=axes, norm=norm)
    compare(f"fft.{name}", inputs(name)[0], norm=norm)


@pytest.mark.parametrize(
    "call",
    [
        ("fft", V, 0),
        ("fft", V, -1),
        ("fft", V, None, 3),
        ("fft", V, None, -1, "other"),
        ("fft", np.zeros(0)),
        ("rfft", Z),
        ("rfftn", Z),
        ("irfft", np.zeros(1)),
        ("fftn", X, (2, 3), (0,)),
        ("fftn", X, None, (0, 5)),
        ("fftn", X, None, ()),
        ("fft2", V),
        ("fftfreq", 5, 0.1),
        ("fftfreq", 8),
        ("rfftfreq", 7, 2.0),
        ("fftshift", V),
        ("fftshift", X, 1),
        ("ifftshift", X, (0, 2)),
        ("ifftshift", X),
        ("fftn", X, None, (0, 0)),
        ("fftn", X, (7, -1), (0, 2)),
    ],
    ids=lambda call: call[0],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_calls(call):
    name, *args = call
    compare(f"fft.{name}", *args)


def test_dispatch_and_out():
    assert isinstance(np.fft.fft(pa.asarray(V)), pa.ndarray)
    out = pa.zeros(8, complex)
    assert pa.fft.fft(V, out=out) is out
    same(out, np.fft.fft(V))


def test_threads_do_not_change_results():
    threads = pa.get_num_threads()
    try:
        results = []
        for count in (1, 3):
            pa.set_num_threads(count)
            results.append(np.asarray(pa.fft.fft2(Z)))
    finally:
        pa.set_num_threads(threads)
    assert np.array_equal(*results)


SHIFTED = np.exp(0.3j * np.arange(20)).reshape(4, 5)


@pytest.mark.parametrize("complex_too", [False, True])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: pa.fft.fft(x),
        lambda x: pa.fft.fft(x, 3, norm="ortho"),
        lambda x: pa.fft.ifft(x, 7, axis=0, norm="forward"),
        lambda x: pa.fft.fft2(x, (6, 3)),
        lambda x: pa.fft.ifft2(x * x, (2, 8)),
        lambda x: pa.fft.fftn(x**2, norm="forward"),
        lambda x: pa.fft.irfft(x),
        lambda x: pa.fft.irfft(x, 7, norm="ortho") ** 2,
        lambda x: pa.fft.irfft(x, 6, axis=0) ** 2,
        lambda x: pa.fft.irfft2(x, (3, 6)) ** 2,
        lambda x: pa.fft.hfft(x),
        lambda x: pa.fft.fftshift(x**2),
        lambda x: pa.abs2(pa.fft.fft2(x * SHIFTED)),
    ],
)
def test_derivatives(f, complex_too):
    x = RNG.normal(size=(4, 5))
    if complex_too:
        x = x + 1j * RNG.normal(size=(4, 5))
    check_derivatives(f, x, tol=1e-6)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: pa.fft.rfft(x),
        lambda x: pa.fft.rfft(x**2, 4, norm="forward"),
        lambda x: pa.fft.rfft(x, 9, axis=0),
        lambda x: pa.fft.rfft2(x**2),
        lambda x: pa.fft.ihfft(x),
        lambda x: pa.fft.irfftn(pa.fft.rfftn(x) ** 2, x.shape),
    ],
)
def test_derivatives_of_real_transforms(f):
    check_derivatives(f, RNG.normal(size=(4, 5)), tol=1e-6)
