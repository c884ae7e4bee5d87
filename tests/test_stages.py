"""Stages: values and gradients of functions with inner axes, in one sweep over the rows."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import pyarr as pa
from pyarr import _core

pytestmark = pytest.mark.usefixtures("small_stages")
SIZES = [1, 7, 63, 64, 65, 1000, 20011]
SMALL_SIZES = [1, 7, 63, 64, 65, 1000]  # where a value has rows times rows


def rng(n):
    return np.random.default_rng(n)


def nodes(call):
    with pa.config(executor="nodes"):
        return call()


def staged(call):
    before = _core._stage_runs()
    result = call()
    return result, _core._stage_runs() - before


def both(f, args, dtype=np.float64, forms=True):
    """Value and gradients by stages and one op after the other agree."""
    args = [np.asarray(a, dtype) for a in args]
    which = tuple(range(len(args)))
    call = pa.value_and_grad(f, argnums=which)
    (value, grads), runs = staged(lambda: call(*args))
    expected, expected_grads = nodes(lambda: call(*args))
    assert (runs > 0) == forms
    tolerance = 1e-11 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    for got, want in zip(grads, expected_grads, strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        scale = float(np.max(np.abs(want), initial=1e-30))
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


# ---- functions as they are written in NumPy ----


def logistic(n, width=32, dtype=np.float64):
    x = rng(n).standard_normal((n, width)).astype(dtype)
    y = np.where(rng(n + 1).random(n) < 0.5, -1, 1).astype(dtype)
    w = rng(3).standard_normal(width) * 0.2
    return (lambda w: pa.sum(pa.log1p(pa.exp(-y * (x @ w))))), [w]


def softplus(n):
    x = rng(n).standard_normal((n, 9))
    w = rng(3).standard_normal(9) * 0.2
    return (lambda w: pa.sum(pa.logaddexp(0.0, x @ w))), [w]


def poisson(n, dtype=np.float64):
    x = rng(n).standard_normal((n, 13)).astype(dtype)
    y = rng(n + 1).poisson(2.0, n).astype(dtype)

    def f(w, b):
        z = x @ w + b
        return pa.sum(pa.exp(z) - y * z)

    return f, [rng(3).standard_normal(13) * 0.2, 0.1]


def mixture(n, dtype=np.float64, d=5, k=4):
    x = rng(n).standard_normal((n, d)).astype(dtype)

    def f(alphas, means, q):
        c = x[:, None, :] - means
        qc = pa.einsum("kij,nkj->nki", q, c)
        inner = alphas - 0.5 * pa.sum(qc**2, axis=2)
        return pa.sum(pa.logsumexp(inner, axis=1))

    r = rng(3)
    return f, [
        r.standard_normal(k),
        r.standard_normal((k, d)),
        r.standard_normal((k, d, d)),
    ]


def mixture_by_matmul(n):
    x = rng(n).standard_normal((n, 3))

    def f(means, q):
        c = pa.transpose(x[:, None, :] - means, (1, 0, 2))
        qc = c @ pa.transpose(q, (0, 2, 1))
        return pa.sum(pa.logsumexp(-0.5 * pa.sum(qc * qc, axis=2), axis=0))

    return f, [rng(4).standard_normal((4, 3)), rng(5).standard_normal((4, 3, 3))]


def softmax_regression(n, dtype=np.float64):
    x = rng(n).standard_normal((n, 12)).astype(dtype)
    labels = np.eye(5)[rng(n + 1).integers(0, 5, n)].astype(dtype)

    def f(w, b):
        z = x @ w + b
        return pa.sum(pa.logsumexp(z, axis=1) - pa.sum(z * labels, axis=1))

    return f, [rng(3).standard_normal((12, 5)), rng(4).standard_normal(5)]


def layer_norm(n, dtype=np.float64):
    x = rng(n).standard_normal((n, 17)).astype(dtype)

    def f(scale, shift):
        u = x - pa.mean(x, axis=1, keepdims=True)
        u = u / pa.sqrt(pa.mean(u * u, axis=1, keepdims=True) + 1e-5)
        return pa.sum(pa.tanh(u * scale + shift))

    return f, [rng(3).standard_normal(17), rng(4).standard_normal(17)]


def rows_scaled(n):
    x = rng(n).standard_normal((n, 6))

    def f(w):
        u = x * w
        u = u - u.mean(axis=1)[:, None]
        return pa.sum(pa.sqrt(pa.sum(u * u, axis=1) + 1.0))

    return f, [rng(3).standard_normal(6)]


def extremes(n):
    x = rng(n).standard_normal((n, 8))

    def f(w):
        u = x * w
        return pa.sum(pa.max(u, axis=1) - 2 * pa.min(u, axis=1)) + pa.max(u)

    return f, [rng(3).standard_normal(8)]


def choices(n):
    x = rng(n).standard_normal((n, 8))
    mask = rng(n + 1).random((n, 8)) < 0.3
    counts = rng(n + 2).integers(0, 9, (n, 8))

    def f(w):
        u = pa.where(mask, x * w, 0.5 * w)
        return pa.sum(pa.log1p(pa.sum(pa.abs(u) * counts, axis=1)))

    return f, [rng(3).standard_normal(8)]


def waves(n):
    x = rng(n).standard_normal((n, 6))

    def f(k, phase):
        z = pa.exp(1j * (x * k + phase))
        total = pa.sum(z, axis=1)
        return pa.sum(total.real**2 + total.imag**2)

    return f, [rng(3).standard_normal(6), rng(4).standard_normal(6)]


def scattered(n):
    index = rng(n).integers(-3, 11, n)
    y = rng(n + 1).standard_normal((n, 3))
    x = rng(n + 2).standard_normal((n, 3))

    def f(table, w):
        return pa.sum((pa.sum(table[index] * x, axis=1) - y @ w) ** 2)

    return f, [rng(3).standard_normal((14, 3)), rng(4).standard_normal(3)]


def columns(n):
    x = rng(n).standard_normal((n, 7))
    return (lambda w, c: pa.sum(pa.log(pa.sum(pa.exp(x * w), axis=0)) * c)), [
        rng(3).standard_normal(7) * 0.3,
        rng(4).standard_normal(7),
    ]


def two_levels(n):
    x = rng(n).standard_normal((n, 7))

    def f(w):
        z = x @ w
        return pa.sum((z - pa.mean(z)) ** 4) / n

    return f, [rng(3).standard_normal(7)]


def hidden_layer(n):
    x = rng(n).standard_normal((n, 5))

    def f(a, b):
        return pa.sum(pa.tanh(pa.tanh(x @ a) @ b) ** 2)

    return f, [rng(3).standard_normal((5, 8)), rng(4).standard_normal((8, 3))]


def precisions(n, d=7, k=13, dtype=np.float64):
    """A mixture whose products are one product, as ADBench's: (n, k d) read as (n, k, d)."""
    x = rng(n).standard_normal((n, d)).astype(dtype)

    def f(alphas, turned, shift):
        y = pa.reshape(x @ turned.T - shift, (n, k, d))
        return pa.sum(pa.logsumexp(alphas - 0.5 * pa.sum(y * y, axis=2), axis=1))

    r = rng(3)
    return f, [
        r.standard_normal(k),
        r.standard_normal((k * d, d)),
        r.standard_normal(k * d),
    ]


