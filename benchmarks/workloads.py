"""What is computed: formulas written once for all array libraries, and their data.

A formula takes the array module `m` (numpy, pyarr, torch, jax.numpy, autograd.numpy), then
the parameters to differentiate, then the data, and returns a scalar. It is written as one
who knows all of them would: no needless passes, and only names that all of them have.
"""

import dataclasses
import functools
import importlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

BEAM = (0.1, -0.2, 2.0, 0.7, 0.3, 0.05)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A formula with its data.

    `problem` makes (parameters, data), two tuples of NumPy arrays. `fused` names the
    function of `fused.c` that computes the same; `peers` who is asked (all if empty);
    `own` has the formulas of peers that do better with another text of it.
    """

    name: str
    formula: Callable
    problem: Callable
    fused: str = ""
    peers: tuple = ()
    own: dict = dataclasses.field(default_factory=dict)


def logsumexp(m, x):
    """log(sum(exp(x))) over the last axis, by the library's own function."""
    if m is np:
        top = np.max(x, axis=-1, keepdims=True)
        return np.log(np.sum(np.exp(x - top), axis=-1)) + top[..., 0]
    homes = {"jax.numpy": "jax.nn", "autograd.numpy": "autograd.scipy.special"}
    home = homes.get(m.__name__)
    return (importlib.import_module(home) if home else m).logsumexp(x, -1)


# The beam of a telescope, over scattered points. The radius is by `hypot`, as in
# examples/beam_numpy.py, or by squares, which all but a simplifier take far better.


def gaussian(m, radius, theta, x, y):
    x0, y0, amplitude, sigma, rho, diff = theta
    dx, dy = x - x0, y - y0
    r2 = m.hypot(dx, dy) ** 2 if radius == "hypot" else dx * dx + dy * dy
    r2 = r2 + rho * dx * dy + diff * (dx**2 - dy**2)
    return amplitude * m.exp(-r2 / (2 * sigma**2))


def beam(m, theta, x, y, data, radius="hypot"):
    """chi-square of an elliptical Gaussian beam."""
    return m.sum((data - gaussian(m, radius, theta, x, y)) ** 2)


def cauchy(m, theta, log_noise, x, y, data, radius="hypot"):
    """Negative log likelihood of that beam with Cauchy noise."""
    pull = (data - gaussian(m, radius, theta, x, y)) / m.exp(log_noise)
    return m.sum(m.log1p(pull**2)) + data.shape[0] * log_noise


def beam_problem(n, noise=()):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-2, 2, (2, n))
    return (np.array(BEAM), *noise), (x, y, rng.normal(0.0, 0.1, n))


def cauchy_problem(n):
    return beam_problem(n, noise=(np.array(-1.5),))


# Other sums over points


def mixture(m, theta, x):
    """Negative log likelihood of two Gaussians."""
    share, mean1, width1, mean2, width2 = theta
    a, b = (x - mean1) / width1, (x - mean2) / width2
    first = share / width1 * m.exp(-0.5 * a * a)
    second = (1 - share) / width2 * m.exp(-0.5 * b * b)
    return -m.sum(m.log(first + second))


def mixture_problem(n):
    rng = np.random.default_rng(2)
    x = np.where(rng.random(n) < 0.4, rng.normal(-1, 0.5, n), rng.normal(1, 0.8, n))
    return (np.array([0.35, -0.9, 0.6, 1.1, 0.7]),), (x,)


def line(m, theta, x, y, weight):
    """Weighted chi-square of a straight line."""
    slope, offset = theta
    return m.sum(weight * (y - slope * x - offset) ** 2)


def line_problem(n):
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 1, n)
    y = 2 * x - 1 + rng.normal(0, 0.1, n)
    return (np.array([1.9, -0.9]),), (x, y, rng.uniform(0.5, 1.5, n))


def logistic(m, beta, features, sign):
    """Logistic regression; `sign` is +1 or -1."""
    return m.sum(m.log1p(m.exp(-sign * (features @ beta))))


