"""Stages: bits, memory, interruption and errors."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from stage_functions import (
    FUNCTIONS,
    PAIRS,
    kernel_logsumexp,
    kernel_sum,
    layer_norm,
    logistic,
    mixture,
    poisson,
    precisions,
    rng,
    softmax_regression,
    staged,
)

import pyarr as pa
from pyarr import _core

pytestmark = pytest.mark.usefixtures("small_stages")


@pytest.mark.parametrize("name", [*FUNCTIONS, *PAIRS])
def test_bits_do_not_depend_on_threads(name):
    n = 20011 if name in FUNCTIONS else 700
    f, args = (FUNCTIONS | PAIRS)[name](n)
    args = [np.asarray(a) for a in args]
    call = pa.value_and_grad(f, argnums=tuple(range(len(args))))
    before = pa.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 2):
            pa.set_num_threads(threads)
            value, grads = call(*args)
            found.append([float(value).hex(), *(g.tobytes() for g in grads)])
    finally:
        pa.set_num_threads(before)
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.parametrize("n", [64, 1003])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_do_not_depend_on_the_executor(name, n):
    f, args = FUNCTIONS[name](n)
    call = pa.value_and_grad(f, argnums=tuple(range(len(args))))
    found = []
    for executor in ("interpreter", "native"):
        _core.plan_cache_clear()
        with pa.config(executor=executor):
            value, grads = call(*[np.asarray(a) for a in args])
        found.append([float(value).hex(), *(np.asarray(g).tobytes() for g in grads)])
    assert found[0] == found[1]


def test_strict_rounding_forms_no_stages():
    f, args = logistic(1000)
    with pa.config(rounding="strict"):
        _, runs = staged(lambda: pa.value_and_grad(f)(*args))
    assert runs == 0


def peak_of(call):
    call()
    before = _core.mem_stats()["bytes_live"]
    _core.mem_reset_peak()
    call()
    return _core.mem_stats()["bytes_peak"] - before


@pytest.mark.parametrize(
    "make", [logistic, poisson, mixture, softmax_regression, layer_norm]
)
def test_memory_does_not_grow_with_the_rows(make):
    f, args = make(400_000 if make is not mixture else 50_000)
    args = [np.asarray(a) for a in args]
    call = pa.value_and_grad(f, argnums=tuple(range(len(args))))
    assert peak_of(lambda: call(*args)) < 4_000_000 + 2_000_000 * pa.get_num_threads()


def test_gathered_values_are_never_stored():
    n = 400_000
    index, data = rng(1).integers(-1000, 1000, n), rng(2).standard_normal(n)
    call = pa.value_and_grad(lambda t: pa.sum((t[index] - data) ** 2))
    t = rng(3).standard_normal(1000)
    assert peak_of(lambda: call(t)) < 2_000_000
    residual = t[index] - data
    value, grad = call(t)
    np.testing.assert_allclose(value, np.sum(residual**2), rtol=1e-12)
    expected = np.bincount(index % 1000, 2 * residual, 1000)
    np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", [kernel_sum, kernel_logsumexp])
def test_pairs_are_never_stored(make):
    f, args = make(3000)
    args = [np.asarray(a) for a in args]
    call = pa.value_and_grad(f, argnums=(0, 1, 2))
    assert peak_of(lambda: call(*args)) < 4_000_000 + 2_000_000 * pa.get_num_threads()


@pytest.mark.parametrize("make", [logistic, mixture, precisions, kernel_logsumexp])
def test_failing_allocations(make):
    f, args = make(300)
    args = [np.asarray(a) for a in args]
    call = pa.value_and_grad(f, argnums=tuple(range(len(args))))
    expected = call(*args)[0]
    _core.plan_cache_clear()
    for n in range(1, 100_000, 7):
        _core.plan_cache_clear()
        _core._fail_alloc(n)
        try:
            call(*args)
        except MemoryError:
            pass
        if _core._fail_alloc(0):
            break
    else:
        pytest.fail("more requests for memory than this test expects")
    assert call(*args)[0] == expected


INTERRUPTED = """
import time
import numpy as np
import pyarr as pa
x = pa.asarray(np.random.default_rng(1).standard_normal(60000))
f = pa.value_and_grad(lambda s: pa.sum(pa.logsumexp(-s * (x[:, None] - x) ** 2, axis=1)))
print("ready", flush=True)
try:
    f(0.3)
except KeyboardInterrupt:
    print("stopped", time.monotonic(), flush=True)
y = x[:200]
g = pa.value_and_grad(lambda s: pa.sum(pa.logsumexp(-s * (y[:, None] - y) ** 2, axis=1)))
print(np.isfinite(g(0.3)[0]))
"""


def test_interrupting_a_sweep():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.4)
    begin = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    stopped, finite = output.splitlines()
    assert stopped.startswith("stopped ") and finite == "True"
    assert float(stopped.split()[1]) - begin < 1.0  # far less on a machine that is free


@pytest.mark.parametrize("bad", [5, -6, 2**62, -(2**63)])
@pytest.mark.parametrize("how", ["read", "write", "along"])
def test_indices_out_of_range_raise_at_the_call(bad, how):
    index = rng(1).integers(-5, 5, 200_000)
    index[199_000] = bad

    def f(t):
        try:
            if how == "read":
                t[index]
            elif how == "write":
                t[index] = 1.0
            else:
                pa.take_along_axis(t, index, 0)
        except IndexError as error:
            assert f"index {bad} is out of bounds for axis 0 with size 5" in str(error)
            return 3 * pa.sum(t)

    np.testing.assert_array_equal(pa.grad(f)(np.ones(5)), 3.0)


def test_indices_out_of_range_raise():
    index = rng(1).integers(0, 5, 3000)
    index[1234] = 5
    x = rng(2).standard_normal((3000, 4))
    with pytest.raises(IndexError):
        pa.value_and_grad(lambda t: pa.sum(pa.sum(t[index] * x, axis=1) ** 2))(
            np.ones((5, 4))
        )
