"""Products of complex matrices with conjugate halves, and with zeros at their ends."""

import numpy as np
import pytest
from complex_matrices import errors, product

import pyarr as pa

RNG = np.random.default_rng(23)
SHAPES = [
    ((100, 256), (256, 112)),
    ((101, 513), (513, 99)),
    ((16, 1000), (1000, 16)),
    ((29, 41), (3, 41, 33)),
    ((3, 30, 40), (40, 33)),
    ((17, 29), (29, 250)),
]
SIDES = [(operand, axis) for operand in (0, 1) for axis in (-1, -2)]


def normal(shape, dtype=np.complex128):
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


def mirrored(shape, axis, dtype=np.complex128):
    """One matrix whose columns (axis -1) or rows (axis -2) are mirror images."""
    x = normal(shape[-2:], dtype)
    return (x + np.flip(x, axis).conj()) / 2


def factors(shapes, operand, axis, dtype=np.complex128):
    made = [normal(shape, dtype) for shape in shapes]
    made[operand] = mirrored(shapes[operand], axis, dtype)
    return made


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("operand, axis", SIDES)
def test_error_is_small_beside_the_moduli(shapes, operand, axis):
    a, b = factors(shapes, operand, axis)
    assert np.max(errors(product(a, b), a, b)) < 1e-15
    turned = np.swapaxes(np.swapaxes(a, -1, -2).copy(), -1, -2)
    assert np.array_equal(np.asarray(product(turned, b)), np.asarray(product(a, b)))
    a, b = factors(shapes, operand, axis, np.complex64)
    ours = product(a, b)
    assert ours.dtype == np.complex64 and np.max(errors(ours, a, b)) < 5e-7


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("operand, axis", SIDES)
def test_bits_do_not_depend_on_threads(shapes, operand, axis):
    a, b = factors(shapes, operand, axis)
    threads = pa.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            pa.set_num_threads(count)
            results.append(np.asarray(product(a, b)))
    finally:
        pa.set_num_threads(threads)
    assert all(np.array_equal(results[0], other) for other in results[1:])


def contracts():
    """Do plans round a product and its sum at once? Without that BLAS is faster."""
    x = pa.full(1000, 1 + 2.0**-30)
    return bool(np.asarray(pa.jit(lambda x: x * x - (1 + 2.0**-29))(x)).any())


@pytest.mark.skipif(not contracts(), reason="no fused multiplication and addition")
@pytest.mark.parametrize("operand, axis", SIDES)
def test_mirror_images_of_a_result_are_conjugate(operand, axis):
    """Where the other factor is real, to the bit: so two products have been taken."""
    a, b = factors(SHAPES[1], operand, axis)
    if (operand, axis) in ((0, -2), (1, -1)):
        a, b = (a, b.real + 0j) if operand == 0 else (a.real + 0j, b)
        ours = np.asarray(product(a, b))
        assert np.array_equal(ours, np.flip(ours, axis).conj())
    else:  # so is the other factor, the other way round: no imaginary part is left
        other = mirrored(SHAPES[1][1 - operand], -2 if operand == 0 else -1)
        a, b = (a, other) if operand == 0 else (other, b)
        assert not np.asarray(product(a, b)).imag.any()


@pytest.mark.parametrize("operand, axis", SIDES)
def test_one_other_element_counts(operand, axis):
    for row, column in ((0, 1), (36, 0), (20, 250), (17, 299), (18, 150)):
        a, b = factors(((37, 300), (300, 37)), operand, axis)
        place = (row, column) if operand == 0 else (column, row)
        (a, b)[operand][place] += 1j
        assert np.max(errors(product(a, b), a, b)) < 2e-15


@pytest.mark.parametrize("operand, axis", SIDES)
def test_small_parts_keep_their_digits(operand, axis):
    """A complex step: what is 1e-20 times smaller is no rounding error of the rest."""
    pair = factors(((50, 90), (90, 60)), operand, axis)
    pair[operand] = pair[operand].real + 0j
    step = RNG.normal(size=pair[1 - operand].shape)
    pair[1 - operand] = pair[1 - operand].real + 1e-20j * step
    ours = np.asarray(product(*pair))
    np.testing.assert_allclose(
        ours.real, pair[0].real @ pair[1].real, rtol=0, atol=1e-12
    )
    slope = pair[0].real @ step if operand == 0 else step @ pair[1].real
    np.testing.assert_allclose(1e20 * ours.imag, slope, rtol=0, atol=1e-12)


@pytest.mark.parametrize("operand, axis", SIDES)
@pytest.mark.parametrize("value", (np.nan, np.inf, complex(0, -np.inf), 1.5e308))
def test_nan_and_what_is_huge(operand, axis, value):
    pair = factors(((60, 71), (71, 50)), operand, axis)
    pair[1 - operand][(5, 3) if operand else (3, 5)] = value
    a, b = pair
    if value == 1.5e308:
        pair[operand] *= 1e-10
        assert np.isfinite(np.asarray(product(*pair))).all()
        return
    ours = np.asarray(product(a, b))
    hit, rest = (ours[5], ours[6:]) if operand else (ours[:, 5], ours[:, 6:])
    assert np.isfinite(rest).all() and not np.isfinite(hit).any()


@pytest.mark.parametrize("columns", (732, 733))
@pytest.mark.parametrize("operand, axis", [*SIDES, (0, None)])
def test_results_that_are_written_past_the_caches(columns, operand, axis):
    shapes = (724, 20), (20, columns)  # more than 8 MB
    a, b = map(normal, shapes) if axis is None else factors(shapes, operand, axis)
    scale = np.abs(a) @ np.abs(b)
    assert (np.abs(np.asarray(product(a, b)) - a @ b) / scale).max() < 2e-15


@pytest.mark.parametrize("conjugate", (False, True))
def test_zeros_at_the_ends_are_left_out(conjugate):
    a = mirrored((37, 300), -1) if conjugate else normal((37, 300))
    b = np.zeros((2, 300, 53), np.complex128)
    for i, j in np.ndindex(2, 53):
        begin, end = (90 * i + j) % 150, 300 - (7 * j) % 150
        b[i, begin:end, j] = normal(end - begin)
    b[1, :, 16:40] = 0
    ours = np.asarray(product(a, b))
    assert np.max(errors(ours[0], a, b[0])) < 1e-15
    assert not ours[1, :, 16:40].any()
    for value in (np.nan, np.inf):
        a[9, 2] = value  # meets zeros alone in most columns
        ours = np.asarray(product(a, b))
        assert not np.isfinite(ours[:, 9]).any()
        assert np.isfinite(np.delete(ours, 9, 1)).all()


def test_derivatives():
    x = np.arange(60) - 29.5
    transform = np.exp(1j * np.outer(np.linspace(-1, 1, 41), x))
    weight = RNG.normal(size=(3, 41, 41))

    def f(phase):
        field = pa.exp(1j * phase) * (np.hypot(x[:, None], x) < 30)
        return pa.sum(weight * pa.abs(transform @ field @ transform.T) ** 2)

    def gradient(phase):
        return pa.grad(f)(phase)

    phase = RNG.normal(size=(3, 60, 60))
    with pa.config(executor="nodes"):
        expected = gradient(phase)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradient(phase), expected, rtol=0, atol=1e-12 * scale)
