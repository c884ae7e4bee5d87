"""Compute the constants of the scalar functions, and fit their minimax polynomials.

Run by hand when a range or degree changes: `python csrc/ops/fit_constants.py f64`
prints constants_f64.def, and so for f32 and special.  Remez exchange in mpmath;
coefficients are rounded to the dtype one after the other, lowest first, and the rest is
fitted again, so that rounding costs little.
"""

import sys

import numpy as np
from mpmath import mp, mpf

mp.dps = 60
LN2 = mp.log(2)


def solve(points, values, weights, degree, fixed):
    """Coefficients and levelled error through degree + 2 - len(fixed) points."""
    free = range(len(fixed), degree + 1)
    n = len(free) + 1
    a = mp.matrix(n, n)
    b = mp.matrix(n, 1)
    for i, (t, v, w) in enumerate(zip(points, values, weights, strict=True)):
        for j, k in enumerate(free):
            a[i, j] = t**k
        a[i, n - 1] = (-1) ** i / w
        b[i] = v - sum(c * t**k for k, c in enumerate(fixed))
    solution = mp.lu_solve(a, b)
    return fixed + [solution[i] for i in range(n - 1)], solution[n - 1]


def horner(coefficients, t):
    total = mpf(0)
    for c in reversed(coefficients):
        total = total * t + c
    return total


def remez(function, weight, low, high, degree, fixed):
    """Coefficients (lowest first) of least weighted maximal error, and that error."""
    n = degree + 2 - len(fixed)
    size = max(24 * n, 200)
    middle, half = (mpf(low) + high) / 2, (mpf(high) - low) / 2
    grid = [
        middle - half * mp.cos(mp.pi * (i + mpf(1) / 2) / size) for i in range(size)
    ]
    values = [function(t) for t in grid]
    weights = [abs(weight(t)) for t in grid]
    chosen = [min(size - 1, int((i + 0.5) * size / n)) for i in range(n)]
    for _ in range(12):
        coefficients, _ = solve(
            [grid[i] for i in chosen],
            [values[i] for i in chosen],
            [weights[i] for i in chosen],
            degree,
            fixed,
        )
        errors = [
            (v - horner(coefficients, t)) * w
            for t, v, w in zip(grid, values, weights, strict=True)
        ]
        runs = []  # one extremum for each run of equal sign
        for i, e in enumerate(errors):
            if runs and (errors[runs[-1]] > 0) == (e > 0):
                if abs(e) > abs(errors[runs[-1]]):
                    runs[-1] = i
            else:
                runs.append(i)
        while len(runs) > n:
            runs.pop(0 if abs(errors[runs[0]]) < abs(errors[runs[-1]]) else -1)
        if len(runs) < n or runs == chosen:
            break
        chosen = runs
    return coefficients, max(abs(e) for e in errors)


def rounded(value, dtype):
    if dtype == "f64":
        return mpf(float(value))
    return mpf(float(np.float32(float(value))))


def fit(name, function, weight, low, high, degree, dtype, exact=()):
    """Print one polynomial as a macro; `exact` gives its leading coefficients."""
    fixed = [mpf(c) for c in exact]
    while len(fixed) <= degree:
        # where 0 lies inside, t, t^2, ... have no minimax theory: round all at once
        if len(fixed) < len(exact) + 3 and not low < 0 < high:
            coefficients, error = remez(function, weight, low, high, degree, fixed)
            fixed.append(rounded(coefficients[len(fixed)], dtype))
        else:
            if not fixed:
                coefficients, error = remez(function, weight, low, high, degree, [])
            fixed += [rounded(c, dtype) for c in coefficients[len(fixed) :]]
    log2_error = float(mp.log(error, 2))
    words = []
    for c in fixed:
        words.append(float(c).hex() if dtype == "f64" else np.float32(c).item().hex())
    head = (
        f"{name}(z) HORNER{degree}(z,"
        if name in HORNER
        else f"{name}(z, w) POLY{degree}(z, w,"
    )
    lines, line = [], f"#define {head}"
    for i, w in enumerate(words):
        word = f" K({w})" + (")" if i == degree else ",")
        if len(line) + len(word) > 96:
            lines.append(line + " \\")
            line = "   "
        line += word
    print(f"/* 2^{log2_error:.1f} on [{float(low):.4g}, {float(high):.4g}] */")
    print("\n".join([f"#undef {name}", *lines, line]), flush=True)


