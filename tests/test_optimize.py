"""pyarr.optimize against scipy.optimize."""

import re
import sys

import numpy as np
import pytest
import scipy.optimize

import pyarr
from pyarr import optimize

START = np.array([1.3, 0.7, 0.8, 1.9])


def rosen(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


METHODS = {
    "Nelder-Mead": 1e-3,
    "Powell": 1e-3,
    "CG": 1e-4,
    "BFGS": 1e-5,
    "Newton-CG": 1e-5,
    "L-BFGS-B": 1e-4,
    "TNC": 1e-3,
    "COBYLA": 2e-1,
    "COBYQA": 1e-3,
    "SLSQP": 1e-3,
    "trust-constr": 1e-4,
    "dogleg": 1e-5,
    "trust-ncg": 1e-5,
    "trust-exact": 1e-4,
    "trust-krylov": 1e-4,
}


def test_every_method_of_scipy_is_known():
    import scipy.optimize._minimize as implementation

    assert {m.lower() for m in METHODS} == set(optimize._NEEDS)
    assert {m.lower() for m in implementation.MINIMIZE_METHODS} == set(optimize._NEEDS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("method", METHODS)
def test_minimize(method):
    # dogleg needs a convex function
    fun = rosen
    if method == "dogleg":
        fun = lambda x: ((x - 1.0) ** 2).sum() + ((x - 1.0) ** 4).sum()
    options = {"maxiter": 5000}
    start = START if method != "COBYLA" else np.full(4, 0.9)
    result = optimize.minimize(fun, start, method=method, options=options)
    assert isinstance(result, scipy.optimize.OptimizeResult)
    np.testing.assert_allclose(result.x, 1.0, atol=METHODS[method])
    assert type(result.x) is np.ndarray


def test_minimize_takes_scipys_steps():
    """With exact derivatives the iterations are those of SciPy with its own."""
    ours = optimize.minimize(rosen, START, method="BFGS")
    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen, START, method="BFGS", jac=scipy.optimize.rosen_der
    )
    assert ours.nit == theirs.nit and ours.nfev == theirs.nfev
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-8)
    ours = optimize.minimize(rosen, START, method="trust-exact")
    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen,
        START,
        method="trust-exact",
        jac=scipy.optimize.rosen_der,
        hess=scipy.optimize.rosen_hess,
    )
    assert ours.nit == theirs.nit
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-8)


def test_hessian_products_for_many_parameters():
    n = optimize._MATRIX_LIMIT + 10
    target = np.linspace(-1, 1, n)
    result = optimize.minimize(
        lambda x: ((x - target) ** 4).sum() + ((x - target) ** 2).sum(),
        np.zeros(n),
        method="trust-ncg",
    )
    np.testing.assert_allclose(result.x, target, atol=1e-5)


def test_one_evaluation_is_shared():
    calls = []

    def f(x):
        calls.append(1)
        return rosen(x)

    result = optimize.minimize(f, START, method="BFGS")
    assert len(calls) == result.nfev


def test_arguments_and_kinds():
    data = np.array([1.0, 2.0])
    f = lambda x, a, b: ((x - a) ** 2).sum() * b
    for x0 in ([0.0, 0.0], np.zeros(2), pyarr.zeros(2), (0, 0)):
        result = optimize.minimize(f, x0, args=(data, 2.0))
        np.testing.assert_allclose(result.x, data, atol=1e-6)
    assert optimize.minimize(lambda x, a: (x - a) ** 2, 0.0, args=3.0, method="CG").x[
        0
    ] == pytest.approx(3.0)


def test_given_derivatives_are_used():
    used = []

    def jac(x):
        used.append("jac")
        return scipy.optimize.rosen_der(np.asarray(x))

    optimize.minimize(rosen, START, method="BFGS", jac=jac)
    assert used
    both = lambda x: (rosen(x).item(), scipy.optimize.rosen_der(np.asarray(x)))
    result = optimize.minimize(both, START, jac=True)
    np.testing.assert_allclose(result.x, 1.0, atol=1e-5)
    result = optimize.minimize(rosen, START, jac="2-point")
    np.testing.assert_allclose(result.x, 1.0, atol=1e-4)
    result = optimize.minimize(
        rosen, START, method="trust-constr", hess=scipy.optimize.BFGS()
    )
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)


