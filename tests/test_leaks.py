"""Nothing leaks: repeated calls, and every request for memory failing in turn."""

import gc
import pickle
import sys

import numpy as np
import pytest

import pyarr
from pyarr import _core


def count():
    memory = _core._memory()
    return memory["arrays"], memory["storages"], memory["nodes"]


def without_plans():
    _core.plan_cache_clear()  # plans keep their literals
    return count()


def alive():
    gc.collect()
    return without_plans()


A = np.arange(1.0, 13.0).reshape(3, 4)
B = np.linspace(0.1, 0.9, 4)
LARGE = np.ones(10_000)  # its memory is shared, not copied
POSITIVE = np.array([[4.0, 1.0], [1.0, 3.0]])


def asarray_twice():
    x, y = pyarr.asarray(A[1:]), pyarr.asarray(A[:-1])
    return x + y


def with_torch_spelling():
    x = pyarr.ones(5).requires_grad_()
    (x * x).sum().backward()
    return x.grad


def caught_failure():
    def f(x):
        try:
            return pyarr.linalg.cholesky(x * -POSITIVE).sum()
        except np.linalg.LinAlgError:
            return (x * x).sum()

    return pyarr.grad(f)(2.0)


def raising():
    def f(x):
        y = x * 2.0
        if y[0] > 0:
            raise KeyError("user")
        return y.sum()

    with pytest.raises(KeyError):
        pyarr.grad(f)(B)


def in_place():
    def f(x):
        y = pyarr.zeros(4)
        y[1:] = x[:-1]
        y[0] += x[3]
        return (y * y).sum()

    return pyarr.grad(f)(B)


def planned(f, *args):
    """A call that makes its plan, runs it, and finds it again."""

    def call():
        _core.plan_cache_clear()
        g = pyarr.value_and_grad(f)
        return g(*args), g(*args)

    return call


def program(t):
    r = A - t[0] * pyarr.exp(-t[1] * A) + pyarr.where(A > 3, t[2], 0.0)
    return (r * r).sum() + pyarr.log1p(t).sum()


def partial_sums(t):
    rows = pyarr.log(pyarr.sum(pyarr.exp(t[:3, None] * A), axis=1))
    return (rows * 2.0).sum() + pyarr.sqrt(pyarr.mean((A - t) ** 2))


def planned_writes(t):
    y = pyarr.zeros((3, 4))
    y[1:] = t[:2, None] * A[1:]
    y[0] += t
    y[[0, 2]] *= 2.0
    return (y * y).sum()


def library_steps(t):
    inverse = pyarr.linalg.inv(POSITIVE * t[0])
    return pyarr.sort(inverse.reshape(4) * t).sum() + (A @ t).sum()


def guarded(t):
    # the mean of squares leaves the normal range: the plan runs again without rewrites
    return pyarr.sqrt(pyarr.mean((t * 1e-170) ** 2))


def tape_backward():
    _core.plan_cache_clear()
    w = pyarr.asarray(B.copy()).requires_grad_()
    loss = (pyarr.exp(-w) * A).sum() + pyarr.linalg.inv(POSITIVE * w[0]).sum()
    loss.backward()
    return w.grad


def mixed_list():
    return pyarr.grad(lambda x: pyarr.array([x[0], x[1] * 2, 1.0]).sum())(B)


def many_list():
    x = pyarr.arange(40.0)
    return pyarr.asarray([x[k] for k in range(40)])


def simplified():
    def f(x):
        slope = pyarr.grad(lambda t: pyarr.sum(t * x[0]))(x)
        return pyarr.sum(_core.simplified([slope])[1][0])

    return pyarr.grad(lambda x: x.sum() * 0.0 + f(pyarr.detach(x)))(B)


def replayed():
    g = pyarr.jit(lambda x, s: {"sums": (pyarr.sum(x * s), x[::-1] + A[0, 0])})
    return g(B, 2.0), g(B, 3.0)


REPLAYED = pyarr.jit(lambda x, s: (pyarr.sum(x * s), pyarr.cumsum(x)))


