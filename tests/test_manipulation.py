"""Shapes, joining, repeating, choosing and grids against NumPy."""

import numpy as np
import pytest
from comparing import check_derivatives, compare, same

import pyarr as pa

A = np.arange(24.0).reshape(2, 3, 4)
M = np.arange(12).reshape(3, 4)
V = np.array([3.0, -1.0, 2.5, 0.0])
E = np.zeros((0, 3))
C = (M + 1j * M[::-1]).astype(np.complex64)

CALLS = [
    ("reshape", A, (4, 6)),
    ("reshape", A, (-1, 2), {"order": "F"}),
    ("reshape", A, 7),
    ("reshape", A.T, -1, {"order": "A"}),
    ("reshape", A, (4, -1, 3), {"copy": True}),
    ("ravel", A.T),
    ("ravel", A, "F"),
    ("ravel", A.T, "K"),
    ("transpose", A),
    ("transpose", A, (1, 0, 2)),
    ("transpose", A, (1, 0)),
    ("permute_dims", A, (2, 0, 1)),
    ("matrix_transpose", A),
    ("matrix_transpose", V),
    ("swapaxes", A, 0, -1),
    ("swapaxes", A, 0, 3),
    ("moveaxis", A, 0, -1),
    ("moveaxis", A, (0, 1), (-1, 0)),
    ("moveaxis", A, (0, 1), 0),
    ("rollaxis", A, 2),
    ("rollaxis", A, 0, 3),
    ("expand_dims", A, 1),
    ("expand_dims", V, (0, 2)),
    ("expand_dims", V, 3),
    ("squeeze", A[:1]),
    ("squeeze", A[:1], 0),
    ("squeeze", A, 0),
    ("stack", [A, A + 1], 1),
    ("stack", [V, V[:2]]),
    ("stack", [M, V[:, None].T.repeat(3, 0)], -1),
    ("concatenate", [M, M.astype(np.float32)], 1),
    ("concatenate", [M, V]),
    ("concatenate", [M, C], None),
    ("concatenate", []),
    ("concatenate", [M, M], 0, None, {"dtype": np.float32}),
    ("vstack", [V, V]),
    ("hstack", [V, V]),
    ("hstack", [M, M]),
    ("dstack", [V, V]),
    ("dstack", [M, M]),
    ("column_stack", [V, V]),
    ("column_stack", [M, V[:3]]),
    ("block", [[M, M], [M[:1], M[:1]]]),
    ("block", [V, V]),
    ("array_split", V, 3),
    ("array_split", M, [1, 3], 1),
    ("array_split", V, 0),
    ("split", V, 2),
    ("split", V, 3),
    ("split", M, [1], -1),
    ("hsplit", M, 2),
    ("vsplit", M, 3),
    ("dsplit", A, 2),
    ("atleast_1d", np.array(3.0)),
    ("atleast_2d", V),
    ("atleast_3d", V),
    ("atleast_3d", M),
    ("atleast_2d", V, np.array(2)),
    ("broadcast_to", V, (3, 4)),
    ("broadcast_to", V, (3, 5)),
    ("broadcast_to", V, (4, 1)),
    ("broadcast_arrays", V, M[:, :1]),
    ("tile", V, 2),
    ("tile", M, (2, 1, 2)),
    ("tile", V, 0),
    ("tile", V, ()),
    ("repeat", M, 2),
    ("repeat", M, 3, 1),
    ("repeat", M, [1, 0, 2], 0),
    ("repeat", M, [1, 2], 0),
    ("repeat", V, -1),
    ("repeat", V, np.array([1.5])),
    ("roll", M, 1),
    ("roll", M, (1, -2), (0, 1)),
    ("roll", M, 5, (0, 0)),
    ("roll", E, 1, 0),
    ("flip", A),
    ("flip", A, (0, 2)),
    ("flip", A, 3),
    ("fliplr", M),
    ("flipud", M),
    ("fliplr", V),
    ("rot90", M),
    ("rot90", M, 2),
    ("rot90", A, -1, (1, 2)),
    ("rot90", A, 1, (1, 1)),
    ("pad", V, 2),
    ("pad", M, ((1, 2), (0, 3)), "constant", {"constant_values": ((1, 2), (3, 4))}),
    ("pad", V, 3, "edge"),
    ("pad", V, 6, "reflect"),
    ("pad", M, 2, "symmetric"),
    ("pad", M, (5, 1), "wrap"),
    ("pad", V, 2, "linear_ramp"),
    ("pad", V, 2, "reflect", {"reflect_type": "odd"}),
    ("pad", V, -1),
    ("pad", V, 1.5),
    ("where", M > 3, M, 0.5),
    ("where", M > 3),
    ("where", np.array([True, False, True, False]), V, C[0]),
    ("nonzero", M),
    ("nonzero", np.array(3)),
    ("argwhere", M),
    ("flatnonzero", V),
    ("take", M, [[0, -1], [2, 1]]),
    ("take", M, [3, 0], 1),
    ("take", M, 1, 0),
    ("take", M, [7, -9], 1, None, {"mode": "wrap"}),
    ("take", M, [7, -9], 1, None, {"mode": "clip"}),
    ("take", M, [4], 1),
    ("take", M, np.array([0.5])),
    ("take_along_axis", M, np.array([[0], [3], [-1]]), 1),
    ("take_along_axis", M, np.array([[2, 0, 1, 2]]), 0),
    ("take_along_axis", M, np.array([1, 5]), None),
    ("take_along_axis", M, np.array([1, 5]), 0),
    ("take_along_axis", M, np.array([[9]]), 1),
    ("choose", [0, 1, 2, 0], [V, V + 1, V * 2]),
    ("choose", [0, 3, 2, 0], [V, V + 1]),
    ("choose", [0, 3, 2, 0], [V, V + 1], None, "wrap"),
    ("select", [V > 2, V > 0], [V, V**2], -1.0),
    ("select", [V > 2], [V, V]),
    ("compress", [True, False, True], M, 0),
    ("compress", [True, False, True], M),
    ("extract", M % 3 == 0, M),
    ("delete", M, 1, 1),
    ("delete", M, [0, 2], 0),
    ("delete", M, slice(None, None, 2), 1),
    ("delete", M, 5),
    ("delete", M, 4, 1),
    ("append", V, [1, 2]),
    ("append", M, M[:1], 0),
    ("append", M, V, 0),
    ("insert", V, 1, 9),
    ("insert", V, [1, 3], [9, 8]),
    ("insert", M, 1, 7, 0),
    ("insert", M, [1, 2], [[5], [6], [7]], 1),
    ("insert", M, 1, [1, 2, 3], 1),
    ("insert", V, slice(0, 4, 2), 5),
    ("insert", V, -1, [1, 2, 3]),
    ("insert", V, 9, 1),
    ("unique", [3, 1, 3, 2]),
    ("unique", M % 5, True, True, True),
    ("unique", M % 2, {"axis": 0}),
    ("tril", M),
    ("triu", M, 1),
    ("tril", A, -1),
    ("triu", V),
    ("triu", M > 3),
    ("diag", V),
    ("diag", V, -2),
    ("diag", M),
    ("diag", M, 2),
    ("diag", M, 9),
    ("diag", A),
    ("diagflat", M[:2, :2], 1),
    ("diagonal", A, 1, 1, 2),
    ("diagonal", M, -1),
    ("diagonal", V),
    ("trace", M),
    ("trace", A, 1, 1, 2),
    ("trace", M > 3),
    ("meshgrid", V, [1, 2]),
    ("meshgrid", V, [1, 2], [3.0], {"indexing": "ij"}),
    ("meshgrid", V, [1, 2], {"sparse": True}),
    ("tri", 3, 4, 1),
    ("vander", V, 3),
    ("vander", [1, 2, 3], {"increasing": True}),
    ("indices", (2, 3)),
    ("ix_", [0, 2], [1, 3]),
    ("tril_indices", 3),
    ("triu_indices", 3, 1, 4),
    ("diag_indices", 3),
    ("unravel_index", [3, 7], (3, 4)),
    ("ravel_multi_index", ([0, 2], [1, 3]), (3, 4)),
    ("logspace", 0, 2, 5),
    ("geomspace", 1, 8, 4),
    ("clip", M, 2, 7),
    ("clip", V, None, 1.0),
    ("clip", V, 0.0, None),
    ("clip", V, [0, 0, 1, 1], 2),
    ("round", V * 1.2345, 2),
    ("round", M * 7, -1),
    ("round", C * 1.37, 1),
    ("fix", V * 1.3),
    ("angle", C),
    ("angle", C, True),
    ("unwrap", [0.0, 3.0, 6.5, -3.0, 10.0]),
    ("isclose", V, V + 1e-9),
    ("isclose", [np.nan, np.inf], [np.nan, np.inf], {"equal_nan": True}),
    ("isin", M, [1, 5]),
    ("iscomplex", C),
    ("isneginf", [-np.inf, 1.0]),
    ("nan_to_num", [np.nan, np.inf, -np.inf, 1.0]),
    ("nan_to_num", [np.nan, np.inf], {"nan": 1, "posinf": 2}),
    ("real_if_close", C.real + 0j),
    ("piecewise", V, [V < 0, V > 2], [lambda x: -x, 7]),
    ("apply_along_axis", lambda x: x.sum(), 1, A),
]


