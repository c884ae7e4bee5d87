"""Fourier transforms against numpy.fft; derivatives; padding; threads."""

import threading

import mpmath
import numpy as np
import pytest
import scipy.fft
from comparing import check_derivatives, compare, same

import pyarr as pa
from pyarr import _core

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


# ---- the core's own transforms ----

SIZES = [*range(1, 41), 49, 64, 65, 77, 121, 128, 143, 169, 243, 256, 343, 500, 512]
SIZES += [625, 720, 1000, 1001, 1024, 2048, 2187, 4096, 67, 1009, 2053]


def error_of(n, dtype, sign, lines=5):
    """Largest error over the largest element, in units of eps log2(n)."""
    rng = np.random.default_rng(n)
    z = (rng.normal(size=(lines, n)) + 1j * rng.normal(size=(lines, n))).astype(dtype)
    names = {-1: "fft", 1: "ifft"}
    exact = getattr(scipy.fft, names[sign])(z.astype(np.clongdouble))
    got = np.asarray(getattr(pa.fft, names[sign])(z))
    assert got.dtype == dtype
    error = np.abs(got - exact).max() / np.abs(exact).max()
    return float(error / np.finfo(dtype).eps / np.log2(n + 1))


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
@pytest.mark.parametrize("sign", [-1, 1])
def test_accuracy(dtype, sign):
    assert max(error_of(n, dtype, sign) for n in SIZES) < 0.7


@pytest.mark.parametrize("n", [12, 35, 64, 143])
def test_accuracy_against_mpmath(n):
    z = np.random.default_rng(n).normal(size=n)
    got = np.asarray(pa.fft.fft(z))
    with mpmath.workdps(40):
        for k in range(n):
            terms = [z[j] * mpmath.expjpi(-2 * mpmath.mpf(j * k) / n) for j in range(n)]
            assert abs(got[k] - complex(mpmath.fsum(terms))) < 5e-16 * n


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_any_layout(axis, dtype):
    rng = np.random.default_rng(axis)
    for shape in [(3, 17, 20), (9, 8, 7), (1, 33, 2), (16, 5, 16), (2, 1, 1)]:
        z = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
        layouts = [z, z.T, z[::-1, :, ::-1], z[:, ::2], z.swapaxes(0, 1), z[..., ::3]]
        layouts.append(np.broadcast_to(z[:1], shape))
        for x in layouts:
            same(pa.fft.fft(pa.asarray(x), axis=axis), scipy.fft.fft(x, axis=axis))


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_few_of_many(dtype):
    """Few elements given and wanted of long transforms, prime lengths among them, and many of
    either beside few of the other."""
    rng = np.random.default_rng(8)
    for n, first, count, out_first, keep in [
        (1650, 0, 257, 0, 100),
        (3300, 7, 513, 3290, 100),
        (3300, 3290, 100, 7, 513),
        (3300, 7, 1025, 3290, 100),
        (3300, 3290, 100, 7, 1025),
        (100_003, 99_000, 1500, 77_777, 33),
        (100_003, 77_777, 33, 99_000, 1501),
        (4099, 4000, 150, 4050, 90),
        (4099, 4000, 151, 4050, 90),
        (4099, 4000, 90, 4050, 151),
        (4099, 4000, 91, 4050, 151),
        (100_003, 99_990, 40, 77_777, 33),
        (2**31 - 1, 2**31 - 4, 5, 2**30, 6),
        (1 << 20, 5, 1, 1000, 1),
    ]:
        z = (rng.normal(size=(9, count)) + 1j).astype(dtype)
        params = [-1, 0, 1, 1, n, first, out_first, keep]
        a = (first + np.arange(count, dtype=object)) % n
        b = (out_first + np.arange(keep, dtype=object)) % n
        turns = (np.outer(a, b) % n / n).astype(float)
        got = np.asarray(_core.apply("fft_c2c", pa.asarray(z), params=params))
        exact = z.astype(complex) @ np.exp(-2j * np.pi * turns)
        error = np.abs(got - exact).max() / np.abs(z).max() / count
        assert error < 3 * np.finfo(dtype).eps