def profiled():
    with pyarr.profile(events=10) as p:
        REPLAYED(B, 2.0)
    return p.summary()


CALLS = {
    "plan of a program": planned(program, B),
    "plan of partial sums": planned(partial_sums, B),
    "plan of writes": planned(planned_writes, B),
    "plan of library steps": planned(library_steps, B),
    "plan with guards": planned(guarded, B),
    "plan of backward": tape_backward,
    "simplified": simplified,
    "jit recorded": replayed,
    "jit replayed": lambda: REPLAYED(B, 2.0),
    "explained": lambda: str(
        pyarr.explain(pyarr.grad(lambda x: pyarr.sum(x * A[0])))(A[1])
    ),
    "profiled": profiled,
    "asarray numpy": lambda: pyarr.asarray(A),
    "asarray views": asarray_twice,
    "asarray list": lambda: pyarr.asarray([[1, 2], [3, 4]]),
    "asarray scalars": lambda: [pyarr.asarray(v) for v in (1, 1.0, True, 1j)],
    "list of scalars": many_list,
    "array copy": lambda: pyarr.array(A, dtype="float32"),
    "byte order": lambda: pyarr.asarray(A.astype(">f8")),
    "to numpy": lambda: np.asarray(pyarr.ones(3)),
    "asnumpy": lambda: pyarr.asnumpy([1.0, 2.0]),
    "buffer": lambda: memoryview(pyarr.ones((2, 3))).tolist(),
    "dlpack out": lambda: np.from_dlpack(pyarr.ones(3)),
    "dlpack in": lambda: pyarr.from_dlpack(A),
    "dlpack unused": lambda: pyarr.ones(3).__dlpack__(max_version=(1, 0)),
    "pickle 5": lambda: pickle.loads(pickle.dumps(pyarr.asarray(A.T), 5)),
    "pickle 2": lambda: pickle.loads(pickle.dumps(pyarr.asarray(A), 2)),
    "zeros": lambda: pyarr.zeros((3, 4)),
    "add": lambda: pyarr.asarray(A) + B,
    "add scalar": lambda: 2.0 * pyarr.asarray(A) + 1,
    "mixed dtypes": lambda: pyarr.asarray(A, dtype="float32") + pyarr.arange(4),
    "strided": lambda: pyarr.asarray(A)[:, ::-2] * pyarr.asarray(A).T[0, 0],
    "in place": lambda: pyarr.zeros(4).__iadd__(B),
    "exp": lambda: pyarr.exp(pyarr.asarray(A)),
    "out": lambda: pyarr.exp(pyarr.asarray(A), out=pyarr.zeros((3, 4))),
    "where": lambda: pyarr.where(pyarr.asarray(A) > 3, A, 0.0),
    "np ufunc": lambda: np.sin(pyarr.asarray(A)),
    "np function": lambda: np.sum(pyarr.asarray(A), axis=0),
    "numpy * ours": lambda: A * pyarr.asarray(A),
    "sum": lambda: pyarr.asarray(A).sum(axis=1, keepdims=True),
    "mean": lambda: pyarr.mean(pyarr.asarray(A)),
    "argmax": lambda: pyarr.argmax(pyarr.asarray(A), axis=0),
    "cumsum": lambda: pyarr.cumsum(pyarr.asarray(A), axis=1),
    "sort": lambda: pyarr.sort(pyarr.asarray(A)[:, ::-1], axis=1),
    "matmul": lambda: pyarr.asarray(A) @ A.T,
    "solve": lambda: pyarr.linalg.solve(pyarr.asarray(POSITIVE), np.ones(2)),
    "einsum": lambda: pyarr.einsum("ij,j->i", pyarr.asarray(A), B),
    "concatenate": lambda: pyarr.concatenate([pyarr.asarray(A), A]),
    "stack": lambda: pyarr.stack([pyarr.asarray(B), B], axis=1),
    "reshape": lambda: pyarr.asarray(A).T.reshape(-1),
    "index": lambda: pyarr.asarray(A)[1, 2],
    "slice": lambda: pyarr.asarray(A)[1:, None, ::2],
    "gather": lambda: pyarr.asarray(A)[[0, 2, 0]],
    "mask": lambda: pyarr.asarray(A)[pyarr.asarray(A) > 4],
    "assign": lambda: pyarr.zeros((3, 4)).__setitem__(slice(1, 3), 2.0),
    "scatter": lambda: pyarr.zeros(4).__setitem__([0, 1], [5.0, 6.0]),
    "iterate": lambda: [v for v in pyarr.asarray(B)],
    "tolist": lambda: pyarr.asarray(A).tolist(),
    "repr": lambda: repr(pyarr.asarray(A)),
    "fft": lambda: pyarr.fft.fft(pyarr.asarray(B)),
    "grad": lambda: pyarr.grad(lambda x: (x * x).sum())(B),
    "value_and_grad": lambda: pyarr.value_and_grad(lambda x: pyarr.exp(x).sum())(B),
    "value_and_grad of several": lambda: pyarr.value_and_grad(
        lambda x, y, z, unused: (x * y).sum() * z, argnums=(0, 1, 2, 3)
    )(B, pyarr.asarray(B), 2.0, LARGE),
    "grad of slices": lambda: pyarr.grad(lambda x: x[0] * x[1:].sum())(B),
    "grad of writes": in_place,
    "grad of lists": mixed_list,
    "grad of matmul": lambda: pyarr.grad(lambda x: (A @ x).sum())(B),
    "jacobian": lambda: pyarr.jacobian(lambda x: A @ x)(B),
    "hessian": lambda: pyarr.hessian(lambda x: (x**3).sum())(B),
    "hvp": lambda: pyarr.hvp(lambda x: (x**3).sum())(B, B),
    "backward": with_torch_spelling,
    "caught LinAlgError": caught_failure,
    "error in f": raising,
}


