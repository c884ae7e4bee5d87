"""The methods of ndarray that are written in Python; the core looks them up by name."""

import numpy

from pyarr import _core
from pyarr.diagonals import trace
from pyarr.indexing import choose, put
from pyarr.indexing import compress as _compress
from pyarr.numeric import clip as _clip
from pyarr.numeric import round
from pyarr.order import argpartition
from pyarr.products import _dot as dot
from pyarr.reductions import mean, ptp, std, var
from pyarr.repeating import repeat

__all__ = [
    "argpartition",
    "choose",
    "clip",
    "compress",
    "dot",
    "flat",
    "mean",
    "partition",
    "ptp",
    "put",
    "repeat",
    "round",
    "set_flat",
    "std",
    "trace",
    "var",
]


def clip(self, min=None, max=None, out=None, **kwargs):
    """ndarray.clip"""
    return _clip(self, min, max, out, **kwargs)


def compress(self, condition, axis=None, out=None):
    """ndarray.compress"""
    return _compress(condition, self, axis, out)


def partition(self, kth, axis=-1, kind="introselect", order=None):
    """ndarray.partition, which sorts"""
    self.sort(axis)


class _Flat:
    """What ndarray.flat gives: iteration over, and indexing of, the flattened array."""

    def __init__(self, array):
        self.base = array

    def __len__(self):
        return self.base.size

    def __iter__(self):
        return iter(self.base.reshape(-1))

    def __getitem__(self, key):
        return self.base.reshape(-1)[key]

    def __setitem__(self, key, value):
        places = numpy.arange(self.base.size)[key]
        if numpy.ndim(places) == 0:
            self.base[numpy.unravel_index(int(places), self.base.shape)] = value
        else:
            values = _core.asarray(value).reshape(-1)
            if values.size > 1:
                values = values[numpy.arange(places.size) % values.size]
            self.base[numpy.unravel_index(places, self.base.shape)] = values

    def __array__(self, dtype=None, copy=None):
        return numpy.array(self.base.reshape(-1), dtype)

    def copy(self):
        """The elements as a 1-d copy."""
        return self.base.flatten()


def flat(self):
    """ndarray.flat"""
    return _Flat(self)


def set_flat(self, value):
    """ndarray.flat = value"""
    _Flat(self)[:] = value
