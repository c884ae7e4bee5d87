"""Random numbers: NumPy's generators, whose results are pyarr arrays."""

import numpy
from numpy.random import MT19937, PCG64, PCG64DXSM, SFC64, Philox, SeedSequence

from pyarr import _core
from pyarr._dispatch import _from_numpy

__all__ = [
    "MT19937",
    "PCG64",
    "PCG64DXSM",
    "SFC64",
    "Generator",
    "Philox",
    "SeedSequence",
    "default_rng",
]


def _plain(value):
    return numpy.asarray(value) if isinstance(value, _core.ndarray) else value


def _refuse_recording(name):
    if _core.is_capturing():
        raise TypeError(
            f"jit: the function draws random numbers ({name}), which would be the same in "
            "every call; draw them outside and pass them as an argument"
        )


class Generator:
    """numpy.random.Generator with pyarr arrays as results; all its methods are there.

    `Generator(bit_generator)` takes a bit generator of numpy.random. Numbers drawn do
    not depend on values that are being differentiated: write `mean + std *
    rng.normal(size=n)`.
    """

    def __init__(self, bit_generator):
        self._generator = numpy.random.Generator(bit_generator)

    @property
    def bit_generator(self):
        """The bit generator behind this one."""
        return self._generator.bit_generator

    def shuffle(self, x, axis=0):
        """Put the slices of `x` along an axis into random order, in place."""
        _refuse_recording("shuffle")
        order = self._generator.permutation(x.shape[axis])
        x[...] = _core.take(x, order, axis)

    def spawn(self, n_children):
        """New independent generators."""
        return [
            Generator(one.bit_generator) for one in self._generator.spawn(n_children)
        ]

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._generator, name)

        def draw(*args, **kwargs):
            _refuse_recording(name)
            args = [_plain(one) for one in args]
            kwargs = {key: _plain(one) for key, one in kwargs.items()}
            result = method(*args, **kwargs)
            return _from_numpy(result) if isinstance(result, numpy.ndarray) else result

        draw.__name__ = draw.__qualname__ = name
        draw.__doc__ = method.__doc__
        return draw

    def __dir__(self):
        return sorted({*super().__dir__(), *dir(self._generator)})

    def __repr__(self):
        return f"pyarr.random.{self._generator!r}"


def default_rng(seed=None):
    """A new `Generator` (PCG64) from a seed, a SeedSequence, or a bit generator.

    >>> import pyarr as pa
    >>> pa.random.default_rng(1).normal(size=3).shape
    (3,)
    """
    if isinstance(seed, Generator):
        return seed
    return Generator(numpy.random.default_rng(seed).bit_generator)
