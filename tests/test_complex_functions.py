"""The scalar functions of csrc/ops on complex numbers against NumPy and mpmath."""

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpc

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "tests/csrc/complex_loops.c", ROOT / "csrc/ops/special.c"]
FLAGS = "-std=c11 -O3 -Wall -Wextra -Werror -fPIC -shared -ffp-contract=off".split()
FLAGS += ["-fno-math-errno", "-fno-trapping-math"]
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS.append("-march=native")
DTYPES = {"c128": np.complex128, "c64": np.complex64}
PARTS = {np.complex128: np.float64, np.complex64: np.float32}
REAL = ("abs", "abs2", "angle", "real", "imag")
BOOL = ("isnan", "isinf", "isfinite", "eq", "ne", "lt", "le", "gt", "ge")

UNARY = (
    "neg conj square reciprocal sign exp exp2 expm1 log log2 log10 log1p sqrt sin cos "
    "tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh "
    "sinc abs angle rint"
).split()


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to build the functions with")
    path = tmp_path_factory.mktemp("functions") / "complex.so"
    command = [compiler, *FLAGS, f"-I{ROOT / 'csrc'}", *map(str, SOURCES)]
    subprocess.run([*command, "-o", str(path), "-lm"], check=True)
    library = ctypes.CDLL(str(path))

    def call(name, *arrays):
        arrays = np.broadcast_arrays(*arrays)
        arrays = [np.ascontiguousarray(a) for a in arrays]
        dtype = arrays[0].dtype.type
        result = PARTS[dtype] if name in REAL else bool if name in BOOL else dtype
        out = np.empty(arrays[0].shape, result)
        suffix = "c128" if dtype is np.complex128 else "c64"
        function = getattr(library, f"loop_{name}_{suffix}")
        function.restype = None
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
        function(*pointers, ctypes.c_int64(out.size))
        return out

    return call


def numpy_name(name):
    names = {"neg": "negative", "mul": "multiply", "sub": "subtract", "div": "divide"}
    names |= {"pow": "power", "eq": "equal", "ne": "not_equal", "lt": "less"}
    names |= {"le": "less_equal", "gt": "greater", "ge": "greater_equal"}
    return getattr(np, names.get(name, name))


def numbers(dtype, count=400):
    """Plain ones, and ones whose parts differ by many powers of two."""
    rng = np.random.default_rng(3)
    small, large = (-60, 8) if dtype is np.complex128 else (-30, 5)
    plain = rng.normal(size=count) + 1j * rng.normal(size=count)
    sizes = np.exp2(rng.uniform(small, large, (2, count)))
    sizes *= rng.choice([-1, 1], (2, count))
    return np.concatenate([plain, sizes[0] + 1j * sizes[1]]).astype(dtype)


# where NumPy itself loses digits
INEXACT = ("log1p", "sinc")


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize(
    "name", [n for n in (*UNARY, "add", "sub", "mul", "div", "pow") if n not in INEXACT]
)
def test_values(functions, name, kind):
    dtype = DTYPES[kind]
    z = numbers(dtype)
    arguments = [z] if name in UNARY else [z, z[::-1].copy()]
    if name == "pow":
        arguments[1] = np.round(arguments[1].real.clip(-9, 9) * 4) / 4 + 0j
        arguments[1] = arguments[1].astype(dtype)
    wide = [a.astype(np.complex128) for a in arguments]
    with np.errstate(all="ignore"):
        expected = numpy_name(name)(*wide)
    finite = np.isfinite(expected) & (np.abs(expected) < np.finfo(dtype).max / 4)
    result = functions(name, *arguments)
    size = np.maximum(np.abs(expected[finite]), np.finfo(dtype).tiny)
    error = np.abs(result[finite] - expected[finite]) / size
    assert error.max() <= (64 if name == "pow" else 8) * np.finfo(dtype).eps


EXACT = {"exp": mpmath.exp, "log": mpmath.log, "sqrt": mpmath.sqrt, "abs": abs}
EXACT["log1p"] = lambda z: mpmath.log(1 + z)


