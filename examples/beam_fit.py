"""A Gaussian beam fitted to the in-focus map, in NumPy and ported to pyarr.

    python examples/beam_fit.py                     a simulated map
    python examples/beam_fit.py --maps DIR          a real one, as for holography.py

The model is `beam_numpy.py`. Its port, `beam_pyarr.py`, changes only the import; the
script prints the difference, fits both and compares results and times.
"""

import argparse
import difflib
import pathlib
import statistics
import sys
import time

import beam_numpy
import beam_pyarr
import numpy as np
import oof_maps
from scipy.optimize import approx_fprime, minimize

import pyarr as pa

UNIT = 1e-4  # rad, of the coordinates
NAMES = ("x0", "y0", "amp", "sigma", "rho", "diff", "base", "noise")
# x0, y0, amp, sigma, rho, diff, base, log noise, in the units of the model
START = np.array([0.0, 0.0, 1.0, 1.5, 0.0, 0.0, 0.0, -2.0])
# The same of the simulated map, but its noise itself.
SIMULATED = (0.46, 0.85, 4400.0, 1.27, -0.17, 0.09, 70.0, 40.0)


def load(folder):
    """Points (N, 2) in units of 0.1 mrad, powers relative to the peak, and the peak."""
    if folder:
        u, v, power = oof_maps.read_map(pathlib.Path(folder), "IN")
    else:
        u = v = np.linspace(-1.62e-3, 1.62e-3, 100)
        power = None
    points = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1) / UNIT
    if power is None:
        noise = np.random.default_rng(1).normal(0, SIMULATED[7], points.shape[:2])
        power = beam_numpy.gauss(*SIMULATED[:6], points) + SIMULATED[6] + noise
    valid = power != 0  # the others were never observed
    return points[valid], power[valid] / power.max(), power.max()


def print_port():
    """The difference between the NumPy model and its port."""
    here = pathlib.Path(__file__).resolve().parent
    texts = [
        (here / name).read_text().splitlines()
        for name in ("beam_numpy.py", "beam_pyarr.py")
    ]
    print("The port, line by line (beam_numpy.py to beam_pyarr.py):")
    for line in difflib.unified_diff(*texts, lineterm="", n=0):
        if line[0] in "+-" and line[:3] not in ("+++", "---"):
            print(f"  {line}")
    print()


def median_ms(function, repeats=5):
    """Median time of a call in milliseconds, after one call that isn't counted."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def timed_fit(function, data, jac):
    """BFGS from START; returns (result, seconds)."""
    started = time.perf_counter()
    result = minimize(function, START, args=data, jac=jac, method="BFGS")
    return result, time.perf_counter() - started


def print_fit(theta, covariance, peak, fitted, power):
    """Parameters in mrad and map units, with errors, and what is left."""
    value, error = theta.copy(), np.sqrt(np.diag(covariance))
    value[7] = np.exp(value[7])
    error[7] *= value[7]
    scale = np.array([0.1, 0.1, peak, 0.1, 1, 1, peak, peak])
    for name, x, dx in zip(NAMES, value * scale, error * scale, strict=True):
        print(f"  {name:6s} {x:12.5f} +- {dx:.5f}")
    rms = peak * np.sqrt(np.mean((power - fitted) ** 2))
    print(f"  residual rms {rms:.2f}")


def compare(name, points, power, peak):
    """Fit under one likelihood with pyarr and with NumPy; print both."""
    data = (points, power)
    plain, ported = getattr(beam_numpy, name), getattr(beam_pyarr, name)
    exact = pa.value_and_grad(ported)
    ours, our_time = timed_fit(exact, data, True)
    theirs, their_time = timed_fit(plain, data, None)
    print(f"{name}: {ours.message}")
    hessian = np.asarray(pa.hessian(ported)(ours.x, *data)) * power.size
    fitted = beam_numpy.gauss(*ours.x[:6], points) + ours.x[6]
    print_fit(ours.x, np.linalg.inv(hessian), peak, fitted, power)
    step = np.sqrt(np.finfo(float).eps)
    gradient = median_ms(lambda: exact(START, *data))
    differences = median_ms(lambda: approx_fprime(START, plain, step, *data))
    print("                           pyarr         NumPy, 2-point    speedup")
    print(
        f"  value and gradient  {gradient:9.3f} ms   {differences:12.3f} ms "
        f"{differences / gradient:12.1f}x"
    )
    print(f"  evaluations         {ours.nfev:9d}      {theirs.nfev:12d}")
    print(
        f"  fit                 {1e3 * our_time:9.1f} ms   {1e3 * their_time:12.1f} ms "
        f"{their_time / our_time:12.1f}x"
    )
    print(f"  objective           {ours.fun:12.8f}   {theirs.fun:12.8f}\n")
    return ours


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", metavar="DIR", help="folder with *_IN.txt")
    points, power, peak = load(parser.parse_args(argv).maps)
    print_port()
    print(
        f"{power.size} pixels; x0, y0, sigma in mrad, amp, base, noise in map units\n"
    )
    fits = [
        compare(name, points, power, peak) for name in ("normal_loss", "cauchy_loss")
    ]
    return 0 if all(fit.success for fit in fits) else 1


if __name__ == "__main__":
    sys.exit(main())
