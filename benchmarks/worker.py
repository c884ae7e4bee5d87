"""The child process of one peer: answers requests, a line of JSON each.

Times are of single calls. Memory is the process's peak resident memory during a call
that is not the first, over what it was before the first call, all data in place; on Linux
the peak is VmHWM, which is reset before; elsewhere it is the growth of ru_maxrss.
"""

import ctypes
import dataclasses
import gc
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from . import holography, workloads
from .peers import Autograd, Fused, Jax, NumPy, Pyarr, Torch, TorchCompile, TorchJoint

MAKERS = {
    "pyarr": Pyarr,
    "interpreter": Pyarr,
    "numpy": NumPy,
    "autograd": Autograd,
    "torch": Torch,
    "torch.compile": TorchCompile,
    "torch joint": TorchJoint,
    "jax": Jax,
    "C": Fused,
}


def catalogue(data):
    """All workloads by name, in the order in which they are shown."""
    found = workloads.workloads(data) + holography.workloads(data)
    return {workload.name: workload for workload in found}


class Memory:
    """Peak resident memory of this process in bytes, as far as the system tells."""

    def __init__(self):
        self.resets = os.access("/proc/self/clear_refs", os.W_OK)

    @staticmethod
    def status(field):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return 1024 * int(line.split()[1])
        raise OSError(f"no {field} in /proc/self/status")

    def base(self):
        """What is in use now, when the C library has given back what it can."""
        gc.collect()
        if not self.resets:
            return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:
            trim(0)
        return self.status("VmRSS")

    def peak(self, run):
        if not self.resets:
            run()
            return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        Path("/proc/self/clear_refs").write_text("5")
        run()
        return self.status("VmHWM")


def read_libraries():
    """Have the code of all loaded libraries in the system's file cache.

    Systems drop pages of files that nothing used for a while (on Linux DAMON does so with
    memory to spare). A first call that needs some, as the first matrix product does, would
    wait for the disk, 10 ms for each place. No library can help that, so it isn't measured.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    buffer = bytearray(1 << 20)
    # Address, rights, offset, device, inode, path.
    rows = [line.split(maxsplit=5) for line in maps.read_text().splitlines()]
    paths = {row[5] for row in rows if len(row) == 6 and "x" in row[1]}
    for path in filter(os.path.isfile, paths):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def seconds_of(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


class Worker:
    def __init__(self, name, scratch, data):
        self.name, self.peer = name, MAKERS[name](scratch)
        self.scratch, self.data = Path(scratch), data
        self.workloads = catalogue(data)
        self.memory = Memory()
        self.runs, self.base = {}, 0
        # What a library loads for its first derivative is no workload's first call.
        self.peer.build(self.workloads["beam-10"])()
        self.forget()

    def prepare(self, workload, kind):
        """Data, then the first call; results go to a file, for gradients are long."""
        workload = self.workloads[workload]
        formula = workload.own.get(self.name, workload.formula)
        workload = dataclasses.replace(workload, formula=formula)
        if kind == "value":
            run = self.peer.build_value(workload)
        elif kind == "products":
            run = holography.products(self.peer.m, workload)
        else:
            run = self.peer.build(workload)
        self.runs[kind] = run
        read_libraries()
        # Threads of NumPy's BLAS, which made the data, spin for some time after their last
        # work: let them go to sleep.
        time.sleep(0.1)
        self.base = self.memory.base()
        start = time.perf_counter()
        value, gradients = run()
        first = time.perf_counter() - start
        if gradients is None:
            gradients = ()
        elif not isinstance(gradients, (list, tuple)):
            gradients = (gradients,)
        file = self.scratch / f"{os.getpid()}.npz"
        np.savez(file, value, *[np.asarray(g) for g in gradients])
        return {"first": first, "second": seconds_of(run), "file": str(file)}

    def time(self, kind, repeats, warm):
        """Median seconds of `repeats` calls, after one that fills the caches."""
        run = self.runs[kind]
        if warm:
            run()
        return {"seconds": statistics.median(seconds_of(run) for _ in range(repeats))}

    def extra(self):
        # What the first call gave back was no part of the data.
        base = min(self.base, self.memory.base())
        return {"bytes": self.memory.peak(self.runs["gradient"]) - base}

    def fit(self, name, limit):
        return holography.whole_fit(self.peer.m, name, self.data, limit)

    def forget(self):
        self.runs.clear()
        gc.collect()
        self.peer.forget()
        return {}


def serve(name, scratch, data):
    """Answer until stdin ends. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            worker = worker or Worker(name, scratch, data)
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # whatever it is, the peer is left out with it
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