@pytest.mark.parametrize(("count", "keep"), [(300, 40), (40, 300), (41, 301), (1, 200)])
def test_narrow_transforms_are_accurate(count, keep):
    """Where few elements of a long transform are given and wanted, their matrix is a product of
    two thin ones: as accurate as other transforms, each of all lines alike."""
    n = 5000
    rng = np.random.default_rng(count)
    z = rng.normal(size=(21, count)) + 1j * rng.normal(size=(21, count))
    z[4, count // 2] = np.inf
    places = [np.arange(k, dtype=np.longdouble) for k in (count, keep)]
    angles = np.outer(*places) / n * 2 * np.arccos(np.longdouble(-1))
    finite = np.delete(np.arange(21), 4)
    exact = z[finite] @ (np.cos(angles) + 1j * np.sin(angles))
    columns = pa.asarray(np.ascontiguousarray(z.T))
    params = [1, 0, 1, 0, n, 0, 0, keep]
    got = np.asarray(_core.apply("fft_c2c", columns, params=params)).T
    size = np.linalg.norm(z[finite], axis=1, keepdims=True)
    assert np.abs((got[finite] - exact) / size).max() < 1e-14
    assert not np.isfinite(got[4]).any()
    for line in range(21):
        alone = _core.apply("fft_c2c", columns[:, line : line + 1], params=params)
        assert np.array_equal(np.asarray(alone)[:, 0], got[line], equal_nan=True)


def windowed(z, sign, windows):
    """What fft_c2c does, with the padding and the cuts written out."""
    for axis, n, first, out_first, keep in windows:
        z = np.moveaxis(z, axis, 0)
        full = np.zeros((n, *z.shape[1:]), z.dtype)
        full[(first + np.arange(len(z))) % n] = z
        full = (np.fft.fft if sign < 0 else np.fft.ifft)(full, axis=0)
        z = np.moveaxis(full[(out_first + np.arange(keep)) % n], 0, axis)
    return z


def random_window(rng, axis, size):
    n = size + int(rng.choice([0, 1, 5, 30, 64 - size, 97 - size]))
    first, out_first = (int(rng.integers(n)) for _ in range(2))
    return axis, n, first, out_first, int(rng.integers(1, n + 1))


@pytest.mark.parametrize("seed", range(60))
def test_parts_of_padded_transforms(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 24, size=3))
    z = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    axes = rng.permutation(3)[: rng.integers(1, 4)]
    windows = [random_window(rng, int(axis), shape[axis]) for axis in axes]
    sign = int(rng.choice([-1, 1]))
    params = [sign, 0 if sign < 0 else 2, len(windows), *sum(windows, ())]
    whole = windowed(z, sign, windows)
    same(_core.apply("fft_c2c", pa.asarray(z), params=params), whole)

    # The derivative is the transposed transform, <g, T z> = <T' g, z>.
    g = rng.normal(size=whole.shape) + 1j * rng.normal(size=whole.shape)
    _, back = pa.vjp(lambda z: _core.apply("fft_c2c", z, params=params), pa.asarray(z))
    (cotangent,) = back(pa.asarray(g))
    np.testing.assert_allclose(
        np.sum(np.asarray(cotangent).conj() * z), np.sum(g.conj() * whole), rtol=1e-11
    )


@pytest.mark.parametrize("n", [1, 2, 16, 30, 34])
def test_nothing_given_or_wanted(n):
    same(pa.fft.fft(np.zeros((3, 0)), n), np.zeros((3, n), complex))
    same(pa.fft.fft2(np.zeros((0, 4)), (n, n)), np.zeros((n, n), complex))
    same(pa.fft.fft(np.zeros((0, 4)), n), np.zeros((0, n), complex))


