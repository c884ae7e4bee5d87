"""A telescope's beam and its likelihoods. Its NumPy and pyarr files differ in one line.

Coordinates `a[..., 0]`, `a[..., 1]` are in units of 0.1 mrad, power in units of the
peak, so that every parameter is of order 1.
"""

import pyarr as np


def gauss(x0, y0, amp, sigma, rho, diff, a):
    """Elliptical Gaussian beam at the points `a`, shape (..., 2)."""
    dx = a[..., 0] - x0
    dy = a[..., 1] - y0
    R2 = np.hypot(dx, dy) ** 2 + rho * dx * dy + diff * (dx**2 - dy**2)
    return amp * np.exp(-R2 / (2 * sigma**2))


def pull(theta, a, power):
    """Residuals over noise scale; theta = (beam's six, base level, log noise)."""
    return (power - gauss(*theta[:6], a) - theta[6]) / np.exp(theta[7])


def normal_loss(theta, a, power):
    """Mean negative log likelihood of Gaussian noise, up to a constant."""
    return np.mean(pull(theta, a, power) ** 2) / 2 + theta[7]


def cauchy_loss(theta, a, power):
    """Mean negative log likelihood of Cauchy noise, up to a constant."""
    return np.mean(np.log1p(pull(theta, a, power) ** 2)) + theta[7]
