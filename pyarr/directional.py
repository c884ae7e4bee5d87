"""Derivatives along directions: jvp (forward mode) and vjp (reverse mode)."""

from __future__ import annotations

from . import _core
from ._trees import flatten, like, unflatten
from .transforms import Arguments, array_result, push, run


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
        given = Arguments(t, "jvp", primals, tuple(range(len(primals))))
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
        out = array_result("jvp", run("jvp", f, given.args, {}))
        (pushed,) = push(t, out, given.arrays, [shaped])
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
        given = Arguments(t, "vjp", primals, tuple(range(len(primals))))
        out = run("vjp", f, given.args, {})
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
    given = Arguments(_Eager, "vjp", primals, tuple(range(len(primals))))
    before = _core.set_grad_enabled(True)
    try:
        out = run("vjp", f, given.args, {})
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
