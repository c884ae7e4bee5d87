"""The interpreter's side of the core: exceptions, the user's line, Ctrl-C, the lock."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import pyarr


def test_exception_classes():
    x = pyarr.ones((2, 3))
    with pytest.raises(np.exceptions.AxisError, match="axis 5 is out of bounds"):
        x.sum(axis=5)
    with pytest.raises(np.linalg.LinAlgError):
        pyarr.linalg.cholesky(pyarr.asarray([[-1.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(IndexError, match="out of bounds"):
        x[7]
    with pytest.raises(ValueError, match="could not be broadcast"):
        x + pyarr.ones(5)
    with pytest.raises(TypeError):
        pyarr.bitwise_and(x, x)
    with pytest.raises(MemoryError):
        pyarr.zeros(2**58)
    with pytest.raises(MemoryError):
        try:
            pyarr._core._fail_alloc(1)
            pyarr.ones(1000)
        finally:
            pyarr._core._fail_alloc(0)


def test_errors_of_recorded_work_name_the_users_line():
    def f(x):
        matrix = x * np.array([[-1.0, 0.0], [0.0, 1.0]])
        return pyarr.linalg.cholesky(matrix).sum()  # the line that is meant

    with pytest.raises(np.linalg.LinAlgError, match=r"test_host\.py:\d+ in f"):
        pyarr.grad(f)(1.0)


def test_exceptions_of_backward_rules_pass_through():
    rule = pyarr.custom_vjp(lambda x: x * 2.0)

    def backward(saved, g):
        raise KeyError("in the backward rule")

    rule.defvjp(lambda x: (x * 2.0, None), backward)
    with pytest.raises(KeyError, match="backward rule"):
        pyarr.grad(lambda x: rule(x).sum())(np.ones(3))


def test_exceptions_of_callbacks_pass_through():
    class Mine(Exception):
        pass

    class Sly:
        def __array__(self, dtype=None, copy=None):
            raise Mine("from __array__")

    class Index:
        def __index__(self):
            raise Mine("from __index__")

    with pytest.raises(Mine):
        pyarr.asarray(Sly())
    with pytest.raises(Mine):
        pyarr.asarray([pyarr.ones(1), Sly()])
    with pytest.raises(Mine):
        pyarr.zeros((Index(), 2))
    with pytest.raises(Mine):
        pyarr.ones(3).sum(axis=Index())


INTERRUPTED = """
import pyarr
x = pyarr.ones((1500, 1500))
x @ x
print("ready", flush=True)
try:
    while True:
        pyarr.exp(pyarr.sin(x) + x).sum()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(float((pyarr.ones(3) + 1).sum()), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_stops_and_leaves_all_well():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out == "interrupted\n6.0\n"


def test_ctrl_c_within_a_transform():
    def f(x):
        if calls.pop():
            raise KeyboardInterrupt
        return (x * x).sum()

    calls = [False, True]
    with pytest.raises(KeyboardInterrupt):
        pyarr.grad(f)(np.ones(3))
    np.testing.assert_array_equal(pyarr.grad(f)(np.ones(3)), 2.0)


def test_threads_share_nothing_but_the_lock():
    a = np.linspace(0.0, 1.0, 2000)
    expected = pyarr.grad(lambda x: (pyarr.sin(x) * x).sum())(a)
    failures = []

    def work():
        try:
            for _ in range(20):
                x = pyarr.asarray(a)
                result = pyarr.grad(lambda v: (pyarr.sin(v) * v).sum())(x)
                np.testing.assert_array_equal(result, expected)
                np.from_dlpack(x * 2.0)
                memoryview(x + 1.0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_import_starts_nothing():
    code = (
        "import sys, threading, pyarr\n"
        "assert threading.active_count() == 1\n"
        "assert 'scipy' not in sys.modules\n"
        "assert 'tqdm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