@pytest.mark.parametrize(
    "window",
    [
        (0, 4, 0, 0, 4),
        (0, 8, 8, 0, 8),
        (0, 8, 0, -1, 8),
        (0, 8, 0, 0, 9),
        (1, 8, 0, 0, 8),
    ],
)
def test_impossible_parts(window):
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        _core.apply("fft_c2c", pa.asarray(V + 0j), params=[-1, 0, 1, *window])


def test_too_long():
    for call in (pa.fft.fft, pa.fft.rfft, pa.fft.irfft):
        with pytest.raises(ValueError, match="too big"):
            call(V, 2**61)


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_threads_do_not_change_results(dtype):
    z = np.random.default_rng(0).normal(size=(3, 180, 203)) * (1 + 2j)
    z = pa.asarray(z.astype(dtype))
    threads = pa.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3, 7):
            pa.set_num_threads(count)
            results.append(np.asarray(pa.fft.fft2(z, (400, 210))))
    finally:
        pa.set_num_threads(threads)
    assert all(np.array_equal(results[0], one) for one in results)


def test_a_line_does_not_depend_on_its_neighbours():
    z = RNG.normal(size=(29, 120)) + 1j * RNG.normal(size=(29, 120))
    together = np.asarray(pa.fft.fft(z))
    columns = np.asarray(pa.fft.fft(np.ascontiguousarray(z.T), axis=0)).T
    alone = np.array([np.asarray(pa.fft.fft(line)) for line in z])
    assert np.array_equal(together, columns)
    assert np.array_equal(together, alone)


def test_many_lengths_from_many_threads():
    """More lengths than plans are kept, used by several threads at once."""
    lengths = [n for n in range(2, 90) if scipy.fft.next_fast_len(n) == n]
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for n in rng.permutation(lengths * 3):
            z = rng.normal(size=(4, n)) + 1j
            if not np.allclose(pa.fft.fft(z), np.fft.fft(z), atol=1e-12):
                wrong.append(n)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert wrong == []


def transforms_of(f, x):
    """Shapes of the transforms in the plan of f and its gradient."""
    found = []

    def look(x):
        value, gradient = pa.value_and_grad(f)(x)
        found.append(_core.simplified([value, gradient])[0])
        return pa.sum(gradient)

    pa.value_and_grad(look)(x)
    lines = [line for line in found[0].splitlines() if "fft_c2c" in line]
    return [line.split("(", 2)[2].split(")")[0] for line in lines]


def test_what_slices_throw_away_is_not_transformed():
    x = RNG.normal(size=(4, 5))

    def both(x):
        z = pa.fft.fft(pa.fft.fft(x * 1j, 64)[:, 3:10], 32, axis=0)[2:8]
        return pa.sum(pa.real(z) ** 2 + pa.imag(z) ** 2 * pa.abs(z))

    # Forward 4 x 5 -> 4 x 7 -> 6 x 7, and back.
    assert transforms_of(both, x) == ["4, 7", "6, 7", "4, 7", "4, 5"]
    check_derivatives(both, x, tol=1e-6)

    def whole_too(x):
        z = pa.fft.fft(x * 1j, 16)
        return pa.sum(pa.abs2(z[:, :3])) + pa.sum(pa.abs2(z) ** 2)

    assert transforms_of(whole_too, x)[0] == "4, 16"
    check_derivatives(whole_too, x, tol=1e-6)

    def steps_and_other_axes(x):
        z = pa.fft.fft(x * 1j, 16)
        return pa.sum(pa.abs2(z[:, ::3])) + pa.sum(pa.abs2(pa.fft.fft(x, 8)[1:3]))

    found = transforms_of(steps_and_other_axes, x)
    assert sorted(found) == ["4, 16", "4, 5", "4, 5", "4, 8"]
    check_derivatives(steps_and_other_axes, x, tol=1e-6)


