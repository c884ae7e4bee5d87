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


class _Arguments:
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

    def pack(self, values):
        """One value for each leaf, in the arguments' structure."""
        leaves = iter(values)
        trees = [unflatten(structure, leaves) for structure in self.structures]
        return trees[0] if self.single else tuple(trees)

    def gradients(self, found):
        """Found cotangents (None is zero) with the arguments' kinds and structure."""
        full = [
            _zeros(array) if g is None else g
            for array, g in zip(self.arrays, found, strict=True)
        ]
        return self.pack([like(k, g) for k, g in zip(self.kinds, full, strict=True)])

    @property
    def kind(self):
        """What results that belong to no single argument are given as."""
        return "pyarr" if "pyarr" in self.kinds or not self.kinds else self.kinds[0]


def _zeros(array):
    return _core.zeros(array.shape, dtype=array.dtype)


def _run(name, f, args, kwargs):
    """Call the user's function; refuse what would run only after the trace is closed."""
    out = f(*args, **kwargs)
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

    @functools.wraps(f)
    def call(*args, **kwargs):
        t = _core.transform()
        try:
            given = _Arguments(t, "value_and_grad", args, argnums)
            out = _run("value_and_grad", f, given.args, kwargs)
            value, aux = _split_aux("value_and_grad", out, has_aux)
            value = _scalar("value_and_grad", value)
            found = t.pullback([value], [1.0], given.arrays)
            kind = given.kind
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


def _array_result(name, out):
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
            row.append(_zeros(array) if g is None else g)
    return rows


def _push(t, out, arrays, tangents):
    """The tangents of out along each of `tangents` (one list of arrays each): the transpose
    of the pullback, whose nodes are linear in the cotangent."""
    inner = _core.transform()
    try:
        g, _ = inner.argument(_zeros(out))
        found = t.pullback([out], [g], arrays, conjugate=False)
        reached = [(i, x) for i, x in enumerate(found) if x is not None]
        results = []
        for tangent in tangents:
            along = [tangent[i] for i, _ in reached]
            (pushed,) = inner.pullback(
                [x for _, x in reached], along, [g], conjugate=False
            )
            results.append(_zeros(out) if pushed is None else pushed)
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
        columns.append(_push(t, out, arrays, tangents))
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
            given = _Arguments(t, "jacobian", args, argnums)
            if any(array.dtype.kind == "c" for array in given.arrays):
                raise TypeError(
                    "jacobian: complex arguments have no single derivative; take real "
                    "and imaginary parts as two real arguments, or use pyarr.vjp"
                )
            out = _array_result("jacobian", _run("jacobian", f, given.args, kwargs))
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
            given = _Arguments(t, "hvp", (x, *args), argnums)
            value = _scalar("hvp", _run("hvp", f, given.args, kwargs))
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


