"""Functions that run without Python after their first call: jit."""

from __future__ import annotations

import functools

import numpy as np

from . import _core
from ._trees import LEAF, flatten, like, ndarray, unflatten
from .transforms import run

__all__ = ["jit"]


def jit(f):
    """A function that records `f` once and then runs the record without Python.

    The first call with arguments of some kind runs `f` on recorded arrays and plans what
    it computes. Later calls with arguments of the same kind bind the new arrays to that
    plan: no Python code of `f` runs, and the call costs a few microseconds beyond the
    work on the elements. Derivatives may be inside, ``jit(value_and_grad(f))``, or
    outside, where the function simply runs as part of the outer one.

    Parameters
    ----------
    f : callable
        Takes numbers, arrays of NumPy and pyarr, and dicts, lists and tuples of them,
        positional or by name. Arrays, NumPy's scalars, and Python's float and complex
        numbers may have other values in each call: a plan serves all that agree in
        dtype, shape and strides. Python's integers, strings, bools and None keep their
        value, so that they can be axes, shapes and counts: each value has its own plan.
        All other objects (``self`` of a method) count by identity, and what `f` reads
        from them is read when it is recorded.

    Returns
    -------
    callable
        Gives what `f` gives, arrays in new memory. NumPy in, NumPy out; pyarr in, pyarr
        out; numbers in, numbers out. It keeps the plans of the last 64 kinds of call;
        ``.forget()`` drops them.

    Raises
    ------
    TypeError
        While recording, naming the line of `f`: when it looks at a value that depends on
        an argument (``if x > 0``, ``float(x)``, ``x[x > 0]``, ``print(x)``), writes into an
        array from outside, or draws random numbers with pyarr.random.

    Notes
    -----
    Arrays that `f` finds elsewhere (globals, closures, attributes) are kept by reference:
    elements written into them later are seen, another array under the same name is not.
    Numbers found elsewhere keep the value they had, also random ones of NumPy. Writing
    into an argument changes the function's own copy alone.

    Examples
    --------
    >>> import numpy, pyarr
    >>> @pyarr.jit
    ... def area(width, height):
    ...     print("recorded")
    ...     return width * height
    >>> area(numpy.array([1.0, 2.0]), 3.0)
    recorded
    array([3., 6.])
    >>> area(numpy.array([1.0, 2.0]), 5.0)
    array([ 5., 10.])
    """
    return functools.update_wrapper(_core.Jit(f, _record), f)


def _is_traced(leaf):
    """Does the leaf stand for an array of the plan? csrc/python/jit_key.c decides alike."""
    return isinstance(leaf, (ndarray, np.ndarray, np.generic)) or type(leaf) in (
        float,
        complex,
    )


def _is_array(leaf):
    return isinstance(leaf, ndarray) or (
        isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc"
    )


def _record(f, args, kwargs, arrays):
    """The plan of a call, and how its results are given back; None and the results where
    there can be no plan. `arrays` are the traced leaves of the arguments."""
    t = _core.capture()
    try:
        leaves = []
        structure = flatten((args, kwargs), leaves)
        given = iter(arrays)
        traced = [t.given(next(given)) if _is_traced(x) else x for x in leaves]
        args, kwargs = unflatten(structure, iter(traced))
        out = run("jit", f, args, kwargs)
        found = []
        structure = flatten(out, found)
        recording = t.capture([x for x in found if _is_array(x)])
        if recording is not None:
            del out, args, kwargs, traced  # what nobody holds need not be computed
            kinds = tuple(
                isinstance(x, np.ndarray) if _is_array(x) else None for x in found
            )
            found = tuple(None if _is_array(x) else x for x in found)
    except BaseException:
        t.abort()
        raise
    t.close()
    if recording is None:
        kind = _kind_of_call(leaves)
        return None, unflatten(structure, iter([_given(kind, x) for x in found]))
    return recording, (found, kinds, _simple(structure), _build)


def _simple(structure):
    """None for one array, tuple for a flat tuple, else the structure itself in a list."""
    if structure is LEAF:
        return None
    flat = structure is not None and structure[0] is tuple
    if flat and all(part is LEAF for part in structure[2]):
        return tuple
    return [structure]


def _build(structure, leaves):
    return unflatten(structure[0], iter(leaves))


def _kind_of_call(leaves):
    if any(isinstance(x, ndarray) for x in leaves) or not any(map(_is_traced, leaves)):
        return "pyarr"
    numpy = any(isinstance(x, (np.ndarray, np.generic)) for x in leaves)
    return "numpy" if numpy else "python"


def _given(kind, leaf):
    if not isinstance(leaf, ndarray) or (kind == "python" and leaf.ndim > 0):
        return leaf
    return like(kind, leaf)