@pytest.mark.parametrize("method", [None, "L-BFGS-B", "TNC", "SLSQP", "trust-constr"])
def test_bounds(method):
    for bounds in (
        [(None, 0.5)] * 4,
        scipy.optimize.Bounds(-np.inf, 0.5),
    ):
        result = optimize.minimize(rosen, START, method=method, bounds=bounds)
        expected = scipy.optimize.minimize(
            scipy.optimize.rosen, START, bounds=bounds, jac=scipy.optimize.rosen_der
        )
        np.testing.assert_allclose(result.x, expected.x, atol=2e-3)
        assert (result.x <= 0.5 + 1e-12).all()


def constraint_forms():
    fun = lambda x: x[0] ** 2 + x[1] * x[2]
    nonlinear = scipy.optimize.NonlinearConstraint(fun, 2.0, 2.0)
    as_dict = {"type": "eq", "fun": lambda x, c: fun(x) - c, "args": (2.0,)}
    return {"nonlinear": nonlinear, "dict": as_dict, "list": [as_dict]}


@pytest.mark.parametrize("form", ["nonlinear", "dict", "list"])
@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", None])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_constraints(method, form):
    constraint = constraint_forms()[form]
    f = lambda x: ((x - 1.5) ** 2).sum()
    result = optimize.minimize(
        f, [1.0, 1.0, 0.5], method=method, constraints=constraint
    )
    x = result.x
    assert x[0] ** 2 + x[1] * x[2] == pytest.approx(2.0, abs=1e-6)
    expected = scipy.optimize.minimize(
        lambda x: ((x - 1.5) ** 2).sum(),
        [1.0, 1.0, 0.5],
        method="SLSQP",
        constraints=constraint_forms()["dict"],
        tol=1e-12,
    )
    np.testing.assert_allclose(x, expected.x, atol=1e-4)


def test_constraints_have_exact_jacobians():
    seen = {}

    def fun(x):
        return pyarr.stack([pyarr.exp(x[0]) * x[1], x[1] ** 3])

    exact = optimize._exact_dict({"type": "eq", "fun": fun})
    x = np.array([0.3, 2.0])
    np.testing.assert_allclose(
        exact["jac"](x), [[np.exp(0.3) * 2, np.exp(0.3)], [0.0, 12.0]], rtol=1e-14
    )
    np.testing.assert_allclose(exact["fun"](x), [np.exp(0.3) * 2, 8.0], rtol=1e-14)
    constraint = optimize._exact_nonlinear(
        scipy.optimize.NonlinearConstraint(fun, 0, 1), True
    )
    v = np.array([2.0, -1.0])
    e = np.exp(0.3)
    np.testing.assert_allclose(
        constraint.hess(x, v), [[2 * e * 2, 2 * e], [2 * e, -12.0]], rtol=1e-13
    )
    assert not seen


def test_linear_constraint_and_several():
    linear = scipy.optimize.LinearConstraint([[1.0, 1.0, 1.0]], -np.inf, 1.0)
    inequality = {"type": "ineq", "fun": lambda x: x[0] - 0.5}
    for method in ("SLSQP", "trust-constr"):
        result = optimize.minimize(
            lambda x: ((x - 1.0) ** 2).sum(),
            [0.0, 0.0, 0.0],
            method=method,
            constraints=[linear, inequality],
        )
        np.testing.assert_allclose(result.x, [0.5, 0.25, 0.25], atol=1e-3)


def test_callback_and_progress(capsys):
    points = []

    def by_result(*, intermediate_result):
        points.append(intermediate_result.fun)

    optimize.minimize(rosen, START, method="BFGS", callback=by_result, progress=True)
    assert len(points) > 5 and points[-1] < points[0]
    points.clear()
    optimize.minimize(rosen, START, method="L-BFGS-B", callback=points.append)
    assert points and points[-1].shape == (4,)
    optimize.minimize(rosen, START, method="trust-constr", progress=True)

    def stop(xk):
        raise StopIteration

    assert optimize.minimize(rosen, START, method="BFGS", callback=stop).nit == 1
    assert "BFGS" in capsys.readouterr().err


