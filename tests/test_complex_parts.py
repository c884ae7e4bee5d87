"""Complex elementwise work is planned as work on real and imaginary parts.

The parts have the bits of the complex kernels; what changes is which steps a plan has.
"""

import numpy as np
import pytest

import pyarr as pa
from pyarr import _core

RNG = np.random.default_rng(21)
SPECIAL = [0.0, 1.0, 0.5, 1e-310, 700.0, 709.9, 745.2, 1e10, 1e300, np.inf]
SPECIAL = np.array([s * x for x in SPECIAL for s in (1.0, -1.0)] + [np.nan])
A, B = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
W = RNG.normal(size=A.size) + 1j * RNG.normal(size=A.size)


def same_bits(one, other):
    one, other = (np.atleast_1d(np.asarray(a)) for a in (one, other))
    if one.dtype.kind == "c":
        one, other = one.view(one.real.dtype), other.view(other.real.dtype)
    both_nan = np.isnan(one) & np.isnan(other)
    return bool(
        np.all((one == other) & (np.signbit(one) == np.signbit(other)) | both_nan)
    )


FORMS = {
    "product": lambda a, b: (a + 1j * b) * W,
    "exponential": lambda a, b: pa.exp(a + 1j * b),
    "conjugate": lambda a, b: pa.conj(a - 1j * b) * a,
    "modulus": lambda a, b: pa.abs2(pa.exp(1j * b) * a),
    "negative": lambda a, b: -(a + 1j * b) - W,
    "choice": lambda a, b: pa.where(a > b, a + 1j * b, W),
    "square": lambda a, b: pa.square(a + 1j * b),
    "part of a product": lambda a, b: pa.imag(W * (a + 1j * b)),
    "part of leaves": lambda a, b: pa.real(pa.asarray(W) * pa.conj(W)) + a,
    "view": lambda a, b: pa.real((a + 1j * b).reshape(21, 21).T * W.reshape(21, 21)),
}


@pytest.mark.parametrize("executor", ["native", "interpreter"])
@pytest.mark.parametrize("name", FORMS)
def test_parts_have_the_bits_of_complex_kernels(name, executor):
    form = FORMS[name]
    with pa.config(rounding="strict", executor=executor):
        planned = pa.jit(form)(A, B)
    assert same_bits(planned, form(pa.asarray(A), pa.asarray(B)))


def simplified(f, *args):
    """The nodes of the value and the gradient of f, as lines."""
    found = []

    def look(*args):
        value, gradient = pa.value_and_grad(f)(*args)
        found.append(_core.simplified([value, gradient])[0])
        return pa.sum(gradient)

    pa.value_and_grad(look)(*args)
    return found[0].splitlines()


def check_derivative(f, x):
    gradient = pa.grad(f)(x)
    for k in RNG.choice(x.size, 4, replace=False):
        step = np.zeros_like(x)
        step.flat[k] = 1e-6
        slope = (float(f(x + step)) - float(f(x - step))) / 2e-6
        close = 1e-6 * np.max(np.abs(gradient))
        assert np.isclose(gradient.flat[k], slope, rtol=1e-6, atol=close)


SHIFT = RNG.normal(size=(6, 7)) + 1j * RNG.normal(size=(6, 7))
LEVEL = RNG.normal(size=(3, 42))


def field(x):
    """A ramp times a field, through a transform."""
    z = pa.exp(LEVEL + 1j * x).reshape(3, 6, 7) * SHIFT
    return pa.sum(pa.abs2(pa.fft.fft(z, axis=1)) ** 2)


def test_only_transforms_and_results_are_complex():
    lines = simplified(field, RNG.normal(size=(3, 42)))
    complex_ones = {
        line.split("= ")[1].split("(")[0] for line in lines if " complex128 " in line
    }
    assert complex_ones <= {"constant", "view", "make_complex", "fft_c2c"}
    check_derivative(field, RNG.normal(size=(3, 42)))


def test_backward_products_have_the_forward_ones_in_them():
    """SHIFT is a factor of the forward product alone: the cotangent is multiplied with that."""
    lines = simplified(field, RNG.normal(size=(3, 42)))
    places = {line.split(" ")[0] for line in lines if "= constant() complex128" in line}
    for _ in range(3):  # views of it
        places |= {
            line.split(" ")[0]
            for line in lines
            if "= view(" in line and line.split("(")[1].split(")")[0] in places
        }
    reads = [line for line in lines if any(f"({p})" in line for p in places)]
    assert sum("= real(" in line for line in reads) == 1


def test_a_change_of_shape_keeps_one_program():
    plan = pa.explain(pa.value_and_grad(field))(RNG.normal(size=(3, 42))).plans[0]
    spaces = [s["shape"] for s in plan["steps"] if s["name"] == "program"]
    assert (3, 6, 7) not in [tuple(shape) for shape in spaces][:1]
    before = [s["name"] for s in plan["steps"]].index("fft_c2c")
    assert before == 1


def test_one_times_i_is_structure():
    """It is no argument of the plan: nothing is multiplied with it."""
    lines = simplified(lambda x: pa.sum(pa.real(pa.exp(1j * x))), RNG.normal(size=50))
    assert not any(" complex128 " in line for line in lines)
    plans = (
        _core.plan_cache_stats()["plans"]
        if hasattr(_core, "plan_cache_stats")
        else None
    )
    f = pa.value_and_grad(lambda x, k: pa.sum(pa.imag(pa.exp(k * x))))
    x = RNG.normal(size=50)
    for k in (1j, -1j, 2j, 0.5 + 1j):
        assert np.isclose(f(x, k)[0], np.sum(np.exp(k * x).imag)), (k, plans)