def split_call(call):
    name, *args = call
    kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
    return name, args, kwargs


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_same_as_numpy(call):
    name, args, kwargs = split_call(call)
    compare(name, *args, **kwargs)


@pytest.mark.parametrize(
    "call", ["reshape", "moveaxis", "expand_dims", "flip", "broadcast_to", "diagonal"]
)
def test_views_share_memory(call):
    arguments = {
        "reshape": ((3, 2, 4),),
        "moveaxis": (0, 2),
        "expand_dims": (0,),
        "broadcast_to": ((5, 2, 3, 4),),
    }.get(call, ())
    a = pa.array(A)
    assert np.shares_memory(np.asarray(getattr(pa, call)(a, *arguments)), np.asarray(a))


def test_writing_functions():
    for name, args in [
        ("put", ([0, -1], [5, 6])),
        ("put", ([1, 2, 3], 7.0)),
        ("put_along_axis", (np.array([[1], [0], [3]]), 9, 1)),
        ("fill_diagonal", (5,)),
        ("putmask", (M > 4, [1, 2, 3])),
        ("place", (M > 4, [1, 2, 3])),
        ("copyto", (4,)),
    ]:
        theirs, ours = M.copy(), pa.array(M)
        getattr(np, name)(theirs, *args)
        getattr(pa, name)(ours, *args)
        same(ours, theirs)


