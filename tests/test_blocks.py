"""Blocks of the interpreter: what is stored, where, and what is only added up."""

import itertools

import numpy as np
import pytest

import pyarr as pa
from pyarr import _core

SIZES = [1, 7, 32, 33, 511, 512, 513, 1100, 16_384, 40_000]


def run(inputs, code, outputs=(), sums=(), shape=None):
    """Outputs and sums of a program by the interpreter; both as (register, dtype)."""
    shape = inputs[0].shape if shape is None else shape
    results = [(reg, np.full(shape, 1, dtype)) for reg, dtype in outputs]
    totals = [(reg, np.full((), 7, dtype)) for reg, dtype in sums]
    with pa.config(executor="interpreter"):
        _core._run_program(shape, list(inputs), list(code), results, totals)
    return [a for _, a in results], [a for _, a in totals]


def numbers(dtype, count, n):
    rng = np.random.default_rng(n)
    if np.dtype(dtype).kind == "f":
        return list(rng.standard_normal((count, n)).astype(dtype))
    return list(rng.integers(0, 2**62, (count, n)).astype(dtype))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u8"])
@pytest.mark.parametrize("n", SIZES)
def test_products_that_are_only_summed(dtype, n):
    """Their sum has the bits that it has when they are stored."""
    x, y = numbers(dtype, 2, n)
    for one, other in [(0, 1), (0, 0), (0, 2), (2, 1)]:
        uniform = np.broadcast_to(x[:1] + y[-1:], n)
        code = [("multiply", dtype, dtype, 3, one, other)]
        stored, (expected,) = run([x, y, uniform], code, [(3, dtype)], [(3, dtype)])
        factors = [[x, y, uniform][k] for k in (one, other)]
        assert np.array_equal(stored[0], factors[0] * factors[1])
        assert run([x, y, uniform], code, [], [(3, dtype)])[1][0] == expected


def test_sums_of_everything():
    """Inputs, results that are read again, one register twice, uniform ones."""
    n = 1300
    x, y = numbers("f8", 2, n)
    t = np.broadcast_to(x[:1], n)
    code = [("multiply", "f8", "f8", 3, 0, 1), ("add", "f8", "f8", 4, 3, 0),
            ("multiply", "f8", "f8", 5, 4, 4), ("exp", "f8", "f8", 6, 2),
            ("multiply", "f8", "f8", 7, 5, 1)]  # fmt: skip
    order = [5, 0, 3, 3, 4, 7, 6, 2, 0]
    _, got = run([x, y, t], code, [], [(r, "f8") for r in order])
    values = {0: x, 2: t, 3: x * y, 4: x * y + x, 6: np.exp(t)}
    values[5] = values[4] * values[4]
    values[7] = values[5] * y
    for reg, total in zip(order, got, strict=True):
        copy = [("positive", "f8", "f8", 1, 0)]
        (one,) = run([values[reg]], copy, [], [(1, "f8")])[1]
        assert total == pytest.approx(one, rel=1e-15 if reg == 6 else 0)


def test_slots_are_used_again():
    """Results lie where operands lay that nothing reads any more, of whatever size."""
    n = 700
    x, y = numbers("f4", 2, n)
    p = y > 0
    code = [("cast", "f4", "f8", 3, 0), ("add", "f8", "f8", 4, 3, 3),
            ("cast", "f8", "f4", 5, 4), ("multiply", "f4", "f4", 6, 5, 5),
            ("less", "f4", "?", 7, 6, 1), ("where", "f4", "f4", 8, 7, 6, 5),
            ("cast", "f4", "c16", 9, 8), ("multiply", "c16", "c16", 10, 9, 9),
            ("logical_and", "?", "?", 11, 7, 2), ("where", "c16", "c16", 12, 11, 10, 9),
            ("absolute", "c16", "f8", 13, 12), ("subtract", "f8", "f8", 14, 13, 4)]  # fmt: skip
    ((got,), (total,)) = run([x, y, p], code, [(14, "f8")], [(14, "f8")])
    double = x.astype("f8") + x
    single = double.astype("f4")
    square = single * single
    chosen = np.where(square < y, square, single).astype("c16")
    last = np.where((square < y) & p, chosen * chosen, chosen)
    assert np.array_equal(got, np.abs(last) - double)
    assert total == pytest.approx(got.sum(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", ["fma", "clip"])
def test_uniform_inputs(name, dtype):
    """Every choice of uniform inputs gives the bits of arrays that repeat the element."""
    for n, which in itertools.product([5, 600], range(8)):
        rng = np.random.default_rng(which)
        inputs = list(rng.standard_normal((3, n)).astype(dtype))
        for k in range(3):
            if which >> k & 1:
                inputs[k] = np.broadcast_to(inputs[k][:1], n)
        code = [("negative", dtype, dtype, 3, 0), (name, dtype, dtype, 4, 0, 1, 2)]
        outputs = [(3, dtype), (4, dtype)]
        spread = [x.copy() for x in inputs]
        got, expected = run(inputs, code, outputs)[0], run(spread, code, outputs)[0]
        assert np.array_equal(got[1], expected[1])
        if name == "clip":
            x, low, high = inputs
            assert np.array_equal(got[1], np.minimum(np.maximum(x, low), high))


@pytest.mark.parametrize("executor", ["interpreter", "native"])
def test_rows_of_any_length(executor):
    """Operands that repeat along one axis or the other: runs, gathered rows, remainders."""
    rng = np.random.default_rng(9)
    for n in [*range(1, 140), 255, 256, 257, 600]:
        x, y = rng.integers(-99, 99, (2, 11, n)).astype(float)
        row, column = x[:1] + 1, y[:, -1:] - 2
        with pa.config(executor=executor):
            given = map(pa.asarray, (x, y, row, column))
            got = pa.jit(lambda x, y, r, c: (x * r + c * y, r * c, x > r))(*given)
        for one, expected in zip(
            got, (x * row + column * y, row * column, x > row), strict=True
        ):
            assert np.array_equal(one, expected), n
