"""Stages: values and gradients of functions with inner axes, in one sweep over the rows."""

import numpy as np
import pytest
from stage_functions import (
    FUNCTIONS,
    PAIRS,
    fields,
    layer_norm,
    logistic,
    mixture,
    nodes,
    poisson,
    precisions,
    rng,
    softmax_regression,
    staged,
)

import pyarr as pa
from pyarr import _core

pytestmark = pytest.mark.usefixtures("small_stages")
SIZES = [1, 7, 63, 64, 65, 1000, 20011]
SMALL_SIZES = [1, 7, 63, 64, 65, 1000]  # where a value has rows times rows


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


READINGS = {  # of a product that is y[n, k, d]
    "squares": lambda y: pa.sum(y * y, axis=2),
    "turned": lambda y: pa.sum(y * y, axis=1),
    "parts": lambda y: pa.sum(y[:, :, :2] * y[:, :, 2:4], axis=2),
    "each": lambda y: pa.exp(-y * y),
    "first axis": lambda y: pa.sum(pa.exp(-y * y), axis=1),
    "twice": lambda y: pa.sum(y * y, axis=2) * pa.exp(y[:, :, 1]),
    "greatest": lambda y: pa.max(pa.abs(y), axis=2),
}


@pytest.mark.parametrize("n", [90, 1000, 1003])
@pytest.mark.parametrize("reading", READINGS)
def test_products_are_read_in_groups(reading, n):
    """Whether or not they are computed group by group, where they are read."""
    k, d, width = 6, 5, 9
    x, r = rng(n).standard_normal((n, width)), rng(2)

    def f(turned, shift):
        y = pa.reshape(x @ turned.T - shift, (n, k, d))
        return pa.sum(pa.tanh(READINGS[reading](y)))

    both(f, [r.standard_normal((k * d, width)) / 3, r.standard_normal(k * d)])


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


def test_a_block_keeps_what_the_product_inside_it_reads():
    """The block that computes rows of a product may be the last that reads its operand."""
    z, weights = rng(1).standard_normal(3), rng(2).standard_normal((3, 3))

    def f(x):
        v = pa.arctan2(z[:, None], 2 + x**2)
        product = pa.maximum(v, v[::-1] + 0.0713) @ v.T
        return pa.sum((product / 260) ** 2 * weights)

    x = rng(3).standard_normal(70_000)
    (_, grad), runs = staged(lambda: pa.value_and_grad(f)(x))
    _, expected = nodes(lambda: pa.value_and_grad(f)(x))
    assert runs > 0
    np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-13)


def test_each_of_many_axes_gets_its_stage():
    """A long convolution takes its windows in parts: none of them are copied."""
    data, kernel = rng(4).standard_normal(200_000), rng(5).standard_normal(64)

    def f(k):
        return pa.sum((pa.convolve(data, k, mode="valid") - 1) ** 2)

    (value, grad), runs = staged(lambda: pa.value_and_grad(f)(kernel))
    assert runs >= 24
    residual = np.convolve(data, kernel, mode="valid") - 1
    np.testing.assert_allclose(value, np.sum(residual**2), rtol=1e-12)
    expected = 2 * np.correlate(data, residual, mode="valid")[::-1]
    np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-6)
