"""Linear algebra: values, dtypes, stacks, errors, derivatives."""

import numpy as np
import pytest
import scipy.linalg
from comparing import check_derivatives, compare, same

import pyarr as pa

RNG = np.random.default_rng(11)


def matrix(*shape, dtype=float):
    x = RNG.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * RNG.normal(size=shape)
    return x.astype(dtype)


def positive(*shape, dtype=float):
    x = matrix(*shape, dtype=dtype)
    return x @ x.conj().swapaxes(-1, -2) + np.eye(shape[-1], dtype=dtype)


DTYPES = [np.float32, np.float64, np.complex64, np.complex128]
STACKS = [(4, 4), (3, 5, 5), (2, 1, 1, 1), (40, 40), (0, 3, 3), (0, 0), (2, 0, 0)]
Q = matrix(4, 4)
H = positive(4, 4)
R = matrix(5, 3)
T = matrix(2, 3, 4)
V = matrix(4)
C = matrix(3, 3, dtype=complex)
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
I = RNG.integers(-4, 5, (3, 3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", STACKS, ids=str)
@pytest.mark.parametrize("layout", ["plain", "transposed", "strided"])
def test_factors_of_stacks(dtype, shape, layout):
    def laid(x):
        if layout == "transposed":
            return x.swapaxes(-1, -2).copy().swapaxes(-1, -2)
        if layout == "strided":
            return np.repeat(np.repeat(x, 2, -1), 2, -2)[..., ::2, ::2]
        return x

    a, b = (
        laid(positive(*shape, dtype=dtype)),
        laid(matrix(*shape[:-1], 3, dtype=dtype)),
    )
    options = {"rtol": 1e-9, "atol": 1e-9}
    compare("linalg.cholesky", a, **options)
    compare("linalg.inv", a, **options)
    compare("linalg.solve", a, b, **options)
    compare("linalg.slogdet", a, **options)
    compare("linalg.det", a / 10, **options)
    compare("linalg.eigvalsh", a, **options)
    values, vectors = pa.linalg.eigh(pa.asarray(a))
    same(values, np.linalg.eigvalsh(a), 1e-9, 1e-9)
    again = (vectors * values[..., None, :]) @ np.asarray(vectors).conj().swapaxes(
        -1, -2
    )
    same(again, a, 1e-8, 1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, 1, 2, "C"])
@pytest.mark.parametrize("unit", [False, True])
def test_solve_triangular(dtype, lower, trans, unit):
    a = matrix(5, 5, dtype=dtype) + 4 * np.eye(5, dtype=dtype)
    for b in (matrix(5, dtype=dtype), matrix(5, 2, dtype=dtype)):
        for one in (a, a.T.copy().T, a[::-1, ::-1]):
            theirs = scipy.linalg.solve_triangular(one, b, trans, lower, unit)
            ours = pa.linalg.solve_triangular(one, b, trans, lower, unit)
            same(ours, theirs, 1e-9, 1e-9)


def test_broadcast_stacks():
    a, b = positive(3, 1, 4, 4), matrix(2, 4, 2)
    same(pa.linalg.solve(a, b), np.linalg.solve(a, b), 1e-10)
    one = np.linalg.solve(a[:, 0], b[0, :, :1])[..., 0]
    same(pa.linalg.solve(a[:, 0], b[0, :, 0]), one, 1e-10)


CALLS = [
    ("cholesky", H, {"upper": True}),
    ("cholesky", -H),
    ("cholesky", R),
    ("cholesky", V),
    ("cholesky", I @ I.T + 9 * np.eye(3, dtype=int)),
    ("inv", SINGULAR),
    ("inv", I + 9 * np.eye(3, dtype=int)),
    ("inv", R),
    ("solve", SINGULAR, np.ones(2)),
    ("solve", Q, V),
    ("solve", Q, R),
    ("solve", Q, V + 1j),
    ("det", SINGULAR),
    ("det", Q),
    ("det", C),
    ("det", np.zeros((5, 5))),
    ("det", I),
    ("slogdet", np.zeros((3, 3))),
    ("slogdet", -H),
    ("slogdet", C),
    ("eigvalsh", H, "U"),
    ("eigvalsh", C, "L"),
    ("eigvalsh", R),
    ("eigvalsh", H, "X"),
    ("matrix_power", Q, 5),
    ("matrix_power", Q, -2),
    ("matrix_power", I, 3),
    ("matrix_power", I, 0),
    ("matrix_power", Q, 1.5),
    ("matrix_power", R, 2),
    ("pinv", R),
    ("pinv", R.T),
    ("pinv", SINGULAR),
    ("pinv", C),
    ("lstsq", R, matrix(5)),
    ("lstsq", R, matrix(5, 2)),
    ("lstsq", R.T, matrix(3)),
    ("matrix_rank", SINGULAR),
    ("matrix_rank", T),
    ("cond", Q),
    ("cond", Q, 1),
    ("cond", Q, np.inf),
    ("cond", Q, "fro"),
    ("cond", Q, -2),
    ("cond", R),
    ("cond", SINGULAR, 1),
    ("tensorsolve", matrix(2, 3, 6), matrix(2, 3)),
    ("tensorinv", matrix(4, 6, 8, 3), 2),
    ("qr", R),
    ("svd", R),
    ("svdvals", R),
    ("eigvals", H),
    ("matrix_transpose", T),
    ("diagonal", T),
    ("trace", T),
    ("norm", T),
    ("norm", T, None, 1),
    ("norm", T, None, (0, 2)),
    ("norm", Q, "nuc"),
    ("norm", Q, 2),
    ("norm", Q, -2),
    ("norm", R, 1),
    ("norm", R, -1),
    ("norm", R, np.inf),
    ("norm", R, -np.inf, None, True),
    ("norm", C, "fro"),
    ("norm", V, np.inf),
    ("norm", V, -np.inf),
    ("norm", V, 0),
    ("norm", V, 1),
    ("norm", V, 3.5),
    ("norm", V, -1),
    ("norm", C, 3, 0),
    ("norm", T, 2, (0, 1), True),
    ("norm", V, "fro"),
    ("norm", V, "other"),
    ("norm", Q, 3),
    ("norm", T, 2),
    ("norm", I),
    ("norm", Q.astype(np.float32)),
    ("vector_norm", T),
    ("vector_norm", T, {"axis": (0, 1), "ord": 1}),
    ("matrix_norm", T),
    ("matrix_norm", T, {"ord": 1, "keepdims": True}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_same_as_numpy(call):
    name, *args = call
    kwargs = args.pop() if isinstance(args[-1], dict) else {}
    if not hasattr(np.linalg, name):
        pytest.skip(f"this NumPy has no {name}")
    compare(f"linalg.{name}", *args, rtol=1e-9, atol=1e-10, **kwargs)


def test_error_texts():
    with pytest.raises(np.linalg.LinAlgError, match="Matrix is not positive definite"):
        pa.linalg.cholesky(-H)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        pa.linalg.solve(SINGULAR, [1.0, 2.0])
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        pa.linalg.solve_triangular(np.zeros((2, 2)), [1.0, 2.0])


def test_one_bad_matrix_of_a_stack():
    stack = np.array([H] * 50)
    stack[37] = -H
    with pytest.raises(np.linalg.LinAlgError):
        pa.linalg.cholesky(stack)


def test_inputs_are_left_alone():
    a, b = H.copy(), matrix(4, 2)
    before = b.copy()
    for f in (pa.linalg.inv, pa.linalg.cholesky, pa.linalg.eigh, pa.linalg.det):
        f(a)
    pa.linalg.solve(a, b)
    assert np.array_equal(a, H) and np.array_equal(b, before)


def test_dispatch():
    for name in ("inv", "cholesky", "norm", "det", "pinv", "eigh", "slogdet"):
        result = getattr(np.linalg, name)(pa.asarray(H))
        result = result[0] if isinstance(result, tuple) else result
        assert isinstance(result, pa.ndarray)


def test_norm_at_zero_has_no_slope():
    for f in (pa.linalg.norm, lambda x: pa.linalg.norm(x, 3)):
        assert np.asarray(pa.grad(f)(pa.zeros(3))).tolist() == [0, 0, 0]
    hessian = pa.hessian(lambda x: pa.linalg.norm(x) ** 2)(pa.array([0.3, 0.4]))
    np.testing.assert_allclose(np.asarray(hessian), 2 * np.eye(2), atol=1e-12)


def test_linalg_error_inside_a_derivative():
    def f(x):
        try:
            return pa.sum(pa.linalg.cholesky(pa.diag(x)))
        except np.linalg.LinAlgError:
            return pa.sum(x) * 7

    assert np.asarray(pa.grad(f)(pa.array([1.0, -1.0]))).tolist() == [7, 7]
    np.testing.assert_allclose(
        np.asarray(pa.grad(f)(pa.array([1.0, 4.0]))), [0.5, 0.25]
    )


def test_no_derivative_is_an_error():
    with pytest.raises(TypeError, match="svd"):
        pa.grad(lambda x: pa.linalg.svd(x)[1].sum())(pa.asarray(R))
    with pytest.raises(np.linalg.LinAlgError, match="rank"):
        pa.grad(lambda x: pa.linalg.pinv(x).sum())(pa.asarray(SINGULAR))


def test_det_of_a_singular_matrix():
    gradient = pa.grad(pa.linalg.det)(pa.asarray(SINGULAR))
    np.testing.assert_allclose(np.asarray(gradient), [[4.0, -2.0], [-2.0, 1.0]])


def hermitian(x):
    return (x + pa.conjugate(pa.linalg.matrix_transpose(x))) / 2


@pytest.mark.parametrize("complex_too", [False, True])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: pa.linalg.inv(x),
        lambda x: pa.linalg.cholesky(x @ pa.conjugate(x.T) + np.eye(3)),
        lambda x: pa.linalg.solve(x, x[:, :2] ** 2),
        lambda x: pa.linalg.solve(x, x[0]),
        lambda x: pa.linalg.solve_triangular(x, x[0], lower=True),
        lambda x: pa.linalg.solve_triangular(x, x**2, trans=1),
        lambda x: pa.linalg.solve_triangular(x, x[0], trans=2, unit_diagonal=True),
        lambda x: pa.linalg.det(x),
        lambda x: pa.linalg.det(pa.kron(x, np.eye(2)) + 1),
        lambda x: pa.linalg.slogdet(x)[1],
        lambda x: pa.linalg.eigvalsh(hermitian(x)) ** 2,
        lambda x: pa.abs2(pa.linalg.eigh(hermitian(x))[1]),
        lambda x: pa.linalg.norm(x),
        lambda x: pa.linalg.norm(x, 3, axis=0),
        lambda x: pa.linalg.norm(x, 2),
        lambda x: pa.linalg.norm(x, "nuc"),
        lambda x: pa.linalg.cond(x),
        lambda x: pa.linalg.pinv(x[:, :2]),
        lambda x: pa.linalg.pinv(x[:2]),
        lambda x: pa.linalg.lstsq(x[:, :2], x[:, 2])[0],
        lambda x: pa.linalg.lstsq(x[:2], x[:2, 0] ** 2)[0],
        lambda x: pa.linalg.matrix_power(x, -2),
        lambda x: pa.linalg.multi_dot([x, x[:, :2], x[:2]]),
    ],
)
def test_derivatives(f, complex_too):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3, 3)) + 2 * np.diag([1.0, 2.0, 3.0])
    if complex_too:
        x = x + 1j * rng.normal(size=(3, 3))
    check_derivatives(f, x, tol=5e-6)
