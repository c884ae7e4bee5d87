"""The hand-fused C of fused.c: compiled here, and called through ctypes."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("fused.c")
FLAGS = ["-std=gnu11", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC"]


def compile_fused(folder):
    """Compile into `folder`; returns the library's path. OSError where that fails."""
    command = shutil.which(os.environ.get("CC", "cc"))
    if command is None:
        raise OSError("no C compiler")
    library = Path(folder) / "fused.so"
    if not library.exists():
        own = library.with_suffix(f".{os.getpid()}")
        code = library.with_suffix(f".{os.getpid()}.o")
        # Linked with -ffast-math, a library lets the whole process flush subnormals.
        for step in (
            [*FLAGS, "-c", str(SOURCE), "-o", str(code)],
            ["-shared", "-fopenmp", str(code), "-o", str(own), "-lm"],
        ):
            done = subprocess.run([command, *step], capture_output=True, text=True)
            if done.returncode != 0:
                raise OSError(f"{command}: {done.stderr[:200]}")
        code.unlink()
        own.rename(library)  # at once, whoever else is compiling
    return library


def pointers(arrays):
    """A C array of the arrays' addresses."""
    double = ctypes.POINTER(ctypes.c_double)
    return (double * len(arrays))(*[a.ctypes.data_as(double) for a in arrays])


def function(library, name, parameters, data):
    """A call without arguments that gives (value, list of gradients)."""
    entry = getattr(ctypes.CDLL(str(library)), name)
    entry.restype = ctypes.c_double
    data = [np.ascontiguousarray(a, float) for a in data]
    flat = np.empty(sum(p.size for p in parameters))
    cuts = np.cumsum([p.size for p in parameters])[:-1]
    sizes = (ctypes.c_int64 * len(data))(*[len(a) for a in data])
    arguments = pointers(parameters), pointers(data), sizes, pointers([flat])[0]

    def run():
        value = entry(*arguments)
        return value, np.split(flat, cuts)

    run.keep = parameters, data  # their addresses are in use
    return run