# ---- derivatives ----

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
        lambda x: pa.fft.fft2(x * x, (8, 11))[:3, 2:7],
        lambda x: pa.fft.ifft2(x * x, (6, 34))[1:, 30:],
        lambda x: pa.fft.fft(pa.fft.fft(x, 9)[:, :4], 7, axis=0)[2:4] ** 2,
        lambda x: pa.fft.fftshift(pa.fft.fft2(x, (8, 8)))[2:6, 3:5] ** 2,
        lambda x: pa.fft.fft(x, axis=0)[::2] * pa.fft.fft(x)[1::3, 0:1],
        lambda x: pa.fft.irfft(x, 16) ** 2,
        lambda x: pa.fft.irfft(x, 9) ** 2,
        lambda x: pa.fft.ifftn(pa.fft.fftn(x, (7, 6)) ** 2)[:4, :5],
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
        lambda x: pa.fft.irfft2(pa.fft.rfft2(x, (8, 10)) ** 2, (8, 10))[:4, 3:],
        lambda x: pa.fft.rfft2(x**2, (7, 17))[:, :4],
    ],
)
def test_derivatives_of_real_transforms(f):
    check_derivatives(f, RNG.normal(size=(4, 5)), tol=1e-6)


# ---- halves of real transforms ----

LINES = [(5, 2), (4, 4), (33, 6), (7, 64), (3, 9, 250), (6, 4096), (4, 20_000), (3, 50)]


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", LINES)
def test_real_lines(shape, dtype, norm):
    x = np.random.default_rng(7).normal(size=shape).astype(dtype)
    tolerance = 20 * np.finfo(dtype).eps
    for n in (shape[-1], shape[-1] + 4, 2 * (shape[-1] // 3 + 1)):
        for forward, back in (("rfft", "irfft"), ("ihfft", "hfft")):
            z = getattr(scipy.fft, forward)(x.astype(float), n, norm=norm)
            got = np.asarray(getattr(pa.fft, forward)(pa.asarray(x), n, norm=norm))
            scale = np.max(np.abs(z))
            np.testing.assert_allclose(got, z, rtol=0, atol=tolerance * scale)
            few = z[..., : max(1, n // 3)].astype(got.dtype)
            for half in (z.astype(got.dtype), few):
                line = getattr(scipy.fft, back)(half.astype(complex), n, norm=norm)
                own = getattr(pa.fft, back)(pa.asarray(half), n, norm=norm)
                assert own.dtype == dtype
                scale = np.max(np.abs(line))
                np.testing.assert_allclose(own, line, rtol=0, atol=tolerance * scale)


def test_real_lines_of_any_layout():
    x = np.random.default_rng(8).normal(size=(6, 10, 34))
    for view in (x[:, ::-2], x.transpose(1, 0, 2), x[..., 1:33], x[..., ::2], x.T):
        z = np.fft.rfft(view)
        np.testing.assert_allclose(pa.fft.rfft(view), z, rtol=0, atol=1e-13)
        wide = np.repeat(z, 2, axis=-1)[..., ::2]
        np.testing.assert_allclose(
            pa.fft.irfft(wide, view.shape[-1]), view, rtol=0, atol=1e-14
        )


def test_a_real_line_does_not_depend_on_its_neighbours_or_threads():
    x = np.random.default_rng(9).normal(size=(300, 256))
    alone = [np.asarray(pa.fft.rfft(np.tile(row, (4, 1))))[0] for row in x[:3]]
    x[3:] *= 1e200
    before = pa.get_num_threads()
    try:
        for threads in (1, 2, 3):
            pa.set_num_threads(threads)
            found = np.asarray(pa.fft.rfft(x))
            np.testing.assert_array_equal(found[:3], alone)
    finally:
        pa.set_num_threads(before)


def test_derivatives_of_real_transforms_are_real_transforms():
    x = np.random.default_rng(10).normal(size=(8, 64))
    power = pa.value_and_grad(lambda t: pa.sum(pa.abs(pa.fft.rfft(t * 2.0)) ** 2))
    plan = pa.explain(power)(x).plans[0]
    assert "fft_c2c" not in [step["name"] for step in plan["steps"]]
    _, gradient = power(x)
    full = np.fft.fft(2 * x)
    full[:, 33:] = 0
    expected = 4 * 64 * np.real(np.fft.ifft(full))
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-9)