def one_dimension(n):
    return precisions(n, d=1, k=5)


def one_component(n):
    return precisions(n, d=5, k=1)


def long_inner_axis(n):
    """37 is prime and more than one program unrolls; costly functions unroll less."""
    x = rng(n).standard_normal((n, 3, 37))

    def f(scale, shift, rate):
        u = x * scale[:, None] - shift
        v = pa.sum(pa.tanh(u) * rate[:, None], axis=2)
        return pa.sum(v * v) + pa.sum(pa.max(u * u, axis=2))

    return f, [
        rng(3).standard_normal(3),
        rng(4).standard_normal(37),
        rng(5).standard_normal(3),
    ]


def reshaped(n):
    """Values read along other axes than they were computed: finer, coarser, neither."""
    x = rng(n).standard_normal((n, 24))

    def f(w, s, t):
        u = x * w
        a = pa.sum(pa.reshape(u, (n, 4, 6)) * s, axis=2)
        b = pa.sum(pa.reshape(pa.reshape(u, (n, 4, 6)) - s, (n, 3, 8)) ** 2 * t, axis=1)
        return pa.sum(pa.exp(-a * a)) + pa.sum(pa.sqrt(pa.sum(b, axis=1) + 1.0))

    return f, [
        rng(3).standard_normal(24),
        rng(4).standard_normal(6),
        rng(5).standard_normal((3, 1)),
    ]


