"""The package as installed: what it loads, exports, and says of itself."""

import inspect
import re
import shutil
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest

import pyarr as pa
from pyarr import _core


def run(code, *flags, env=None):
    """The standard output and error of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", pa.__version__)
    try:
        installed = metadata.version("pyarr")
    except metadata.PackageNotFoundError:
        pytest.skip("built in place, not installed")
    assert pa.__version__ == installed


def test_runtime_dependencies_are_numpy_and_scipy():
    try:
        needs = metadata.requires("pyarr")
    except metadata.PackageNotFoundError:
        pytest.skip("built in place, not installed")
    always = {re.match(r"[\w-]+", n).group() for n in needs if "extra ==" not in n}
    assert always == {"numpy", "scipy"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files and /proc")
def test_openblas_is_our_own():
    folder = Path(_core.__file__).resolve().parent / "_openblas"
    libraries = [p.name for p in folder.iterdir()]
    assert len(libraries) == 1 and libraries[0].startswith("libscipy_openblas")
    code = "import pyarr; print(open('/proc/self/maps').read())"
    assert str(folder / libraries[0]) in run(code)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
def test_one_symbol_is_exported():
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("no nm")
    out = subprocess.run(
        [nm, "-D", "--defined-only", _core.__file__],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.split()[-1] for line in out.splitlines()}
    # Sanitizers add their own.
    assert {n for n in names if not n.startswith(("__asan", "__ubsan"))} == {
        "PyInit__core"
    }


def test_import_loads_no_scipy():
    code = "import sys, pyarr; print([m for m in sys.modules if m.startswith('scipy')])"
    assert run(code)[0].strip() == "[]"


def test_import_is_silent():
    out, err = run("import pyarr", "-W", "error")
    assert out == "" and err == ""


def test_unknown_setting_warns(monkeypatch):
    monkeypatch.setenv("PYARR_THREADS", "2")
    _, err = run("import pyarr")
    assert "PYARR_THREADS" in err and "Warning" in err
    monkeypatch.delenv("PYARR_THREADS")
    monkeypatch.setenv("PYARR_DEBUG", "much")
    _, err = run("import pyarr")
    assert "PYARR_DEBUG" in err and "whole number" in err


@pytest.mark.slow
@pytest.mark.unsanitized
def test_import_time(monkeypatch, tmp_path):
    """Importing pyarr adds at most 30% to importing NumPy."""
    # Both from byte code, as installed: the first run compiles them.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))
    code = (
        "from time import perf_counter as t; a = t(); import numpy; b = t();"
        "import pyarr; c = t(); print((c - b) / (b - a))"
    )
    # The least of several, as other work on the machine only adds.
    run(code)
    assert min(float(run(code)[0]) for _ in range(5)) <= 0.30


def test_completion_offers_only_public_names():
    names = [name for name in dir(pa) if "__" not in name]
    assert not [name for name in names if name.startswith("_")]
    modules = {n for n in names if isinstance(getattr(pa, n), types.ModuleType)}
    assert modules <= {*pa._LAZY, "dtypes", "exceptions"}
    helpers = {"Arguments", "array_result", "push", "run"}
    assert not helpers.intersection(names)


def test_functions_have_signatures():
    for name in dir(pa):
        value = getattr(pa, name)
        if getattr(value, "__module__", "").startswith("pyarr") and callable(value):
            if not isinstance(value, type):
                assert inspect.signature(value) is not None


def test_signatures_of_ufuncs():
    assert list(inspect.signature(pa.add).parameters)[:3] == ["x1", "x2", "out"]
    assert str(inspect.signature(pa.frexp)) == str(inspect.signature(pa.exp))
