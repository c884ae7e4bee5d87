"""NumPy's functions on pyarr arrays, by enumeration of what NumPy offers."""

import numpy as np
import pytest
import scipy.special

import pyarr

UFUNCS = sorted(
    {
        u.__name__
        for u in vars(np).values()
        if isinstance(u, np.ufunc) and u.signature is None
    }
)
A = np.array([[0.5, 0.25, 0.75], [0.1, 0.9, 0.6]])
B = np.array([0.3, 0.8, 0.2])
I = np.array([[1, 2, 3], [4, 5, 6]])
M = np.array([[True, False, True], [False, False, True]])


def operands(ufunc):
    """NumPy arguments that the ufunc accepts, of the first kind that it does."""
    for a, b in ((A, B), (I, I[0]), (M, M[1])):
        args = (a, b, a)[: ufunc.nin]
        if ufunc is np.arccosh:
            args = (a + 1,)
        try:
            with np.errstate(all="ignore"):
                ufunc(*args)
        except TypeError:
            continue
        return args
    return None


def check(result, expected):
    if isinstance(expected, tuple):
        assert isinstance(result, tuple) and len(result) == len(expected)
        for r, e in zip(result, expected, strict=True):
            check(r, e)
        return
    assert isinstance(result, pyarr.ndarray), type(result)
    expected = np.asarray(expected)
    assert result.dtype == expected.dtype and result.shape == expected.shape
    np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", UFUNCS)
def test_every_ufunc(name):
    ufunc = getattr(np, name)
    args = operands(ufunc)
    if args is None:
        pytest.skip("takes no numbers")
    with np.errstate(all="ignore"):
        expected = ufunc(*args)
    ours = [pyarr.asarray(v) for v in args]
    check(ufunc(*ours), expected)
    if ufunc.nin == 2:
        check(ufunc(args[0], ours[1]), expected)
        check(ufunc(ours[0], args[1]), expected)


@pytest.mark.parametrize("name", UFUNCS)
def test_out(name):
    ufunc = getattr(np, name)
    args = operands(ufunc)
    if args is None or ufunc.nout != 1:
        pytest.skip("takes no numbers or has two results")
    with np.errstate(all="ignore"):
        expected = ufunc(*args)
    ours = [pyarr.asarray(v) for v in args]
    out = np.zeros_like(expected)
    assert ufunc(*ours, out=out) is out
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-14)
    mine = pyarr.zeros(expected.shape, dtype=expected.dtype)
    assert ufunc(*args, out=mine) is mine
    np.testing.assert_allclose(np.asarray(mine), expected, rtol=1e-13, atol=1e-14)


