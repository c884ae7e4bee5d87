"""Arrays with NumPy's interface and exact derivatives.

Names, arguments and results are NumPy's; `grad`, `value_and_grad`, `jacobian` and
their kin differentiate functions written with them.

>>> import pyarr as pa
>>> pa.grad(lambda x: pa.sum(x**2))(pa.array([1.0, 2.0])).tolist()
[2.0, 4.0]
"""

import importlib

import numpy

from pyarr import (
    _core,
    contraction,
    diagonals,
    grids,
    indexing,
    manipulation,
    nans,
    numeric,
    order,
    products,
    reductions,
    repeating,
    statistics,
    transforms,
)

__version__ = "0.1.0"

# types, constants and questions that are NumPy's own
_FROM_NUMPY = (
    "bool_ int8 int16 int32 int64 int_ uint8 uint16 uint32 uint64 float32 float64 "
    "complex64 complex128 dtype finfo iinfo isdtype issubdtype promote_types can_cast "
    "e pi inf nan euler_gamma newaxis errstate isscalar broadcast_shapes"
).split()

# NumPy's second names, and those of the array API
_ALIASES = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "amax": "max",
    "amin": "min",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_not": "invert",
    "bitwise_right_shift": "right_shift",
    "concat": "concatenate",
    "conj": "conjugate",
    "mod": "remainder",
    "pow": "power",
    "true_divide": "divide",
}

# names of the core that are no part of the interface
_INTERNAL = (
    "apply custom export_refusals grad_enabled is_active is_tracing num_threads ops "
    "register_host set_grad_enabled set_pin_limit tape_grad transform ufunc"
).split()

_LAZY = ("autograd", "fft", "linalg", "optimize", "random", "testing")


def _names():
    """Every public name: the core's, then what is written in Python."""
    names = {
        name: value for name, value in vars(_core).items() if not name.startswith("_")
    }
    for module in (
        manipulation,
        repeating,
        indexing,
        diagonals,
        grids,
        reductions,
        nans,
        order,
        statistics,
        products,
        contraction,
        numeric,
        transforms,
    ):
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__
            if own and not name.startswith("_"):
                names[name] = value
    for name in ("mgrid", "ogrid"):
        names[name] = getattr(grids, name)
    for alias, name in _ALIASES.items():
        if name in names:
            names.setdefault(alias, names[name])
    for name in _INTERNAL:
        names.pop(name, None)
    names.update((name, getattr(numpy, name)) for name in _FROM_NUMPY)
    names["bool"] = numpy.bool
    return names


def result_type(*arrays_and_dtypes):
    """The common dtype of arrays, Python scalars and dtypes, as numpy.result_type."""
    return numpy.result_type(
        *(
            one.dtype if isinstance(one, _core.ndarray) else one
            for one in arrays_and_dtypes
        )
    )


def iterable(y):
    """Can one iterate over y?"""
    try:
        iter(y)
    except TypeError:
        return False
    return True


def __getattr__(name):
    if name in _LAZY:
        return importlib.import_module(f"pyarr.{name}")
    raise AttributeError(f"module 'pyarr' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LAZY})


globals().update(_names())
