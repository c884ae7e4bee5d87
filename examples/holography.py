"""Out-of-focus holography: the surface of a telescope from three beam maps.

    python examples/holography.py                     simulated maps, known surface
    python examples/holography.py --maps DIR          maps of a real telescope

The fit minimises a likelihood over 34 parameters (at Zernike order 5) by BFGS, once
with exact gradients from pyarr and once in NumPy with SciPy's finite differences. The
model in `oof_model.py` serves both: only the array module differs.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import oof_maps
import oof_plots
from oof_model import OFFSET_UNIT, TAPER_UNIT, Model
from scipy.optimize import approx_fprime, minimize

import pyarr as pa

STEP = np.sqrt(np.finfo(float).eps)  # SciPy's own step for 2-point differences


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--likelihood", choices=("gauss", "cauchy"), default="gauss")
    add("--maps", metavar="DIR", help="folder with *_IN.txt, *_OUT1.txt, *_OUT2.txt")
    add("--pupil", type=int, default=128, help="pixels across the aperture (128)")
    add("--order", type=int, default=5, help="highest Zernike order (5)")
    add("--blockage", type=float, default=0.0, help="central shadow, fraction of R (0)")
    add("--starts", type=int, default=0, help="more fits from starts scattered by 0.3")
    add("--fft", action="store_true", help="beam by a padded FFT")
    add("--shared", action="store_true", help="one set of levels for all maps")
    add("--no-numpy", action="store_true", help="leave out the fit by differences")
    add("--numpy-evaluations", type=int, help="stop the NumPy fit after so many")
    add("--out", default="holography.png", help="the picture (holography.png)")
    options = parser.parse_args(argv)
    if options.pupil < 8 or options.order < 2 or not 0 <= options.blockage < 1:
        parser.error("need --pupil >= 8, --order >= 2 and 0 <= --blockage < 1")
    return options


class Counted:
    """A function that counts its calls, times them, and stops at `limit` calls."""

    class Stopped(Exception):
        pass

    def __init__(self, function, limit=None):
        self.function, self.limit = function, limit
        self.calls, self.seconds = 0, 0.0

    def __call__(self, theta):
        if self.limit is not None and self.calls >= self.limit:
            raise Counted.Stopped
        started = time.perf_counter()
        value = self.function(theta)
        self.seconds += time.perf_counter() - started
        self.calls += 1
        return value


def progress(label):
    """A tqdm bar as a callback for SciPy; nothing without tqdm or a terminal."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None, lambda: None
    bar = tqdm(desc=label, unit=" iterations", leave=False, disable=None)

    def callback(intermediate_result):
        bar.update()
        bar.set_postfix(objective=f"{intermediate_result.fun:.6f}", refresh=False)

    return callback, bar.close


def fit(function, start, jac, label, limit=None):
    """BFGS from `start`; returns (result or None where stopped, counts, seconds)."""
    counted = Counted(function, limit)
    callback, close = progress(label)
    started = time.perf_counter()
    try:
        result = minimize(counted, start, jac=jac, method="BFGS", callback=callback)
    except Counted.Stopped:
        result = None
    finally:
        close()
    return result, counted, time.perf_counter() - started


def median_ms(function, repeats=5):
    """Median time of a call in milliseconds, after one call that isn't counted.

    The pause lets the threads of the other library's BLAS, which spin for some time after
    their last work, go to sleep.
    """
    time.sleep(0.1)
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def residual_rms(model, theta):
    """Root mean square of data minus model over the observed pixels of each map."""
    fitted = np.asarray(model.predict(pa.asarray(theta)))
    square = np.where(model.maps.valid, (model.maps.power - fitted) ** 2, 0)
    return np.sqrt(square.sum(axis=(1, 2)) / model.maps.valid.sum(axis=(1, 2)))


def own_units(model, theta, errors):
    """Each map's parameters and errors in the units of the data: (maps, 5, 2)."""
    own = np.stack([np.asarray(model.split(v)[2]) for v in (theta, errors)], axis=-1)
    if model.shared:
        own[:, 3, 1] = 0
    own[:, :2] *= 1e3 * OFFSET_UNIT
    own[:, 3] *= model.scales[:, 1, None]
    for column, scale in ((2, model.scales[:, 0]), (4, model.scales[:, 2])):
        own[:, column, 0] = scale * np.exp(own[:, column, 0])
        own[:, column, 1] *= own[:, column, 0]
    return own


