"""Holography of a telescope: value and gradient, its matrix products, the whole fit.

The model is the one of examples/oof_model.py, with its constants as arguments.
"""

import functools
import sys
import time
from pathlib import Path

import numpy as np

from . import ROOT
from .workloads import UNCOMPILED, Workload

sys.path.insert(0, str(ROOT / "examples"))

import oof_maps
import oof_model

ARRAYS = "zernikes ramps defocus shadow decay power weight share scales".split()
SIZES = (256, 512, 1024)


@functools.cache
def maps(folder):
    """The real maps where they are, else maps of a known surface."""
    folder = Path(folder) / "oof" / "srt_real"
    if folder.is_dir():
        return oof_maps.read_maps(folder)
    return oof_maps.simulate(oof_maps.sardinia(), 5, 64)[0]


def model(xp, data, pixels, order, use_fft, shared=False):
    shape = pixels, order, use_fft, shared
    return oof_model.Model(xp, oof_maps.sardinia(), maps(data), *shape)


def bare(m, pixels, order, arrays):
    """A Model whose constants are the given arrays of the library `m`."""
    made = object.__new__(oof_model.Model)
    made.xp = m
    made.terms = len(oof_model.zernike_indices(order))
    for name, array in zip(ARRAYS, arrays, strict=True):
        setattr(made, name, array)
    made.count = made.power.shape[0]
    made.pupil = Pixels(pixels)
    return made


class Pixels:
    def __init__(self, pixels):
        self.pixels = pixels


def by_matrices(m, theta, to_u, to_v, *arrays, pixels, order):
    """Mean negative log likelihood, the beams by two matrix products."""
    made = bare(m, pixels, order, arrays)
    made.transform = lambda field: to_u @ field @ to_v
    return made.gauss(theta)


def by_real_matrices(m, theta, to_u, to_v, *arrays, pixels, order):
    """The same in real numbers, for compilers that leave complex ones alone."""
    made = bare(m, pixels, order, arrays)
    left = m.concatenate([m.real(to_u), m.imag(to_u)], axis=0)
    right = m.concatenate([m.real(to_v), m.imag(to_v)], axis=1)
    rows, columns = made.power.shape[1:]

    def beams(theta):
        coefficients, taper, own = made.split(theta)
        phase = coefficients @ made.zernikes + own[:, :2] @ made.ramps + made.defocus
        field = m.exp(taper * made.decay + made.shadow)
        field = field / m.sum(field)
        shape = made.count, pixels, pixels
        a = left @ m.reshape(field * m.cos(phase), shape)
        b = left @ m.reshape(field * m.sin(phase), shape)
        a, b = a[:, :rows] - b[:, rows:], a[:, rows:] + b[:, :rows]
        a, b = a @ right, b @ right
        real = a[..., :columns] - b[..., columns:]
        return real**2 + (a[..., columns:] + b[..., :columns]) ** 2

    made.beams = beams
    return made.gauss(theta)


def by_fft(m, theta, first, *arrays, pixels, order, length):
    """The same with the beams by a padded FFT."""
    made = bare(m, pixels, order, arrays)
    rows, columns = made.power.shape[1:]

    def transform(field):
        along_u = m.fft.ifft(first * field, length, 1)[:, :rows]
        return m.fft.ifft(along_u, length, 2)[:, :, :columns]

    made.transform = transform
    return made.gauss(theta)


def factors(made):
    """The matrices of the two products that transform a field."""
    wavenumber = 2 * np.pi / made.telescope.wavelength
    to_u = np.exp(1j * wavenumber * np.outer(made.maps.u, made.pupil.axis))
    return to_u, np.exp(1j * wavenumber * np.outer(made.pupil.axis, made.maps.v))


def start(made):
    """Where the fit starts, a little off: there no gradient is zero by symmetry."""
    theta = made.start("gauss")
    return theta + np.random.default_rng(8).normal(0, 0.05, theta.size)


def matrix_problem(data, pixels, order):
    made = model(np, data, pixels, order, False)
    theta = start(made)
    return (theta,), (*factors(made), *[getattr(made, name) for name in ARRAYS])


