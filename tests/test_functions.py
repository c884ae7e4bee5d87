"""The scalar functions of csrc/ops against mpmath, NumPy and SciPy, in ulps."""

import ctypes
import platform
import re
import shutil
import subprocess
from pathlib import Path

import mpmath
import numpy as np
import pytest
import scipy.special
from mpmath import mp, mpf

import pyarr

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "tests/csrc/function_loops.c", ROOT / "csrc/ops/special.c"]
FLAGS = "-std=c11 -O3 -Wall -Wextra -Werror -fPIC -shared -ffp-contract=off".split()
FLAGS += ["-fno-math-errno", "-fno-trapping-math"]
X86 = platform.machine() in ("x86_64", "AMD64")
# without and with the fused multiply-add instruction
LEVELS = ["-march=x86-64-v2", "-march=native"] if X86 else ["-O3"]
CTYPES = {np.dtype(np.float64): "f64", np.dtype(np.float32): "f32"}

UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh "
    "tanh arcsinh arccosh arctanh cbrt expit log_expit softplus logit sinc erf erfc"
).split()
BINARY = "pow arctan2 hypot logaddexp logaddexp2 xlogy".split()


class Library:
    """Calls `name(arrays...)` in the library compiled with one set of flags."""

    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))

    def run(self, prefix, name, arrays, size=()):
        out = np.empty_like(arrays[0])
        function = getattr(self.library, f"{prefix}_{name}_{CTYPES[out.dtype]}")
        function.restype = None
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
        function(*pointers, *size)
        return out

    def __call__(self, name, *arrays, dtype=np.float64):
        arrays = np.broadcast_arrays(*[np.asarray(a, dtype) for a in arrays])
        arrays = [np.ascontiguousarray(a) for a in arrays]
        return self.run("loop", name, arrays, (ctypes.c_int64(arrays[0].size),))

    def one(self, name, *values, dtype=np.float64):
        """The scalar function alone, outside any loop."""
        return self.run("one", name, [np.array([v], dtype) for v in values])[0]