def print_assumptions(options, model, simulated):
    telescope, pupil = model.telescope, model.pupil
    print("Assumed")
    source = "simulated maps of a known surface" if simulated else options.maps
    print(f"  maps        {source}")
    for name, dz, valid in zip(
        model.maps.names, model.maps.defocus, model.maps.valid, strict=True
    ):
        print(f"              {name:5s} dz {1e3 * dz:+6.1f} mm, {valid.sum()} pixels")
    print(
        f"  telescope   wavelength {1e3 * telescope.wavelength:.3f} mm, radius "
        f"{telescope.radius} m, focal lengths {telescope.focal_primary} m (primary), "
        f"{telescope.focal_total} m (total)"
    )
    print(
        f"  aperture    {pupil.pixels} x {pupil.pixels} pixels of {pupil.size:.4f} m, "
        f"Gaussian taper, central blockage {telescope.blockage:g} R"
    )
    print(f"  phase       Zernike terms of orders 2 to {options.order}, rms 1 each")
    method = "padded FFT" if options.fft else "matrix Fourier transform"
    print(f"  beam        |sum field * exp(+i k (u x + v y))|^2 by {method}")
    print("  defocus     dz > 0 adds +k * path(r) * dz to the phase of the field")
    print("              (maps can't tell these two signs: changing both turns the")
    print("              phase by 180 degrees and changes its sign)")
    levels = "all maps alike" if options.shared else "each map its own"
    print(f"  levels      {levels}: offsets, amplitude, noise, base")
    print(f"  likelihood  {options.likelihood}, noise scale free\n")


def print_parameters(model, theta, errors):
    print("Fitted, with errors from the exact Hessian")
    print(
        f"  taper at the rim {TAPER_UNIT * theta[model.terms]:.2f} +- "
        f"{TAPER_UNIT * errors[model.terms]:.2f} dB"
    )
    print("  Zernike coefficients (rad)")
    terms = zip(model.pupil.indices, theta, errors, strict=False)
    cells = [f"({n},{m:+d}) {k:+.4f} +- {e:.4f}" for (n, m), k, e in terms]
    for row in range(0, len(cells), 3):
        print("    " + "   ".join(cells[row : row + 3]))
    print("  map    offset u (mrad)      offset v (mrad)      amplitude         base")
    for name, own in zip(
        model.maps.names, own_units(model, theta, errors), strict=True
    ):
        (u, du), (v, dv), (amp, damp), (base, dbase), _ = own
        print(
            f"  {name:5s} {u:+.5f} +- {du:.5f}  {v:+.5f} +- {dv:.5f}  "
            f"{amp:7.1f} +- {damp:5.1f}  {base:6.2f} +- {dbase:.2f}"
        )


def print_residuals(model, theta, errors, likelihood):
    noise = model.maps.rim_noise()
    scales = own_units(model, theta, errors)[:, 4]
    print("  map    residual rms   fitted noise scale   noise at the rim")
    rows = zip(model.maps.names, residual_rms(model, theta), scales, noise, strict=True)
    for name, rms, (scale, error), own in rows:
        print(f"  {name:5s} {rms:10.2f} {scale:14.2f} +- {error:.2f} {own:16.2f}")
    print(
        "  What is left above the noise is model error: blockage, legs, higher orders."
    )
    if likelihood == "cauchy":
        print("  (Cauchy: the noise scale is half the width at half maximum.)")


def print_surface(model, theta):
    """Surface error as half the path error, over the dish and weighted by the beam."""
    unit = 1e6 * model.telescope.wavelength / (4 * np.pi)
    inside = model.pupil.inside
    weight = oof_plots.illumination_map(model, theta)[inside] ** 2
    print("Surface rms (half the path; micrometres)      dish   weighted by power")
    for label, keep in (("all terms", 0), ("without focus (2,0)", 1)):
        coefficients = np.array(theta[: model.terms])
        if keep:
            coefficients[model.pupil.indices.index((2, 0))] = 0
        phase = oof_plots.phase_map(model, coefficients)[inside]
        plain = unit * np.std(phase)
        mean = np.average(phase, weights=weight)
        weighted = unit * np.sqrt(np.average((phase - mean) ** 2, weights=weight))
        print(f"  {label:38s} {plain:10.1f} {weighted:14.1f}")


def print_recovery(model, theta, errors, truth):
    """How well the known surface of a simulation was found again."""
    unit = 1e6 * model.telescope.wavelength / (4 * np.pi)
    difference = theta[: model.terms] - truth[: model.terms]
    pull = difference / errors[: model.terms]
    print("Recovery of the known surface")
    print(f"  true rms {unit * np.linalg.norm(truth[: model.terms]):.1f} um, ", end="")
    print(f"rms of fitted minus true {unit * np.linalg.norm(difference):.2f} um")
    print(
        f"  coefficients: largest error {np.abs(difference).max():.4f} rad, "
        f"rms of error over its expectation {np.sqrt(np.mean(pull**2)):.2f}"
    )
    taper = TAPER_UNIT * truth[model.terms]
    print(f"  taper {TAPER_UNIT * theta[model.terms]:.2f} dB, true {taper:.2f} dB")


