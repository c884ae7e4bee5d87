"""Products of vectors, matrices and tensors: dtypes, layouts, sizes, derivatives."""

import numpy as np
import pytest
from comparing import check_derivatives, compare, same

import pyarr as pa

RNG = np.random.default_rng(7)
DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 "
    "complex128"
).split()
SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4,)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((30, 20), (20, 40)),
    ((1, 300), (300, 1)),
    ((2, 1, 10, 20), (3, 20, 9)),
    ((5, 6, 30), (30, 12)),
    ((5, 1, 30), (30, 12)),
    ((7, 3, 2), (7, 2, 3)),
    ((3, 0), (0, 4)),
    ((0, 3), (3, 4)),
    ((70, 1), (1, 80)),
    ((3,), (5, 3, 2)),
]


def make(shape, dtype, layout):
    if layout == "transposed":
        return make(shape[::-1], dtype, "plain").T
    if layout == "strided":
        return make([2 * n for n in shape], dtype, "plain")[
            (slice(None, None, 2),) * len(shape)
        ]
    if layout == "backward":
        return make(shape, dtype, "plain")[::-1]
    if layout == "broadcast":
        return np.broadcast_to(make([1, *shape[1:]], dtype, "plain"), shape)
    x = RNG.integers(-3, 4, shape)
    if np.dtype(dtype).kind in "fc":
        x = x + RNG.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * RNG.normal(size=shape)
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "layout", "plain transposed strided backward broadcast".split()
)
def test_matmul(dtype, layout):
    for shape_a, shape_b in SHAPES:
        a, b = make(shape_a, dtype, layout), make(shape_b, dtype, "plain")
        ours = pa.matmul(pa.asarray(a), pa.asarray(b))
        same(ours, np.matmul(a, b), rtol=1e-11, atol=1e-11)
        a, b = make(shape_a, dtype, "plain"), make(shape_b, dtype, layout)
        ours = pa.asarray(a) @ pa.asarray(b)
        same(ours, np.matmul(a, b), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "m, k, n", [(200, 300, 150), (3, 40000, 5), (20000, 8, 1), (1, 50000, 1)]
)
def test_large_products_do_not_depend_on_threads(m, k, n):
    a, b = RNG.normal(size=(m, k)), RNG.normal(size=(k, n))
    threads = pa.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            pa.set_num_threads(count)
            results += [
                np.asarray(pa.matmul(a, b)),
                np.asarray(pa.asarray(a.T.copy()).T @ b),
            ]
    finally:
        pa.set_num_threads(threads)
    same(pa.asarray(results[0]), a @ b, rtol=1e-10, atol=1e-9)
    for one in results[2:]:
        assert any(np.array_equal(one, other) for other in results[:2])


def test_nan_does_not_spread():
    a = np.eye(60)
    a[0, 0] = np.nan
    ours = np.asarray(pa.matmul(a, np.ones((60, 3))))
    assert np.isnan(ours[0]).all() and not np.isnan(ours[1:]).any()


def test_own_memory_as_both_operands():
    a = pa.asarray(RNG.normal(size=(40, 40)))
    same(a.T @ a, np.asarray(a).T @ np.asarray(a), rtol=1e-11)
    b = pa.asarray(RNG.normal(size=(4, 4)))
    expected = np.asarray(b) @ np.asarray(b)
    b[...] = b @ b
    same(b, expected, rtol=1e-11)


V, W = RNG.normal(size=4), RNG.normal(size=4)
M, N = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 3))
T, U = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(4, 3, 5))
I = RNG.integers(-4, 5, (3, 4))
C = M + 1j * N.T
S = np.float64(2.5)