def test_progress_without_tqdm(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    optimize.minimize(rosen, START, method="BFGS", progress=True)
    shown = capsys.readouterr().err
    # One line where nobody watches.
    assert re.fullmatch(r"\rBFGS: \d+ it, .*\n", shown)


def test_minimize_refuses():
    with pytest.raises(TypeError):
        optimize.minimize(lambda x: x, [0.0, 1.0])
    with pytest.raises(ValueError):
        optimize.minimize(rosen, START, method="nonsense")
    with pytest.raises(ZeroDivisionError):
        optimize.minimize(lambda x: 1 / 0, START)


# ---- least squares ----

T = np.linspace(0.0, 3.0, 40)
TRUE = np.array([2.5, 1.3, 0.5])
Y = TRUE[0] * np.exp(-TRUE[1] * T) + TRUE[2] + 0.05 * np.sin(37.0 * T)


def model(t, a, k, c):
    return a * np.exp(-k * t) + c


def plain_jacobian(p):
    e = np.exp(-p[1] * T)
    return np.stack([e, -p[0] * T * e, np.ones_like(T)], axis=1)


def residuals(p, t=T, y=Y):
    return p[0] * np.exp(-p[1] * t) + p[2] - y


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(method):
    ours = optimize.least_squares(residuals, [1.0, 1.0, 1.0], method=method)
    theirs = scipy.optimize.least_squares(
        residuals, [1.0, 1.0, 1.0], jac=plain_jacobian, method=method
    )
    assert ours.nfev == theirs.nfev
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-10)
    j = plain_jacobian(theirs.x)
    expected = np.linalg.inv(j.T @ j) * 2 * theirs.cost / (T.size - 3)
    np.testing.assert_allclose(ours.cov, expected, rtol=1e-6)


def test_least_squares_options():
    bounded = optimize.least_squares(
        residuals, [1.0, 0.5, 0.1], bounds=([0, 0, 0], [3, 1, 3]), args=(T, Y)
    )
    expected = scipy.optimize.least_squares(
        residuals,
        [1.0, 0.5, 0.1],
        bounds=([0, 0, 0], [3, 1, 3]),
        jac=lambda p, t, y: plain_jacobian(p),
        args=(T, Y),
    )
    np.testing.assert_allclose(bounded.x, expected.x, rtol=1e-8)
    assert bounded.x[1] <= 1.0
    for loss in ("soft_l1", "huber", "cauchy", "arctan"):
        ours = optimize.least_squares(
            residuals, [1.0, 1.0, 1.0], loss=loss, f_scale=0.1, kwargs={"t": T, "y": Y}
        )
        theirs = scipy.optimize.least_squares(
            residuals, [1.0, 1.0, 1.0], jac=plain_jacobian, loss=loss, f_scale=0.1
        )
        np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-6)
    differences = optimize.least_squares(residuals, [1.0, 1.0, 1.0], jac="3-point")
    np.testing.assert_allclose(
        differences.x, scipy.optimize.least_squares(residuals, np.ones(3)).x, rtol=1e-5
    )


def test_undetermined_covariance_is_infinite():
    result = optimize.least_squares(lambda p: (p[0] + p[1]) * T - Y, [1.0, 1.0])
    assert np.isinf(result.cov).all()


def test_least_squares_shares_its_evaluation():
    calls = []

    def f(p):
        calls.append(1)
        return residuals(p)

    result = optimize.least_squares(f, [1.0, 1.0, 1.0])
    assert len(calls) <= result.nfev + result.njev


def test_least_squares_shows_progress(capsys):
    result = optimize.least_squares(residuals, [1.0, 1.0, 1.0], progress=True)
    scaled = optimize.least_squares(residuals, [1.0, 1.0, 1.0], x_scale=[1.0, 2.0, 1.0])
    np.testing.assert_allclose(result.x, scaled.x, rtol=1e-6)
    assert "least_squares trf" in capsys.readouterr().err


