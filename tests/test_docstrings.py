"""Every public function has a docstring whose examples run."""

import doctest
import inspect
import types

import numpy as np
import pytest

import pyarr as pa


def functions():
    for module in (pa, pa.linalg, pa.fft, pa.random):
        for name in dir(module):
            value = getattr(module, name)
            if name.startswith("_") or isinstance(value, types.ModuleType):
                continue
            home = getattr(value, "__module__", None) or ""
            if isinstance(value, type) and home in ("pyarr", "pyarr._core"):
                continue  # of the core, which document themselves method by method
            if home == "pyarr._args" or home.partition(".")[0] != "pyarr":
                continue  # a helper, or not ours
            if callable(value) and value is not getattr(np, name, None):
                yield f"{module.__name__}.{name}", value


ALL = dict(functions())


@pytest.mark.parametrize("name", ALL)
def test_examples_run(name):
    function = ALL[name]
    assert function.__doc__ and len(function.__doc__) > 10, "no docstring"
    runner = doctest.DocTestRunner(verbose=False)
    for example in doctest.DocTestFinder(recurse=False).find(function, name, globs={}):
        runner.run(example)
    assert runner.failures == 0


@pytest.mark.parametrize("name", ALL)
def test_functions_in_python_have_examples(name):
    function = ALL[name]
    written = inspect.isfunction(function) and function.__module__ != "pyarr"
    if written and "being differentiated" not in function.__doc__:
        assert ">>>" in function.__doc__