def odd_rest(function):
    """(f(x) - x) / x^3 as a function of z = x^2."""

    def rest(z):
        x = mp.sqrt(z)
        return (function(x) - x) / (x * z)

    return rest


def log_rest(z):
    """2 (log((1 + s) / (1 - s)) - 2 s) / (s z) at s = 2 sqrt(z)."""
    s = 2 * mp.sqrt(z)
    return 2 * (2 * mp.atanh(s) - 2 * s) / (s * z)


def log_table_rest(r):
    """(log(1 + r) - r + r^2 / 2) / r^3."""
    return (mp.log1p(r) - r + r * r / 2) / r**3 if r else mpf(1) / 3


def erfcx(x):
    return mp.exp(x * x) * mp.erfc(x)


def erfc_scaled(t):
    """(1 + 2x) exp(x^2) erfc(x) at x = K (1 + t) / (1 - t)."""
    k = mpf(ERFC_K)
    if t == 1:
        return 2 / mp.sqrt(mp.pi)
    x = k * (1 + t) / (1 - t)
    if x > 60:
        z = 1 / (2 * x * x)
        tail = sum((-1) ** j * mp.fac2(2 * j - 1) * z**j for j in range(12))
        return (1 + 2 * x) * tail / (x * mp.sqrt(mp.pi))
    return (1 + 2 * x) * erfcx(x)


DIGAMMA_ROOT = mp.findroot(mp.digamma, 1.46)


def digamma_slope(t):
    """digamma(x) / (x - root) at x = 3/2 + t."""
    x = mpf(3) / 2 + t
    if abs(x - DIGAMMA_ROOT) < mpf(10) ** -20:
        return mp.polygamma(1, x)
    return mp.digamma(x) / (x - DIGAMMA_ROOT)


def bessel_scaled(order):
    """sqrt(x) exp(-x) I_order(x) as a function of t = 16 / x - 1, for x >= 8."""

    def scaled(t):
        x = 16 / (t + 1)
        return mp.sqrt(x) * mp.exp(-x) * mp.besseli(order, x)

    return scaled


ERFC_K = 4
Z_LOG = (mp.sqrt(2) - 1) ** 2 / (mp.sqrt(2) + 1) ** 2 * mpf("1.0005")
HALF_LN2 = LN2 / 2 * mpf("1.002")


def one(z):
    return mpf(1)


def identity(z):
    return z


def erfc_t(x):
    return (mpf(x) - ERFC_K) / (mpf(x) + ERFC_K)


# where multiplications, not latency, decide the speed
HORNER = ("LOG_REST", "INVERSE_CBRT")