@pytest.fixture(scope="module", params=LEVELS)
def functions(request, tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to build the functions with")
    path = tmp_path_factory.mktemp("functions") / "functions.so"
    command = [
        compiler,
        *FLAGS,
        request.param,
        f"-I{ROOT / 'csrc'}",
        *map(str, SOURCES),
    ]
    subprocess.run([*command, "-o", str(path), "-lm"], check=True)
    return Library(path)


def test_straight_lines_vectorise(tmp_path):
    compiler = shutil.which("gcc")
    if compiler is None or not X86:
        pytest.skip("asks gcc on x86-64")
    command = [compiler, *FLAGS, "-march=x86-64-v3", "-fopt-info-vec-optimized", "-c"]
    command += [f"-I{ROOT / 'csrc'}", str(SOURCES[0]), "-o", str(tmp_path / "loops.o")]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    lines = SOURCES[0].read_text().splitlines()
    first, last = lines.index("/* straight lines */"), lines.index("/* calls */")
    done = re.findall(
        r"function_loops\.c:(\d+):\d+: optimized: +loop vectorized", report
    )
    wanted = {i + 1 for i in range(first, last) if lines[i].startswith("LOOP")}
    assert wanted <= set(map(int, done)), [
        lines[i - 1] for i in wanted - set(map(int, done))
    ]


def log1p(x):
    return mpmath.log1p(x) if abs(x) > 1e-30 else x - x * x / 2


def cbrt(x):
    return mpmath.cbrt(x) if x >= 0 else -mpmath.cbrt(-x)


def sinc(x):
    return mpmath.sinpi(x) / (mp.pi * x)


def logit(x):
    d = x - mpf(0.5)
    return 2 * mpmath.atanh(2 * d) if abs(d) < 0.1 else mpmath.log(x) - log1p(-x)


EXACT = {
    "exp": mpmath.exp,
    "exp2": lambda x: mpf(2) ** x,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": mpmath.log10,
    "log1p": log1p,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "arcsinh": mpmath.asinh,
    "arccosh": mpmath.acosh,
    "arctanh": mpmath.atanh,
    "cbrt": cbrt,
    "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
    "log_expit": lambda x: -log1p(mpmath.exp(-x)),
    "softplus": lambda x: log1p(mpmath.exp(x)),
    "logit": logit,
    "sinc": sinc,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "pow": mpmath.power,
    "arctan2": mpmath.atan2,
    "hypot": mpmath.hypot,
    "logaddexp": lambda x, y: max(x, y) + log1p(mpmath.exp(-abs(x - y))),
    "logaddexp2": lambda x, y: max(x, y) + log1p(mpf(2) ** -abs(x - y)) / mpmath.log(2),
    "xlogy": lambda x, y: x * mpmath.log(y),
    "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x))),
    "digamma": mpmath.digamma,
    "i0": lambda x: mpmath.besseli(0, x),
    "i1": lambda x: mpmath.besseli(1, x),
    "erfinv": mpmath.erfinv,
}
# units in the last place; 2 where not named
BOUNDS = {"erfc": 4, "pow": 4, "lgamma": 4, "digamma": 4, "i0": 4, "i1": 4}


def samples(name, count):
    """Arguments for a function: plain ones, tiny, huge, near its zeros and limits."""
    rng = np.random.default_rng(len(name) + 7)

    def flat(low, high):
        return rng.uniform(low, high, count)

    def spread(low, high, sign=True):
        x = np.exp2(rng.uniform(low, high, count))
        return x * rng.choice([-1.0, 1.0], count) if sign else x

    def join(*parts):
        return (np.concatenate(parts),)

    if name in ("exp", "expm1", "sinh", "cosh"):
        return join(flat(-1, 1), flat(-709, 709), spread(-60, 0))
    if name == "exp2":
        return join(flat(-1, 1), flat(-1074, 1023.9), spread(-60, 0))
    if name in ("log", "log2", "log10"):
        return join(flat(0.5, 2), spread(-1070, 1023, False), 1 + spread(-20, -5))
    if name == "log1p":
        return join(flat(-0.99, 2), spread(-1070, -0.1), spread(0, 1023, False))
    if name in ("sin", "cos", "tan"):
        near = np.rint(flat(-1e4, 1e4)) * np.pi / 2
        return join(flat(-4, 4), spread(-60, 30), near)
    if name in ("arcsin", "arccos", "arctanh", "erfinv"):
        return join(flat(-1, 1), spread(-60, 0), 1 - spread(-40, -1, False))
    if name in ("arctan", "arcsinh", "cbrt"):
        return join(flat(-3, 3), spread(-1070, 1023), spread(-10, 10))
    if name == "tanh":
        return join(flat(-3, 3), flat(-25, 25), spread(-60, 2))
    if name == "arccosh":
        return join(flat(1, 4), 1 + spread(-50, 0, False), spread(0, 1023, False))
    if name in ("expit", "log_expit", "softplus"):
        return join(flat(-5, 5), flat(-700, 700), spread(-60, 0))
    if name == "logit":
        return join(flat(0, 1), spread(-1000, -1, False), 0.5 + spread(-40, -3))
    if name == "sinc":
        return join(flat(-3, 3), spread(-1000, 20))
    if name == "erf":
        return join(flat(-6, 6), spread(-60, 1), flat(0.8, 1.3))
    if name == "erfc":
        return join(flat(-3, 3), flat(0.4, 26.5), spread(-60, 0))
    if name == "lgamma":
        return join(flat(0.01, 30), spread(-100, 300, False), flat(-3.9, -3.1))
    if name == "digamma":
        return join(flat(0.01, 30), spread(-100, 300, False), 1.4616 + spread(-30, -5))
    if name in ("i0", "i1"):
        return join(flat(-20, 20), flat(-700, 700), spread(-60, 3))
    if name == "pow":
        base = spread(-1070, 1023, False)
        near = (1 + spread(-25, -5), spread(2, 14))
        pairs = [
            (base, flat(-700, 700) / np.log(base)),
            (flat(0.5, 2), flat(-500, 500)),
            near,
            (flat(0, 50), rng.choice([2, 3, 0.5, -1, -2, 1.5], count)),
        ]
        return tuple(np.concatenate(p) for p in zip(*pairs, strict=True))
    if name == "xlogy":
        return flat(-3, 3), flat(0, 3)
    if name in ("logaddexp", "logaddexp2"):
        # of one sign: else the sum cancels, as in NumPy
        return flat(0, 100), flat(0, 100)
    wide = [(flat(-3, 3), flat(-3, 3)), (spread(-1000, 1000), spread(-1000, 1000))]
    return tuple(np.concatenate(p) for p in zip(*wide, strict=True))


def worst_ulp(result, exact, arguments):
    """Largest error in units in the last place, and the arguments where it is met."""
    worst, where = 0.0, None
    for i in range(result.size):
        xs = [float(a[i]) for a in arguments]
        wanted = exact(*map(mpf, xs))
        if not abs(wanted) < mpf(2) ** 1023.99:
            continue
        exponent = -1074
        if wanted != 0:
            exponent = max(mpmath.frexp(wanted)[1] - 53, exponent)
        error = float(abs(mpf(float(result[i])) - wanted) / mpf(2) ** exponent)
        if not error <= worst:
            worst, where = error, xs
    return worst, where


@pytest.mark.parametrize("name", EXACT)
def test_float64_accuracy(functions, name):
    arguments = samples(name, 60)
    with mp.workdps(40 if name not in ("sin", "cos", "tan") else 60):
        worst, where = worst_ulp(functions(name, *arguments), EXACT[name], arguments)
    bound = BOUNDS.get(name, 2)
    assert worst <= bound, f"{name}{where} is wrong by {worst:.2f} ulp"


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_float32_accuracy(functions, name):
    """The float64 functions, tested above, are exact enough to judge float32."""
    arguments = []
    for a in samples(name, 2000):
        with np.errstate(over="ignore"):
            small = a.astype(np.float32)
        if name in ("sin", "cos", "tan"):
            small = np.where(np.abs(small) > 2**15, np.float32(1), small)
        arguments.append(small)
    exact = functions(name, *arguments)
    result = functions(name, *arguments, dtype=np.float32)
    inside = np.abs(exact) < 3.4e38
    for a in arguments:
        inside &= np.isfinite(a)
    exact, result = exact[inside], result[inside]
    unit = np.spacing(np.maximum(np.abs(exact), 2.0**-126).astype(np.float32))
    error = np.abs(result - exact) / unit
    assert error.max() <= BOUNDS.get(name, 2)


SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    -3.0,
    np.inf,
    -np.inf,
    np.nan,
]