def poisson(m, beta, features, counts):
    """Poisson regression with the logarithm as link."""
    z = features @ beta
    return m.sum(m.exp(z) - counts * z)


def regression_problem(n, columns, kind):
    rng = np.random.default_rng(4)
    features = rng.normal(size=(n, columns))
    truth = rng.normal(0, 0.15, columns)
    z = features @ truth
    if kind == "logistic":
        answer = np.where(rng.random(n) < 1 / (1 + np.exp(-z)), 1.0, -1.0)
    else:
        answer = rng.poisson(np.exp(z)).astype(float)
    return (truth + rng.normal(0, 0.05, columns),), (features, answer)


def kernel_sum(m, weight, width, x, y):
    """Negative log likelihood of x under weighted Gaussian kernels at y."""
    distance = (x[:, None] - y[None, :]) / width
    return -m.sum(m.log(m.sum(weight * m.exp(-0.5 * distance**2), axis=1)))


def kernel_problem(n):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, n))
    return (rng.uniform(0.5, 1.5, n) / n, np.array(0.3)), (x, y)


def perceptron(m, w1, b1, w2, b2, images, labels):
    """Mean cross entropy of a network with one hidden layer; `labels` are one-hot."""
    out = m.tanh(images @ w1 + b1) @ w2 + b2
    return (m.sum(logsumexp(m, out)) - m.sum(labels * out)) / labels.shape[0]


def perceptron_problem(batch, inputs, hidden, outputs):
    rng = np.random.default_rng(6)
    w1 = rng.normal(0, inputs**-0.5, (inputs, hidden))
    w2 = rng.normal(0, hidden**-0.5, (hidden, outputs))
    labels = np.eye(outputs)[rng.integers(0, outputs, batch)]
    images = rng.uniform(0, 1, (batch, inputs))
    return (w1, np.zeros(hidden), w2, np.zeros(outputs)), (images, labels)


# ADBench's mixture of Gaussians with full precision matrices (arXiv:1807.10129)


def precision_mixture(m, alpha, means, factors, x, places, constants):
    """ADBench's objective: minus its prior's sign as ADBench has it.

    `factors` holds for each component the logarithms of the diagonal of a lower
    triangular Q, then what is below it, column by column; `places` says where in
    (diagonal, below, zero) each entry of Q lies. The distances are |x Q' - mean Q'|^2,
    whose first product is one for all components.
    """
    gamma, strength, constant = constants
    k, d = means.shape
    logs, below = factors[:, :d], factors[:, d:]
    diagonal = m.exp(logs)
    q = m.concatenate([diagonal, below, 0 * logs[:, :1]], axis=1)[:, places]
    turned = m.reshape(q, (k * d, d))
    shift = m.reshape(m.sum(q * means[:, None, :], axis=2), (k * d,))
    y = m.reshape(x @ turned.T - shift, (x.shape[0], k, d))
    main = alpha + m.sum(logs, axis=1) - 0.5 * m.sum(y * y, axis=2)
    prior = 0.5 * gamma**2 * (m.sum(diagonal**2) + m.sum(below**2))
    prior = prior - strength * m.sum(logs)
    total = m.sum(logsumexp(m, main)) - x.shape[0] * logsumexp(m, alpha)
    return total + prior + constant