@pytest.mark.parametrize("name", CALLS)
def test_repeated_calls_leak_nothing(name):
    call = CALLS[name]
    for _ in range(100):  # free lists and caches fill
        call()
    before = alive()
    blocks = sys.getallocatedblocks()
    for _ in range(1000):
        call()
    assert alive() == before
    # A leak would be at least one block for each call; the interpreter's own free lists and
    # caches move by some hundreds.
    assert sys.getallocatedblocks() - blocks < 900


@pytest.mark.parametrize("name", CALLS)
def test_every_allocation_fails_cleanly(name):
    call = CALLS[name]
    for _ in range(3):  # caches fill
        result = call()
    del result
    before = alive()
    for n in range(1, 2000):
        _core._fail_alloc(n)
        try:
            call()
        except MemoryError:
            pass
        finally:
            pending = _core._fail_alloc(0)
        # collecting is slow, and needed only where an exception holds its frames
        left = without_plans()
        assert left == before or alive() == before, f"leak when request {n} fails"
        if pending:  # the call made fewer requests
            break
    else:
        pytest.fail("more requests for memory than this test expects")
    call()


def test_errors_leak_nothing():
    x = pyarr.asarray(A)
    bad = [
        lambda: x + pyarr.ones(7),
        lambda: x[5],
        lambda: x[[9]],
        lambda: x @ x,
        lambda: pyarr.asarray([[1], [2, 3]]),
        lambda: pyarr.asarray([x, x[0]]),
        lambda: pyarr.asarray("a"),
        lambda: pyarr.asarray(np.zeros(2, np.float16)),
        lambda: x.sum(axis=5),
        lambda: x.reshape(5, 5),
        lambda: pyarr.zeros(-1),
        lambda: pyarr.zeros(2**62),
        lambda: pyarr.grad(lambda v: v)(B),
        lambda: pyarr.grad(lambda v: float(v[0]))(B),
        lambda: pyarr.linalg.cholesky(-POSITIVE),
    ]
    kinds = (ValueError, TypeError, IndexError, MemoryError, np.linalg.LinAlgError)
    for call in bad * 2:
        with pytest.raises(kinds):
            call()
    before = alive()
    for _ in range(50):
        for call in bad:
            with pytest.raises(kinds):
                call()
    assert alive() == before