# name: function, weight, low, high, degree in f64, degree in f32
POLYNOMIALS = {
    "EXP_REST": (
        lambda r: (mp.exp(r) - 1 - r) / r**2,
        one,
        -HALF_LN2,
        HALF_LN2,
        9,
        4,
    ),
    "LOG_REST": (log_rest, identity, mpf("1e-12"), Z_LOG / 4, 6, 2),
    "LOG_TABLE_REST": (
        log_table_rest,
        lambda r: r * r,
        mpf("-0.0432"),
        mpf("0.0411"),
        8,
        3,
    ),
    "EXP_TABLE_REST": (
        lambda r: (mp.exp(r) - 1 - r) / r**2,
        lambda r: r * r,
        -HALF_LN2 / 16,
        HALF_LN2 / 16,
        4,
        1,
    ),
    "SIN_SMALL_REST": (
        odd_rest(mp.sin),
        identity,
        mpf("1e-12"),
        mpf("0.79") ** 2,
        5,
        3,
    ),
    "COS_SMALL_REST": (
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
        one,
        mpf("1e-9"),
        mpf("0.79") ** 2,
        5,
        2,
    ),
    "SINPI_REST": (
        odd_rest(lambda x: mp.sin(mp.pi * x) / mp.pi),
        identity,
        mpf("1e-12"),
        mpf("0.25"),
        7,
        4,
    ),
    "ASIN_REST": (odd_rest(mp.asin), identity, mpf("1e-12"), mpf("0.25"), 11, 5),
    "ATAN_REST": (odd_rest(mp.atan), identity, mpf("1e-12"), mpf("0.1718"), 10, 4),
    "SINH_REST": (odd_rest(mp.sinh), identity, mpf("1e-12"), mpf(1), 6, 3),
    "ERF_REST": (
        lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1,
        one,
        mpf("1e-12"),
        mpf(1),
        11,
        6,
    ),
    "ERFC_SCALED": (erfc_scaled, one, erfc_t(mpf("0.5")), erfc_t(28), 21, 10),
    "INVERSE_CBRT": (lambda m: 1 / mp.cbrt(m), one, mpf(1), mpf(2), 5, 3),
}


# of special.h, in f64 alone
NEARLY = mpf("-0.999")
SPECIAL = {
    "DIGAMMA_SLOPE": (digamma_slope, one, -mpf(1) / 2, mpf(1) / 2, 23),
    "I0_SCALED": (bessel_scaled(0), one, NEARLY, mpf(1), 23),
    "I1_SCALED": (bessel_scaled(1), one, NEARLY, mpf(1), 23),
}


def text(value, dtype):
    return float(rounded(value, dtype)).hex()


def split(value, dtype, zeros):
    """High part with `zeros` last bits zero (small multiples are exact), and rest."""
    bits = 53 if dtype == "f64" else 24
    unit = mpf(2) ** (mp.floor(mp.log(abs(value), 2)) + 1 - (bits - zeros))
    high = mp.nint(value / unit) * unit
    return high, rounded(value - high, dtype)


