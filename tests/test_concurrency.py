"""Threads and reentrant calls that meet in the same recorded arrays."""

import os
import threading
import time

import numpy as np
import pytest
import scipy.fft

import pyarr


def run_threads(count, work):
    """Run work(i) on `count` threads; the exceptions they raised."""
    errors = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.fixture
def mixed():
    """A result whose derivative needs a cast that eager mode never stored."""
    w = pyarr.array(np.linspace(0, 1, 8, dtype=np.float32)).requires_grad_()
    v = pyarr.array(np.linspace(1, 2, 8)).requires_grad_()
    return pyarr.arctan2(w, v) * w * v, w, v


def test_backward_pass_within_an_evaluation(mixed, monkeypatch):
    # While a Fourier transform runs in SciPy, other code may use the same nodes.
    u, w, v = mixed
    spectrum = pyarr.sum(pyarr.fft.irfft(u, 8) ** 2)
    outer = pyarr.autograd.grad(spectrum, [w, v])
    inner = pyarr.autograd.grad(pyarr.sum(u), [w, v])
    found = []

    def reentrant(original):
        def transform(*args, **kwargs):
            found.append(pyarr.autograd.grad(pyarr.sum(u), [w, v]))
            return original(*args, **kwargs)

        return transform

    for name in ("rfft", "irfft"):
        monkeypatch.setattr(scipy.fft, name, reentrant(getattr(scipy.fft, name)))
    again = pyarr.autograd.grad(spectrum, [w, v])
    assert found
    for got in found:
        assert [np.array_equal(a, b) for a, b in zip(got, inner, strict=True)] == [
            True,
            True,
        ]
    for a, b in zip(again, outer, strict=True):
        np.testing.assert_allclose(a, b)


def test_threads_add_up_the_grad_of_one_leaf():
    w = pyarr.array(np.linspace(0, 1, 200_000)).requires_grad_()
    loss = pyarr.sum(pyarr.exp(w * w))
    loss.backward()
    once = np.asarray(w.grad)
    errors = run_threads(4, lambda i: [loss.backward() for _ in range(8)])
    assert errors == []
    np.testing.assert_allclose(w.grad, 33 * once)


def test_threads_share_a_computed_array():
    size = 200_000
    w = pyarr.array(np.linspace(0, 1, size, dtype=np.float32)).requires_grad_()
    v = pyarr.array(np.linspace(1, 2, size)).requires_grad_()
    loss = pyarr.sum(pyarr.arctan2(w, v) * w * v)
    right = pyarr.autograd.grad(loss, [w, v])
    found = []
    errors = run_threads(
        4, lambda i: [found.append(pyarr.autograd.grad(loss, [w, v])) for _ in range(4)]
    )
    assert errors == []
    for got in found:
        for a, b in zip(got, right, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/task"), reason="asks Linux for the threads"
)
def test_workers_may_use_every_cpu_after_they_were_woken():
    """The pool wakes a worker elsewhere than on the caller's CPU, for that time only."""
    x = pyarr.asarray(np.ones((300, 300)))
    for _ in range(10):
        _ = x @ x
        time.sleep(0.005)  # longer than workers spin
    own = [int(thread) for thread in os.listdir("/proc/self/task")]
    expected = [os.sched_getaffinity(0)] * len(own)
    deadline = time.monotonic() + 10  # on a busy machine the last one may wake late
    while [os.sched_getaffinity(thread) for thread in own] != expected:
        assert time.monotonic() < deadline
        time.sleep(0.01)
