"""Derivatives of functions: grad, value_and_grad, jacobian, hessian, hvp, vjp, jvp.

Each calls the Python function with fresh arrays in place of the differentiated arguments,
records what it does, and walks back through the record. The function runs again on every
call, so ordinary control flow works. Arguments may be numbers, NumPy or pyarr arrays, or
dicts, lists and tuples of them; results have the kind that came in.
"""

from __future__ import annotations

import functools
import inspect

import numpy as np

from . import _core
from ._trees import flatten, kind_of, like, ndarray, unflatten

# The rest is shared with the other files of derivatives.
__all__ = ["grad", "hessian", "hvp", "jacobian", "value_and_grad"]


class Arguments:
    """The differentiated arguments of one call, as fresh arrays of a transform."""

    def __init__(self, transform, name, args, argnums):
        self.single = isinstance(argnums, (int, np.integer))
        places = (argnums,) if self.single else tuple(argnums)
        self.structures, self.kinds, self.arrays = [], [], []
        self.args = list(args)
        for place in places:
            if not -len(args) <= place < len(args):
                raise TypeError(
                    f"{name}: argnums {place} is out of range for a call with "
                    f"{len(args)} positional arguments"
                )
            leaves = []
            structure = flatten(args[place], leaves)
            self.kinds += [kind_of(leaf, name) for leaf in leaves]
            pairs = [transform.argument(leaf) for leaf in leaves]
            self.arrays += [argument for argument, _ in pairs]
            self.structures.append(structure)
            self.args[place] = unflatten(structure, iter([own for _, own in pairs]))
        self.specs = [(array.shape, array.dtype) for array in self.arrays]

    def release(self):
        """Let go of the recorded arrays: what is referenced when a trace closes is
        computed."""
        self.args = self.arrays = None

    def pack(self, values):
        """One value for each leaf, in the arguments' structure."""
        leaves = iter(values)
        trees = [unflatten(structure, leaves) for structure in self.structures]
        return trees[0] if self.single else tuple(trees)

    def gradients(self, found):
        """Found cotangents (None is zero) with the arguments' kinds and structure."""
        full = [
            _core.zeros(shape, dtype=dtype) if g is None else g
            for (shape, dtype), g in zip(self.specs, found, strict=True)
        ]
        return self.pack([like(k, g) for k, g in zip(self.kinds, full, strict=True)])

    @property
    def kind(self):
        """What results that belong to no single argument are given as."""
        return "pyarr" if "pyarr" in self.kinds or not self.kinds else self.kinds[0]


def zeros_like(array):
    return _core.zeros(array.shape, dtype=array.dtype)


def run(name, f, args, kwargs):
    """Call the user's function; refuse what would run only after the trace is closed."""
    return finished(name, f(*args, **kwargs))


def finished(name, out):
    """What a function gave, when all of it has run; TypeError for a generator."""
    if inspect.isgenerator(out) or inspect.iscoroutine(out) or inspect.isasyncgen(out):
        raise TypeError(
            f"{name}: the function returned a {type(out).__name__}, whose body has not "
            "run; return arrays (list(...) runs a generator)"
        )
    return out


def _split_aux(name, out, has_aux):
    if not has_aux:
        return out, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(
            f"{name}: with has_aux=True the function must return (value, aux)"
        )
    return out


def _scalar(name, value):
    """The function's value as a real 0-d array; TypeError with advice for others."""
    if not isinstance(value, ndarray):
        if isinstance(
            value, (bool, np.bool_, int, np.integer, complex, np.complexfloating)
        ):
            given = f"a {type(value).__name__}"
        elif isinstance(value, (float, np.floating)):
            return _core.asarray(value)
        elif isinstance(value, np.ndarray):
            return _scalar(name, _core.asarray(value))
        else:
            raise TypeError(
                f"{name}: the function must return a real scalar, got "
                f"{type(value).__name__}"
                + ("; did it forget to return?" if value is None else "")
            )
    elif value.ndim != 0:
        raise TypeError(
            f"{name}: the function must return a real scalar, got shape {value.shape}; "
            "reduce it (pyarr.sum), or use pyarr.jacobian"
        )
    elif value.dtype.kind == "f":
        return value
    else:
        given = f"dtype {value.dtype}"
    advice = (
        "take its real part or its absolute value"
        if "complex" in given
        else "bool and integer results have no derivative; return a float"
    )
    raise TypeError(
        f"{name}: the function must return a real scalar, got {given}; {advice}"
    )


