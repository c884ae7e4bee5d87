"""NumPy's functions called on pyarr arrays: which function of ours stands for which."""

import importlib

import numpy

from pyarr import _core

_MODULES = {"numpy": "pyarr", "numpy.linalg": "pyarr.linalg", "numpy.fft": "pyarr.fft"}
# names that mean something else here, or that must see the memory itself
_THROUGH_NUMPY = {"array_repr", "array_str", "array2string", "save", "savez", "savetxt"}


def _ours(func):
    module = getattr(func, "__module__", None)
    target = _MODULES.get(module)
    name = getattr(func, "__name__", "")
    if target is None or name.startswith("_") or name in _THROUGH_NUMPY:
        return None
    found = getattr(importlib.import_module(target), name, None)
    return found if callable(found) and found is not func else None


def call(func, types, args, kwargs):
    """What `__array_function__` returns for `func`, one of NumPy's public functions.

    `types` are the types of its array arguments; NotImplemented when one is foreign.
    """
    for one in types:
        if not issubclass(one, (_core.ndarray, numpy.ndarray)):
            return NotImplemented
    ours = _ours(func)
    if ours is None:
        return through_numpy(func, args, kwargs)
    kwargs = {
        key: value
        for key, value in kwargs.items()
        if not (key == "like" or value is numpy._NoValue)
    }
    return ours(*args, **kwargs)


def _to_numpy(value, func):
    if isinstance(value, _core.ndarray):
        try:
            return numpy.asarray(value)
        except TypeError as error:
            name = getattr(func, "__name__", str(func))
            raise TypeError(
                f"numpy.{name} has no derivative in pyarr: call it on pyarr.detach(x), "
                "or write it in terms of other functions"
            ) from error
    if isinstance(value, (list, tuple)):
        parts = [_to_numpy(one, func) for one in value]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*parts)
        return type(value)(parts)
    if isinstance(value, dict):
        return {key: _to_numpy(one, func) for key, one in value.items()}
    return value


def _from_numpy(value):
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        if value.dtype.kind not in "biufc" or value.dtype.itemsize > 16:
            return value
        if value.dtype.kind == "f" and value.dtype.itemsize not in (4, 8):
            return value
        return _core.asarray(value)
    if isinstance(value, (list, tuple)):
        parts = [_from_numpy(one) for one in value]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*parts)
        return type(value)(parts)
    return value


def through_numpy(func, args, kwargs):
    """Call NumPy's function on views of the memory of inactive arrays.

    An active array raises TypeError that names the function. Arrays among the results
    become pyarr's.
    """
    result = func(*_to_numpy(tuple(args), func), **_to_numpy(dict(kwargs), func))
    out = kwargs.get("out")
    if isinstance(out, _core.ndarray):
        return out
    return _from_numpy(result)


def wrapped(name):
    """The function numpy.<name> with pyarr arrays as arguments and results."""
    function = getattr(numpy, name)

    def call(*args, **kwargs):
        return through_numpy(function, args, kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = "pyarr"
    call.__doc__ = f"numpy.{name} on arrays that are not being differentiated."
    return call