def fields(n):
    """Complex fields of a phase that is a sum of terms, through a transform."""
    terms = rng(n).standard_normal((6, n))
    decay = rng(n + 1).random(n)
    ramp = np.exp(1j * rng(n + 2).random((n, 1)))
    signs = np.array([[1.0], [-0.5], [2.0]])

    def f(coefficients, shifts, taper):
        phase = (coefficients @ terms) * signs + shifts @ terms[:2]
        level = -taper * decay
        level = level - 0.5 * pa.log(pa.sum(pa.exp(level)))
        field = pa.exp(level + 1j * phase)
        z = pa.fft.fft(pa.reshape(field, (3, n, 1)) * ramp, axis=0)
        return pa.sum(pa.abs2(z) * pa.arange(3.0)[:, None, None])

    r = rng(3)
    return f, [r.standard_normal(6), r.standard_normal((3, 2)), 0.7]


FUNCTIONS = {
    f.__name__: f
    for f in [
        logistic, softplus, poisson, mixture, mixture_by_matmul, softmax_regression,
        layer_norm, rows_scaled, extremes, choices, waves, scattered, columns, two_levels,
        hidden_layer, precisions, one_dimension, one_component, long_inner_axis, reshaped,
        fields,
    ]
}  # fmt: skip


def kernel_sum(n):
    r = rng(n)

    def f(s, x, y):
        return pa.sum(pa.exp(-s * (x[:, None] - y[None, :]) ** 2))

    return f, [0.3, r.standard_normal(n), r.standard_normal(n + 1)]


def kernel_logsumexp(n):
    r = rng(n)

    def f(s, x, y):
        return pa.sum(pa.logsumexp(-s * (x[:, None] - y[None, :]) ** 2, axis=1))

    return f, [0.3, r.standard_normal(n), r.standard_normal(n + 2)]


def kernel_self(n):
    def f(s, x):
        return pa.sum(pa.log(pa.sum(1 / (1 + s * (x[:, None] - x) ** 2), axis=0)))

    return f, [0.3, rng(n).standard_normal(n)]


def kernel_max(n):
    def f(x, y):
        return pa.sum(pa.max(pa.sin(x[:, None] * y), axis=1))

    return f, [rng(n).standard_normal(n), rng(n + 1).standard_normal(n + 5)]


PAIRS = {f.__name__: f for f in [kernel_sum, kernel_logsumexp, kernel_self, kernel_max]}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_rows(name, n):
    f, args = FUNCTIONS[name](n)
    if n < 64:
        compare_any(f, args)
    elif n >= 1000:
        both(f, args)
    else:
        compare_any(f, args)


def compare_any(f, args):
    """As `both`, whether stages form or not."""
    before = _core._stage_runs()
    pa.value_and_grad(f, argnums=tuple(range(len(args))))(
        *[np.asarray(a) for a in args]
    )
    both(f, args, forms=_core._stage_runs() > before)