def _finished_scalar(out):
    """What value_and_grad's common path asks of results other than real 0-d arrays."""
    return _scalar("value_and_grad", finished("value_and_grad", out))


def value_and_grad(f, argnums=0, has_aux=False):
    """A function that gives the value of `f` and its gradient.

    Parameters
    ----------
    f : callable
        Returns a real scalar, or ``(scalar, aux)`` with `has_aux`.
    argnums : int or tuple of int
        Positional arguments to differentiate; a tuple gives a tuple of gradients.
    has_aux : bool
        The result is ``((value, aux), gradient)``.

    Returns
    -------
    callable
        Takes the arguments of `f`. NumPy in, ``(float, ndarray)`` out, as
        ``scipy.optimize.minimize(..., jac=True)`` needs; pyarr in, pyarr out. Gradients
        have the shapes of their arguments, float64 where those are integers; of complex
        arguments they are df/dRe + 1j*df/dIm.

    Raises
    ------
    TypeError
        When the value is an array, bool, integer or complex.

    Examples
    --------
    >>> import numpy, pyarr
    >>> pyarr.value_and_grad(lambda x: pyarr.sum(x**2))(numpy.array([1.0, 2.0]))
    (5.0, array([2., 4.]))
    """

    places = argnums if type(argnums) is tuple else (argnums,)
    common = all(type(place) is int for place in places) and not has_aux

    @functools.wraps(f)
    def call(*args, **kwargs):
        if common:
            found = _core.value_and_grad(f, argnums, args, kwargs, _finished_scalar)
            if found is not NotImplemented:
                return found
        t = _core.transform()
        try:
            given = Arguments(t, "value_and_grad", args, argnums)
            out = run("value_and_grad", f, given.args, kwargs)
            value, aux = _split_aux("value_and_grad", out, has_aux)
            value = _scalar("value_and_grad", value)
            value, *found = t.value_and_grad(value, given.arrays)
            kind = given.kind
            given.release()
            del out
        except BaseException:
            t.abort()
            raise
        t.close()
        value = like("python" if kind == "numpy" else kind, value)
        return ((value, aux) if has_aux else value), given.gradients(found)

    return call


def grad(f, argnums=0, has_aux=False):
    """A function that gives the gradient of `f`, a real scalar function.

    As `value_and_grad` without the value; with `has_aux` the result is
    ``(gradient, aux)``.

    Examples
    --------
    >>> import pyarr
    >>> pyarr.grad(lambda x: x**3)(2.0)
    12.0
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def call(*args, **kwargs):
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return call


def array_result(name, out):
    """The function's result as one array."""
    if isinstance(out, (list, tuple)) and any(isinstance(x, ndarray) for x in out):
        out = _core.asarray(out)
    if not isinstance(out, ndarray):
        out = _core.asarray(out)
    if out.dtype.kind not in "fc":
        raise TypeError(
            f"{name}: the function must return a floating-point array, got dtype "
            f"{out.dtype}, which has no derivative"
        )
    return out


def _basis(shape, dtype, k):
    unit = np.zeros(shape, dtype)
    unit.reshape(-1)[k] = 1
    return _core.asarray(unit)


def _rows_backward(t, out, arrays):
    """For each argument the list of gradients of out's elements."""
    rows = [[] for _ in arrays]
    for k in range(out.size):
        unit = _basis(out.shape, out.dtype, k)
        found = t.pullback([out], [unit], arrays, conjugate=False)
        for row, array, g in zip(rows, arrays, found, strict=True):
            row.append(zeros_like(array) if g is None else g)
    return rows


def push(t, out, arrays, tangents):
    """The tangents of out along each of `tangents` (one list of arrays each): the transpose
    of the pullback, whose nodes are linear in the cotangent."""
    inner = _core.transform()
    try:
        g, _ = inner.argument(zeros_like(out))
        found = t.pullback([out], [g], arrays, conjugate=False)
        reached = [(i, x) for i, x in enumerate(found) if x is not None]
        results = []
        for tangent in tangents:
            along = [tangent[i] for i, _ in reached]
            (pushed,) = inner.pullback(
                [x for _, x in reached], along, [g], conjugate=False
            )
            results.append(zeros_like(out) if pushed is None else pushed)
    except BaseException:
        inner.abort()
        raise
    inner.close()
    return results


