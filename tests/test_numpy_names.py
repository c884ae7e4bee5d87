"""Every function of numpy, numpy.linalg and numpy.fft that can be overridden."""

import warnings

import numpy as np
import pytest

import pyarr

A = np.array([[0.5, 0.25, 0.75], [0.1, 0.9, 0.6]])
V = np.array([0.3, 0.8, 0.2])
S = np.array([[2.0, 0.5], [0.5, 1.0]])
I = np.array([2, 0, 1])
M = np.array([True, False, True])

# Arguments that many functions take; those a function refuses are passed over.
PATTERNS = [
    (A,),
    (V,),
    (S,),
    (I,),
    (A, A),
    (V, V),
    (S, S),
    (I, I),
    (A, 0),
    (V, 1),
    (A, 1, 0),
    ([A, A],),
    ([V, V],),
    (V, I),
    (M, V),
    (M, V, V),
    (V, V, V),
    (A, (3, 2)),
    (V, 2, 0.0),
    (V, [1, 2]),
    (I, 5),
]

# Names whose results are files, memory that is not set, or NumPy's own objects.
PASSED_OVER = {"save", "savez", "savez_compressed", "savetxt", "empty_like", "copyto"}
# Real numbers as counts, shifts or orders, where only NumPy's own arrays pass.
LOOSE = {"quantile", "nanquantile", "tile", "roll", "norm", "fftshift", "ifftshift"}


def overridable():
    for label, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            if hasattr(function, "_implementation") and name not in PASSED_OVER:
                yield pytest.param(function, id=label + name)


def fresh(value, wrap):
    if isinstance(value, np.ndarray):
        return wrap(value.copy())
    if isinstance(value, list):
        return [fresh(one, wrap) for one in value]
    return value


def numbers(value):
    return np.asarray(value).dtype.kind in "biufc"


def compare(result, expected):
    if isinstance(expected, (tuple, list)):
        assert isinstance(result, (tuple, list)) and len(result) == len(expected)
        for r, e in zip(result, expected, strict=True):
            compare(r, e)
    elif isinstance(expected, (np.ndarray, np.generic, float, int)):
        if numbers(expected):
            r, e = np.asarray(result), np.asarray(expected)
            assert r.shape == e.shape
            assert r.dtype == e.dtype or r.dtype.kind == e.dtype.kind == "i"
            np.testing.assert_allclose(r, e, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", list(overridable()))
def test_gives_what_numpy_gives(function):
    for pattern in PATTERNS:
        try:
            expected = function(*[fresh(v, np.asarray) for v in pattern])
        except Exception:  # not for this function
            continue
        try:
            result = function(*[fresh(v, pyarr.asarray) for v in pattern])
        except TypeError:
            if function.__name__ in LOOSE:
                continue
            raise
        if function.__name__ not in LOOSE:
            compare(result, expected)


# Steps, whose slope is zero.
STEPS = {"around", "round", "fix"}


def parts(value):
    if isinstance(value, (tuple, list)):
        for one in value:
            yield from parts(one)
    else:
        yield value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", list(overridable()))
def test_loses_no_derivative(function):
    """A result that depends on the argument is active, or there was a TypeError."""
    if function.__name__ in STEPS:
        return
    for pattern in PATTERNS:
        base = [fresh(v, np.asarray) for v in pattern]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expected = function(*base)
                moved = [
                    fresh(v, lambda a: a * 1.001 if a.dtype.kind == "f" else a)
                    for v in pattern
                ]
                changed = function(*moved)
            except Exception:
                continue

        def f(scale, pattern=pattern, expected=expected, changed=changed):
            def active(a):
                a = pyarr.asarray(a)
                return a * scale if a.dtype.kind == "f" else a

            try:
                result = function(*[fresh(v, active) for v in pattern])
            except (TypeError, NotImplementedError):
                return scale * scale
            triples = zip(parts(result), parts(expected), parts(changed), strict=False)
            for r, e, c in triples:
                e, c = np.asarray(e), np.asarray(c)
                if e.dtype.kind in "fc" and e.shape == c.shape and (e != c).any():
                    assert isinstance(r, pyarr.ndarray), type(r)
                    assert pyarr._core.is_active(r)
            return scale * scale

        assert pyarr.grad(f)(1.0) == 2.0
