"""Functions of hundreds and thousands of operations on one set of data: nothing is stored."""

import numpy as np
import pytest
from stage_functions import nodes, rng, staged

import pyarr as pa
from pyarr import _core

SHAPES = [(4100,), (60, 70), (7, 20, 31), (2100, 2)]


def lines(count, shape):
    """A spectrum of many Gaussian lines: three parameters, and three sums, for each."""
    x, data = rng(1).uniform(-3, 3, shape), rng(2).standard_normal(shape)

    def chi2(theta):
        model = 0.0
        for k in range(count):
            height, centre, width = theta[3 * k : 3 * k + 3]
            model = model + height * pa.exp(-(((x - centre) / width) ** 2))
        return pa.sum((data - model) ** 2)

    return chi2, rng(3).uniform(0.5, 1, 3 * count)


def pendulums(count, shape):
    """Steps of an integrator; some start so fast that machine code's sine is left."""
    start, speed = rng(4).uniform(-1, 1, (2, *shape))
    speed.flat[:: speed.size // 3] = 1e8

    def end(theta):
        angle, motion = start, speed
        for _ in range(count):
            motion = motion - theta[0] * 0.01 * pa.sin(angle)
            angle = angle + theta[1] * 0.01 * motion
        return pa.sum(pa.cos(angle))

    return end, np.array([0.9, 1.1])


def network(count, shape):
    """A residual map of each element, of which the gradient has the data's size."""
    weight = rng(5).standard_normal(shape)

    def energy(x):
        for _ in range(count):
            x = x + 0.01 * pa.tanh(x * weight)
        return pa.sum(x**2)

    return energy, rng(6).standard_normal(shape)


MAKERS = [lines, pendulums, network]


def bits(found):
    value, gradient = found
    return float(value).hex(), np.asarray(gradient).tobytes()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", MAKERS)
def test_one_program_as_node_by_node(make, shape):
    f, x = make(50, shape)
    call = pa.value_and_grad(f)
    value, gradient = call(x)
    expected, slopes = nodes(lambda: call(x))
    assert value == pytest.approx(float(expected), rel=1e-8)
    scale = np.max(np.abs(slopes))
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-8 * scale)


@pytest.mark.parametrize("make", MAKERS)
def test_bits_do_not_depend_on_threads_and_executors(make):
    f, x = make(60, (40_000,))
    call = pa.value_and_grad(f)
    before = pa.get_num_threads()
    found = set()
    try:
        for threads in (1, 2, 3):
            for executor in ("interpreter", "auto"):
                pa.set_num_threads(threads)
                with pa.config(executor=executor):
                    found.add(bits(call(x)))
    finally:
        pa.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("executor", ["interpreter", "auto"])
@pytest.mark.parametrize("make", [lines, pendulums])
@pytest.mark.parametrize("shape", [(400_000,), (400, 1000)])
def test_memory_does_not_grow_with_the_data(make, shape, executor):
    f, x = make(100, shape)
    call = pa.value_and_grad(f)
    with pa.config(executor=executor):
        call(x)
        before = _core.mem_stats()["bytes_live"]
        _core.mem_reset_peak()
        call(x)
    extra = _core.mem_stats()["bytes_peak"] - before
    assert extra < 4_000_000 + 2_000_000 * pa.get_num_threads()


def test_what_no_program_holds_is_a_stage(small_stages):
    f, x = lines(600, (3001,))
    call = pa.value_and_grad(f)
    (value, gradient), runs = staged(lambda: call(x))
    assert runs == 1
    expected, slopes = nodes(lambda: call(x))
    assert value == pytest.approx(float(expected), rel=1e-11)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-8)
    with pa.config(executor="interpreter"):
        assert bits(call(x)) == bits((value, gradient))


def test_slots_serve_several_values_one_after_the_other():
    """The scratch of a long chain is that of a short one."""

    def scratch(count):
        f, _ = network(count, (100_000,))
        call = pa.value_and_grad(lambda t: f(t * 1.0))
        call(np.float64(0.5))
        before = _core.mem_stats()["bytes_live"]
        _core.mem_reset_peak()
        call(np.float64(0.5))
        return _core.mem_stats()["bytes_peak"] - before

    assert scratch(300) < 8 * scratch(40)
