"""Who computes: each library's way to the value and the gradient of a formula.

Every peer has `build(workload)`, which gives a function without arguments that returns the
value and the gradients (a sequence, or one array, or None); by then the data are the
library's own arrays. The library is imported when the peer is made, so that one that is
missing says why.
"""

import functools
import importlib.metadata

import numpy as np

from . import fused


class Peer:
    """What peers have in common; `package` is what is asked for the version."""

    package = ""

    def forget(self):
        """Drop what the library keeps of past workloads."""


class NumPy(Peer):
    """The value alone: 2-point differences cost (parameters + 1) of it."""

    package = "numpy"

    def __init__(self, scratch):
        self.m = np

    def build(self, workload):
        parameters, data = workload.problem()
        return lambda: (float(workload.formula(np, *parameters, *data)), None)


class Pyarr(Peer):
    package = "pyarr"

    def __init__(self, scratch):
        import pyarr

        self.m = pyarr

    def parts(self, workload):
        """(parameters, the formula as a function of them alone)."""
        parameters, data = workload.problem()
        data = [self.m.asarray(a) for a in data]
        return parameters, lambda *p: workload.formula(self.m, *p, *data)

    def build(self, workload):
        parameters, formula = self.parts(workload)
        if len(parameters) == 1:
            run = self.m.value_and_grad(formula)
            return lambda: run(*parameters)
        run = self.m.value_and_grad(formula, argnums=tuple(range(len(parameters))))
        return lambda: run(*parameters)

    def build_value(self, workload):
        """The value alone, without recording."""
        parameters, formula = self.parts(workload)
        parameters = [self.m.asarray(p) for p in parameters]
        return lambda: (float(formula(*parameters)), None)


class Autograd(Peer):
    package = "autograd"

    def __init__(self, scratch):
        import autograd
        import autograd.numpy

        self.m, self.autograd = autograd.numpy, autograd

    def build(self, workload):
        parameters, data = workload.problem()

        def formula(*p):
            return workload.formula(self.m, *p, *data)

        places = tuple(range(len(parameters)))
        run = self.autograd.value_and_grad(formula, argnum=places)
        return lambda: run(*parameters)


class Jax(Peer):
    """jit of value_and_grad in float64; the data are arguments."""

    package = "jax"

    def __init__(self, scratch):
        import jax

        jax.config.update("jax_enable_x64", True)
        import jax.numpy

        self.m, self.jax = jax.numpy, jax

    def build(self, workload):
        parameters, data = workload.problem()
        data = [self.m.asarray(a) for a in data]
        formula = functools.partial(workload.formula, self.m)
        places = tuple(range(len(parameters)))
        call = self.jax.jit(self.jax.value_and_grad(formula, argnums=places))

        def run():
            value, gradients = call(*parameters, *data)
            return float(value), [np.asarray(g) for g in gradients]

        return run

    def forget(self):
        self.jax.clear_caches()


class Torch(Peer):
    """PyTorch without compilation."""

    package = "torch"

    def __init__(self, scratch):
        import torch

        torch.set_default_dtype(torch.float64)
        self.m = torch

    def forget(self):
        self.m.compiler.reset()

    def parts(self, workload):
        parameters, data = workload.problem()
        tensors = [self.m.from_numpy(np.ascontiguousarray(a)) for a in data]
        return parameters, tensors, functools.partial(workload.formula, self.m)

    def build(self, workload, compiled=False):
        parameters, data, formula = self.parts(workload)
        if compiled:
            formula = self.m.compile(formula, dynamic=False)

        def run():
            leaves = [self.m.from_numpy(p).requires_grad_() for p in parameters]
            value = formula(*leaves, *data)
            gradients = self.m.autograd.grad(value, leaves)
            return value.item(), [g.numpy() for g in gradients]

        return run


class TorchCompile(Torch):
    """torch.compile of the value, then its backward pass: what its manual shows."""

    def build(self, workload):
        return super().build(workload, compiled=True)


class TorchJoint(Torch):
    """torch.compile of torch.func.grad_and_value: both passes in one compiled graph."""

    def build(self, workload):
        parameters, data, formula = self.parts(workload)
        places = tuple(range(len(parameters)))
        call = self.m.func.grad_and_value(formula, argnums=places)
        call = self.m.compile(call, dynamic=False)
        leaves = [self.m.from_numpy(p) for p in parameters]

        def run():
            gradients, value = call(*leaves, *data)
            return value.item(), [g.numpy() for g in gradients]

        return run


class Fused(Peer):
    """Hand-written C, see fused.c."""

    def __init__(self, scratch):
        self.library = fused.compile_fused(scratch)

    def build(self, workload):
        if not workload.fused:
            raise NotImplementedError("there is no C for it")
        return fused.function(self.library, workload.fused, *workload.problem())


def version(maker):
    """The version of the peer's library, or an empty string."""
    try:
        return importlib.metadata.version(maker.package) if maker.package else ""
    except importlib.metadata.PackageNotFoundError:
        return ""
