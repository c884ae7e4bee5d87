"""Linear algebra, as numpy.linalg, with derivatives; stacks of matrices throughout.

Matrices are the last two axes. Integers become float64. LinAlgError is NumPy's. What
has no derivative here (qr, svd, eig) runs through NumPy and raises TypeError on an
array that is being differentiated.
"""

import operator
from collections import namedtuple

import numpy
from numpy.linalg import LinAlgError

from pyarr import _core
from pyarr._args import array_of, common, inexact, plain
from pyarr._core import matmul
from pyarr._norms import cond, matrix_norm, norm, vector_norm
from pyarr.manipulation import matrix_transpose, swapaxes
from pyarr.products import cross, outer, tensordot, vecdot

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]

EighResult = namedtuple("EighResult", ["eigenvalues", "eigenvectors"])
SlogdetResult = namedtuple("SlogdetResult", ["sign", "logabsdet"])


def _square(a):
    a = inexact(a)
    if a.ndim < 2:
        raise LinAlgError(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    if a.shape[-1] != a.shape[-2]:
        raise LinAlgError("Last 2 dimensions of the array must be square")
    return a


def _adjoint(a):
    a = swapaxes(a, -1, -2)
    return _core.conjugate(a) if a.dtype.kind == "c" else a


def cholesky(a, /, *, upper=False):
    """The lower triangular L with a = L L^H (with `upper` the upper one, a = U^H U).

    Reads one triangle of `a`. LinAlgError when it is not positive definite.

    >>> import pyarr as pa
    >>> pa.linalg.cholesky([[4.0, 0.0], [0.0, 9.0]]).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    a = _square(a)
    if upper:
        return _adjoint(_core.apply("cholesky", _adjoint(a)))
    return _core.apply("cholesky", a)


def _right_hand_side(a, b):
    """Both in one dtype, and whether b is one vector."""
    a, b = common([_square(a), inexact(b)])
    vector = b.ndim == 1
    if b.ndim == 0:
        raise LinAlgError(
            "0-dimensional array given. Array must be at least one-dimensional"
        )
    return a, b.reshape((b.size, 1)) if vector else b, vector


def solve(a, b):
    """The x with a x = b; b is one vector (n,) or a stack of matrices (..., n, k).

    LinAlgError for a singular matrix, ValueError for sizes that do not fit.

    >>> import pyarr as pa
    >>> pa.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]).tolist()
    [1.0, 1.0]
    """
    a, b, vector = _right_hand_side(a, b)
    x = _core.apply("solve", a, b)
    return x[..., 0] if vector else x


def solve_triangular(a, b, trans=0, lower=False, unit_diagonal=False):
    """The x with op(a) x = b, where only a triangle of `a` is read.

    `trans` 0 or "N" takes a itself, 1 or "T" its transpose, 2 or "C" its adjoint.
    LinAlgError for a zero on the diagonal.

    >>> import pyarr as pa
    >>> pa.linalg.solve_triangular([[2.0, 0.0], [1.0, 1.0]], [2.0, 3.0], lower=True)
    array([1., 2.])
    """
    a, b, vector = _right_hand_side(a, b)
    mode = {"N": 0, "T": 1, "C": 2}.get(trans, trans)
    if mode not in (0, 1, 2):
        raise ValueError(f"trans must be 0, 1, 2, 'N', 'T' or 'C', not {trans!r}")
    params = (int(bool(lower)), mode, int(bool(unit_diagonal)))
    x = _core.apply("solve_triangular", a, b, params=params)
    return x[..., 0] if vector else x


def inv(a):
    """The inverse matrix; LinAlgError when it is singular.

    >>> import pyarr as pa
    >>> pa.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return _core.apply("inv", _square(a))


def slogdet(a):
    """The sign (or phase) and the log of the absolute value of the determinant.

    A singular matrix gives (0, -inf).

    >>> import pyarr as pa
    >>> pa.linalg.slogdet([[1.0, 0.0], [0.0, -1.0]]).sign
    array(-1.)
    """
    a = _square(a)
    return SlogdetResult(_core.apply("det_sign", a), _core.apply("det_logabs", a))


def det(a):
    """The determinant. Up to 3 x 3 its derivative exists for singular matrices too.

    >>> import pyarr as pa
    >>> pa.linalg.det([[1.0, 2.0], [3.0, 4.0]])
    array(-2.)
    """
    a = _square(a)
    n = a.shape[-1]
    if 0 < n <= 3:
        return _small_det(a, n)
    sign, logabs = slogdet(a)
    return sign * _core.exp(logabs)


def _small_det(a, n):
    x = [[a[..., i, j] for j in range(n)] for i in range(n)]
    if n == 1:
        return x[0][0] + 0
    if n == 2:
        return x[0][0] * x[1][1] - x[0][1] * x[1][0]
    return (
        x[0][0] * (x[1][1] * x[2][2] - x[1][2] * x[2][1])
        - x[0][1] * (x[1][0] * x[2][2] - x[1][2] * x[2][0])
        + x[0][2] * (x[1][0] * x[2][1] - x[1][1] * x[2][0])
    )