CALLS = [
    ("matmul", M, V[:3]),
    ("matmul", M, S),
    ("matmul", T, M),
    ("matmul", I, N),
    ("dot", V, W),
    ("dot", M, N),
    ("dot", T, N),
    ("dot", N, T),
    ("dot", T, V),
    ("dot", S, M),
    ("dot", M, M),
    ("dot", V, W[:2]),
    ("vdot", C, C),
    ("vdot", V, M),
    ("inner", M, M),
    ("inner", V, T),
    ("inner", V, S),
    ("inner", M, N),
    ("outer", M, V),
    ("outer", I, C),
    ("tensordot", T, N, 1),
    ("tensordot", T, U, ((1, 2), (1, 0))),
    ("tensordot", T, U, (2, 0)),
    ("tensordot", V, W, 0),
    ("tensordot", M, M),
    ("tensordot", T, U, 2),
    ("tensordot", T, U, ((0,), (1, 2))),
    ("kron", M, N),
    ("kron", V, M),
    ("kron", T, I),
    ("cross", M[:, :3], N[:3]),
    ("cross", M.T[:3], M.T[1:], {"axis": 0}),
    ("cross", M, M),
    ("linalg.cross", M[:, :3], N[:3]),
    ("linalg.outer", V, W),
    ("vecdot", C, C),
    ("vecdot", T, M),
    ("vecdot", M, N.T, {"axis": 0}),
    ("vecdot", M, V[:3]),
    ("matvec", T, V),
    ("matvec", T, W[:3]),
    ("vecmat", C, N + 0j),
    ("vecmat", V[:3], T),
    ("linalg.multi_dot", [V, N, M, V]),
    ("linalg.multi_dot", [M, N, M, N]),
    ("linalg.multi_dot", [M]),
]
# NumPy 2.5 took vectors of two elements out; pyarr keeps them.
if np.lib.NumpyVersion(np.__version__) < "2.5.0":
    CALLS += [
        ("cross", M[:, :2], N[:3]),
        ("cross", M[:, :2], N[:3, :2]),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_same_as_numpy(call):
    name, *args = call
    kwargs = args.pop() if isinstance(args[-1], dict) else {}
    module = name.rpartition(".")[2]
    if not hasattr(np, module) and not hasattr(np.linalg, module):
        pytest.skip(f"this NumPy has no {module}")
    compare(name, *args, rtol=1e-11, atol=1e-12, **kwargs)


def test_messages_name_shapes():
    with pytest.raises(ValueError, match=r"\(3, ?4\).*\(3, ?4\)"):
        pa.matmul(M, M)
    with pytest.raises(ValueError, match="not aligned"):
        pa.inner(M, N)


def test_numpy_functions_dispatch():
    for name in ("dot", "inner", "outer", "vdot", "kron"):
        result = getattr(np, name)(pa.asarray(V), W)
        assert isinstance(result, pa.ndarray)
        same(result, getattr(np, name)(V, W), rtol=1e-12)
    assert isinstance(M @ pa.asarray(N), pa.ndarray)


def test_out():
    out = pa.zeros((3, 3))
    assert pa.matmul(M, N, out=out) is out
    same(out, M @ N, rtol=1e-12)


@pytest.mark.parametrize("complex_too", [False, True])
@pytest.mark.parametrize(
    "f, shape_a, shape_b",
    [
        (pa.matmul, (3, 2), (2, 3)),
        (pa.matmul, (3,), (3, 2)),
        (pa.matmul, (2, 2, 3), (3,)),
        (pa.matmul, (2, 1, 2, 2), (3, 2, 2)),
        (pa.dot, (2, 3), (2, 3, 2)),
        (pa.vdot, (3,), (3,)),
        (pa.inner, (2, 3), (2, 3)),
        (pa.outer, (2,), (3,)),
        (pa.tensordot, (2, 3, 2), (3, 2, 2)),
        (pa.kron, (2, 2), (1, 2)),
        (pa.cross, (2, 3), (2, 3)),
        (pa.vecdot, (2, 3), (3,)),
    ],
)
def test_derivatives(f, shape_a, shape_b, complex_too):
    a, b = RNG.normal(size=shape_a), RNG.normal(size=shape_b)
    if complex_too:
        a = a + 1j * RNG.normal(size=shape_a)
        b = b + 1j * RNG.normal(size=shape_b)
    axes = ((1, 2), (0, 1))
    product = (lambda a, b: f(a, b, axes)) if f is pa.tensordot else f
    check_derivatives(lambda a, b: product(a, b) ** 2, a, b, tol=1e-6)
