"""The model of out-of-focus holography, written once for NumPy and for pyarr.

Every function that depends on the parameters takes the array module `xp` first.
The same lines then run as plain NumPy (`xp = numpy`) and as pyarr with exact
derivatives (`xp = pyarr`); nothing else differs between the two fits.

Conventions. The aperture field is `taper(r) * exp(i * phase)` and the beam is
`|sum over the aperture of field(x, y) * exp(+i * k * (u*x + v*y))|**2` with
`k = 2*pi/wavelength`. A map with defocus `dz` adds `+k * path(r) * dz` to the phase.
Maps can't tell either sign: changing both turns the recovered phase by 180 degrees
and changes its sign, so a phase is only as good as these two statements.
"""

import dataclasses
import math

import numpy as np
from scipy import fft

# Each map has these parameters of its own; all are of order 1 (see `describe`).
MAP_PARAMETERS = ("offset u", "offset v", "log amplitude", "base", "log noise")
OFFSET_UNIT = 1e-4  # rad
TAPER_UNIT = 5.0  # dB


@dataclasses.dataclass(frozen=True)
class Telescope:
    """A dual-reflector telescope observing at one wavelength; lengths in metres."""

    wavelength: float
    radius: float
    focal_primary: float
    focal_total: float
    blockage: float = 0.0  # radius of the central shadow as a fraction of `radius`

    def path(self, r):
        """Path difference at radius `r` per metre of axial defocus.

        Nikolic, Hills and Richer 2007, A&A 465, 679.
        """
        a = r / (2 * self.focal_primary)
        b = r / (2 * self.focal_total)
        return (1 - a**2) / (1 + a**2) + (1 - b**2) / (1 + b**2)


@dataclasses.dataclass(frozen=True)
class Maps:
    """Beam maps on one regular grid: `power[m, i, j]` at `(u[i], v[j])`, defocus dz[m].

    Samples that are exactly zero were never observed; `valid` leaves them out.
    """

    names: tuple
    defocus: np.ndarray
    u: np.ndarray
    v: np.ndarray
    power: np.ndarray

    @property
    def valid(self):
        return self.power != 0

    def rim_noise(self, width=10):
        """Noise of each map by itself: scatter of its outermost pixels, by the median.

        There the beam is faint, so this is what a perfect model would leave.
        """
        rim = np.ones(self.power.shape[1:], bool)
        rim[width:-width, width:-width] = False
        pixels = self.power[:, rim]
        middle = np.median(pixels, axis=1, keepdims=True)
        return 1.4826 * np.median(np.abs(pixels - middle), axis=1)


def zernike_indices(order):
    """The pairs (n, m) of all Zernike terms up to `order` but piston and tilts."""
    return [(n, m) for n in range(2, order + 1) for m in range(-n, n + 1, 2)]


def zernike(n, m, rho, angle):
    """Zernike term with cos(m*angle), or sin(|m|*angle) where m < 0; its rms is 1.

    With this normalisation (Noll 1976) the rms of a phase is the root of the sum of
    its squared coefficients.
    """
    k_last = (n - abs(m)) // 2
    radial = sum(
        (-1) ** k
        * math.comb(n - k, k)
        * math.comb(n - 2 * k, k_last - k)
        * rho ** (n - 2 * k)
        for k in range(k_last + 1)
    )
    norm = math.sqrt((n + 1) * (1 if m == 0 else 2))
    return norm * radial * (np.cos(m * angle) if m >= 0 else np.sin(-m * angle))


class Pupil:
    """The aperture on a square grid of pixels just as large as the dish.

    Holds what doesn't depend on the parameters: the Zernike terms, the phase of one
    metre of defocus, the ramps of one offset unit, and the grid's geometry.
    """

    def __init__(self, telescope, pixels, order, pixel_size=None):
        wavenumber = 2 * np.pi / telescope.wavelength
        self.pixels = pixels
        self.size = pixel_size or 2 * telescope.radius / pixels
        self.axis = (np.arange(pixels) - (pixels - 1) / 2) * self.size
        x, y = np.meshgrid(self.axis, self.axis, indexing="ij")
        r = np.hypot(x, y)
        rho = r / telescope.radius
        self.inside = (rho <= 1) & (rho >= telescope.blockage)
        self.rho2 = np.where(self.inside, rho**2, 0)
        self.indices = zernike_indices(order)
        angle = np.arctan2(y, x)
        terms = [zernike(n, m, rho, angle) for n, m in self.indices]
        # Outside the dish the field is zero; there the terms only have to be finite.
        self.zernikes = np.array(terms) * self.inside
        self.ramps = -wavenumber * OFFSET_UNIT * np.array([x, y]) * self.inside
        path = telescope.path(r)
        # The mean is a piston, which no map sees but which unsettles the optimiser.
        self.defocus = wavenumber * (path - path[self.inside].mean()) * self.inside