def jvp(f, primals, tangents):
    """The value of `f` at `primals` and its derivative along `tangents` (forward mode).

    Parameters
    ----------
    f : callable
        Returns one array.
    primals, tangents : tuple
        Arguments of `f`, and directions of the same structure and shapes.

    Returns
    -------
    (out, tangent)
        Both of the shape of ``f(*primals)``.

    Examples
    --------
    >>> import pyarr
    >>> pyarr.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.0))
    (6.0, 3.0)
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise TypeError(
            "jvp: primals and tangents must be tuples, one entry per argument"
        )
    t = _core.transform()
    try:
        given = _Arguments(t, "jvp", primals, tuple(range(len(primals))))
        along = []
        flatten(tangents, along)
        if len(along) != len(given.arrays):
            raise TypeError(
                f"jvp: {len(along)} tangents for {len(given.arrays)} primal arrays"
            )
        shaped = []
        for array, tangent in zip(given.arrays, along, strict=True):
            direction = _core.asarray(tangent)
            if direction.shape != array.shape:
                raise ValueError(
                    f"jvp: tangent of shape {direction.shape} for a primal of shape "
                    f"{array.shape}"
                )
            shaped.append(direction)
        out = _array_result("jvp", _run("jvp", f, given.args, {}))
        (pushed,) = _push(t, out, given.arrays, [shaped])
    except BaseException:
        t.abort()
        raise
    t.close()
    return like(given.kind, out), like(given.kind, pushed)


def vjp(f, *primals):
    """The value of `f` and its pullback, a function from cotangents to argument cotangents.

    `f` returns an array, or a dict, list or tuple of arrays; the pullback takes cotangents
    of the same structure and returns a tuple with one entry per primal. It may be called
    any number of times. Complex cotangents follow the convention of `grad`.

    Examples
    --------
    >>> import pyarr
    >>> out, pullback = pyarr.vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> out, pullback(1.0)
    (6.0, (3.0, 2.0))
    """
    if not _core.is_tracing():
        return _vjp_eager(f, primals)
    t = _core.transform()
    try:
        given = _Arguments(t, "vjp", primals, tuple(range(len(primals))))
        out = _run("vjp", f, given.args, {})
        leaves = []
        structure = flatten(out, leaves)
        outs = [_core.asarray(leaf) for leaf in leaves]
    except BaseException:
        t.abort()
        raise
    t.close(True)

    def pullback(cotangents):
        seeds = _seeds(cotangents, outs)
        return given.gradients(t.pullback(outs, seeds, given.arrays))

    return unflatten(structure, iter([like(given.kind, x) for x in outs])), pullback


def _seeds(cotangents, outs):
    seeds = []
    flatten(cotangents, seeds)
    if len(seeds) != len(outs):
        raise TypeError(f"vjp: {len(seeds)} cotangents for {len(outs)} results")
    return seeds


class _Eager:
    """Stands in for a transform where arguments are leaves of the tape."""

    @staticmethod
    def argument(x):
        x = _core.array(x)
        if x.dtype.kind not in "fc":
            x = x.astype(float)
        x.requires_grad_()
        return x, x


def _vjp_eager(f, primals):
    """vjp outside of any trace: the function runs at once and its values are kept."""
    given = _Arguments(_Eager, "vjp", primals, tuple(range(len(primals))))
    before = _core.set_grad_enabled(True)
    try:
        out = _run("vjp", f, given.args, {})
    finally:
        _core.set_grad_enabled(before)
    leaves = []
    structure = flatten(out, leaves)
    outs = [_core.asarray(leaf) for leaf in leaves]
    shown = [like(given.kind, _core.detach(x)) for x in outs]

    def pullback(cotangents):
        seeds = _seeds(cotangents, outs)
        pairs = [(x, g) for x, g in zip(outs, seeds, strict=True) if _core.is_active(x)]
        found = _core.tape_grad(
            [x for x, _ in pairs], [_core.asarray(g) for _, g in pairs], given.arrays
        )
        return given.gradients(found)

    return unflatten(structure, iter(shown)), pullback


class custom_vjp:
    """A function with a derivative of its own, for code of SciPy, C or Fortran.

    ``defvjp(fwd, bwd)`` sets the rule: ``fwd(*args)`` returns ``(out, residuals)`` and
    ``bwd(residuals, g)`` one cotangent for each argument (None for zero). In forward
    functions that leave pyarr the arguments arrive as plain arrays; then residuals that
    are arguments themselves can be differentiated again, other ones raise if a second
    derivative needs them. Second derivatives need a `bwd` written in pyarr.

    Examples
    --------
    >>> import numpy, pyarr
    >>> @pyarr.custom_vjp
    ... def cube(x):
    ...     return numpy.asarray(x) ** 3
    >>> cube.defvjp(lambda x: (cube(x), x), lambda x, g: (g * 3 * x**2,))
    >>> pyarr.grad(cube)(2.0), pyarr.grad(pyarr.grad(cube))(2.0)
    (12.0, 12.0)
    """

    def __init__(self, f):
        functools.update_wrapper(self, f)
        self.f = f
        self.fwd = self.bwd = None

    def defvjp(self, fwd, bwd):
        """Set the rule: ``fwd(*args) -> (out, residuals)``, ``bwd(residuals, g)``."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args):
        leaves = []
        structure = flatten(args, leaves)
        if self.fwd is None:
            if any(_core.is_active(x) for x in leaves):
                raise TypeError(
                    f"custom_vjp: {self.__name__} has no rule yet; set it with defvjp"
                )
            return self.f(*args)
        if not any(_core.is_active(x) for x in leaves):
            return self.f(*args)
        arrays = [x for x in leaves if _differentiable(x)]
        out, residuals = self._forward(args, leaves, structure)
        outs = []
        out_structure = flatten(out, outs)
        outs = [_core.asarray(x) for x in outs]

        def rule(g):
            parts = _unpack(g, outs)
            cotangent = unflatten(out_structure, iter(parts))
            given = self.bwd(residuals, cotangent)
            if not isinstance(given, (tuple, list)):
                given = (given,)
            if len(given) != len(args):
                raise ValueError(
                    f"custom_vjp: the backward rule of {self.__name__} gave {len(given)} "
                    f"cotangents for {len(args)} arguments"
                )
            return _align(given, args)

        result = _core.custom(_pack(outs), arrays, rule)
        return unflatten(out_structure, iter(_unpack(result, outs)))

    def _forward(self, args, leaves, structure):
        """fwd on the arguments as they are; where it leaves pyarr, on plain arrays."""
        before = _core.export_refusals()
        try:
            return self.fwd(*args)
        except TypeError:
            if _core.export_refusals() == before:
                raise
        plain = [_core.detach(x) if isinstance(x, ndarray) else x for x in leaves]
        out, residuals = self.fwd(*unflatten(structure, iter(plain)))
        kept = []
        residual_structure = flatten(residuals, kept)
        original = {id(p): x for p, x in zip(plain, leaves, strict=True)}
        arrays = [x for x in leaves if _differentiable(x)]
        back = [
            original[id(r)] if id(r) in original else self._guarded(r, arrays)
            for r in kept
        ]
        return out, unflatten(residual_structure, iter(back))

    def _guarded(self, residual, arrays):
        """A residual computed outside pyarr: reading it is fine, differentiating is not."""
        if not isinstance(residual, (ndarray, np.ndarray, float, np.floating)):
            return residual
        if np.asarray(residual).dtype.kind not in "fc":
            return residual

        def refuse(g):
            raise TypeError(
                f"custom_vjp: the second derivative of {self.__name__} needs the "
                "derivative of a residual that was computed outside pyarr; return the "
                "arguments as residuals and write the backward rule in pyarr"
            )

        return _core.custom(residual, arrays, refuse)