def test_put_reports_bad_indices():
    with pytest.raises(IndexError):
        pa.put(pa.zeros(3), [3], 1)


def test_flat():
    a = pa.array(M)
    assert [int(one) for one in a.flat] == list(range(12))
    a.flat[3] = 50
    a.flat[[0, 1]] = [7, 8]
    assert a[0, 3] == 50 and a[0, 1] == 8 and len(a.flat) == 12


def test_predicates():
    assert pa.array_equal([1, 2], [1, 2]) and not pa.array_equal([1], [1, 2])
    assert pa.array_equiv([1, 1], 1) and pa.allclose([1.0], [1.0 + 1e-9])
    assert pa.ndim(A) == 3 and pa.shape(M) == (3, 4) and pa.size(M, 1) == 4
    assert pa.iscomplexobj(C) and pa.isrealobj(V)


def test_grids_by_indexing():
    same(pa.mgrid[0:3, 0:2], np.mgrid[0:3, 0:2])
    same(list(pa.ogrid[0:3, 0:2:5j]), list(np.ogrid[0:3, 0:2:5j]))


def test_numpy_functions_dispatch():
    a = pa.array(A)
    for result in (np.moveaxis(a, 0, 1), np.stack([a, A]), np.pad(a, 1), np.roll(a, 1)):
        assert isinstance(result, pa.ndarray)
    same(np.where(pa.array(M > 2), 1.0, 0.0), np.where(M > 2, 1.0, 0.0))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: pa.concatenate([x[:2] ** 2, pa.exp(x)]),
        lambda x: pa.stack([x, x * x], 1),
        lambda x: pa.tile(x, (2, 2)) ** 2,
        lambda x: pa.repeat(x, [1, 0, 2, 1]) ** 2,
        lambda x: pa.roll(x, 1) * x,
        lambda x: pa.flip(x) * x,
        lambda x: pa.pad(x**2, 2, "constant", constant_values=x[0] ** 3),
        lambda x: pa.pad(x**2, 3, "reflect"),
        lambda x: pa.where(x > 1, x**3, pa.sin(x)),
        lambda x: pa.take(x, [0, 0, 3]) ** 2,
        lambda x: pa.take_along_axis(x, np.array([2, 0, 0]), 0) ** 2,
        lambda x: pa.insert(x**2, [1, 1], x[:2] * 3),
        lambda x: pa.delete(x**2, 1),
        lambda x: pa.diag(x) @ pa.diag(x) + pa.tril(x[:, None] * x, -1),
        lambda x: pa.trace(pa.outer(x, x), 1),
        lambda x: pa.vander(x, 4),
        lambda x: pa.broadcast_to(x**2, (3, 4)),
        lambda x: pa.array_split(x**2, 3)[0],
        lambda x: pa.select([x > 2, x > 0], [x**2, x**3], 0.0),
        lambda x: pa.unique(x) ** 2,
        lambda x: pa.choose([0, 1, 0, 1], [x**2, x**3]),
        lambda x: pa.clip(x, 0.5, 2.0) ** 2,
        lambda x: pa.meshgrid(x, x**2)[1],
    ],
)
def test_derivatives(f):
    check_derivatives(f, V + 0.3)