def matrix_transform(xp, pupil, telescope, maps):
    """Fourier transform to the maps' own coordinates by two small matrix products."""
    wavenumber = 2 * np.pi / telescope.wavelength
    to_u = xp.asarray(np.exp(1j * wavenumber * np.outer(maps.u, pupil.axis)))
    to_v = xp.asarray(np.exp(1j * wavenumber * np.outer(pupil.axis, maps.v)))

    def transform(field):
        return to_u @ field @ to_v

    return transform


def fft_length(telescope, pixels, maps):
    """Length of a padded FFT whose samples fall on the maps' samples.

    The transform's step is wavelength/(length * pixel size), so the pixel size
    follows from the length; both are chosen to keep about `pixels` on the dish.
    Returns (length, pixel size).
    """
    window = telescope.wavelength / (maps.u[1] - maps.u[0])
    target = window * pixels / (2 * telescope.radius)
    length = fft.next_fast_len(math.ceil(target))
    return length, window / length


def padded_transform(xp, pupil, telescope, maps, length):
    """The same values as `matrix_transform`, by an FFT padded to `length`."""
    wavenumber = 2 * np.pi / telescope.wavelength
    first = np.exp(1j * wavenumber * maps.u[0] * pupil.axis)[:, None]
    first = first * np.exp(1j * wavenumber * maps.v[0] * pupil.axis)
    # Sample 0 of the pupil lies at axis[0], which the FFT takes to be the origin.
    # That is a phase factor of the beam's field, so the beam doesn't see it.
    first = xp.asarray(first * length**2)
    rows, columns = maps.u.size, maps.v.size

    def transform(field):
        along_u = xp.fft.ifft(first * field, length, axis=1)[:, :rows]
        return xp.fft.ifft(along_u, length, axis=2)[:, :, :columns]

    return transform