def print_timings(options, exact, slow, value, start):
    """One gradient and the whole fit, by pyarr and by NumPy's differences."""
    function = exact[1].function
    ours = median_ms(lambda: function(start))
    numpy_value = median_ms(lambda: slow[1].function(start))
    theirs = median_ms(lambda: approx_fprime(start, slow[1].function, STEP))
    threads = pa.show_config()["num_threads"]
    print(f"Timings with {start.size} parameters, {threads} threads")
    print("  one evaluation (median of 5)        pyarr          NumPy    speedup")
    print(f"    value                     {value:10.2f} ms {numpy_value:10.2f} ms")
    ratio = f"{theirs / ours:8.1f}x"
    print(f"    value and gradient        {ours:10.2f} ms {theirs:10.2f} ms {ratio}")
    calls, other = exact[1].calls, slow[1].calls
    each = 1e3 * exact[1].seconds / calls
    other_each = 1e3 * slow[1].seconds / max(other, 1)
    print("  whole fit (BFGS, same start and tolerances)")
    print(f"    evaluations               {calls:10d}    {other:10d}")
    print(f"    per evaluation            {each:10.2f} ms {other_each:10.2f} ms")
    total = "  (stopped)" if slow[0] is None else f"{slow[2] / exact[2]:8.1f}x"
    print(
        f"    time                      {exact[2]:10.2f} s  {slow[2]:10.2f} s  {total}"
    )
    if slow[0] is None:
        needed = exact[0].njev * (start.size + 1)
        whole = needed * other_each / 1e3
        print(
            f"    (NumPy stopped after {options.numpy_evaluations} evaluations; as many"
        )
        print(f"    gradients as pyarr took would cost it {whole:.1f} s,", end=" ")
        print(f"{whole / exact[2]:.1f}x)")
    else:
        print(f"    objective                 {exact[0].fun:13.8f} {slow[0].fun:13.8f}")
        print(f"    NumPy's fit says: {slow[0].message}")


def try_starts(options, telescope, maps, best):
    """Fits from phases scattered by 0.3 rad in every coefficient."""
    print(f"\n{options.starts} starts with coefficients scattered by 0.3 rad")
    print("  start   objective     (2,0)    residual rms")
    found = []
    for seed in range(options.starts):
        model = Model(
            pa,
            telescope,
            maps,
            options.pupil,
            options.order,
            options.fft,
            options.shared,
        )
        scatter = np.random.default_rng(seed).normal(0, 0.3, model.terms)
        start = model.start(options.likelihood, coefficients=scatter)
        function = pa.value_and_grad(getattr(model, options.likelihood))
        result = fit(function, start, True, f"start {seed}")[0]
        found.append(result.fun)
        rms = "  ".join(f"{rms:6.2f}" for rms in residual_rms(model, result.x))
        focus = result.x[model.pupil.indices.index((2, 0))]
        print(f"  {seed:5d} {result.fun:12.6f} {focus:+8.4f}   {rms}")
    best = min(best, *found)
    reached = sum(value < best + 1e-4 for value in found)
    print(f"  {reached} of {options.starts} reach the best objective to 1e-4")


def main(argv=None):
    options = parse_arguments(argv)
    telescope = oof_maps.sardinia(options.blockage)
    truth = None
    if options.maps:
        try:
            maps = oof_maps.read_maps(options.maps)
        except (OSError, ValueError) as error:
            sys.exit(f"holography: {error}")
    else:
        maps, truth, _ = oof_maps.simulate(
            telescope, options.order, options.pupil, shared=options.shared
        )
    form = (options.pupil, options.order, options.fft, options.shared)
    shape = (telescope, maps, *form)
    model = Model(pa, *shape)
    print_assumptions(options, model, truth is not None)

    start = model.start(options.likelihood)
    objective = getattr(model, options.likelihood)
    exact = fit(pa.value_and_grad(objective), start, True, "pyarr")
    result = exact[0]
    print(f"BFGS: {result.message} {result.nit} iterations, {exact[1].calls} values")
    print(f"and gradients, {exact[2]:.2f} s, objective {result.fun:.8f}\n")
    hessian = np.asarray(pa.hessian(objective)(result.x)) * model.pixels_used
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    print_parameters(model, result.x, errors)
    print_residuals(model, result.x, errors, options.likelihood)
    print_surface(model, result.x)
    if truth is not None:
        print_recovery(model, result.x, errors, truth)

    if not options.no_numpy:
        plain = Model(np, *shape)
        slow_start = plain.start(options.likelihood)
        limit = options.numpy_evaluations
        slow = fit(getattr(plain, options.likelihood), slow_start, None, "NumPy", limit)
        value = median_ms(lambda: float(objective(pa.asarray(start))))
        print()
        print_timings(options, exact, slow, value, start)
    if options.starts:
        try_starts(options, telescope, maps, result.fun)
    title = f"{'Simulated maps' if truth is not None else options.maps}: "
    title += f"{options.likelihood} likelihood, Zernike order {options.order}"
    known = None if truth is None else truth[: model.terms]
    try:
        oof_plots.draw(options.out, model, result.x, errors, known, title)
    except ImportError:
        print("\nNo picture: matplotlib isn't installed (pip install pyarr[examples]).")
    else:
        print(f"\nPicture: {options.out}")
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main())
