"""Arrays with NumPy's interface and exact derivatives.

Names, arguments and results are NumPy's; `grad`, `value_and_grad`, `jacobian` and
their kin differentiate functions written with them.

>>> import pyarr as pa
>>> pa.grad(lambda x: pa.sum(x**2))(pa.array([1.0, 2.0])).tolist()
[2.0, 4.0]
"""

import importlib as _importlib

import numpy as _numpy

from pyarr import (
    _core,
    _dispatch,
    bins,
    contraction,
    custom,
    diagonals,
    directional,
    grids,
    indexing,
    manipulation,
    modes,
    nans,
    numeric,
    order,
    polynomials,
    products,
    reductions,
    repeating,
    replay,
    statistics,
    transforms,
)

__version__ = "0.1.0"

# types, constants, settings and tools that are NumPy's own
_FROM_NUMPY = (
    "bool_ int8 int16 int32 int64 int_ intc intp byte short long longlong uint8 "
    "uint16 uint32 uint64 uint uintc uintp ubyte ushort ulong ulonglong float32 "
    "float64 single double complex64 complex128 csingle cdouble number integer "
    "signedinteger unsignedinteger inexact floating complexfloating generic True_ "
    "False_ dtype dtypes finfo iinfo isdtype issubdtype promote_types can_cast "
    "min_scalar_type typecodes e pi inf nan euler_gamma newaxis errstate seterr "
    "geterr isscalar broadcast_shapes ndindex ndenumerate vectorize s_ index_exp "
    "mask_indices exceptions little_endian set_printoptions get_printoptions "
    "printoptions format_float_positional format_float_scientific shares_memory "
    "may_share_memory isfortran save savez savez_compressed savetxt array2string "
    "array_repr array_str"
).split()

# NumPy's functions without a derivative, run by NumPy; their arrays become pyarr's
_THROUGH_NUMPY = (
    "apply_over_axes asarray_chkfinite asfortranarray bartlett blackman frombuffer "
    "fromfile fromiter fromstring genfromtxt hamming hanning histogram2d histogramdd "
    "intersect1d kaiser lexsort load loadtxt packbits poly polyadd polyder polydiv "
    "polyint polymul polysub require resize roots setdiff1d setxor1d sort_complex "
    "trim_zeros union1d unique_all unique_counts unique_inverse unique_values "
    "unpackbits"
).split()

# NumPy's second names, and those of the array API
_ALIASES = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "amax": "max",
    "amin": "min",
    "asanyarray": "asarray",
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
    "row_stack": "vstack",
    "true_divide": "divide",
}

# names of the core that are no part of the interface
_INTERNAL = (
    "Jit apply capture custom export_refusals grad_enabled is_active is_capturing "
    "is_tracing num_threads ops plan_cache_equal_hashes profile_start profile_stop "
    "register_host set_grad_enabled set_pin_limit tape_grad transform ufunc "
    "watch_plans"
).split()

_LAZY = ("autograd", "fft", "linalg", "optimize", "random", "testing")

# functions that few programs need, and their modules
_LAZY_FUNCTIONS = {"explain": "plans", "profile": "profiling"}


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
        bins,
        polynomials,
        products,
        contraction,
        numeric,
        transforms,
        directional,
        custom,
        modes,
        replay,
    ):
        public = getattr(module, "__all__", vars(module))
        for name in public:
            value = getattr(module, name)
            own = getattr(value, "__module__", None) == module.__name__
            if own and name in public and not name.startswith("_"):
                names[name] = value
    for name in ("mgrid", "ogrid", "r_", "c_"):
        names[name] = getattr(grids, name)
    for alias, name in _ALIASES.items():
        if name in names:
            names.setdefault(alias, names[name])
    for name in _INTERNAL:
        names.pop(name, None)
    names.update((name, getattr(_numpy, name)) for name in _FROM_NUMPY)
    names["bool"] = _numpy.bool
    return names


def result_type(*arrays_and_dtypes):
    """The common dtype of arrays, Python scalars and dtypes, as numpy.result_type."""
    return _numpy.result_type(
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
        return _importlib.import_module(f"pyarr.{name}")
    if name in _LAZY_FUNCTIONS:
        module = _importlib.import_module(f"pyarr.{_LAZY_FUNCTIONS[name]}")
        function = globals()[name] = getattr(module, name)
        return function
    if name in _THROUGH_NUMPY and hasattr(_numpy, name):
        function = globals()[name] = _dispatch.wrapped(name)
        return function
    raise AttributeError(f"module 'pyarr' has no attribute {name!r}")


def __dir__():
    through = filter(_numpy.__dict__.get, _THROUGH_NUMPY)
    return sorted({*_PUBLIC, *_LAZY, *_LAZY_FUNCTIONS, *through})


_named = _names()
globals().update(_named)
_PUBLIC = [*_named, "iterable", "result_type", *(n for n in globals() if "__" in n)]
