"""The product of complex matrices in a plan, and its error."""

import numpy as np

import pyarr as pa


@pa.jit
def product(a, b):
    return a @ b


def errors(ours, a, b):
    """Of real and imaginary parts, over |a| @ |b|."""
    error = np.asarray(ours) - a.astype(np.clongdouble) @ b.astype(np.clongdouble)
    scale = np.abs(a) @ np.abs(b)
    return np.abs(error.real) / scale, np.abs(error.imag) / scale