def _columns_forward(t, out, arrays):
    """For each argument the list of derivatives of out along its elements."""
    columns = []
    for i, array in enumerate(arrays):
        tangents = []
        for k in range(array.size):
            tangent = [None] * len(arrays)
            tangent[i] = _basis(array.shape, array.dtype, k)
            tangents.append(tangent)
        columns.append(push(t, out, arrays, tangents))
    return columns


def jacobian(f, argnums=0):
    """A function that gives the derivative of every element of `f` by every argument.

    Uses reverse mode when `f` has fewer elements than the arguments, else forward mode.

    Parameters
    ----------
    f : callable
        Returns an array (or a list of scalars) of any shape, real or complex.
    argnums : int or tuple of int
        Positional arguments to differentiate, real.

    Returns
    -------
    callable
        Its result has the shape ``f(x).shape + x.shape``, for each array in the arguments.

    Examples
    --------
    >>> import numpy, pyarr
    >>> pyarr.jacobian(lambda x: x**2)(numpy.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @functools.wraps(f)
    def call(*args, **kwargs):
        t = _core.transform()
        try:
            given = Arguments(t, "jacobian", args, argnums)
            if any(array.dtype.kind == "c" for array in given.arrays):
                raise TypeError(
                    "jacobian: complex arguments have no single derivative; take real "
                    "and imaginary parts as two real arguments, or use pyarr.vjp"
                )
            out = array_result("jacobian", run("jacobian", f, given.args, kwargs))
            inputs = sum(array.size for array in given.arrays)
            if out.size < inputs and out.dtype.kind == "f":
                parts = _rows_backward(t, out, given.arrays)
                axis = 0
            else:
                parts = _columns_forward(t, out, given.arrays)
                axis = -1
            found = []
            for array, part in zip(given.arrays, parts, strict=True):
                shape = out.shape + array.shape
                if part:
                    found.append(_core.stack(part, axis=axis).reshape(shape))
                else:
                    found.append(_core.zeros(shape, dtype=out.dtype))
        except BaseException:
            t.abort()
            raise
        t.close()
        return given.pack([like(k, x) for k, x in zip(given.kinds, found, strict=True)])

    return call


def hessian(f, argnums=0):
    """A function that gives the matrix of second derivatives of a real scalar function.

    Its result has the shape ``x.shape + x.shape`` (one array argument); see `hvp` for
    products with vectors at the cost of two gradients.

    Examples
    --------
    >>> import numpy, pyarr
    >>> pyarr.hessian(lambda x: x[0]**2 * x[1])(numpy.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f, argnums=0):
    """A function of ``(x, v)`` that gives the product of the Hessian of `f` at x with v.

    `f` returns a real scalar; `v` has the shape (and structure) of `x`. Other arguments of
    `f` follow `v`. The cost is a small multiple of one gradient, whatever the size.

    Examples
    --------
    >>> import numpy, pyarr
    >>> square = lambda x: pyarr.sum(x**4)
    >>> pyarr.hvp(square)(numpy.array([1.0, 2.0]), numpy.array([1.0, 1.0]))
    array([12., 48.])
    """

    @functools.wraps(f)
    def call(x, v, *args, **kwargs):
        t = _core.transform()
        try:
            given = Arguments(t, "hvp", (x, *args), argnums)
            value = _scalar("hvp", run("hvp", f, given.args, kwargs))
            first = t.pullback([value], [1.0], given.arrays)
            along = []
            flatten(v, along)
            if len(along) != len(given.arrays):
                raise TypeError(
                    f"hvp: the vector has {len(along)} arrays, the argument "
                    f"{len(given.arrays)}"
                )
            pairs = [(g, u) for g, u in zip(first, along, strict=True) if g is not None]
            found = t.pullback(
                [g for g, _ in pairs], [u for _, u in pairs], given.arrays
            )
        except BaseException:
            t.abort()
            raise
        t.close()
        return given.gradients(found)

    return call
