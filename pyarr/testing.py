"""Checks of derivatives against finite differences, for tests of pyarr and of users."""

from __future__ import annotations

import numpy as np

from . import asarray
from ._trees import flatten, unflatten
from .directional import jvp, vjp
from .transforms import grad, value_and_grad


def _random_like(x, rng):
    x = np.asarray(x)
    if x.dtype.kind == "c":
        v = rng.standard_normal(x.shape) + 1j * rng.standard_normal(x.shape)
        return v.astype(x.dtype)
    return rng.standard_normal(x.shape).astype(
        x.dtype if x.dtype.kind == "f" else float
    )


def _inner(a, b):
    """Re sum conj(a) b over lists of arrays: df along b of a gradient a."""
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total += float(np.sum(np.real(np.conj(np.asarray(x)) * np.asarray(y))))
    return total


def _central(f, step):
    """Derivative of a function of one number at 0, by the five-point rule: O(step**4)."""
    return (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step)


def _agree(what, found, expected, rtol, atol):
    scale = max(np.max(np.abs(found), initial=0), np.max(np.abs(expected), initial=0))
    error = np.max(np.abs(np.asarray(found) - np.asarray(expected)), initial=0)
    if not error <= atol + rtol * scale:
        raise AssertionError(
            f"{what} differs from finite differences: {found} against {expected} "
            f"(error {error:.2e}, allowed {atol + rtol * scale:.2e})"
        )


def check_grad(
    f, args, order=2, *, directions=2, step=1e-3, rtol=1e-5, atol=1e-7, seed=0
):
    """Compare derivatives of `f` at `args` with finite differences.

    Along random directions v it checks that forward mode and reverse mode both agree with
    the central difference of `f`, and, for ``order=2``, that the derivative of the gradient
    along v agrees with the central difference of the gradient.

    Parameters
    ----------
    f : callable
        Takes ``*args`` and returns a real or complex array (dicts, lists and tuples of
        them are not looked into).
    args : tuple
        Floating-point or complex numbers, arrays, or trees of them.
    order : int
        1 or 2.
    directions : int
        Number of random directions.
    step, rtol, atol : float
        Step of the differences; tolerances relative to the larger of the two results.
    seed : int
        Of the random directions.

    Raises
    ------
    AssertionError
        Says which derivative differs, and by how much.

    Examples
    --------
    >>> import pyarr
    >>> pyarr.testing.check_grad(lambda x: pyarr.sin(x) * x, (0.7,))
    """
    rng = np.random.default_rng(seed)
    leaves = []
    structure = flatten(tuple(args), leaves)
    points = [
        np.array(x, dtype=np.result_type(np.asarray(x), np.float32)) for x in leaves
    ]

    def at(values):
        return unflatten(structure, iter(values))

    def along(v, h):
        return [x + h * u for x, u in zip(points, v, strict=True)]

    out = np.asarray(f(*at([asarray(x) for x in points])))
    for _ in range(directions):
        v = [_random_like(x, rng) for x in points]
        weight = _random_like(out, rng)

        def value(*values, weight=weight):
            result = asarray(f(*values))
            return (result * np.conj(weight)).real.sum()

        _first_order(f, value, at, along, v, weight, points, step, rtol, atol)
        if order > 1:
            _second_order(value, at, along, v, points, step, rtol, atol)


def _first_order(f, value, at, along, v, weight, points, step, rtol, atol):
    difference = _central(
        lambda h: np.asarray(f(*at([asarray(x) for x in along(v, h)]))), step
    )
    primals = at([asarray(x) for x in points])
    _, tangent = jvp(f, primals, at([asarray(x) for x in v]))
    _agree("jvp", np.asarray(tangent), difference, rtol, atol)
    _, pullback = vjp(f, *primals)
    found = []
    flatten(pullback(asarray(weight)), found)
    expected = float(np.sum(np.real(np.conj(weight) * difference)))
    _agree("vjp", _inner(found, v), expected, rtol, atol)
    gradient = []
    everything = tuple(range(len(primals)))
    flatten(value_and_grad(value, everything)(*primals)[1], gradient)
    _agree("grad", _inner(gradient, v), expected, rtol, atol)


def _second_order(value, at, along, v, points, step, rtol, atol):
    primals = at([asarray(x) for x in points])
    everything = tuple(range(len(primals)))
    first = grad(value, everything)

    def slope(*values):
        """The derivative of value along v, as a function to be differentiated again."""
        gradient = []
        flatten(first(*values), gradient)
        total = 0.0
        for g, u in zip(gradient, v, strict=True):
            total = total + (g * np.conj(u)).real.sum()
        return total

    def gradient_at(h):
        found = []
        flatten(first(*at([asarray(x) for x in along(v, h)])), found)
        return np.concatenate([np.asarray(g).reshape(-1) for g in found])

    found = []
    flatten(grad(slope, everything)(*primals), found)
    second = np.concatenate([np.asarray(g).reshape(-1) for g in found])
    _agree("second derivative", second, _central(gradient_at, step), rtol, atol)