def reference(name):
    if name in ("log_expit", "softplus"):
        sign = 1 if name == "softplus" else -1
        return lambda x: sign * np.logaddexp(0, sign * x)
    for module in (np, scipy.special):
        for candidate in (name, {"pow": "power"}.get(name, name)):
            if hasattr(module, candidate):
                return getattr(module, candidate)
    raise AssertionError(name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", [*UNARY, *BINARY, "fmod", "remainder", "floor_divide"])
def test_special_values_follow_numpy(functions, name, dtype):
    info = np.finfo(dtype)
    values = [
        *SPECIAL,
        info.max,
        -info.max,
        info.tiny,
        info.smallest_subnormal,
        1e-30,
        700,
    ]
    values += [-1e-30, -700, 1e5, 1 + info.eps, 1 - info.epsneg]
    arguments = [np.array(values, dtype)]
    if name == "sinc":  # NumPy's product by pi overflows
        arguments = [arguments[0][np.abs(arguments[0]) != info.max]]
    if name not in UNARY:
        grid = np.meshgrid(arguments[0], arguments[0])
        arguments = [np.ascontiguousarray(g.ravel()) for g in grid]
    if name in ("sin", "cos", "tan"):
        name_used = name + "_any"
    else:
        name_used = name
    with np.errstate(all="ignore"):
        expected = reference(name)(*arguments)
    result = functions(name_used, *arguments, dtype=dtype)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(result), np.isinf(expected))
    atol = 1e-15 if dtype == np.float64 else 2e-7
    if name != "sinc":
        atol *= 1e-300 if dtype == np.float64 else 1e-38
        zero = expected == 0
        np.testing.assert_array_equal(
            np.signbit(result[zero]), np.signbit(expected[zero])
        )
    np.testing.assert_allclose(result, expected, rtol=8 * info.eps, atol=atol)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_alone_and_in_a_loop_give_the_same_bits(functions, dtype):
    for name in [*UNARY, *BINARY]:
        with np.errstate(over="ignore"):
            arguments = [a.astype(dtype) for a in samples(name, 20)]
        together = functions(name, *arguments, dtype=dtype)
        alone = [
            functions.one(name, *xs, dtype=dtype) for xs in zip(*arguments, strict=True)
        ]
        np.testing.assert_array_equal(together, np.array(alone, dtype), err_msg=name)


def test_values_that_must_be_exact(functions):
    k = np.arange(-300.0, 300)
    np.testing.assert_array_equal(functions("exp2", k), np.exp2(k))
    np.testing.assert_array_equal(functions("log2", np.exp2(k)), k)
    tens = np.arange(23)
    np.testing.assert_array_equal(functions("log10", 10.0**tens), tens)
    np.testing.assert_array_equal(functions("cbrt", k**3), k)
    np.testing.assert_array_equal(functions("pow", k, 2.0), k * k)
    np.testing.assert_array_equal(functions("pow", k, 5.0), k**5)
    np.testing.assert_array_equal(functions("hypot", 3 * k, 4 * k), 5 * np.abs(k))
    np.testing.assert_array_equal(functions("sinc", k), (k == 0).astype(float))
    assert np.abs(functions("cos", np.linspace(-1e-3, 1e-3, 9999))).max() == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_primitives_follow_numpy(functions, dtype):
    x, y = (np.ascontiguousarray(g.ravel()) for g in np.meshgrid(SPECIAL, SPECIAL))
    for name in ("maximum", "minimum", "fmax", "fmin", "heaviside", "nextafter"):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(x.astype(dtype), y.astype(dtype))
        np.testing.assert_array_equal(functions(name, x, y, dtype=dtype), expected)
    for name in ("sign", "rint", "spacing"):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(np.array(SPECIAL, dtype))
        np.testing.assert_array_equal(functions(name, SPECIAL, dtype=dtype), expected)


