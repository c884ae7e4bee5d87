"""Stages that read planes of data where they lie: elements of a row far from each other, rows side
by side."""

import numpy as np
import pytest
from stage_functions import nodes, staged

import pyarr as pa

pytestmark = pytest.mark.usefixtures("small_stages")
PLANES = 11


def waves(w, level, planes, decay, weights):
    """Products with planes forward and backward, and complex data, in one sweep each."""
    phase = w @ planes
    z = weights * pa.exp(level * decay + 1j * phase)
    return pa.sum(pa.abs2(z - 1)) + pa.sum(phase**2)


def data(n, dtype):
    rng = np.random.default_rng(n)
    planes = rng.normal(size=(PLANES, n)).astype(dtype)
    decay = rng.uniform(size=n).astype(dtype)
    weights = rng.normal(size=(3, n)) + 1j * rng.normal(size=(3, n))
    return planes, decay, weights.astype(np.result_type(dtype, np.complex64))


def results(planes, decay, weights):
    w = pa.asarray(np.linspace(-0.5, 0.7, PLANES).astype(planes.dtype))
    level = pa.asarray(planes.dtype.type(0.3))
    inputs = [pa.asarray(x) for x in (planes, decay, weights)]
    call = pa.value_and_grad(lambda w, level: waves(w, level, *inputs), argnums=(0, 1))
    (value, grads), runs = staged(lambda: call(w, level))
    assert runs > 0
    return [np.asarray(x) for x in (value, *grads)], lambda: call(w, level)


def every_second(x):
    wide = np.zeros((2 * len(x), *x.shape[1:]), x.dtype)
    wide[::2] = x
    return wide[::2]


def beside_others(x):
    wide = np.zeros((*x.shape[:-1], x.shape[-1] + 3), x.dtype)
    wide[..., 1:-2] = x
    return wide[..., 1:-2]


def backwards(x):
    return np.ascontiguousarray(x[::-1])[::-1]


def rows_together(x):
    return np.ascontiguousarray(x.T).T


def between_elements(x):
    """Not aligned to its own elements."""
    memory = np.zeros(x.nbytes + 3, np.uint8)
    view = memory[3:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


LAYOUTS = [every_second, beside_others, backwards, rows_together, between_elements]


@pytest.mark.parametrize("n", [1000, 4096, 5001, 20_000])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_have_the_same_bits(layout, n):
    planes, decay, weights = data(n, np.float64)
    expected, call = results(planes, decay, weights)
    got, _ = results(layout(planes), decay, layout(weights))
    for one, other in zip(got, expected, strict=True):
        assert np.array_equal(one, other)
    value, grads = nodes(call)
    for one, other in zip(expected, (value, *grads), strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-11)


def test_a_plane_that_is_repeated():
    planes, decay, weights = data(3000, np.float64)
    expected, _ = results(np.tile(planes[:1], (PLANES, 1)), decay, weights)
    repeated = np.broadcast_to(planes[0], planes.shape)
    got, _ = results(repeated, decay, weights)
    for one, other in zip(got, expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_single_precision(layout):
    planes, decay, weights = data(5001, np.float32)
    expected, call = results(planes, decay, weights)
    got, _ = results(layout(planes), decay, layout(weights))
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == np.float32
        assert np.array_equal(one, other)
    value, grads = nodes(call)
    for one, other in zip(expected, (value, *grads), strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-3)


@pytest.mark.parametrize("n", [5001, 60_000])
def test_threads_and_executors_do_not_change_bits(n):
    inputs = data(n, np.float64)
    expected, _ = results(*inputs)
    threads = pa.get_num_threads()
    try:
        for count in (1, 2, 3, 7):
            pa.set_num_threads(count)
            got, _ = results(*inputs)
            assert all(map(np.array_equal, got, expected))
    finally:
        pa.set_num_threads(threads)
    with pa.config(executor="interpreter"):
        got, _ = results(*inputs)
    assert all(map(np.array_equal, got, expected))


def test_three_axes():
    """Planes of which some lie at other distances than the others."""
    n = 4000
    rng = np.random.default_rng(3)
    whole = rng.normal(size=(3, 5, n))
    part, copied = whole[:, :4], np.ascontiguousarray(whole[:, :4])

    def f(w, planes):
        return pa.sum(pa.exp(w[:, :, None] * planes - 1)) + pa.sum(
            pa.sin(planes * w[0, 0])
        )

    w = rng.normal(size=(3, 4))
    found = []
    for planes in (part, copied):
        x = pa.asarray(planes)
        call = pa.value_and_grad(lambda w, x=x: f(w, x))
        (value, grad), _ = staged(lambda call=call: call(w))
        found.append((np.asarray(value), np.asarray(grad)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


@pytest.mark.parametrize("n", [1000, 4096, 5001, 20_000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_that_are_stored_for_a_library_call(n, dtype):
    """What a block computes last is written where the transform reads it."""
    planes, decay, weights = map(pa.asarray, data(n, dtype))

    def f(w, level):
        phase = w @ planes
        z = weights * pa.exp(level * decay + 1j * phase)
        real = pa.exp(-((planes[:3] - phase) ** 2))
        beam = pa.fft.fft(z, 2 * n, axis=1)[:, :20]
        return pa.sum(pa.abs2(beam)) + pa.sum(pa.fft.fft(real * (1 + 0j))[:, 3].real)

    w = pa.asarray(np.linspace(-0.5, 0.7, PLANES).astype(dtype))
    call = pa.value_and_grad(f, argnums=(0, 1))
    level = pa.asarray(dtype(0.3))
    (value, grads), runs = staged(lambda: call(w, level))
    expected = nodes(lambda: call(w, level))
    assert runs > 0
    tolerance = 1e-10 if dtype == np.float64 else 2e-3
    for got, want in zip((value, *grads), (expected[0], *expected[1]), strict=True):
        scale = float(np.max(np.abs(np.asarray(want))))
        np.testing.assert_allclose(got, np.asarray(want), atol=tolerance * scale)