@pytest.mark.parametrize("n", SMALL_SIZES)
@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_pairs(name, n):
    f, args = PAIRS[name](n)
    if n >= 64:
        both(f, args)
    else:
        compare_any(f, args)


@pytest.mark.parametrize(
    "make", [logistic, poisson, mixture, softmax_regression, layer_norm, precisions]
)
def test_single_precision(make):
    f, args = make(1003, dtype=np.float32)
    both(f, args, dtype=np.float32)


# ---- gradients through weighted affine maps, by moments ----


def layouts(x):
    wide = np.zeros((x.shape[0], 2 * x.shape[1] + 1))
    wide[:, 1::2] = x
    packed = np.zeros(x.shape[0], dtype=[("tag", "u1"), ("x", "f8", x.shape[1:])])
    packed["x"] = x
    return {
        "rows": x,
        "columns": np.asfortranarray(x),
        "slices": wide[:, 1::2],
        "backwards": x[::-1].copy()[::-1],
        "every other row": np.repeat(x, 2, axis=0)[::2],
        "unaligned": packed["x"],
        "read-only": np.frombuffer(x.tobytes()).reshape(x.shape),
    }


AFFINE = {
    "minus": lambda product, shift: product - shift,
    "plus": lambda product, shift: shift + product,
    "turned": lambda product, shift: shift - product,
    "linear": lambda product, shift: product + 0 * pa.sum(shift),
    "alone": lambda product, shift: product,
}


def distances(x, k, affine="minus"):
    """Weights of exp(-distance) over k affine maps of the rows to as many dimensions."""
    n, d = x.shape

    def f(turned, shift, scale):
        y = pa.reshape(AFFINE[affine](x @ turned.T, shift), (n, k, d))
        return pa.sum(pa.exp(-scale * pa.sum(y * y, axis=2))) + 0 * pa.sum(shift)

    r = rng(d)
    return f, [r.standard_normal((k * d, d)) / d, r.standard_normal(k * d), 0.3]


@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("n,d,k", [(1000, 7, 3), (1003, 16, 2), (2001, 9, 1)])
def test_moments(n, d, k, affine):
    both(*distances(rng(n).standard_normal((n, d)), k, affine))


@pytest.mark.parametrize("layout", layouts(np.zeros((1, 1))))
def test_moments_of_any_layout(layout):
    both(*distances(layouts(rng(1).standard_normal((1234, 11)))[layout], 3))


def test_moments_of_rows_that_are_computed():
    x = rng(1).standard_normal((1500, 8))

    def f(turned, shift, scale):
        z = pa.tanh(x * scale)
        y = pa.reshape(z @ turned.T - shift, (1500, 3, 8))
        return pa.sum(pa.sqrt(1 + pa.sum(y * y, axis=2)))

    r = rng(2)
    both(f, [r.standard_normal((24, 8)), r.standard_normal(24), r.standard_normal(8)])


@pytest.mark.parametrize("first", [0.0, 1e6])
def test_moments_are_precise_far_from_zero(first):
    d, k = 8, 3
    x = 1e4 + rng(1).standard_normal((1500, d))
    x[0] += first  # an outlier, or none
    means = 1e4 + rng(2).standard_normal((k, d))

    def f(turned):
        shift = pa.sum(turned * means[:, None], axis=2)
        y = x @ pa.reshape(turned, (k * d, d)).T - pa.reshape(shift, (k * d,))
        y = pa.reshape(y, (x.shape[0], k, d))
        return pa.sum(pa.exp(-0.1 * pa.sum(y * y, axis=2)))

    turned = rng(3).standard_normal((k, d, d)) / d
    _, (expected,) = nodes(lambda: pa.value_and_grad(f, argnums=(0,))(turned))
    _, (found,) = pa.value_and_grad(f, argnums=(0,))(turned)
    scale = np.abs(np.asarray(expected)).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * scale)