def constants(dtype):
    """Pairs (name, text) of the constants that functions.def names."""
    wide = dtype == "f64"
    mantissa, bias, subnormal = (52, 1023, 54) if wide else (23, 127, 24)
    word, view = (np.uint64, np.float64) if wide else (np.uint32, np.float32)

    def bits(value):
        return hex(int(view(float(value)).view(word)))

    one, sqrt_half = int(bits(1), 16), int(bits(mp.sqrt(0.5)), 16)
    magic = mpf(3) * 2 ** (mantissa - 1)
    yield "MANTISSA_BITS", str(mantissa)
    yield "MANTISSA_MASK", hex(2**mantissa - 1)
    yield "SIGN_SHIFT", "63" if wide else "31"
    yield "ONE_BITS", hex(one)
    yield "ONE_LESS_SQRT_HALF_BITS", hex(one - sqrt_half)
    yield "SQRT_HALF_BITS", hex(sqrt_half)
    table_start = int(bits(mpf(47) / 64), 16)
    yield "ONE_LESS_TABLE_START_BITS", hex(one - table_start)
    yield "TABLE_START_BITS", hex(table_start)
    yield "TABLE_SHIFT", str(mantissa - 4)
    yield "INTEGER_BITS", bits(mpf(2) ** mantissa)
    yield "INTEGER_BIAS", text(2**mantissa + bias, dtype)
    yield "INTEGER_BIAS_SUBNORMAL", text(2**mantissa + bias + subnormal, dtype)
    yield "ROUND_SHIFT", text(magic, dtype)
    yield "ROUND_SHIFT_BIASED", text(magic + bias, dtype)
    yield "ROUND_SHIFT_TWICE", text(magic + 2 * bias, dtype)
    yield "ROUND_SHIFT_TWICE_LESS_ONE", text(magic + 2 * bias - 1, dtype)
    yield "MIN_NORMAL", text(mpf(2) ** (1 - bias), dtype)
    yield "TWICE_MIN_NORMAL", text(mpf(2) ** (2 - bias), dtype)
    yield "EXPONENT_MASK", hex((2 * bias + 1) << mantissa)
    yield "EXPONENT_STEP", hex(1 << mantissa)
    yield "SUBNORMAL_SCALE", text(mpf(2) ** subnormal, dtype)
    yield "TINY", text(mpf(2) ** (-56 if wide else -26), dtype)
    yield "HALF_MAX", text(mpf(2) ** (bias - 1), dtype)
    for name, value in (
        ("EXP_MIN", (-800, -120)),
        ("EXP_MAX", (720, 100)),
        ("EXP_WIDE_MAX", (1500, 200)),
        ("EXPONENT_LIMIT", (1000, 120)),
        ("HYPOT_SHIFT", (600, 80)),
        ("EXP2_UNDERFLOW", (-1075, -150)),
        ("EXP2_OVERFLOW", (1024, 128)),
        ("EXP_UNDERFLOW", (-746, -104)),
        ("EXPM1_MIN", (-50, -30)),
        ("TANH_ONE", (19.125, 9.125)),
        ("ERF_ONE", (6, 4)),
        ("ERFC_MAX", (28, 11)),
        ("ERFC_CENTRE", (ERFC_K, ERFC_K)),
    ):
        yield name, text(value[not wide], dtype)
    yield "ERFC_SHIFT", text(magic + 2 * bias + (200 if wide else 60), dtype)
    yield "ERFC_UNSHIFT", text(mpf(2) ** (-200 if wide else -60), dtype)
    yield "SQUARES_ONLY", text(mpf(2) ** (30 if wide else 14), dtype)
    yield "HYPOT_LARGE", text(mpf(2) ** (500 if wide else 60), dtype)
    yield "HYPOT_SMALL", text(mpf(2) ** (-450 if wide else -50), dtype)
    yield "HYPOT_DOWN", text(mpf(2) ** (-600 if wide else -80), dtype)
    yield "HYPOT_UP", text(mpf(2) ** (600 if wide else 80), dtype)
    yield "HYPOT_DOWN_ROOT", text(mpf(2) ** (-300 if wide else -40), dtype)
    yield "HYPOT_UP_ROOT", text(mpf(2) ** (300 if wide else 40), dtype)
    largest = (2 - mpf(2) ** -mantissa) * mpf(2) ** bias
    overflow = rounded(mp.log(largest), dtype)
    if overflow > mp.log(largest):
        overflow = mpf(float(np.nextafter(view(float(overflow)), view(0))))
    yield "EXP_OVERFLOW", text(overflow, dtype)
    yield "LN2", text(LN2, dtype)
    yield "LOG10_2", text(LN2 / mp.log(10), dtype)
    for name, value, zeros in (
        ("LN2", LN2, 11 if wide else 8),
        ("LOG2E", 1 / LN2, 0),
        ("LOG10E", 1 / mp.log(10), 0),
        ("PI", mp.pi, 0),
        ("PIO2", mp.pi / 2, 0),
        ("PIO4", mp.pi / 4, 0),
        ("PI3O4", 3 * mp.pi / 4, 0),
    ):
        high, low = split(value, dtype, zeros)
        yield name + "_HI", text(high, dtype)
        yield name + "_LO", text(low, dtype)
    yield "SIXTEEN_LOG2E", text(16 / LN2, dtype)
    high, low = split(LN2, dtype, 16 if wide else 12)
    yield "LN2_SIXTEENTH_HI", text(high / 16, dtype)
    yield "LN2_SIXTEENTH_LO", text(low / 16, dtype)
    rest = mp.pi / 2
    for i in (1, 2, 3):
        part = rounded(rest, dtype)
        rest -= part
        yield f"PIO2_{i}", text(part, dtype)
    yield "TWO_OVER_PI", text(2 / mp.pi, dtype)
    yield "TAN_PIO8", text(mp.tan(mp.pi / 8), dtype)
    yield "TAN_3PIO8", text(mp.tan(3 * mp.pi / 8), dtype)