def test_large_angles_use_the_tail(functions):
    x = np.exp2(np.linspace(30.1, 1023, 500))
    for name in ("sin", "cos", "tan"):
        expected = getattr(np, name)(x)
        np.testing.assert_allclose(functions(name + "_any", x), expected, rtol=1e-15)


def test_polygamma(functions):
    x = np.array([1e-3, 0.2, 1, 1.5, 4, 20, 300, -0.3, -2.6, -70.3])
    with mp.workdps(40):
        for n in (0, 1, 2, 3, 7, 20):
            expected = [float(mpmath.polygamma(n, mpf(t))) for t in x.tolist()]
            np.testing.assert_allclose(
                functions("polygamma", n, x), expected, rtol=1e-12
            )
    assert np.isnan(functions("polygamma", [0.5, -1.0, 1e300, np.inf], 1.0)).all()
    with mp.workdps(40):
        expected = -float(mpmath.zeta(71, mpf(0.25) - 30) * mpmath.factorial(70))
    result = functions("polygamma", 70.0, [-60.75, -1e15 - 0.75])
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert np.isfinite(functions("polygamma", 500.0, [200.0, 1e308])).all()
    assert np.isinf(functions("polygamma", 1.0, [0.0, -3.0])).all()


def test_derivatives_of_sinc(functions):
    x = np.array([0, 1e-12, -1e-3, 0.1, 0.5, -1, 1.3, 4.5, 30.25])
    with mp.workdps(40):
        for n in (0, 1, 2, 3, 6, 11):
            # sinc(x) is the integral of cos(pi x t) over t in (0, 1)
            expected = [
                float(
                    mpmath.quad(
                        lambda t, x=x, n=n: (
                            (mp.pi * t) ** n
                            * mpmath.cos(mp.pi * mpf(x) * t + n * mp.pi / 2)
                        ),
                        mpmath.linspace(0, 1, 2 + int(abs(x)) // 8),
                    )
                )
                for x in x.tolist()
            ]
            result = functions("sinc_derivative", n, x)
            np.testing.assert_allclose(
                result, expected, rtol=1e-12, atol=1e-14 * 3.2**n
            )


def test_derivatives_of_sinc_of_hostile_order(functions):
    orders = [0.5, -1.0, 1e9, np.inf, np.nan]
    assert np.isnan(functions("sinc_derivative", orders, 1.0)).all()


def test_bessel_ratio(functions):
    x = np.array([0, 1e-100, 1e-5, 2, 7.9, 8.1, 100, -3])
    expected = np.where(x == 0, 0.5, scipy.special.iv(1, x) / np.where(x == 0, 1, x))
    np.testing.assert_allclose(functions("i1_ratio", x), expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_powers_by_one_exponent_have_the_values_of_pow(dtype):
    x = np.array([*SPECIAL, 1e-30, 7.25, -7.25, 1e30], dtype)
    for exponent in (0, 1, 2, 3, 0.5, -0.5, -1, -2, 1.5, np.inf, np.nan):
        y = dtype(exponent)
        with np.errstate(all="ignore"):
            expected = np.power(x, np.full_like(x, y))
        result = np.asarray(pyarr.power(pyarr.asarray(x), y))
        np.testing.assert_allclose(result, expected, rtol=2 * np.finfo(dtype).eps)
        zero = expected == 0
        np.testing.assert_array_equal(
            np.signbit(result[zero]), np.signbit(expected[zero])
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["log", "log2", "log10", "log1p", "cbrt", "power"])
def test_kernels_give_the_same_bits_at_any_place(name, dtype):
    """Vector loops and their ends, ordinary and special elements side by side."""
    rng = np.random.default_rng(5)
    arguments = [np.exp2(rng.uniform(-100, 100, 61)).astype(dtype)]
    if name == "power":
        arguments.append(rng.uniform(-3, 3, 61).astype(dtype))
    whole = np.asarray(getattr(pyarr, name)(*arguments))
    for size in (1, 3, 8, 13, 17, 60):
        part = np.asarray(getattr(pyarr, name)(*[a[:size].copy() for a in arguments]))
        np.testing.assert_array_equal(part, whole[:size])
    arguments[0][::5] *= -1
    mixed = np.asarray(getattr(pyarr, name)(*arguments))
    same = np.arange(61) % 5 != 0
    np.testing.assert_array_equal(mixed[same], whole[same])
