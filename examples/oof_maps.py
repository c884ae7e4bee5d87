"""Beam maps for the holography example: read from a telescope, or simulated."""

import pathlib

import numpy as np
from oof_model import MAP_PARAMETERS, TAPER_UNIT, Maps, Model, Telescope

SPEED_OF_LIGHT = 299792458.0  # m/s

# Defocus in metres by the ending of the file name, as the Sardinia maps came.
DEFOCUS = {"IN": 0.0, "OUT1": -0.027, "OUT2": +0.027}


def sardinia(blockage=0.0, frequency=22.23e9):
    """The Sardinia Radio Telescope as it observed on 2019-04-26."""
    return Telescope(
        wavelength=SPEED_OF_LIGHT / frequency,
        radius=32.004,
        focal_primary=21.0236,
        focal_total=149.76,
        blockage=blockage,
    )


def read_maps(folder):
    """Read `*IN.txt`, `*OUT1.txt`, `*OUT2.txt`: rows `u v power`, radians, v fastest.

    Raises FileNotFoundError where a map is missing or there are several of one name,
    ValueError where the maps aren't samples of one regular grid.
    """
    grids = [read_map(pathlib.Path(folder), name) for name in DEFOCUS]
    u, v, _ = grids[0]
    for name, (other_u, other_v, _) in zip(DEFOCUS, grids, strict=True):
        if not (np.array_equal(u, other_u) and np.array_equal(v, other_v)):
            raise ValueError(f"{folder}: map {name} is on another grid than map IN")
    power = np.array([grid[2] for grid in grids])
    return Maps(tuple(DEFOCUS), np.array(list(DEFOCUS.values())), u, v, power)


def read_map(folder, name):
    """One map as (u, v, power[u, v])."""
    found = sorted(folder.glob(f"*_{name}.txt"))
    if len(found) != 1:
        raise FileNotFoundError(f"{folder}: {len(found)} files *_{name}.txt, not 1")
    rows = np.loadtxt(found[0])
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise ValueError(f"{found[0]}: rows of 3 numbers expected")
    u, v = regular_axis(rows[:, 0], found[0]), regular_axis(rows[:, 1], found[0])
    if len(rows) != u.size * v.size:
        raise ValueError(f"{found[0]}: {len(rows)} rows, not {u.size} x {v.size}")
    return u, v, rows[:, 2].reshape(u.size, v.size)


def regular_axis(values, file):
    """The regular grid of which `values` are the coordinates, rounded to 1e-6."""
    seen = np.unique(values)
    axis = np.linspace(seen[0], seen[-1], seen.size)
    if seen.size < 2 or np.abs(seen - axis).max() > 1e-6:
        raise ValueError(f"{file}: coordinates aren't on a regular grid")
    return axis


def simulate(telescope, order, pixels, seed=1, samples=100, noise=10.0, shared=False):
    """Maps of a dish with a known surface, and the parameters they were made with.

    With `shared` all maps have the same offsets.

    Returns (maps, truth, scales): `truth` is a parameter vector of `Model` whose
    levels are relative to `scales`.
    """
    rng = np.random.default_rng(seed)
    axis = np.linspace(-1.62e-3, 1.62e-3, samples)
    empty = np.ones((len(DEFOCUS), samples, samples))
    defocus = np.array(list(DEFOCUS.values()))
    maps = Maps(tuple(DEFOCUS), defocus, axis, axis, empty)
    model = Model(np, telescope, maps, pixels, order)
    truth = np.zeros(model.size)
    falling = np.array([0.5 / n for n, _ in model.pupil.indices])
    truth[: model.terms] = falling * rng.normal(size=model.terms)
    truth[model.terms] = -12.0 / TAPER_UNIT
    own = truth[model.terms + 1 :].reshape(model.count, len(MAP_PARAMETERS))
    own[:, :2] = rng.normal(0, 0.5, (1 if shared else model.count, 2))
    own[:, 3] = 1.0
    model.scales[:] = 10000.0, 50.0, noise
    power = model.predict(truth) + rng.normal(0, noise, empty.shape)
    return Maps(maps.names, defocus, axis, axis, power), truth, model.scales
