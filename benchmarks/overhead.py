"""Cost of one call on few elements: pyarr against NumPy, interleaved in one run.

    python benchmarks/overhead.py [--json FILE] [--rounds N]

Prints nanoseconds for a call (the least of many rounds, loop included) and the ratio
pyarr / NumPy. The two are timed in turns, so that a busy machine slows both.
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    results = measure(options.rounds)
    print(f"{'call':24} {'pyarr ns':>9} {'NumPy ns':>9} {'ratio':>6}")
    for name, (ours, theirs) in results.items():
        print(f"{name:24} {ours:9.0f} {theirs:9.0f} {ours / theirs:6.2f}")
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
