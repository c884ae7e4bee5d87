"""einsum against NumPy: all kinds of subscripts, errors, derivatives."""

import numpy as np
import pytest
from comparing import check_derivatives, compare, same

import pyarr as pa

RNG = np.random.default_rng(3)
V = RNG.normal(size=3)
M, N = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5))
Q = RNG.normal(size=(3, 3))
T = RNG.normal(size=(2, 3, 4))
U = RNG.normal(size=(2, 4, 5))
R = RNG.normal(size=(3, 3, 3))
I = RNG.integers(-3, 4, (3, 4))
C = M + 1j * I
ONE = RNG.normal(size=(1, 4))

CALLS = [
    ("ij->ji", M),
    ("ij", M),
    ("ji", M),
    ("ij->", M),
    ("ij->j", I),
    ("ii", Q),
    ("ii->i", Q),
    ("iij->j", R),
    ("iii->i", R),
    ("iii", R),
    ("ij,jk", M, N),
    ("ij,jk->ki", M, N),
    ("ij,ij->", M, M),
    ("ij,ij->ij", M, I),
    ("i,j->ij", V, M[0]),
    ("i,i->i", V, V),
    ("i,j->", V, M[0]),
    ("bij,bjk->bik", T, U),
    ("bij,bjk->ik", T, U),
    ("bij,bjk->kb", T, U),
    ("bij,jk->bik", T, N),
    ("ij,ij,ij->i", M, M, I),
    ("ij,jk,kl->il", M, N, N.T),
    ("i,ij,j->", V, M, M[0]),
    ("ab,bc,cd,da->", M, M.T, M, M.T),
    ("...ij,...jk->...ik", T, N),
    ("...i->...", T),
    ("i...->...", T),
    ("...ij->...ji", T),
    ("...,...", T, T[:1]),
    ("i...,i...->...", M, Q[:, :1]),
    ("ij...,jk...->ik...", M, N),
    ("a...b,b...->a", T, U.T),
    (" i j , j k -> k i ", M, N),
    ("ij,jk->ik", C, N),
    ("ij,jk->ik", I, I.T),
    ("ij,jk->ik", M > 0, I.T > 0),
    ("ij,j->ij", ONE, M[0]),
    ("ij,ij->ij", ONE, M),
    ("ij,ij->i", M, ONE),
    ("ij,kj->ik", M[:0], M),
    ("ij,jk->ik", M[:, :0], N[:0]),
    (",ij->ij", np.float64(2.0), M),
    ("ij,jk->ik", M, M),
    ("ij", V),
    ("ijk->ij", M),
    ("ij->ik", M),
    ("ij->ii", M),
    ("ij,jk->ik", M),
    ("i1->i", M),
    ("i..j->ij", M),
    ("ii->i", M),
]


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_same_as_numpy(call, optimize):
    compare("einsum", *call, optimize=optimize, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["bool", "int64", "float64", "complex128"])
def test_same_subscripts_for_other_operands(dtype):
    """What was worked out for some shapes serves all dtypes, not other shapes."""
    rng = np.random.default_rng(4)
    for n in 3, 4, 3, 1:
        shapes = {"ij,ij->i": [(n, 2), (n, 2)], "iij,jk->ik": [(n, n, 2), (2, n)],
                  "...i,...i": [(2, n, 3), (n, 3)], "ij->j": [(n, 3)]}  # fmt: skip
        for text, sizes in shapes.items():
            x = [rng.integers(0, 3, size).astype(dtype) for size in sizes]
            compare("einsum", text, *x)


def test_lists_of_integers():
    for call in [
        (M, [0, 1], N, [1, 2], [2, 0]),
        (M, [0, 1], N, [1, 2]),
        (T, [Ellipsis, 0, 1], [Ellipsis, 1]),
        (M, [0, 60]),
    ]:
        compare("einsum", *call, rtol=1e-11)


def test_out_and_dtype():
    out = pa.zeros((3, 5))
    assert pa.einsum("ij,jk->ik", M, N, out=out) is out
    same(out, M @ N, rtol=1e-12)
    assert pa.einsum("ij->j", I, dtype=np.float64).dtype == np.float64
    with pytest.raises(TypeError):
        pa.einsum("ij->j", M, dtype=np.int64)
    assert isinstance(np.einsum("ij->j", pa.asarray(M)), pa.ndarray)


def test_ellipsis_must_be_in_the_output():
    with pytest.raises(ValueError, match="ellipsis"):
        pa.einsum("...ij->ij", T)


def test_path():
    path, text = pa.einsum_path("ij,jk,kl->il", pa.asarray(M), N, N.T)
    assert path[0] == "einsum_path" and "FLOP" in text


@pytest.mark.parametrize(
    "subscripts, shapes",
    [
        ("ij,jk->ki", [(2, 3), (3, 2)]),
        ("ii->i", [(3, 3)]),
        ("iij->j", [(2, 2, 3)]),
        ("bij,bjk->ik", [(2, 2, 3), (2, 3, 2)]),
        ("i,ij,j->", [(2,), (2, 3), (3,)]),
        ("ij,ij->i", [(3, 2), (1, 2)]),
        ("...i,i->...", [(2, 2, 3), (3,)]),
    ],
)
def test_derivatives(subscripts, shapes):
    arrays = [RNG.normal(size=shape) for shape in shapes]
    check_derivatives(lambda *x: pa.einsum(subscripts, *x) ** 2, *arrays, tol=1e-6)
