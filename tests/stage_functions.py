"""Functions of the kinds that stages compute, as they are written in NumPy, with arguments."""

import numpy as np

import pyarr as pa
from pyarr import _core


def rng(n):
    return np.random.default_rng(n)


def nodes(call):
    with pa.config(executor="nodes"):
        return call()


def staged(call):
    before = _core._stage_runs()
    result = call()
    return result, _core._stage_runs() - before


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
