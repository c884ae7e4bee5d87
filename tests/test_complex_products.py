"""Products of complex matrices in plans, which may be three products of real ones."""

import numpy as np
import pytest
from complex_matrices import errors, product

import pyarr as pa

RNG = np.random.default_rng(19)
LAYOUTS = "plain transposed strided backward".split()
SHAPES = [
    ((100, 256), (256, 112)),
    ((37, 300), (300, 53)),
    ((16, 1000), (1000, 16)),
    ((29, 40), (3, 40, 33)),
    ((3, 29, 40), (40, 33)),
    ((2, 1, 20, 60), (3, 60, 47)),
    ((3, 41, 40), (3, 40, 33)),
]


def normal(shape, layout="plain", dtype=np.complex128):
    if layout == "transposed":
        return np.swapaxes(normal([*shape[:-2], shape[-1], shape[-2]]), -1, -2)
    if layout == "strided":
        return normal([2 * n for n in shape])[(slice(None, None, 2),) * len(shape)]
    if layout == "backward":
        return normal(shape)[..., ::-1, ::-1]
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


@pytest.mark.parametrize("shape_a, shape_b", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_error_is_small_beside_the_moduli(shape_a, shape_b, layout):
    for a, b in (
        (normal(shape_a, layout), normal(shape_b)),
        (normal(shape_a), normal(shape_b, layout)),
    ):
        assert np.max(errors(product(a, b), a, b)) < 2e-15


def test_single_precision():
    a, b = (normal(s, dtype=np.complex64) for s in ((40, 300), (300, 50)))
    ours = np.asarray(product(a, b))
    assert ours.dtype == np.complex64
    assert np.max(errors(ours, a, b)) < 1e-6


def test_strict_has_the_bits_of_eager_mode():
    a, b = normal((60, 80)), normal((80, 70))
    with pa.config(rounding="strict"):
        ours = np.asarray(product(a, b))
    assert np.array_equal(ours, np.asarray(pa.asarray(a) @ b))


@pytest.mark.parametrize("shape_a, shape_b", SHAPES)
def test_bits_do_not_depend_on_threads_or_layout(shape_a, shape_b):
    a, b = normal(shape_a), normal(shape_b)
    turned = np.swapaxes(np.swapaxes(a, -1, -2).copy(), -1, -2)
    threads = pa.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            pa.set_num_threads(count)
            results += [np.asarray(product(a, b)), np.asarray(product(turned, b))]
    finally:
        pa.set_num_threads(threads)
    for other in results[1:]:
        assert np.array_equal(results[0], other)


def test_small_parts_keep_their_digits():
    """A complex step: what is 1e-20 times smaller is no rounding error of the rest."""
    a, b, c, d = (RNG.normal(size=s) for s in 2 * [(50, 90), (90, 60)])
    ours = np.asarray(product(a + 1e-20j * c, b + 1e-20j * d))
    slope = a @ d + c @ b
    np.testing.assert_allclose(ours.real, a @ b, rtol=0, atol=1e-12)
    np.testing.assert_allclose(1e20 * ours.imag, slope, rtol=0, atol=1e-12)


def test_rows_and_columns_are_balanced_by_themselves():
    a, b = normal((50, 90)), normal((90, 60))
    a[7].imag *= 1e-20
    b[:, 33].real *= 1e-15
    re, im = errors(product(a, b), a, b)
    assert max(re.max(), im.max()) < 2e-15
    part = np.asarray(product(a, b[:, :32]))[7].imag
    expected = a[7].real @ b[:, :32].imag
    assert np.abs(part - expected).max() < 1e-12
    a, b = np.full((20, 20), 1e-20j), np.full((20, 20), 1.0 + 0j)
    b[:, 3] = 1j
    assert np.array_equal(np.asarray(product(a, b))[:, 3].imag, np.zeros(20))


def test_nan_and_what_is_huge():
    a, b = normal((60, 70)), normal((70, 50))
    a[5, 3] = np.nan
    ours = np.asarray(product(a, b))
    assert np.isnan(ours[5]).all() and np.isfinite(np.delete(ours, 5, 0)).all()
    a[5, 3] = 1.5e308
    b *= 1e-300
    assert np.isfinite(np.asarray(product(a * 1e-1, b))).all()
    a[5, 3] = np.inf
    ours = np.asarray(product(a, b))
    assert np.isfinite(np.delete(ours, 5, 0)).all() and not np.isfinite(ours[5]).any()


def test_derivatives():
    a, b, w = normal((40, 50)), normal((3, 50, 30)), RNG.normal(size=(3, 40, 30))

    def f(x):
        return pa.sum(w * pa.abs((x * a) @ (b + x[0, 0])) ** 2)

    def gradient(x):
        return pa.grad(f)(x)

    x = RNG.normal(size=(40, 50))
    with pa.config(executor="nodes"):
        expected = gradient(x)
    np.testing.assert_allclose(gradient(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("real", (0, 1))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_real_matrix_multiplies_parts(real, layout):
    factors = [normal((40, 60), layout), normal((3, 60, 50), layout)]
    factors[real] = factors[real].real
    a, b = factors
    for left, right in ((a, b), (a[:1], b), (a, b[..., :1])):
        re, im = errors(product(left, right), left, right)
        assert max(re.max(), im.max()) < 2e-15


def test_derivatives_of_products_with_real_matrices():
    x, y = RNG.normal(size=(200, 7)), normal((200,))
    c = normal((7,))

    def f(c):
        return pa.sum(pa.abs(y - pa.exp(1j * (x @ c).real) * (x @ c)) ** 2)

    with pa.config(executor="nodes"):
        expected = pa.value_and_grad(f)(c)
    value, gradient = pa.value_and_grad(f)(c)
    assert abs(value - expected[0]) < 1e-12 * abs(value)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-11, atol=1e-10)
