"""Leaving derivatives out: stop_gradient, no_grad."""

from __future__ import annotations

import functools

from . import _core


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

    def __init__(self):
        self.before = []  # a stack, as one object may be entered again inside itself

    def __enter__(self):
        self.before.append(_core.set_grad_enabled(self.enabled))
        return self

    def __exit__(self, *exception):
        _core.set_grad_enabled(self.before.pop())

    def __call__(self, f):
        @functools.wraps(f)
        def call(*args, **kwargs):
            with type(self)():
                return f(*args, **kwargs)

        return call


class enable_grad(no_grad):
    """The opposite of `no_grad`, for use inside it."""

    enabled = True