class Model:
    """Beams and likelihood of a set of maps as functions of one parameter vector.

    The vector holds, all of order 1: the Zernike coefficients in rad, the taper at the
    rim in units of 5 dB, and for each map its offsets in units of 0.1 mrad, the
    logarithm of amplitude, the base level and the logarithm of the noise scale, these
    three relative to `scales` (see `start`). With `shared` all maps have the same
    offsets, amplitude and noise, four parameters in all, and bases stay as they start.
    """

    shared = False

    def __init__(
        self, xp, telescope, maps, pixels=128, order=5, use_fft=False, shared=False
    ):
        self.xp = xp
        self.shared = shared
        self.telescope = telescope
        self.maps = maps
        length, pixel_size = None, None
        if use_fft:
            length, pixel_size = fft_length(telescope, pixels, maps)
            pixels = math.ceil(2 * telescope.radius / pixel_size)
        self.pupil = Pupil(telescope, pixels, order, pixel_size)
        self.transform = (
            padded_transform(xp, self.pupil, telescope, maps, length)
            if use_fft
            else matrix_transform(xp, self.pupil, telescope, maps)
        )
        self.terms = len(self.pupil.indices)
        self.count = len(maps.names)
        own = len(MAP_PARAMETERS)
        self.size = self.terms + 1 + (own - 1 if shared else own * self.count)
        self.scales = np.ones((self.count, 3))
        self.base = np.zeros(self.count)
        self._set_constants()
        self.pixels_used = int(maps.valid.sum())

    def _set_constants(self):
        xp, pupil = self.xp, self.pupil
        flat = (-1, pupil.pixels**2)
        self.zernikes = xp.asarray(pupil.zernikes.reshape(flat))
        self.ramps = xp.asarray(pupil.ramps.reshape(flat))
        dz = self.maps.defocus[:, None]
        self.defocus = xp.asarray(dz * pupil.defocus.reshape(flat))
        # Logarithm of the amplitude that is left: none outside the dish.
        shadow = np.where(pupil.inside, 0, -np.inf)
        self.shadow = xp.asarray(shadow.reshape(flat[1]))
        decay = np.log(10) / 20 * TAPER_UNIT * pupil.rho2
        self.decay = xp.asarray(decay.reshape(flat[1]))
        self.power = xp.asarray(self.maps.power)
        valid = self.maps.valid
        self.weight = xp.asarray(valid / valid.sum())
        self.share = xp.asarray(valid.sum(axis=(1, 2)) / valid.sum())

    def split(self, theta):
        """Zernike coefficients, taper, and one row of MAP_PARAMETERS for each map."""
        own = theta[self.terms + 1 :]
        if self.shared:
            columns = [own[i] + 0 * self.base for i in range(4)]
            own = self.xp.stack([*columns[:3], self.base, columns[3]], axis=1)
        else:
            own = self.xp.reshape(own, (self.count, -1))
        return theta[: self.terms], theta[self.terms], own

    def beams(self, theta):
        """Beams of all maps, (maps, u, v); a perfect dish in focus has peak 1.

        The field is the exponential of log amplitude plus i times phase: one product
        then gives the derivative by both. The amplitude sums to 1.
        """
        xp = self.xp
        coefficients, taper, own = self.split(theta)
        phase = coefficients @ self.zernikes + own[:, :2] @ self.ramps + self.defocus
        level = taper * self.decay + self.shadow
        level = level - xp.log(xp.sum(xp.exp(level)))
        field = xp.exp(level + 1j * phase)
        pixels = self.pupil.pixels
        beam = self.transform(xp.reshape(field, (self.count, pixels, pixels)))
        return xp.real(beam) ** 2 + xp.imag(beam) ** 2

    def predict(self, theta):
        """The maps that `theta` predicts, in the units of the data."""
        xp = self.xp
        own = self.split(theta)[2]
        amplitude = self.scales[:, 0] * xp.exp(own[:, 2])
        base = self.scales[:, 1] * own[:, 3]
        return amplitude[:, None, None] * self.beams(theta) + base[:, None, None]

    def pulls(self, theta):
        """Residuals over noise scale, and the mean logarithm of that scale."""
        xp = self.xp
        noise = self.scales[:, 2] * xp.exp(self.split(theta)[2][:, 4])
        pull = (self.power - self.predict(theta)) * (1 / noise)[:, None, None]
        return pull, xp.sum(self.share * xp.log(noise))

    def gauss(self, theta):
        """Mean over the pixels of the negative log likelihood of Gaussian noise."""
        pull, log_noise = self.pulls(theta)
        return self.xp.sum(self.weight * pull**2) / 2 + log_noise

    def cauchy(self, theta):
        """The same for Cauchy noise, which forgives outliers and side lobes."""
        pull, log_noise = self.pulls(theta)
        return self.xp.sum(self.weight * self.xp.log1p(pull**2)) + log_noise

    def start(self, likelihood, taper_db=-15.0, coefficients=0.0):
        """Start of a fit: the given phase and taper, and the levels that suit them.

        Amplitude and base of each map follow by linear least squares, the noise scale
        from the residuals. For Cauchy noise the scale is the rim's instead: started
        wider, the fit wanders among the many optima of that likelihood. Sets `scales`,
        so that these parameters start at 0 (the base at its value over the noise).
        """
        theta = np.zeros(self.size)
        theta[: self.terms] = coefficients
        theta[self.terms] = taper_db / TAPER_UNIT
        rim = self.maps.rim_noise()
        beams = np.asarray(self.beams(self.xp.asarray(theta)))
        for m, (beam, power) in enumerate(zip(beams, self.maps.power, strict=True)):
            valid = self.maps.valid[m]
            design = np.stack([beam[valid], np.ones(valid.sum())], axis=1)
            level = np.linalg.lstsq(design, power[valid], rcond=None)[0]
            noise = np.std(power[valid] - design @ level)
            if likelihood == "cauchy":
                noise = rim[m]
            self.scales[m] = level[0], noise, noise
            self.base[m] = level[1]
        if self.shared:
            self.scales[:] = self.scales.mean(axis=0)
        self.base /= self.scales[:, 1]
        if not self.shared:
            own = theta[self.terms + 1 :].reshape(self.count, len(MAP_PARAMETERS))
            own[:, 3] = self.base
        return theta
