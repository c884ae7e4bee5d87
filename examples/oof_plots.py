"""Pictures for the holography example: maps, residuals and the recovered phase."""

import numpy as np

LABEL = {"fontsize": 9}


def draw(file, model, theta, errors, truth=None, title=""):
    """Write a PNG: a row for each map (observed, fitted, residual), and the dish.

    `theta` and `errors` are the fitted parameters and their errors, `truth` the known
    Zernike coefficients of a simulation.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = model.count
    figure, axes = plt.subplots(
        rows, 4, figsize=(15, 3.5 * rows), squeeze=False, layout="constrained"
    )
    figure.suptitle(title)
    draw_maps(figure, axes, model, theta)
    coefficients = theta[: model.terms]
    recovered = phase_map(model, coefficients)
    if truth is None:
        illumination = illumination_map(model, theta)
        panels = [(recovered, "recovered phase (rad)", "RdBu_r")]
        panels += [(illumination, "illumination (amplitude)", "viridis")]
    else:
        panels = [(recovered, "recovered phase (rad)", "RdBu_r")]
        panels += [(phase_map(model, truth), "true phase (rad)", "RdBu_r")]
    limit = np.nanmax(np.abs(recovered))
    for axis, (image, label, colours) in zip(axes[:, 3], panels, strict=False):
        signed = colours == "RdBu_r"
        draw_dish(figure, axis, model, image, label, colours, limit if signed else None)
    draw_coefficients(axes[-1, 3], model, coefficients, errors[: model.terms], truth)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_maps(figure, axes, model, theta):
    """Observed map, fitted map and residual of each map in the first three columns."""
    from matplotlib.colors import PowerNorm

    maps = model.maps
    fitted = np.asarray(model.predict(model.xp.asarray(theta)))
    extent = 1e3 * np.array([maps.u[0], maps.u[-1], maps.v[0], maps.v[-1]])
    for m, name in enumerate(maps.names):
        valid = maps.valid[m]
        observed = np.where(valid, maps.power[m], np.nan)
        residual = observed - fitted[m]
        # The square root brings the side lobes out beside the main beam.
        low, high = np.nanpercentile(observed, 1), np.nanmax(observed)
        stretch = PowerNorm(0.5, low, high)
        defocus = f"{name}, dz {1e3 * maps.defocus[m]:.0f} mm"
        rms = np.sqrt(np.nanmean(residual**2))
        span = 4 * rms
        panels = [
            (observed, f"{defocus}: observed", {"norm": stretch}),
            (fitted[m], "fitted", {"norm": stretch}),
            (
                residual,
                f"residual, rms {rms:.1f}, scale $\\pm$4 rms",
                {"cmap": "RdBu_r", "vmin": -span, "vmax": span},
            ),
        ]
        for column, (image, label, style) in enumerate(panels):
            axis = axes[m, column]
            drawn = axis.imshow(image.T, origin="lower", extent=extent, **style)
            axis.set_title(label, **LABEL)
            if column == 0:
                axis.set_ylabel("v (mrad)", **LABEL)
            if m == model.count - 1:
                axis.set_xlabel("u (mrad)", **LABEL)
            if column > 0:
                figure.colorbar(drawn, ax=axis, shrink=0.85)


def draw_dish(figure, axis, model, image, label, colours, limit):
    """A quantity over the aperture, seen along the grid's axes in metres."""
    edge = model.pupil.pixels * model.pupil.size / 2
    span = {} if limit is None else {"vmin": -limit, "vmax": limit}
    drawn = axis.imshow(
        image.T, origin="lower", extent=[-edge, edge] * 2, cmap=colours, **span
    )
    axis.set_title(label, **LABEL)
    axis.set_xlabel("x (m)", **LABEL)
    axis.set_ylabel("y (m)", **LABEL)
    figure.colorbar(drawn, ax=axis, shrink=0.85)


def draw_coefficients(axis, model, coefficients, errors, truth):
    """Zernike coefficients with their errors, and the true ones where known."""
    where = np.arange(model.terms)
    axis.bar(where, coefficients, yerr=errors, color="0.7", label="fitted", capsize=2)
    if truth is not None:
        axis.plot(where, truth, "k_", markersize=9, label="true")
        axis.legend(fontsize=8)
    names = [f"{n},{m}" for n, m in model.pupil.indices]
    axis.set_xticks(where, names, rotation=90, fontsize=7)
    axis.axhline(0, color="k", linewidth=0.5)
    axis.set_title("Zernike coefficients (rad)", **LABEL)


def phase_map(model, coefficients):
    """Zernike phase on the aperture in rad, NaN outside."""
    pupil = model.pupil
    phase = np.tensordot(np.asarray(coefficients), pupil.zernikes, 1)
    return np.where(pupil.inside, phase, np.nan)


def illumination_map(model, theta):
    """Amplitude on the aperture, 1 at the centre, NaN outside."""
    decay = np.asarray(model.decay).reshape(model.pupil.inside.shape)
    return np.where(model.pupil.inside, np.exp(theta[model.terms] * decay), np.nan)