def _differentiable(x):
    return isinstance(x, ndarray) and x.dtype.kind in "fc"


def _align(given, args):
    """Cotangents per argument as one list with an entry for each differentiable array."""
    found = []
    for cotangent, arg in zip(given, args, strict=True):
        leaves, parts = [], []
        flatten(arg, leaves)
        flatten(cotangent, parts)
        if not parts:
            parts = [None] * len(leaves)
        if len(parts) != len(leaves):
            raise ValueError(
                f"custom_vjp: {len(parts)} cotangents for an argument of {len(leaves)} "
                "arrays"
            )
        found += [p for p, x in zip(parts, leaves, strict=True) if _differentiable(x)]
    return found


def _pack(outs):
    """Several results as one flat array, a single one as it is."""
    return (
        outs[0] if len(outs) == 1 else _core.concatenate([x.reshape(-1) for x in outs])
    )


def _unpack(flat, outs):
    if len(outs) == 1:
        return [flat]
    parts, start = [], 0
    for x in outs:
        parts.append(flat[start : start + x.size].reshape(x.shape))
        start += x.size
    return parts


def stop_gradient(x):
    """`x` as a constant: its value without its derivative.

    Examples
    --------
    >>> import pyarr
    >>> pyarr.grad(lambda x: x * pyarr.stop_gradient(x))(3.0)
    3.0
    """
    return _core.detach(x)


detach = stop_gradient


class no_grad:
    """A context (or decorator) in which arrays that require grad are not recorded.

    Examples
    --------
    >>> import pyarr
    >>> x = pyarr.array([1.0]).requires_grad_()
    >>> with pyarr.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    enabled = False

    def __enter__(self):
        self.before = _core.set_grad_enabled(self.enabled)
        return self

    def __exit__(self, *exception):
        _core.set_grad_enabled(self.before)

    def __call__(self, f):
        @functools.wraps(f)
        def call(*args, **kwargs):
            with type(self)():
                return f(*args, **kwargs)

        return call


class enable_grad(no_grad):
    """The opposite of `no_grad`, for use inside it."""

    enabled = True
