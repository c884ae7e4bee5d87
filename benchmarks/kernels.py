"""Time per element of every elementwise op and reduction against NumPy (SciPy).

Contiguous float64, one thread each unless --threads is given, both sides interleaved in
one run; the ratio is pyarr's time over NumPy's, so below 1 is faster than NumPy. Prints a
table and writes benchmarks/results/kernels.json.

    python benchmarks/kernels.py [--sizes 1000,100000] [--threads N] [names ...]
"""

import argparse
import json
import os
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.special

import pyarr
from pyarr import _core

SPECIAL = {
    "lgamma": "gammaln",
    "digamma": "psi",
}
DOMAINS = {
    "log": (0.01, 50),
    "log2": (0.01, 50),
    "log10": (0.01, 50),
    "log1p": (-0.9, 50),
    "sqrt": (0, 50),
    "arcsin": (-1, 1),
    "arccos": (-1, 1),
    "arctanh": (-0.99, 0.99),
    "arccosh": (1, 50),
    "logit": (0.01, 0.99),
    "erfinv": (-0.99, 0.99),
    "power": (0.01, 5),
    "float_power": (0.01, 5),
    "xlogy": (0.01, 5),
    "xlog1py": (0.01, 5),
    "lgamma": (0.1, 20),
    "gamma": (0.1, 20),
    "digamma": (0.1, 20),
}
REDUCTIONS = ["sum", "prod", "min", "max", "argmin", "argmax", "cumsum", "any", "all"]


def reference(name):
    """NumPy's or SciPy's function of that name, or None."""
    function = getattr(np, name, None)
    if isinstance(function, np.ufunc) or name in (
        "clip",
        "where",
        "real",
        "imag",
        "sinc",
    ):
        return function
    if name in ("angle", "i0"):
        return function
    if name in ("real", "imag"):
        return None  # views in NumPy
    return getattr(scipy.special, SPECIAL.get(name, name), None)


def time_pair(ours, theirs, repeats):
    """Least seconds of a call of each, calls taken in turns."""
    number = 1
    while True:
        start = time.perf_counter()
        for _ in range(number):
            ours()
        spent = time.perf_counter() - start
        if spent > 2e-4 or number > 10000:
            break
        number *= 2
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        for side, call in enumerate((ours, theirs)):
            start = time.perf_counter()
            for _ in range(number):
                call()
            best[side] = min(best[side], (time.perf_counter() - start) / number)
    return best


def cases(names, size):
    """Pairs of calls: (name, ours, theirs)."""
    rng = np.random.default_rng(1)
    rows = [row for row in _core.ops() if row["elementwise"] and not row["internal"]]
    for row in rows:
        name = row["name"]
        theirs = reference(name)
        ours = getattr(_core, name, None)
        if theirs is None or ours is None or (names and name not in names):
            continue
        low, high = DOMAINS.get(name, (-10, 10))
        arrays = [rng.uniform(low, high, size) for _ in range(row["nin"])]
        if name == "where":
            arrays[0] = arrays[0] > 0
        elif name == "ldexp":
            arrays[1] = rng.integers(-5, 5, size)
        elif name == "polygamma":
            arrays = [np.full(size, 2.0), np.abs(arrays[1]) + 0.1]
        elif row["class"] in ("integer", "bits"):
            arrays = [rng.integers(0, 30, size) for _ in arrays]
        mine = [pyarr.array(a) for a in arrays]
        yield name, lambda f=ours, a=mine: f(*a), lambda f=theirs, a=arrays: f(*a)
    values = rng.uniform(0.9, 1.1, size)
    for name in REDUCTIONS:
        if names and name not in names:
            continue
        data = np.zeros(size, bool) if name == "any" else values
        mine = pyarr.array(data)
        axis = {"axis": 0} if name == "cumsum" else {}
        yield (
            name,
            lambda f=getattr(_core, name), a=mine, k=axis: f(a, **k),
            lambda f=getattr(np, name), a=data, k=axis: f(a, **k),
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,100000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    _core.set_num_threads(options.threads)
    results = []
    print(f"{'op':16}{'size':>9}{'ns/element':>12}{'NumPy':>10}{'ratio':>8}")
    for size in map(int, options.sizes.split(",")):
        for name, ours, theirs in cases(options.names, size):
            a, b = time_pair(ours, theirs, options.repeats)
            results.append(
                {
                    "op": name,
                    "size": size,
                    "ns": a / size * 1e9,
                    "numpy_ns": b / size * 1e9,
                    "ratio": a / b,
                }
            )
            mark = "  slower" if a > 1.02 * b else ""
            print(
                f"{name:16}{size:9}{a / size * 1e9:12.3f}{b / size * 1e9:10.3f}"
                f"{a / b:8.2f}{mark}"
            )
    ratios = [r["ratio"] for r in results]
    print(f"geometric mean of ratios: {np.exp(np.mean(np.log(ratios))):.3f}")
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    record = {
        "machine": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "numpy": np.__version__,
        "config": str(_core.show_config()),
        "threads": options.threads,
        "results": results,
    }
    (folder / "kernels.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
