"""Reductions, order statistics, NaN functions, smoothing and interpolation."""

import numpy as np
import pytest
import scipy.special
from comparing import check_derivatives, compare, same

import pyarr as pa

RNG = np.random.default_rng(20)
A = RNG.normal(size=(3, 4, 5))
M = RNG.integers(-5, 9, (4, 5))
V = RNG.normal(size=7)
B = V > 0
F = A.astype(np.float32)
C = A[0] + 1j * A[1]
N = np.where(RNG.random((4, 6)) < 0.3, np.nan, RNG.normal(size=(4, 6)))
N[2] = np.nan
EMPTY = np.zeros((0, 3))
BINS = np.array([-1.0, 0.0, 0.5, 2.0])

AXES = [
    (name, x, axis, keepdims)
    for name in ("mean", "var", "std", "median", "ptp", "sum", "prod", "max", "all")
    for x in (A, M, F, C, B, EMPTY, np.float64(2.5))
    for axis in (None, 0, -1, (0, 1), 5, (0, 0))
    for keepdims in (False, True)
    if not (x is C and name in ("median", "ptp", "max"))  # order of complex numbers
    if not (x is B and name == "ptp")
    if not (np.ndim(x) == 0 and axis in (0, -1))  # numpy lets ufuncs reduce scalars
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name, x, axis, keepdims", AXES, ids=str)
def test_axes(name, x, axis, keepdims):
    compare(name, x, axis=axis, keepdims=keepdims, rtol=1e-10)


CALLS = [
    ("mean", A, {"dtype": np.float32}),
    ("mean", M, {"where": M > 0}),
    ("mean", A, 1, {"where": A > 0.5}),
    ("var", A, 0, {"ddof": 1}),
    ("var", A, 0, {"correction": 1}),
    ("var", A, 0, {"ddof": 3}),
    ("var", A, (0, 2), {"where": A > -1}),
    ("std", C),
    ("std", M, 1, {"ddof": 1, "keepdims": True}),
    ("std", A, 1, {"mean": A.mean(1, keepdims=True)}),
    ("average", M),
    ("average", M, 1, np.arange(5)),
    ("average", A, (0, 1), np.ones((3, 4)), True),
    ("average", M, 0, [1, -1, 0, 0]),
    ("average", M, None, np.arange(5)),
    ("average", A, 1, np.arange(60.0).reshape(3, 4, 5), {"keepdims": True}),
    ("count_nonzero", M),
    ("count_nonzero", M, 1, {"keepdims": True}),
    ("cumsum", M, 1),
    ("cumsum", B),
    ("cumsum", F, 0, np.float64),
    ("cumprod", A, -1),
    ("cumsum", A, 3),
    ("cumulative_sum", V),
    ("cumulative_sum", M, {"axis": 1, "include_initial": True}),
    ("cumulative_sum", M),
    ("cumulative_prod", V, {"include_initial": True}),
    ("sort", M),
    ("sort", N, 0),
    ("sort", M, None),
    ("sort", M, 2),
    ("argsort", V),
    ("argsort", M, 0, {"kind": "stable"}),
    ("searchsorted", np.sort(V), V),
    ("searchsorted", [1, 2, 2, 3], [2, 2.5, 9], "right"),
    ("searchsorted", V, [0.1], {"sorter": np.argsort(V)}),
    ("searchsorted", V, 0, "middle"),
    ("quantile", A, 0.3),
    ("quantile", A, [0.1, 0.5, 1.0], 1),
    ("quantile", M, [[0.0, 0.25]], (0, 1), {"keepdims": True}),
    ("quantile", N, 0.5, 1),
    ("quantile", V, 1.5),
    ("percentile", M, 30, 1),
    ("percentile", V, [0, 50, 100]),
    ("percentile", V, -1),
    ("median", N, 1),
    ("median", V[:6]),
    ("nansum", N, 1),
    ("nanprod", N, 0),
    ("nanmean", N, 0),
    ("nanmean", N, 1, {"keepdims": True}),
    ("nanvar", N, 1, {"ddof": 1}),
    ("nanstd", N, 1),
    ("nanmin", N, 1),
    ("nanmax", N),
    ("nanargmax", N[:2], 1),
    ("nanargmin", N, 1),
    ("nancumsum", N, 1),
    ("nancumprod", N),
    ("nanmedian", N, 1),
    ("nanmedian", N, None, {"keepdims": True}),
    ("nanquantile", N, [0.2, 0.7], 1),
    ("nanpercentile", N, 40, 0),
    ("nanmean", M, 0),
    ("cov", A[0]),
    ("cov", A[0], A[1], {"rowvar": False}),
    ("cov", V, {"ddof": 0}),
    ("cov", A[0], {"fweights": [1, 2, 0, 3, 1], "aweights": [1, 1, 2, 1, 0.5]}),
    ("cov", C),
    ("cov", A),
    ("corrcoef", A[0]),
    ("corrcoef", V, V**2),
    ("diff", V),
    ("diff", M, 2, 0),
    ("diff", V, {"prepend": 1.0, "append": [2.0, 3.0]}),
    ("diff", B),
    ("diff", V, -1),
    ("ediff1d", M, {"to_begin": [1, 2]}),
    ("gradient", V),
    ("gradient", A, 2.0),
    ("gradient", A, 1.0, 0.5, {"axis": (0, 2)}),
    ("gradient", V, np.cumsum(V**2), {"edge_order": 2}),
    ("gradient", V, {"edge_order": 2}),
    ("gradient", V[:1]),
    ("trapezoid", A),
    ("trapezoid", A, np.arange(4) ** 2, {"axis": 1}),
    ("trapezoid", V, {"dx": 0.5}),
    ("convolve", V, [1, 2, 3]),
    ("convolve", [1, 2, 3], V, "same"),
    ("convolve", V, [1, 2.0], "valid"),
    ("convolve", V, [1j, 2], "full"),
    ("convolve", V, V[:4], "same"),
    ("convolve", V, []),
    ("convolve", V, V, "other"),
    ("correlate", V, [1, 2, 3]),
    ("correlate", [1, 2, 3], V, "full"),
    ("correlate", V[:3], V, "same"),
    ("correlate", V, V[:4], "same"),
    ("correlate", V + 1j, [1j, 2], "full"),
    ("interp", np.linspace(-2, 3, 13), BINS, [3.0, 1.0, -2.0, 5.0]),
    ("interp", [-9.0, 9.0, np.nan], BINS, [3.0, 1.0, -2.0, 5.0], -1.0, 7.0),
    ("interp", np.linspace(-5, 9, 13), BINS, [3.0, 1, -2, 5], {"period": 4}),
    ("interp", 0.25, BINS, [3.0, 1.0, -2.0, 5j]),
    ("interp", BINS, BINS, [3, 1, -2, 5]),
    ("interp", V, [1.0], [2.0]),
    ("interp", V, [], []),
    ("interp", V, BINS, [1.0]),
    ("digitize", V, BINS),
    ("digitize", V, BINS[::-1], True),
    ("digitize", V, [1.0, 0.0, 2.0]),
    ("bincount", [1, 1, 3]),
    ("bincount", [1, 1, 3], [0.5, 1, 2], 6),
    ("bincount", [-1]),
    ("bincount", np.array([0.5])),
    ("histogram", V, 4),
    ("histogram", V, BINS, {"weights": V**2}),
    ("histogram", V, 3, (-1, 1), True),
    ("histogram", V, 3, (-1, 1), True, V**2),
    ("histogram_bin_edges", V, 5),
    ("polyval", [1.0, 2, 3], V),
    ("polyfit", V, V**2 + 1, 2),
    ("polyfit", V, V**3, 1, {"w": V**2}),
    ("polyfit", V, np.stack([V, V**2], 1), 2),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_same_as_numpy(call):
    name, *args = call
    kwargs = args.pop() if isinstance(args[-1], dict) else {}
    compare(name, *args, rtol=1e-10, atol=1e-12, **kwargs)


@pytest.mark.parametrize(
    "method",
    "inverted_cdf averaged_inverted_cdf closest_observation interpolated_inverted_cdf "
    "hazen weibull linear median_unbiased normal_unbiased lower higher midpoint "
    "nearest".split(),
)
@pytest.mark.parametrize("n", [1, 4, 7, 10])
def test_quantile_methods(method, n):
    x = RNG.normal(size=n)
    q = np.array([0.0, 0.05, 0.125, 0.25, 0.3, 0.5, 0.7, 0.75, 0.9, 1.0])
    compare("quantile", x, q, method=method, rtol=1e-10)


def test_long_convolution_in_blocks():
    x, kernel = RNG.normal(size=30000), RNG.normal(size=200)
    same(pa.convolve(x, kernel), np.convolve(x, kernel), rtol=1e-8, atol=1e-11)


def test_through_numpy():
    same(pa.union1d(pa.array([1, 2]), [2, 3]), np.array([1, 2, 3]))
    same(pa.hanning(5), np.hanning(5))
    same(pa.r_[pa.array([1.0, 2.0]), 3], np.array([1.0, 2.0, 3.0]))
    assert isinstance(np.union1d(pa.array([1]), [2]), pa.ndarray)
    with pytest.raises(TypeError, match="union1d"):
        pa.grad(lambda x: pa.union1d(x, x).sum())(pa.array(V))
    with pytest.raises(TypeError, match="histogram2d"):
        pa.grad(lambda x: np.histogram2d(x, x)[0].sum())(pa.array(V))


def test_methods_of_arrays():
    a = pa.asarray(A)
    for name in ("mean", "var", "std", "ptp", "sum", "cumsum", "argmax"):
        function = getattr(np, name)
        same(getattr(a, name)(axis=1), function(A, axis=1), rtol=1e-11)
    same(a.clip(-1, 1), A.clip(-1, 1))
    same(a.round(2), A.round(2))
    same(a.trace(), A.trace())
    same(a.repeat(2, 1), A.repeat(2, 1))


def test_out_and_dispatch():
    out = pa.zeros(5)
    assert pa.mean(A[0], 0, out=out) is out
    same(out, A[0].mean(0))
    with pytest.raises(ValueError):
        pa.mean(A[0], 0, out=pa.zeros(3))
    with pytest.raises(TypeError):
        pa.mean(A[0], 0, out=pa.zeros(5, int))
    assert isinstance(np.median(pa.asarray(A)), pa.ndarray)


@pytest.mark.parametrize("axis", [None, 0, (0, 2)])
def test_sums_of_exponentials(axis):
    x = A * 300
    same(pa.logsumexp(x, axis), scipy.special.logsumexp(x, axis))
    same(pa.softmax(x, axis), scipy.special.softmax(x, axis), atol=1e-300)
    same(pa.log_softmax(x, axis), scipy.special.log_softmax(x, axis))
    weights = RNG.normal(size=A.shape)
    for ours, theirs in zip(
        pa.logsumexp(A, axis, weights, return_sign=True),
        scipy.special.logsumexp(A, axis, weights, return_sign=True),
        strict=True,
    ):
        same(ours, theirs)


def test_logsumexp_of_nothing():
    x = np.full((2, 3), -np.inf)
    x[1, 0] = 1.0
    same(pa.logsumexp(x, 1), np.array([-np.inf, 1.0]))
    gradient = pa.grad(lambda x: pa.logsumexp(x, 1)[0])(pa.array(x))
    assert np.all(np.asarray(gradient) == 0)
    gradient = pa.grad(lambda x: pa.logsumexp(x, 1)[1])(pa.array(x))
    assert np.asarray(gradient).tolist() == [[0, 0, 0], [1, 0, 0]]
    assert pa.logsumexp([np.inf, 1.0]) == np.inf
    ties = pa.grad(lambda x: pa.logsumexp(x))(pa.array([2.0, 2.0, -np.inf, 2.0]))
    same(ties, np.array([1.0, 1.0, 0.0, 1.0]) / 3)
    # the weights cancel: an empty sum with terms
    value, sign = pa.logsumexp([0.5, 0.5], b=[1.0, -1.0], return_sign=True)
    assert (value, sign) == (-np.inf, 0.0)


def test_constants_have_a_standard_deviation_without_slope():
    gradient = pa.grad(lambda x: pa.std(x))(pa.ones(4))
    assert np.asarray(gradient).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: pa.mean(x**2, keepdims=True),
        lambda x: pa.var(x, ddof=1),
        lambda x: pa.std(x),
        lambda x: pa.mean(x**2, where=V > 0),
        lambda x: pa.average(x**2, weights=pa.exp(x)),
        lambda x: pa.median(x**3),
        lambda x: pa.quantile(x, [0.2, 0.77]) ** 2,
        lambda x: pa.cumsum(x**2),
        lambda x: pa.cumprod(x),
        lambda x: pa.sort(x) ** 2,
        lambda x: pa.logsumexp(x),
        lambda x: pa.logsumexp(x, b=x**2),
        lambda x: pa.softmax(x),
        lambda x: pa.log_softmax(x) * x,
        lambda x: pa.cov(x, x**2),
        lambda x: pa.corrcoef(x, x**2),
        lambda x: pa.diff(x**2, 2),
        lambda x: pa.gradient(x**2, 0.5),
        lambda x: pa.gradient(x, pa.cumsum(x**2)),
        lambda x: pa.trapezoid(x**2, pa.cumsum(pa.exp(x))),
        lambda x: pa.convolve(x, x[:3]),
        lambda x: pa.correlate(x**2, x[:3], "same"),
        lambda x: pa.interp(x, BINS, np.array([3.0, 1.0, -2.0, 5.0])) ** 2,
        lambda x: pa.interp(np.array([-0.6, 0.2, 1.1]), pa.sort(x), x**2),
        lambda x: pa.bincount([0, 1, 1, 0, 4, 4, 2], x**2) ** 2,
        lambda x: pa.histogram([0.0, 0.1, 0.2, 0.5, 0.8, 0.9, 1], 3, weights=x**2)[0],
        lambda x: pa.nanmean(pa.where(x > 0, x**2, np.nan)),
        lambda x: pa.nanmedian(pa.where(x > 0, x**2, np.nan)),
        lambda x: pa.ptp(x) ** 2,
        lambda x: pa.polyval(x[:3], x),
        lambda x: pa.polyfit(x, x**3, 1, w=pa.exp(x)),
    ],
)
def test_derivatives(f):
    check_derivatives(f, V, tol=1e-6)