@pytest.mark.parametrize("name", EXACT)
def test_each_part_is_accurate(functions, name):
    z = numbers(np.complex128, 100)
    unit = np.exp(2j * np.pi * np.linspace(0.01, 0.99, 60))  # log|z| is near 0 there
    z = np.concatenate([z, unit, unit * (1 + 1e-9)])
    if name == "log1p":
        z = np.concatenate([z, unit - 1, 1e-3 * unit, -1e-12 + 1e-6j * unit.real])
    result = functions(name, z)
    with mp.workdps(60):
        exact = [EXACT[name](mpc(complex(t))) for t in z]
        real = np.array([float(mpmath.re(e)) for e in exact])
        imag = np.array([float(mpmath.im(e)) for e in exact])
    np.testing.assert_allclose(result.real, real, rtol=5e-16, atol=1e-30)
    np.testing.assert_allclose(result.imag, imag, rtol=5e-16, atol=1e-307)


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 800.0, -800.0]


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize(
    "name", [n for n in UNARY if n not in ("sinc", "log1p", "exp2")]
)
def test_special_values_follow_numpy(functions, name, kind):
    dtype = DTYPES[kind]
    z = np.array([complex(a, b) for a in SPECIAL for b in SPECIAL], dtype)
    with np.errstate(all="ignore"):
        expected = numpy_name(name)(z)
    result = functions(name, z)
    if name in ("expm1", "log2", "log10", "sign", "reciprocal", "square"):
        # NumPy's own formulas give NaN in other places from one build to the next
        keep = np.isfinite(z) & np.isfinite(expected)
        result, expected, z = result[keep], expected[keep], z[keep]
    eps = np.finfo(dtype).eps
    for part in ("real", "imag") if result.dtype.kind == "c" else ("real",):
        got, wanted = getattr(result, part), getattr(expected, part)
        wrong = ~np.isclose(got, wanted, rtol=8 * eps, atol=0, equal_nan=True)
        assert not wrong.any(), (z[wrong], result[wrong], expected[wrong])
        ordered = ~np.isnan(wanted) & np.isfinite(z)
        same_sign = np.signbit(got) == np.signbit(wanted)
        wrong = ordered & ~same_sign
        assert not wrong.any(), (z[wrong], result[wrong], expected[wrong])


@pytest.mark.parametrize("kind", DTYPES)
def test_tests_and_extremes_follow_numpy(functions, kind):
    values = [0.0, 1.0, -1.0, np.inf, np.nan]
    z = np.array([complex(a, b) for a in values for b in values], DTYPES[kind])
    x, y = (np.ascontiguousarray(g.ravel()) for g in np.meshgrid(z, z))
    for name in ("isnan", "isinf", "isfinite"):
        np.testing.assert_array_equal(functions(name, z), numpy_name(name)(z))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        with np.errstate(all="ignore"):
            expected = numpy_name(name)(x, y)
        np.testing.assert_array_equal(functions(name, x, y), expected, name)
    for name in ("maximum", "minimum", "fmax", "fmin"):
        with np.errstate(all="ignore"):
            expected = numpy_name(name)(x, y)
        np.testing.assert_array_equal(functions(name, x, y), expected, name)


def test_no_spurious_overflow(functions):
    big = np.array([1e300 + 1e300j, 1e-300 - 1e-300j, 1e308 + 1e308j, 3e-310 + 1e-310j])
    np.testing.assert_allclose(functions("div", big[:2], big[:2]), 1, rtol=1e-14)
    np.testing.assert_allclose(functions("abs", big), np.abs(big), rtol=1e-15)
    np.testing.assert_allclose(functions("sqrt", big), np.sqrt(big), rtol=1e-15)
    np.testing.assert_allclose(functions("log", big), np.log(big), rtol=1e-15)
    z = np.array([900 + 1e-200j, 720 + 1.5707963267948966j, -745.5 + 0.1j])
    with np.errstate(over="ignore"):
        result, expected = functions("exp", z), np.exp(z)
    np.testing.assert_allclose(result.real, expected.real, rtol=1e-15)
    np.testing.assert_allclose(result.imag, expected.imag, rtol=1e-15)


@pytest.mark.parametrize("kind", DTYPES)
def test_sinc(functions, kind):
    z = numbers(DTYPES[kind], 100)
    z = z[np.abs(z.imag) < 25]
    with mp.workdps(40):
        expected = np.array([complex(mpmath.sincpi(mpc(complex(t)))) for t in z])
    error = np.abs(functions("sinc", z) - expected) / np.abs(expected)
    assert error.max() <= 64 * np.finfo(DTYPES[kind]).eps  # pi z is rounded


def test_large_angles(functions):
    z = 1 + 1j * np.exp2(np.linspace(31, 1000, 50))
    np.testing.assert_allclose(functions("exp_any", z), np.exp(z), rtol=1e-15)