def test_values_that_are_read_again_are_kept():
    x = rng(1).standard_normal((1500, 8))

    def f(turned, shift):
        y = pa.reshape(x @ turned.T - shift, (1500, 3, 8))
        weight = pa.exp(-pa.sum(y * y, axis=2, keepdims=True))
        return pa.sum(weight * pa.sin(y))

    both(f, [rng(2).standard_normal((24, 8)) / 3, rng(3).standard_normal(24)])


@pytest.mark.parametrize("replayed", [False, True])
def test_moments_that_overflow_are_not_used(replayed):
    x = rng(1).standard_normal((1000, 8))
    x[17] = 1e200  # its weight is exp(-inf), so it adds nothing
    f, args = distances(x, 3)
    call = pa.value_and_grad(f, argnums=(0, 1, 2))
    _, expected = nodes(lambda: call(*args))
    assert all(np.isfinite(g).all() for g in expected[:2])
    call = pa.jit(call) if replayed else call
    for _ in range(2):
        _, grads = call(*[pa.asarray(a) for a in args])
        for got, want in zip(grads[:2], expected[:2], strict=True):
            np.testing.assert_allclose(np.asarray(got), want, rtol=1e-11, atol=1e-11)


# ---- how the data lie ----


@pytest.mark.parametrize("layout", layouts(np.zeros((1, 1))))
def test_any_layout_of_the_data(layout):
    x = rng(1).standard_normal((1234, 6))
    data = layouts(x)[layout]
    w = rng(2).standard_normal(6)

    def of(x):
        def f(w):
            centred = x - pa.mean(x, axis=1, keepdims=True)
            return pa.sum(pa.exp(-((x @ w) ** 2))) + pa.sum(
                pa.sqrt(pa.sum((centred * w) ** 2, axis=1) + 1)
            )

        return pa.value_and_grad(f)

    (value, grad), runs = staged(lambda: of(data)(w))
    expected = nodes(lambda: of(x)(w))
    assert runs > 0
    np.testing.assert_allclose(value, expected[0], rtol=1e-12)
    np.testing.assert_allclose(grad, expected[1], rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("layout", layouts(np.zeros((1, 1))))
def test_products_of_rows_where_they_lie(layout):
    x = rng(1).standard_normal((1234, 11))
    data = layouts(x)[layout]
    w = rng(2).standard_normal(11)
    (value, grad), runs = staged(
        lambda: pa.value_and_grad(lambda w: pa.sum(pa.tanh(data @ w)))(w)
    )
    assert runs > 0
    np.testing.assert_allclose(value, np.sum(np.tanh(x @ w)), rtol=1e-12)
    expected = x.T @ (1 - np.tanh(x @ w) ** 2)
    np.testing.assert_allclose(grad, expected, rtol=1e-11, atol=1e-11)


def matrices_with_zeros(k, d):
    """Matrices of which some elements are zero: triangles, bands, rows."""
    full = rng(8).standard_normal((k, d))
    rows, columns = np.indices(full.shape)
    yield from (np.tril(full), np.triu(full), np.where(rows % 3 == 1, 0, full))
    yield from (np.where(abs(rows - columns) < 3, full, -0.0), np.zeros_like(full))


@pytest.mark.parametrize("bad", [None, np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_with_zeros(dtype, bad):
    """Zeros at the ends of a matrix's rows are left out, but for infinity and NaN."""
    x = rng(4).standard_normal((300, 23)).astype(dtype)
    if bad is not None:
        x[[5, 290], [0, 22]] = bad
    for matrix in matrices_with_zeros(19, 23):
        weights = rng(5).random((300, 19)).astype(dtype)

        def f(m, c, weights=weights):
            y = x @ m.T + c
            return pa.sum(pa.where(pa.isfinite(y), pa.tanh(y), 2) * weights)

        m, c = matrix.astype(dtype), np.zeros(19, dtype)
        run = pa.value_and_grad(f, argnums=(0, 1))
        (value, grads), runs = staged(lambda run=run, m=m, c=c: run(m, c))
        expected, expected_grads = nodes(lambda run=run, m=m, c=c: run(m, c))
        tolerance = 1e-11 if dtype == np.float64 else 2e-4
        assert runs > 0
        np.testing.assert_allclose(value, expected, rtol=tolerance)
        np.testing.assert_allclose(grads[1], expected_grads[1], rtol=tolerance)
        if bad is None:
            np.testing.assert_allclose(
                grads[0], expected_grads[0], rtol=tolerance, atol=100 * tolerance
            )


def test_results_of_rows_are_stored():
    x = rng(1).standard_normal((5003, 7))

    def f(w):
        z = x * w
        r = z - pa.mean(z, axis=1, keepdims=True)
        keep.append((pa.sum(r * r, axis=1), r, pa.transpose(r)))
        return pa.sum(pa.sqrt(pa.sum(r * r, axis=1)))

    keep = []
    call = pa.value_and_grad(f)
    w = rng(2).standard_normal(7)
    (_, grad), runs = staged(lambda: call(w))
    _, expected = nodes(lambda: call(w))
    assert runs > 0
    np.testing.assert_allclose(grad, expected, rtol=1e-11)
    for got, want in zip(*keep, strict=True):
        np.testing.assert_allclose(
            np.asarray(got), np.asarray(want), rtol=1e-12, atol=1e-13
        )


def test_products_wait_for_the_stage_that_reads_them():
    """The terms' sum needs nothing, but its reader waits for a sum: it is never stored."""
    n = 20_000
    f, args = fields(n)
    plan = pa.explain(pa.value_and_grad(f, argnums=(0, 1, 2)))(*args).plans[0]
    steps = [step["name"] for step in plan["steps"]]
    assert steps.count("stage") == 2 and "matmul" not in steps
    forward = plan["steps"][steps.index("stage")]
    assert forward["bytes_written"] == 3 * n * 16  # what is transformed, and no more


# ---- bits, memory, errors ----


@pytest.mark.parametrize("name", [*FUNCTIONS, *PAIRS])
def test_bits_do_not_depend_on_threads(name):
    n = 20011 if name in FUNCTIONS else 700
    f, args = (FUNCTIONS | PAIRS)[name](n)
    args = [np.asarray(a) for a in args]
    call = pa.value_and_grad(f, argnums=tuple(range(len(args))))
    before = pa.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 2):
            pa.set_num_threads(threads)
            value, grads = call(*args)
            found.append([float(value).hex(), *(g.tobytes() for g in grads)])
    finally:
        pa.set_num_threads(before)
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.parametrize("n", [64, 1003])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_do_not_depend_on_the_executor(name, n):
    f, args = FUNCTIONS[name](n)
    call = pa.value_and_grad(f, argnums=tuple(range(len(args))))
    found = []
    for executor in ("interpreter", "native"):
        _core.plan_cache_clear()
        with pa.config(executor=executor):
            value, grads = call(*[np.asarray(a) for a in args])
        found.append([float(value).hex(), *(np.asarray(g).tobytes() for g in grads)])
    assert found[0] == found[1]


def test_strict_rounding_forms_no_stages():
    f, args = logistic(1000)
    with pa.config(rounding="strict"):
        _, runs = staged(lambda: pa.value_and_grad(f)(*args))
    assert runs == 0


def peak_of(call):
    call()
    before = _core.mem_stats()["bytes_live"]
    _core.mem_reset_peak()
    call()
    return _core.mem_stats()["bytes_peak"] - before


@pytest.mark.parametrize(
    "make", [logistic, poisson, mixture, softmax_regression, layer_norm]
)
def test_memory_does_not_grow_with_the_rows(make):
    f, args = make(400_000 if make is not mixture else 50_000)
    args = [np.asarray(a) for a in args]
    call = pa.value_and_grad(f, argnums=tuple(range(len(args))))
    assert peak_of(lambda: call(*args)) < 4_000_000 + 2_000_000 * pa.get_num_threads()


def test_gathered_values_are_never_stored():
    n = 400_000
    index, data = rng(1).integers(-1000, 1000, n), rng(2).standard_normal(n)
    call = pa.value_and_grad(lambda t: pa.sum((t[index] - data) ** 2))
    t = rng(3).standard_normal(1000)
    assert peak_of(lambda: call(t)) < 2_000_000
    residual = t[index] - data
    value, grad = call(t)
    np.testing.assert_allclose(value, np.sum(residual**2), rtol=1e-12)
    expected = np.bincount(index % 1000, 2 * residual, 1000)
    np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", [kernel_sum, kernel_logsumexp])
def test_pairs_are_never_stored(make):
    f, args = make(3000)
    args = [np.asarray(a) for a in args]
    call = pa.value_and_grad(f, argnums=(0, 1, 2))
    assert peak_of(lambda: call(*args)) < 4_000_000 + 2_000_000 * pa.get_num_threads()


@pytest.mark.parametrize("make", [logistic, mixture, precisions, kernel_logsumexp])
def test_failing_allocations(make):
    f, args = make(300)
    args = [np.asarray(a) for a in args]
    call = pa.value_and_grad(f, argnums=tuple(range(len(args))))
    expected = call(*args)[0]
    _core.plan_cache_clear()
    for n in range(1, 100_000, 7):
        _core.plan_cache_clear()
        _core._fail_alloc(n)
        try:
            call(*args)
        except MemoryError:
            pass
        if _core._fail_alloc(0):
            break
    else:
        pytest.fail("more requests for memory than this test expects")
    assert call(*args)[0] == expected


INTERRUPTED = """
import time
import numpy as np
import pyarr as pa
x = pa.asarray(np.random.default_rng(1).standard_normal(60000))
f = pa.value_and_grad(lambda s: pa.sum(pa.logsumexp(-s * (x[:, None] - x) ** 2, axis=1)))
print("ready", flush=True)
try:
    f(0.3)
except KeyboardInterrupt:
    print("stopped", time.monotonic(), flush=True)
y = x[:200]
g = pa.value_and_grad(lambda s: pa.sum(pa.logsumexp(-s * (y[:, None] - y) ** 2, axis=1)))
print(np.isfinite(g(0.3)[0]))
"""


def test_interrupting_a_sweep():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.4)
    begin = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    stopped, finite = output.splitlines()
    assert stopped.startswith("stopped ") and finite == "True"
    assert float(stopped.split()[1]) - begin < 1.0  # far less on a machine that is free


@pytest.mark.parametrize("bad", [5, -6, 2**62, -(2**63)])
@pytest.mark.parametrize("how", ["read", "write", "along"])
def test_indices_out_of_range_raise_at_the_call(bad, how):
    index = rng(1).integers(-5, 5, 200_000)
    index[199_000] = bad

    def f(t):
        try:
            if how == "read":
                t[index]
            elif how == "write":
                t[index] = 1.0
            else:
                pa.take_along_axis(t, index, 0)
        except IndexError as error:
            assert f"index {bad} is out of bounds for axis 0 with size 5" in str(error)
            return 3 * pa.sum(t)

    np.testing.assert_array_equal(pa.grad(f)(np.ones(5)), 3.0)


def test_indices_out_of_range_raise():
    index = rng(1).integers(0, 5, 3000)
    index[1234] = 5
    x = rng(2).standard_normal((3000, 4))
    with pytest.raises(IndexError):
        pa.value_and_grad(lambda t: pa.sum(pa.sum(t[index] * x, axis=1) ** 2))(
            np.ones((5, 4))
        )