def _eigh(a, UPLO):
    if UPLO not in ("L", "U", "l", "u"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    a = _square(a)
    packed = _core.apply("eigh", a, params=(int(UPLO in "Ll"),))
    return packed[..., -1].real, packed[..., :-1]


def eigh(a, UPLO="L"):
    """Eigenvalues, ascending, and eigenvectors in columns of a Hermitian matrix.

    Reads one triangle. The derivative of the vectors exists for distinct eigenvalues.

    >>> import pyarr as pa
    >>> pa.linalg.eigh([[1.0, 0.0], [0.0, 3.0]]).eigenvalues
    array([1., 3.])
    """
    return EighResult(*_eigh(a, UPLO))


def eigvalsh(a, UPLO="L"):
    """The eigenvalues of a Hermitian matrix, ascending.

    >>> import pyarr as pa
    >>> pa.linalg.eigvalsh([[1.0, 0.0], [0.0, 3.0]])
    array([1., 3.])
    """
    return _eigh(a, UPLO)[0]


def matrix_power(a, n):
    """The n-th power of a square matrix; a negative n inverts it first.

    >>> import pyarr as pa
    >>> pa.linalg.matrix_power([[1, 1], [0, 1]], 3)
    array([[1, 3],
           [0, 1]])
    """
    a = array_of(a)
    if a.ndim < 2:
        raise LinAlgError(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    if a.shape[-1] != a.shape[-2]:
        raise LinAlgError("Last 2 dimensions of the array must be square")
    try:
        n = operator.index(n)
    except TypeError as error:
        raise TypeError("exponent must be an integer") from error
    if n < 0:
        a, n = inv(a), -n
    if n == 0:
        eye = _core.eye(a.shape[-1], dtype=a.dtype)
        return _core.broadcast_to(eye, a.shape).copy()
    result = None
    while n:
        if n & 1:
            result = a if result is None else matmul(result, a)
        n >>= 1
        a = matmul(a, a) if n else a
    return result.copy() if result is a else result


def _triangle_of_qr(a):
    """R of a = QR for tall full-rank matrices, as a constant; LinAlgError otherwise."""
    host = plain(a)
    r = numpy.linalg.qr(host, mode="r")
    size = abs(numpy.diagonal(r, axis1=-2, axis2=-1))
    limit = size.max(axis=-1, keepdims=True, initial=0)
    limit = limit * max(a.shape[-2:]) * numpy.finfo(a.dtype).eps
    if (size <= limit).any():
        raise LinAlgError(
            "the matrix lacks full rank: its pseudo-inverse has no derivative"
        )
    return _core.asarray(r)


def _is_differentiated(*arrays):
    return any(_core.is_active(one) for one in arrays)


def _tall_solution(a, b):
    """Least squares by q = a R^-1 with a constant R: well conditioned."""
    r = _triangle_of_qr(a)
    q = _adjoint(solve_triangular(r, _adjoint(a), trans=2))
    normal = matmul(_adjoint(q), q)
    return solve_triangular(r, solve(normal, matmul(_adjoint(q), b)))


def _wide_solution(a, b):
    """The solution of least norm."""
    r = _triangle_of_qr(_adjoint(a))
    q = _adjoint(solve_triangular(r, a, trans=2))
    normal = matmul(_adjoint(q), q)
    return matmul(q, solve(normal, solve_triangular(r, b, trans=2)))


def lstsq(a, b, rcond=None):
    """The x of least norm that minimises |a x - b|, the residuals, the rank and the
    singular values of `a`, as numpy.linalg.lstsq.

    Differentiable in `a` and `b` for matrices of full rank (LinAlgError else).

    >>> import pyarr as pa
    >>> pa.round(pa.linalg.lstsq([[1.0], [1.0]], [1.0, 3.0])[0], 6)
    array([2.])
    """
    a, b = common([inexact(a), inexact(b)])
    x, residuals, rank, values = numpy.linalg.lstsq(plain(a), plain(b), rcond)
    x, residuals, values = map(_core.asarray, (x, residuals, values))
    if not _is_differentiated(a, b):
        return x, residuals, int(rank), values
    right = b.reshape((-1, 1)) if b.ndim == 1 else b
    tall = a.shape[0] >= a.shape[1]
    x = (_tall_solution if tall else _wide_solution)(a, right)
    if residuals.size:
        rest = right - matmul(a, x)
        rest = _core.abs2(rest) if rest.dtype.kind == "c" else rest * rest
        residuals = rest.sum(0)
    adjoint = matrix_transpose(_core.conjugate(a))
    gram = matmul(adjoint, a) if tall else matmul(a, adjoint)
    roots = _core.sqrt(eigvalsh(gram))[::-1]
    values = values + (roots - roots.detach())  # the values of the SVD, which are exact
    return x[:, 0] if b.ndim == 1 else x, residuals, int(rank), values


def pinv(a, rcond=None, hermitian=False, *, rtol=None):
    """The pseudo-inverse; differentiable at full rank (LinAlgError else).

    >>> import pyarr as pa
    >>> pa.round(pa.linalg.pinv([[2.0], [0.0]]), 6)
    array([[0.5, 0. ]])
    """
    a = inexact(a)
    if not _is_differentiated(a):
        arguments = {"hermitian": hermitian}
        if rcond is not None:
            arguments["rcond"] = plain(rcond)
        if rtol is not None:
            arguments["rtol"] = plain(rtol)
        return _core.asarray(numpy.linalg.pinv(plain(a), **arguments))
    tall = a.shape[-2] >= a.shape[-1]
    eye = _core.eye(a.shape[-2], dtype=a.dtype)
    return (_tall_solution if tall else _wide_solution)(a, eye)


def matrix_rank(A, tol=None, hermitian=False, *, rtol=None):
    """The number of singular values above the tolerance.

    >>> import pyarr as pa
    >>> pa.linalg.matrix_rank([[1.0, 2.0], [2.0, 4.0]])
    array(1)
    """
    arguments = {} if rtol is None else {"rtol": plain(rtol)}
    rank = numpy.linalg.matrix_rank(plain(A), plain(tol), hermitian, **arguments)
    return _core.asarray(rank)


def multi_dot(arrays, *, out=None):
    """The product of several matrices in the cheapest order; ends may be vectors.

    >>> import pyarr as pa
    >>> pa.linalg.multi_dot([[[1, 2]], [[3], [4]], [[5]]])
    array([[55]])
    """
    arrays = [array_of(one) for one in arrays]
    if len(arrays) < 2:
        raise ValueError("Expecting at least two arrays.")
    row, column = arrays[0].ndim == 1, arrays[-1].ndim == 1
    if row:
        arrays[0] = arrays[0].reshape((1, -1))
    if column:
        arrays[-1] = arrays[-1].reshape((-1, 1))
    for one in arrays:
        if one.ndim != 2:
            raise LinAlgError(
                f"{one.ndim}-dimensional array given. Array must be two-dimensional"
            )
    result = _chain(arrays)
    shape = (() if row else result.shape[:1]) + (() if column else result.shape[1:])
    from pyarr._args import finish

    return finish(result.reshape(shape) if shape else result[0, 0], out)


def _chain(arrays):
    """Products in the order with the fewest multiplications, by dynamic programming."""
    n = len(arrays)
    sizes = [one.shape[0] for one in arrays] + [arrays[-1].shape[1]]
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], cut[i][j] = min(
                (
                    cost[i][k]
                    + cost[k + 1][j]
                    + sizes[i] * sizes[k + 1] * sizes[j + 1],
                    k,
                )
                for k in range(i, j)
            )

    def product(i, j):
        if i == j:
            return arrays[i]
        return matmul(product(i, cut[i][j]), product(cut[i][j] + 1, j))

    return product(0, n - 1)


def tensorsolve(a, b, axes=None):
    """The x with tensordot(a, x, x.ndim) = b.

    >>> import pyarr as pa
    >>> pa.linalg.tensorsolve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])
    array([1., 1.])
    """
    a, b = array_of(a), array_of(b)
    if axes is not None:
        rest = [i for i in range(a.ndim) if i not in axes]
        a = a.transpose(tuple(rest + list(axes)))
    shape = a.shape[b.ndim :]
    if a.size != int(numpy.prod(shape)) ** 2:
        raise LinAlgError(
            "Input arrays must satisfy the requirement prod(a.shape[b.ndim:]) == "
            "prod(a.shape[:b.ndim])"
        )
    return solve(a.reshape((b.size, b.size)), b.reshape(-1)).reshape(shape)


def tensorinv(a, ind=2):
    """The inverse of `a` as a map by tensordot over its first `ind` axes.

    >>> import pyarr as pa
    >>> pa.linalg.tensorinv([[2.0, 0.0], [0.0, 4.0]], 1)
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    a = array_of(a)
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    rows = int(numpy.prod(a.shape[:ind]))
    return inv(a.reshape((rows, -1))).reshape(a.shape[ind:] + a.shape[:ind])


def diagonal(x, /, *, offset=0):
    """The diagonals of the last two axes, as a read-only view.

    >>> import pyarr as pa
    >>> pa.linalg.diagonal([[1, 2], [3, 4]])
    array([1, 4])
    """
    return _core.diagonal(x, offset, -2, -1)


def trace(x, /, *, offset=0, dtype=None):
    """The sum along the diagonals of the last two axes.

    >>> import pyarr as pa
    >>> pa.linalg.trace([[1, 2], [3, 4]])
    array(5)
    """
    return _core.sum(diagonal(x, offset=offset), -1, dtype=dtype)


def _through(name):
    def function(*args, **kwargs):
        from pyarr._dispatch import through_numpy

        return through_numpy(getattr(numpy.linalg, name), args, kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"numpy.linalg.{name} on arrays that are not being differentiated."
    )
    return function


qr, svd, svdvals = _through("qr"), _through("svd"), _through("svdvals")
eig, eigvals = _through("eig"), _through("eigvals")