# Reciprocals of sixteen points of [47 / 64, 94 / 64), times 32: with so few bits that
# m * reciprocal - 1 is exact, and none larger than 0.0432.
RECIPROCALS = [43, 41, 39, 38, 37, 35, 34, 33, 32, 30, 28, 27, 26, 24, 23, 22]


def tables(dtype):
    """Pairs (name, sixteen texts) of the tables that functions.def names."""
    inverses = [mpf(n) / 32 for n in RECIPROCALS]
    # on the grid of LN2_HI, so that the sum with its multiples is exact
    unit = mpf(2) ** (-42 if dtype == "f64" else -16)
    logs = [-mp.log(c) for c in inverses]
    high = [mp.nint(y / unit) * unit for y in logs]
    yield "LOG_TABLE_INVERSE", [text(c, dtype) for c in inverses]
    yield "LOG_TABLE_HI", [text(y, dtype) for y in high]
    low = [y - h for y, h in zip(logs, high, strict=True)]
    yield "LOG_TABLE_LO", [text(y, dtype) for y in low]
    roots = [mpf(2) ** (mpf(i) / 16) for i in range(16)]
    yield "EXP_TABLE", [text(y, dtype) for y in roots]
    yield "EXP_TABLE_LO", [text(y - rounded(y, dtype), dtype) for y in roots]


def special_constants():
    high = rounded(DIGAMMA_ROOT, "f64")
    yield "DIGAMMA_ROOT_HI", text(high, "f64")
    yield "DIGAMMA_ROOT_LO", text(DIGAMMA_ROOT - high, "f64")
    for k in range(1, 16):
        yield f"BERNOULLI_{2 * k}", text(mp.bernoulli(2 * k), "f64")
    for order in (0, 1):
        terms = [1 / (mp.factorial(k) * mp.factorial(k + order)) for k in range(24)]
        yield f"I{order}_TERMS", ", ".join(text(t, "f64") for t in terms)


def print_special():
    print("/* constants_special.def -- what special.h names; see fit_constants.py. */")
    for name, value in special_constants():
        words, lines = value.split(" "), [f"#define {name}"]
        for word in words:
            if len(lines[-1]) + len(word) > 92:
                lines[-1] += " \\"
                lines.append("   ")
            lines[-1] += " " + word
        print("\n".join(lines))
    for name in SPECIAL:
        fit(name, *SPECIAL[name], "f64")


def main():
    dtype = sys.argv[1]
    if dtype == "special":
        print_special()
        return
    print(f"/* constants_{dtype}.def -- what functions.def names, for {dtype}.")
    print(
        " *\n * Printed by fit_constants.py; change that instead. Polynomials come with"
    )
    print(" * their largest errors before rounding and ranges.\n */")
    for name, value in constants(dtype):
        print(f"#undef {name}\n#define {name} {value}")
    for name, words in tables(dtype):
        print(f"#undef {name}\n#define {name} \\")
        for i in range(0, 16, 4):
            print("    " + ", ".join(words[i : i + 4]) + (", \\" if i < 12 else ""))
    for name in POLYNOMIALS:
        function, weight, low, high, *degrees = POLYNOMIALS[name]
        fit(name, function, weight, low, high, degrees[dtype == "f32"], dtype)


if __name__ == "__main__":
    main()
