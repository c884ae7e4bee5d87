"""Cost of one call on few elements: pyarr against NumPy, interleaved in one run.

    python benchmarks/overhead.py [--json FILE] [--rounds N]

Prints nanoseconds for a call (the least of many rounds, loop included) and the ratio
pyarr / NumPy. The two are timed in turns, so that a busy machine slows both. A recorded
call runs inside a transform, where nothing is computed; NumPy computes it. The last lines
are whole calls of value_and_grad, arrays of NumPy in and out, against NumPy's value alone.
"""

import argparse
import json
import platform
import timeit

import numpy as np

import pyarr as pa

CASES = {
    "a + b (4 doubles)": "a + b",
    "a + 1.0": "a + 1.0",
    "2.0 * a": "2.0 * a",
    "a ** 2": "a ** 2",
    "-a": "-a",
    "c += b": "x = c; x += b",
    "add(a, b)": "m.add(a, b)",
    "add(a, b, out=c)": "m.add(a, b, out=c)",
    "sin(a)": "m.sin(a)",
    "a < b": "a < b",
    "a.sum()": "a.sum()",
    "a[1] (scalar)": "a[1]",
    "a[1] * 2.0 (scalar)": "t * 2.0",
    "a[1] = 1.0": "a[1] = 1.0",
    "a[1:3] (view)": "a[1:3]",
    "d[1, 2] (scalar)": "d[1, 2]",
    "d[[0, 1]] (gather)": "d[i]",
    "a[a > 2] (mask)": "a[k]",
    "d @ a": "d @ a",
    "d.T": "d.T",
    "zeros(4)": "m.zeros(4)",
}

RECORDED = {
    "a - b (10 doubles)": "a - b",
    "a - t": "a - t",
    "t * t": "t * t",
    "2 * t": "2 * t",
    "0.7 * a": "0.7 * a",
    "-a": "-a",
    "a ** 2": "a ** 2",
    "exp(a)": "m.exp(a)",
    "a[3] (scalar)": "a[3]",
    "a[1:3] (view)": "a[1:3]",
    "sum(a)": "m.sum(a)",
}
THETA = [0.1, -0.2, 2.0, 0.7, 0.3, 0.05]


def beam(m, theta, x, y, data):
    """chi-square of an elliptical Gaussian beam, in the names of NumPy."""
    x0, y0, amplitude, sigma, rho, diff = (theta[k] for k in range(6))
    dx, dy = x - x0, y - y0
    r2 = m.hypot(dx, dy) ** 2 + rho * dx * dy + diff * (dx**2 - dy**2)
    return m.sum((data - amplitude * m.exp(-r2 / (2 * sigma**2))) ** 2)


def names(module):
    """The variables that the cases use, made by `module`."""
    a = module.array([1.0, 2.0, 3.0, 4.0])
    return {
        "m": module,
        "a": a,
        "b": module.array([4.0, 3.0, 2.0, 1.0]),
        "c": module.zeros(4),
        "d": module.array(np.arange(16.0).reshape(4, 4)),
        "i": module.array([0, 1]),
        "k": a > 2,
        "t": a[1],
    }


def measure(rounds, number=20000):
    """Nanoseconds of every case: name -> (pyarr, NumPy)."""
    results = {}
    for name, statement in CASES.items():
        timers = [timeit.Timer(statement, globals=names(m)) for m in (pa, np)]
        best = [float("inf")] * 2
        for _ in range(rounds):
            for which, timer in enumerate(timers):
                seconds = timer.timeit(number)
                best[which] = min(best[which], seconds / number * 1e9)
        results[name] = tuple(best)
    return results


def measure_recorded(rounds, number=300):
    """Nanoseconds of recording: name -> (pyarr, NumPy computing the same)."""
    a, b = np.arange(10.0), np.arange(10.0) + 1
    plain = {"m": np, "a": a, "b": b, "t": np.float64(3.0)}
    results = {}
    for name, statement in RECORDED.items():
        theirs = timeit.Timer(statement, globals=plain)
        best = [float("inf")] * 2

        def record(a, b, t, statement=statement, best=best):
            inside = {"m": pa, "a": a, "b": b, "t": t * 1.5}
            seconds = timeit.Timer(statement, globals=inside).timeit(number)
            best[0] = min(best[0], seconds / number * 1e9)
            return t

        recording = pa.value_and_grad(record, (0, 1, 2))
        for _ in range(10 * rounds):
            recording(a, b, 2.0)
            best[1] = min(best[1], theirs.timeit(number) / number * 1e9)
        results["recorded " + name] = tuple(best)
    return results


def beam_calls(n):
    """Value and gradient by pyarr, and the value by NumPy, as functions to call."""
    rng = np.random.default_rng(1)
    plain = (*rng.uniform(-2, 2, (2, n)), rng.normal(0.0, 0.1, n))
    ours = tuple(pa.asarray(v) for v in plain)
    theta = np.array(THETA)
    both = pa.value_and_grad(lambda theta: beam(pa, theta, *ours))
    return (lambda: both(theta)), (lambda: beam(np, theta, *plain))


def measure_calls(rounds, number=200):
    """Nanoseconds of value and gradient, and of NumPy's value."""
    results = {}
    for n in (10, 1000):
        timers = [timeit.Timer(call) for call in beam_calls(n)]
        best = [float("inf")] * 2
        for _ in range(rounds):
            for which, timer in enumerate(timers):
                seconds = timer.timeit(number)
                best[which] = min(best[which], seconds / number * 1e9)
        results[f"beam, {n} points"] = tuple(best)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    results = {
        **measure(options.rounds),
        **measure_recorded(options.rounds),
        **measure_calls(options.rounds),
    }
    print(f"{'call':28} {'pyarr ns':>9} {'NumPy ns':>9} {'ratio':>6}")
    for name, (ours, theirs) in results.items():
        print(f"{name:28} {ours:9.0f} {theirs:9.0f} {ours / theirs:6.2f}")
    if options.json:
        record = {
            "benchmark": "overhead",
            "machine": {
                "processor": platform.processor() or platform.machine(),
                "system": platform.platform(),
                "python": platform.python_version(),
                **{k: pa.show_config()[k] for k in ("isa", "numpy", "num_threads")},
            },
            "cases": {
                name: {"pyarr_ns": ours, "numpy_ns": theirs, "ratio": ours / theirs}
                for name, (ours, theirs) in results.items()
            },
        }
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
