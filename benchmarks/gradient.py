"""Value and gradient of a Gaussian beam's chi-square: pyarr against NumPy, PyTorch, JAX.

    python benchmarks/gradient.py [--json FILE] [--sizes 1000 100000 1000000] [--rounds N]

Each peer runs in a process of its own (thread pools that spin disturb each other) and is
asked for one timing at a time, in turns, so that a busy machine slows all alike. NumPy has
no gradients: its time is one value, and 2-point differences cost (parameters + 1) of them.
Peers that are not installed are left out. Columns: median milliseconds, and how many times
pyarr's time they take.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import numpy as np

THETA = [0.1, -0.2, 2.0, 0.7, 0.3, 0.05]
PEERS = ["pyarr", "numpy", "torch", "torch.compile", "jax", "autograd"]


def beam(m, theta, x, y, data):
    """chi-square of an elliptical Gaussian beam, in the names of NumPy."""
    x0, y0, amplitude, sigma, rho, diff = (theta[k] for k in range(6))
    dx, dy = x - x0, y - y0
    r2 = m.hypot(dx, dy) ** 2 + rho * dx * dy + diff * (dx**2 - dy**2)
    return m.sum((data - amplitude * m.exp(-r2 / (2 * sigma**2))) ** 2)


def problem(n):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-2, 2, (2, n))
    return x, y, rng.normal(0.0, 0.1, n)


def make_numpy(n):
    x, y, data = problem(n)
    theta = np.array(THETA)
    return lambda: (beam(np, theta, x, y, data), None)


def make_pyarr(n):
    import pyarr as pa

    x, y, data = (pa.asarray(v) for v in problem(n))
    f = pa.value_and_grad(lambda theta: beam(pa, theta, x, y, data))
    theta = np.array(THETA)
    return lambda: f(theta)


def make_torch(n, compiled=False):
    import torch

    torch.set_default_dtype(torch.float64)
    x, y, data = (torch.from_numpy(v) for v in problem(n))

    def value(theta):
        return beam(torch, theta, x, y, data)

    value = torch.compile(value) if compiled else value

    def run():
        theta = torch.tensor(THETA, requires_grad=True)
        out = value(theta)
        out.backward()
        return out.item(), theta.grad.numpy()

    return run


def make_jax(n):
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    x, y, data = (jnp.asarray(v) for v in problem(n))
    f = jax.jit(jax.value_and_grad(lambda t, x, y, d: beam(jnp, t, x, y, d)))
    theta = np.array(THETA)

    def run():
        value, gradient = f(theta, x, y, data)
        return float(value), np.asarray(gradient)

    return run


def make_autograd(n):
    import autograd
    import autograd.numpy as anp

    x, y, data = problem(n)
    f = autograd.value_and_grad(lambda theta: beam(anp, theta, x, y, data))
    theta = np.array(THETA)
    return lambda: f(theta)


MAKERS = {
    "pyarr": make_pyarr,
    "numpy": make_numpy,
    "torch": make_torch,
    "torch.compile": lambda n: make_torch(n, compiled=True),
    "jax": make_jax,
    "autograd": make_autograd,
}


def serve(peer):
    """The child: for each line `n repeats` print [seconds of one call, value, gradient]."""
    runs = {}
    for line in sys.stdin:
        n, repeats = map(int, line.split())
        try:
            first = 0.0
            if n not in runs:
                start = time.perf_counter()
                runs[n] = MAKERS[peer](n)
                runs[n]()
                first = time.perf_counter() - start
                for _ in range(2):
                    runs[n]()
            start = time.perf_counter()
            for _ in range(repeats):
                value, gradient = runs[n]()
            seconds = (time.perf_counter() - start) / repeats
            gradient = None if gradient is None else [float(g) for g in gradient]
            answer = {
                "seconds": seconds,
                "first": first,
                "value": float(value),
                "gradient": gradient,
            }
        except (
            Exception
        ) as error:  # a peer that cannot run is left out, with its reason
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)


class Peer:
    def __init__(self, name):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, n, repeats):
        self.process.stdin.write(f"{n} {repeats}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(peers, n, rounds):
    repeats = max(1, 20_000 // n)
    first, times = {}, {peer.name: [] for peer in peers}
    reference = None
    for peer in list(peers):
        answer = peer.ask(n, 1)
        if "error" in answer:
            print(f"  {peer.name} left out: {answer['error']}")
            peers.remove(peer)
            continue
        first[peer.name] = answer["first"]
        if reference is None:
            reference = answer
        np.testing.assert_allclose(answer["value"], reference["value"], rtol=1e-10)
        if answer["gradient"] is not None:
            np.testing.assert_allclose(
                answer["gradient"], reference["gradient"], rtol=1e-8, atol=1e-8
            )
    for _ in range(rounds):
        for peer in peers:
            times[peer.name].append(peer.ask(n, repeats)["seconds"])
    return {
        peer.name: {
            "median_ms": 1e3 * statistics.median(times[peer.name]),
            "least_ms": 1e3 * min(times[peer.name]),
            "first_call_ms": 1e3 * first[peer.name],
        }
        for peer in peers
    }


def machine():
    with open("/proc/cpuinfo") as f:
        model = [
            line.split(":")[1].strip() for line in f if line.startswith("model name")
        ]
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000]
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    peers = [Peer(name) for name in PEERS]
    results = {}
    print("value and gradient of a Gaussian beam's chi-square, 6 parameters")
    for n in args.sizes:
        results[n] = measure(peers, n, args.rounds)
        own = results[n]["pyarr"]["median_ms"]
        print(f"{n} points")
        for name, row in results[n].items():
            note = "  (value only)" if name == "numpy" else ""
            print(
                f"  {name:14s} {row['median_ms']:9.3f} ms  {row['median_ms'] / own:6.2f} x"
                f"  first call {row['first_call_ms']:8.1f} ms{note}"
            )
    for peer in peers:
        peer.close()
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"machine": machine(), "results": results}, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