@pytest.mark.parametrize("absolute_sigma", [False, True])
@pytest.mark.parametrize("sigma", [None, "1-d", "2-d"])
@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), ([0, 0, 0], [5, 5, 5])])
def test_curve_fit(sigma, absolute_sigma, bounds):
    if sigma == "1-d":
        sigma = 0.05 + 0.02 * np.cos(T) ** 2
    elif sigma == "2-d":
        sigma = 0.01 * np.exp(-np.abs(T[:, None] - T)) + 0.01 * np.eye(T.size)
    options = {
        "p0": [1.0, 1.0, 1.0],
        "sigma": sigma,
        "absolute_sigma": absolute_sigma,
        "bounds": bounds,
    }
    popt, pcov = optimize.curve_fit(model, T, Y, **options)
    expected, covariance = scipy.optimize.curve_fit(
        model, T, Y, jac=lambda t, *p: plain_jacobian(p), **options
    )
    np.testing.assert_allclose(popt, expected, rtol=1e-8)
    np.testing.assert_allclose(pcov, covariance, rtol=1e-8)


def test_curve_fit_forms():
    popt, _ = optimize.curve_fit(model, T, Y)  # parameters counted from the signature
    expected, _ = scipy.optimize.curve_fit(model, T, Y)
    np.testing.assert_allclose(popt, expected, rtol=1e-6)
    popt, _ = optimize.curve_fit(model, pyarr.asarray(T), pyarr.asarray(Y))
    np.testing.assert_allclose(popt, expected, rtol=1e-6)
    popt, _ = optimize.curve_fit(model, T.tolist(), Y.tolist(), p0=(1, 1, 1))
    np.testing.assert_allclose(popt, expected, rtol=1e-6)
    result = optimize.curve_fit(model, T, Y, full_output=True)
    assert len(result) == 5 and "nfev" in result[2]
    popt, _ = optimize.curve_fit(lambda t, a, k: a * pyarr.exp(-k * t), T, Y)
    assert popt.shape == (2,)
    two = np.stack([T, T**2])
    plane = lambda xy, a, b: a * xy[0] + b * xy[1]
    popt, _ = optimize.curve_fit(plane, two, 2 * T - T**2, p0=[0.5, 0.5])
    np.testing.assert_allclose(popt, [2.0, -1.0], atol=1e-10)


def test_curve_fit_errors_are_scipys():
    with pytest.raises(ValueError):
        optimize.curve_fit(model, T, np.full_like(T, np.nan))
    with pytest.raises(TypeError):
        optimize.curve_fit(model, T[:2], Y[:2])
    with pytest.raises(RuntimeError):
        optimize.curve_fit(model, T, Y, p0=[1, 1, 1], maxfev=2)


# ---- roots ----


def system(x):
    return pyarr.stack(
        [x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1.0, 0.5 * (x[1] - x[0]) ** 3 + x[1]]
    )


@pytest.mark.parametrize("method", ["hybr", "lm", "broyden1", "krylov", "df-sane"])
def test_root(method):
    result = optimize.root(system, [0.8, 0.2], method=method)
    assert result.success
    np.testing.assert_allclose(result.x, [0.8411639, 0.1588361], atol=1e-5)


def test_root_uses_the_exact_jacobian():
    result = optimize.root(system, [0.0, 0.0])
    assert result.njev >= 1
    np.testing.assert_allclose(system(pyarr.asarray(result.x)), 0.0, atol=1e-10)
    shifted = optimize.root(
        lambda x, c: x**3 - c, [1.0, 1.0], args=np.array([8.0, 27.0])
    )
    np.testing.assert_allclose(shifted.x, [2.0, 3.0], rtol=1e-10)
    as_list = optimize.root(lambda x: [x[0] - 1.0, x[1] * x[0] - 2.0], [2.0, 1.0])
    np.testing.assert_allclose(as_list.x, [1.0, 2.0], rtol=1e-10)
