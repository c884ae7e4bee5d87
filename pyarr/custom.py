"""Functions with a derivative of their own: custom_vjp."""

from __future__ import annotations

import functools
import threading

import numpy as np

from . import _core
from ._trees import flatten, ndarray, unflatten

_running = threading.local()  # .rules: whose forward functions this thread runs


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
        if self in getattr(_running, "rules", ()):  # fwd asks for the value itself
            return self.f(*args)
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

    def _run_forward(self, args):
        before = getattr(_running, "rules", ())
        _running.rules = (*before, self)
        try:
            return self.fwd(*args)
        finally:
            _running.rules = before

    def _forward(self, args, leaves, structure):
        """fwd on the arguments as they are; where it leaves pyarr, on plain arrays."""
        before = _core.export_refusals()
        try:
            return self._run_forward(args)
        except TypeError:
            if _core.export_refusals() == before:
                raise
        plain = [_core.detach(x) if isinstance(x, ndarray) else x for x in leaves]
        out, residuals = self._run_forward(unflatten(structure, iter(plain)))
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