def triangle_places(d):
    """Where (diagonal, below by columns, zero) has each entry of a (d, d) triangle."""
    places = np.full((d, d), d + d * (d - 1) // 2)
    rows, columns = np.tril_indices(d, -1)
    order = np.lexsort((rows, columns))
    places[rows[order], columns[order]] = d + np.arange(rows.size)
    places[np.arange(d), np.arange(d)] = np.arange(d)
    return places


def precision_constants(n, d, k, gamma, strength):
    """(gamma, strength, what no parameter changes)."""
    from scipy.special import multigammaln

    freedom = d + strength + 1
    prior = freedom * d * math.log(gamma / math.sqrt(2)) - multigammaln(freedom / 2, d)
    constant = -n * d / 2 * math.log(2 * math.pi) - k * prior
    return np.array([gamma, strength, constant])


def precision_problem(n, d, k):
    """Random parameters and points, as ADBench makes them."""
    rng = np.random.default_rng(7)
    parameters = (
        rng.normal(size=k),
        rng.uniform(size=(k, d)),
        rng.normal(size=(k, d * (d + 1) // 2)) / math.sqrt(d),
    )
    data = rng.normal(size=(n, d)), triangle_places(d)
    return parameters, (*data, precision_constants(n, d, k, 1.0, 0))


def precision_file(path):
    """Parameters and points of one of ADBench's files."""
    words = Path(path).read_text().split()
    d, k, n = (int(word) for word in words[:3])
    values = np.array(words[3:], float)
    cuts = np.cumsum([k, k * d, k * d * (d + 1) // 2, n * d])
    alpha, means, factors, x, (gamma, strength) = np.split(values, cuts)
    parameters = alpha, means.reshape(k, d), factors.reshape(k, -1)
    constants = precision_constants(n, d, k, gamma, int(strength))
    return parameters, (x.reshape(n, d), triangle_places(d), constants)


# ADBench's files are asked for gradient over objective: no minutes of compilation.
UNCOMPILED = ("pyarr", "interpreter", "numpy", "autograd", "torch", "jax")
ADBENCH = (
    "1k/gmm_d10_K25",
    "1k/gmm_d20_K50",
    "1k/gmm_d64_K10",
    "1k/gmm_d128_K5",
    "10k/gmm_d10_K25",
    "10k/gmm_d20_K10",
)


def of_size(name, formula, problem, sizes, fused=""):
    """One workload for each size, named after it: beam-1e6."""
    part = functools.partial
    for n in sizes:
        exponent = math.log10(n)
        size = f"1e{exponent:.0f}" if n > 100 and exponent % 1 == 0 else str(n)
        yield Workload(f"{name}-{size}", formula, part(problem, n), fused)


def squares(formula):
    return functools.partial(formula, radius="squares")


def workloads(data):
    """All of them but the telescope's maps; ADBench's files lie in `data`/adbench."""
    part = functools.partial
    beams = [10, 1_000, 100_000, 1_000_000, 10_000_000]
    found = [
        *of_size("beam", beam, beam_problem, beams, "beam"),
        *of_size("beam-squares", squares(beam), beam_problem, beams[3:], "beam"),
        *of_size("cauchy", cauchy, cauchy_problem, [1_000_000], "cauchy"),
        *of_size(
            "cauchy-squares", squares(cauchy), cauchy_problem, [1_000_000], "cauchy"
        ),
        *of_size("mixture", mixture, mixture_problem, beams[2:], "mixture"),
        *of_size("line", line, line_problem, [10_000_000], "line"),
    ]
    for name, formula in ("logistic", logistic), ("poisson", poisson):
        problem = part(regression_problem, 1_000_000, 32, name)
        found.append(Workload(f"{name}-1e6x32", formula, problem, name))
    found += of_size("kernel", kernel_sum, kernel_problem, [4096], "kernel_sum")
    for n in 1_000, 10_000:
        problem = part(precision_problem, n, 20, 25)
        found.append(Workload(f"gmm-d20-K25-{n}", precision_mixture, problem))
    for name in ADBENCH:
        path = Path(data) / "adbench" / "gmm" / f"{name}.txt"
        if path.is_file():
            label = "adbench-" + name.replace("/gmm_", "-").replace("_", "-")
            found.append(Workload(label, precision_mixture, part(precision_file, path)))
    problem = part(perceptron_problem, 128, 784, 300, 10)
    found.append(Workload("mlp-784-300-10", perceptron, problem))
    return found
