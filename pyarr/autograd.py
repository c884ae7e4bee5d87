"""PyTorch's functional spelling: gradients of arrays that were computed eagerly."""

from __future__ import annotations

from . import _core


def grad(outputs, inputs, grad_outputs=None, create_graph=False, allow_unused=False):
    """Gradients of computed arrays with respect to arrays that require grad.

    Parameters
    ----------
    outputs : ndarray or sequence of ndarray
    inputs : ndarray or sequence of ndarray
        Arrays that require grad, leaves or intermediate results.
    grad_outputs : ndarray or sequence of ndarray, optional
        Cotangents, of the outputs' shapes; may be left out for scalars.
    create_graph : bool
        Let the gradients be differentiated again.
    allow_unused : bool
        Give None for inputs that the outputs do not depend on, instead of raising.

    Returns
    -------
    tuple of ndarray

    Examples
    --------
    >>> import pyarr
    >>> x = pyarr.array([1.0, 2.0]).requires_grad_()
    >>> pyarr.autograd.grad(pyarr.sum(x**2), x)
    (array([2., 4.]),)
    """
    outs = [outputs] if isinstance(outputs, _core.ndarray) else list(outputs)
    args = [inputs] if isinstance(inputs, _core.ndarray) else list(inputs)
    if grad_outputs is None:
        seeds = [None] * len(outs)
    elif isinstance(outputs, _core.ndarray) and not isinstance(
        grad_outputs, (list, tuple)
    ):
        seeds = [grad_outputs]
    else:
        seeds = list(grad_outputs)
    found = _core.tape_grad(outs, seeds, args, create_graph)
    if not allow_unused and any(g is None for g in found):
        raise RuntimeError(
            "autograd.grad: one of the inputs was not used in the outputs; pass "
            "allow_unused=True to get None for it"
        )
    return tuple(found)