REDUCTIONS = ["add", "multiply", "maximum", "minimum", "logical_and", "logical_or"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_ufunc_methods(name):
    ufunc = getattr(np, name)
    x = pyarr.asarray(A)
    check(ufunc.reduce(x), ufunc.reduce(A))
    check(ufunc.reduce(x, axis=1), ufunc.reduce(A, axis=1))
    check(
        ufunc.reduce(x, axis=None, keepdims=True), ufunc.reduce(A, None, keepdims=True)
    )
    check(ufunc.outer(x, B), ufunc.outer(A, B))
    check(ufunc.accumulate(x, axis=1), ufunc.accumulate(A, axis=1))


def test_at():
    x, a = pyarr.zeros(4), np.zeros(4)
    np.add.at(x, [0, 1, 1], 2.0)
    np.testing.assert_array_equal(x, [2, 4, 0, 0])
    np.add.at(a, np.array([0, 1, 1]), pyarr.asarray(2.0))
    np.testing.assert_array_equal(a, [2, 4, 0, 0])


def test_where_argument():
    x = pyarr.asarray(A)
    out = np.add(x, 1.0, where=M, out=pyarr.zeros((2, 3)))
    np.testing.assert_array_equal(out, np.add(A, 1.0, where=M, out=np.zeros((2, 3))))


def test_operators_of_numpy_give_way():
    x = pyarr.asarray(A)
    for result, expected in [
        (A + x, A + A),
        (x - A, A - A),
        (A * x, A * A),
        (A / x, A / A),
        (A**x, A**A),
        (A @ x.T, A @ A.T),
        (A < x, A < A),
        (A == x, A == A),
        (np.float64(2.0) * x, 2.0 * A),
        (x * np.float64(2.0), A * 2.0),
        (np.float32(2.0) * x, np.float32(2) * A),
        (B[0] - x, B[0] - A),
        (np.int8(3) + pyarr.asarray(I), np.int8(3) + I),
        (divmod(A, x)[0], divmod(A, A)[0]),
    ]:
        check(result, expected)
    a = A.copy()
    a += x  # NumPy's memory, NumPy's object
    assert type(a) is np.ndarray
    np.testing.assert_array_equal(a, A + A)
    y = pyarr.array(A)
    y += A
    check(y, A + A)


SPECIAL = {
    "erf": (A,),
    "erfc": (A,),
    "gammaln": (A,),
    "psi": (A,),
    "digamma": (A,),
    "expit": (A,),
    "logit": (A,),
    "log_expit": (A,),
    "xlogy": (A, B),
    "xlog1py": (A, B),
    "i0": (A,),
    "gamma": (A,),
    "erfinv": (A,),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_scipy_special(name):
    ufunc, args = getattr(scipy.special, name), SPECIAL[name]
    ours = [pyarr.asarray(a) for a in args]
    check(ufunc(*ours), ufunc(*args))

    def f(x):
        return ufunc(x, *args[1:]).sum()

    step = 1e-6
    expected = (ufunc(A + step, *args[1:]) - ufunc(A - step, *args[1:])) / (2 * step)
    np.testing.assert_allclose(pyarr.grad(f)(A), expected, rtol=1e-7)


def test_ufunc_that_pyarr_lacks():
    x = pyarr.asarray(A)
    check(scipy.special.j0(x), scipy.special.j0(A))
    check(scipy.special.j0(x, out=pyarr.zeros((2, 3))), scipy.special.j0(A))
    assert np.isnat(np.array(["NaT"], "M8[s]"))

    def f(v):
        return scipy.special.j0(v).sum()

    with pytest.raises(TypeError, match=r"j0.*detach|detach.*j0"):
        pyarr.grad(f)(A)
    own = np.frompyfunc(lambda v: v + 1, 1, 1)
    assert own(x)[0, 0] == 1.5


def test_ufuncs_carry_derivatives():
    def f(x):
        y = np.sin(x) * B + np.float64(2.0) * x
        return np.sum(y**2) + np.add.reduce(B * x)

    def plain(x):
        return np.sum((np.sin(x) * B + 2.0 * x) ** 2) + (B * x).sum()

    x, h = np.array([0.1, 0.2, 0.3]), 1e-6
    expected = [(plain(x + h * e) - plain(x - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(pyarr.grad(f)(x), expected, rtol=1e-8)


# Functions of NumPy called through __array_function__, with arguments.
FUNCTIONS = {
    "sum": lambda np, x: np.sum(x, axis=0),
    "prod": lambda np, x: np.prod(x),
    "mean": lambda np, x: np.mean(x, axis=1, keepdims=True),
    "std": lambda np, x: np.std(x, ddof=1),
    "var": lambda np, x: np.var(x, axis=0),
    "min": lambda np, x: np.min(x, axis=0),
    "max": lambda np, x: np.amax(x),
    "ptp": lambda np, x: np.ptp(x, axis=1),
    "any": lambda np, x: np.any(x > 0.5, axis=0),
    "all": lambda np, x: np.all(x > 0.0),
    "argmin": lambda np, x: np.argmin(x, axis=1),
    "argmax": lambda np, x: np.argmax(x),
    "cumsum": lambda np, x: np.cumsum(x, axis=1),
    "cumprod": lambda np, x: np.cumprod(x),
    "count_nonzero": lambda np, x: np.count_nonzero(x > 0.5, axis=0),
    "reshape": lambda np, x: np.reshape(x, (3, 2)),
    "ravel": lambda np, x: np.ravel(x),
    "transpose": lambda np, x: np.transpose(x),
    "moveaxis": lambda np, x: np.moveaxis(x, 0, 1),
    "swapaxes": lambda np, x: np.swapaxes(x, 0, 1),
    "expand_dims": lambda np, x: np.expand_dims(x, 1),
    "squeeze": lambda np, x: np.squeeze(x[:, None]),
    "broadcast_to": lambda np, x: np.broadcast_to(x, (4, 2, 3)),
    "flip": lambda np, x: np.flip(x, axis=1),
    "roll": lambda np, x: np.roll(x, 1, axis=1),
    "concatenate": lambda np, x: np.concatenate([x, x], axis=1),
    "stack": lambda np, x: np.stack([x, x]),
    "vstack": lambda np, x: np.vstack([x, x]),
    "hstack": lambda np, x: np.hstack([x, x]),
    "split": lambda np, x: tuple(np.split(x, 3, axis=1)),
    "where": lambda np, x: np.where(x > 0.55, x, 0.0),
    "take": lambda np, x: np.take(x, [0, 2], axis=1),
    "take_along_axis": lambda np, x: np.take_along_axis(
        x, np.argsort(x, axis=1), axis=1
    ),
    "clip": lambda np, x: np.clip(x, 0.2, 0.7),
    "sort": lambda np, x: np.sort(x, axis=0),
    "argsort": lambda np, x: np.argsort(x, axis=1),
    "dot": lambda np, x: np.dot(x, x.T),
    "inner": lambda np, x: np.inner(x, x),
    "outer": lambda np, x: np.outer(x, x),
    "matmul": lambda np, x: np.matmul(x, x.T),
    "tensordot": lambda np, x: np.tensordot(x, x, axes=2),
    "einsum": lambda np, x: np.einsum("ij,kj->ik", x, x),
    "trace": lambda np, x: np.trace(x),
    "diagonal": lambda np, x: np.diagonal(x),
    "zeros_like": lambda np, x: np.zeros_like(x),
    "ones_like": lambda np, x: np.ones_like(x),
    "full_like": lambda np, x: np.full_like(x, 2.0),
    "copy": lambda np, x: np.copy(x),
    "real": lambda np, x: np.real(x * 1j),
    "imag": lambda np, x: np.imag(x * 1j),
    "angle": lambda np, x: np.angle(x * 1j),
    "interp": lambda np, x: np.interp(x, [0.0, 1.0], [1.0, 3.0]),
    "searchsorted": lambda np, x: np.searchsorted(x[0], x[1]),
    "norm": lambda np, x: np.linalg.norm(x, axis=1),
    "inv": lambda np, x: np.linalg.inv(x @ x.T),
    "det": lambda np, x: np.linalg.det(x @ x.T),
    "slogdet": lambda np, x: tuple(np.linalg.slogdet(x @ x.T)),
    "solve": lambda np, x: np.linalg.solve(x @ x.T, x),
    "cholesky": lambda np, x: np.linalg.cholesky(x @ x.T),
    "eigh": lambda np, x: np.linalg.eigh(x @ x.T)[0],
    "fft": lambda np, x: np.fft.fft(x),
    "ifft2": lambda np, x: np.fft.ifft2(x),
    "rfft": lambda np, x: np.fft.rfft(x),
    "fftshift": lambda np, x: np.fft.fftshift(x),
    "sinc": lambda np, x: np.sinc(x),
    "i0": lambda np, x: np.i0(x),
    "diff": lambda np, x: np.diff(x, axis=1),
    "nansum": lambda np, x: np.nansum(x, axis=0),
    "median": lambda np, x: np.median(x, axis=1),
    "trapezoid": lambda np, x: np.trapezoid(x, axis=1),
    "kron": lambda np, x: np.kron(x, x),
    "tile": lambda np, x: np.tile(x, 2),
    "repeat": lambda np, x: np.repeat(x, 2, axis=0),
    "triu": lambda np, x: np.triu(x),
    "diag": lambda np, x: np.diag(x),
    "cross": lambda np, x: np.cross(x[0], x[1]),
    "polyval": lambda np, x: np.polyval(x[0], x[1]),
    "histogram": lambda np, x: np.histogram(x, bins=3)[0],
    "unique": lambda np, x: np.unique(x),
    "nonzero": lambda np, x: np.nonzero(x > 0.5),
    "argwhere": lambda np, x: np.argwhere(x > 0.5),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    function = FUNCTIONS[name]
    expected = function(np, A)
    check(function(np, pyarr.asarray(A)), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_keep_derivatives_or_say_so(name):
    """NumPy's functions on active arrays differentiate, or raise with advice."""
    function = FUNCTIONS[name]

    def parts(value):
        return value if isinstance(value, tuple) else (value,)

    def f(x):
        total = (x * x).sum()
        for k, part in enumerate(parts(function(np, x))):
            part = pyarr.asarray(part)
            if part.dtype.kind in "fc":
                total = total + pyarr.real(part * (1.0 + 0.3 * k)).sum()
        return total

    def plain(x):
        total = (x * x).sum()
        for k, part in enumerate(parts(function(np, x))):
            part = np.asarray(part)
            if part.dtype.kind in "fc":
                total = total + np.real(part * (1.0 + 0.3 * k)).sum()
        return total

    try:
        result = pyarr.grad(f)(A)
    except TypeError as error:
        assert "detach" in str(error)
        return
    expected, h = np.zeros_like(A), 1e-6
    for k in np.ndindex(A.shape):
        e = np.zeros_like(A)
        e[k] = h
        expected[k] = (plain(A + e) - plain(A - e)) / (2 * h)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-7)


def test_namespace():
    x = pyarr.ones(3)
    assert x.__array_namespace__() is pyarr
    assert x.__array_namespace__(api_version="2022.12") is pyarr
    with pytest.raises(ValueError):
        x.__array_namespace__(api_version="1999")
    assert x.__array_priority__ > 0


def test_masked_arrays_are_refused_in_functions():
    masked = np.ma.masked_array([1.0, 2.0], mask=[True, False])
    with pytest.raises(TypeError, match="mask"):
        np.add(pyarr.ones(2), masked)


def test_scipy_functions_take_arrays():
    import scipy.linalg
    import scipy.optimize

    x = pyarr.asarray(A @ A.T)
    np.testing.assert_allclose(
        scipy.linalg.expm(np.asarray(x)), scipy.linalg.expm(A @ A.T)
    )
    result = scipy.optimize.minimize(
        pyarr.value_and_grad(lambda v: ((v - B) ** 2).sum()), np.zeros(3), jac=True
    )
    np.testing.assert_allclose(result.x, B, atol=1e-6)