def fft_problem(data, pixels, order):
    made = model(np, data, pixels, order, True)
    theta = start(made)
    length, _ = oof_model.fft_length(made.telescope, pixels, made.maps)
    wavenumber = 2 * np.pi / made.telescope.wavelength
    ramp = wavenumber * made.maps.u[0] * made.pupil.axis[:, None]
    ramp = ramp + wavenumber * made.maps.v[0] * made.pupil.axis
    first = np.exp(1j * ramp) * length**2
    return (theta,), (first, *[getattr(made, name) for name in ARRAYS])


def workloads(data, order=5):
    """Value and gradient at each size of pupil, by matrices and by FFT.

    torch.compile leaves FFTs as they are, after a long while.
    """
    part = functools.partial
    found = []
    for pixels in SIZES:
        formula = part(by_matrices, pixels=pixels, order=order)
        real = part(by_real_matrices, pixels=pixels, order=order)
        own = {peer: real for peer in ("torch", "torch.compile", "torch joint")}
        problem = part(matrix_problem, data, pixels, order)
        found.append(Workload(f"holography-{pixels}", formula, problem, own=own))
    for pixels in SIZES:
        telescope = oof_maps.sardinia()
        length, size = oof_model.fft_length(telescope, pixels, maps(data))
        inside = int(np.ceil(2 * telescope.radius / size))
        formula = part(by_fft, pixels=inside, order=order, length=length)
        problem = part(fft_problem, data, pixels, order)
        name = f"holography-fft-{pixels}"
        found.append(Workload(name, formula, problem, peers=UNCOMPILED))
    return found


def products(m, workload):
    """A call that does the matrix products of one value and gradient, and no more.

    Forward: the phases, and each field to its beam. Backward: each beam's cotangent to
    its field's, and the phases' cotangents to the coefficients and the offsets.
    """
    (theta,), (to_u, to_v, zernikes, ramps, defocus, *_) = workload.problem()
    terms, count, pixels = len(zernikes), len(defocus), to_v.shape[0]
    rng = np.random.default_rng(9)
    field = rng.normal(size=(count, pixels, pixels)) + 0j
    seen = rng.normal(size=(count, len(to_u), to_v.shape[1])) + 0j
    back_u, back_v = (np.ascontiguousarray(a.conj().T) for a in (to_u, to_v))
    pairs = [(theta[:terms], zernikes), (theta[: 2 * count].reshape(count, 2), ramps)]
    pairs += [(zernikes, defocus[0]), (ramps, defocus.T)]
    pairs = [(m.asarray(a), m.asarray(b)) for a, b in pairs]
    triples = [(to_u, field, to_v), (back_u, seen, back_v)]
    triples = [tuple(m.asarray(a) for a in triple) for triple in triples]

    def run():
        for a, b in pairs:
            a @ b
        for a, b, c in triples:
            a @ b @ c
        return 0.0, None

    return run


FITS = {
    "fit-order-5": {"pixels": 128, "order": 5, "use_fft": False},
    "fit-order-10": {"pixels": 128, "order": 10, "use_fft": False},
    "fit-order-5-by-fft": {"pixels": 128, "order": 5, "use_fft": True},
    "fit-order-10-by-fft": {"pixels": 128, "order": 10, "use_fft": True},
    "fit-fft-order-8": {"pixels": 256, "order": 8, "use_fft": True, "shared": True},
}
# At this size of pupil matrices are NumPy's better form.
NUMPY_BY_MATRICES = "fit-order-5-by-fft", "fit-order-10-by-fft"


def whole_fit(xp, name, data, limit=None):
    """The fit of examples/holography.py from its usual start: what it took and found.

    With NumPy it is by 2-point differences and stops after `limit` evaluations.
    """
    import holography

    shape = dict(FITS[name])
    exact = xp is not np
    if not exact and name in NUMPY_BY_MATRICES:
        shape["use_fft"] = False
    made = model(xp, data, **shape)
    theta = made.start("gauss")
    objective = xp.value_and_grad(made.gauss) if exact else made.gauss
    begun = time.perf_counter()
    objective(theta)
    first = time.perf_counter() - begun
    found = holography.fit(objective, theta, exact or None, name, limit)
    result, counted, seconds = found
    return {
        "seconds": seconds,
        "first": first,
        "evaluations": counted.calls,
        "evaluation_seconds": counted.seconds / counted.calls,
        "gradients": None if result is None else int(result.njev),
        "objective": None if result is None else float(result.fun),
        "parameters": theta.size,
    }
