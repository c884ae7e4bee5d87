"""SciPy's optimizers with exact derivatives.

``minimize``, ``least_squares``, ``curve_fit`` and ``root`` take SciPy's arguments and
return SciPy's results. What the method needs (gradient, Jacobian, Hessian or Hessian
products) comes from pyarr unless it is given.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import asarray, detach
from .transforms import hessian, hvp, jacobian, value_and_grad

__all__ = ["curve_fit", "least_squares", "minimize", "root"]

# What each method of scipy.optimize.minimize asks for: "value", "gradient",
# "hessian" (a matrix), "product" (Hessian times a vector) or "either" of the last two.
_NEEDS = {
    "nelder-mead": "value",
    "powell": "value",
    "cobyla": "value",
    "cobyqa": "value",
    "cg": "gradient",
    "bfgs": "gradient",
    "l-bfgs-b": "gradient",
    "tnc": "gradient",
    "slsqp": "gradient",
    "newton-cg": "either",
    "trust-ncg": "either",
    "trust-krylov": "either",
    "trust-constr": "either",
    "dogleg": "hessian",
    "trust-exact": "hessian",
}

# Where a method takes either, up to this many parameters the matrix is cheaper: it
# is computed once an iteration, products several times.
_MATRIX_LIMIT = 64


def _plain(value: Any) -> np.ndarray:
    """A result of the user's function as a NumPy array of its own."""
    return np.array(detach(asarray(value)), dtype=float)


def _copy(x: Any) -> np.ndarray:
    """SciPy reuses its x: keep a copy."""
    return np.array(x, dtype=float)


class _Objective:
    """Value and gradient of ``fun(x, *args)``, computed once for each x."""

    def __init__(self, fun: Callable, args: tuple) -> None:
        self.fun = fun
        self.args = args
        self.value_and_grad = value_and_grad(self.at)
        self.x: np.ndarray | None = None
        self.last: float = np.nan
        self.slope: np.ndarray | None = None

    def at(self, x: Any) -> Any:
        out = self.fun(x, *self.args)
        # SciPy takes a single number in any shape
        if getattr(out, "ndim", 0) > 0 and out.size == 1:
            return out.reshape(())
        return out

    def both(self, x: np.ndarray) -> None:
        if self.x is None or self.slope is None or not np.array_equal(self.x, x):
            self.x = _copy(x)
            self.slope = None
            self.last, self.slope = self.value_and_grad(self.x)

    def value(self, x: np.ndarray) -> float:
        self.both(x)
        return self.last

    def gradient(self, x: np.ndarray) -> np.ndarray:
        self.both(x)
        assert self.slope is not None
        return self.slope.copy()

    def value_only(self, x: np.ndarray) -> float:
        value = _plain(self.at(asarray(_copy(x))))
        if value.size != 1:
            raise ValueError(
                "minimize: the objective must be a single number, got an array of "
                f"shape {value.shape}"
            )
        self.last = float(value.reshape(()))
        return self.last

    def hessian(self, x: np.ndarray, *args: Any) -> np.ndarray:
        return hessian(self.at)(_copy(x))

    def product(self, x: np.ndarray, v: np.ndarray, *args: Any) -> np.ndarray:
        return hvp(self.at)(_copy(x), _copy(v))


class _Residuals:
    """A vector function and its Jacobian; a pair at the same x is computed once.

    The function's value falls out of the Jacobian's evaluation, so that asking for
    it again at that x costs nothing.
    """

    def __init__(self, fun: Callable) -> None:
        self.fun = fun
        self.x: np.ndarray | None = None
        self.values: np.ndarray | None = None
        self.matrix: np.ndarray | None = None
        self.kept: Any = None
        self.jacobian_of = jacobian(self.keep)

    def keep(self, x: Any) -> Any:
        out = self.fun(x)
        if isinstance(out, (list, tuple)):
            out = asarray(out)
        self.kept = detach(asarray(out))
        return out

    def move(self, x: np.ndarray) -> None:
        if self.x is None or not np.array_equal(self.x, x):
            self.x = _copy(x)
            self.values = self.matrix = None

    def value(self, x: np.ndarray) -> np.ndarray:
        self.move(x)
        if self.values is None:
            self.values = _plain(self.fun(asarray(_copy(x))))
        assert self.values is not None
        return self.values.copy()

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        self.move(x)
        if self.matrix is None:
            self.matrix = np.asarray(self.jacobian_of(self.x))
            self.values = _plain(self.kept)
            self.kept = None
        return self.matrix.copy()

    def weighted_hessian(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        weights = np.array(weights, dtype=float)

        def combined(p: Any) -> Any:
            return (weights * asarray(self.fun(p)).reshape(-1)).sum()

        return hessian(combined)(_copy(x))


def _is_watched() -> bool:
    """Whether standard error is a terminal or a notebook, where lines are redrawn."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return terminal or "ipykernel" in sys.modules


class _Progress:
    """A progress bar by tqdm, or a line on standard error without it."""

    def __init__(self, name: str, value: Callable[[], float], total: Any) -> None:
        self.value = value
        self.count = 0
        self.name = name
        self.text = ""
        self.watched = _is_watched()
        try:
            from tqdm.auto import tqdm
        except ImportError:
            self.bar = None
        else:
            # Elsewhere each redrawing is one more line of a log.
            pause = 0.1 if self.watched else 10
            self.bar = tqdm(desc=name, total=total, unit="it", mininterval=pause)

    def step(self) -> None:
        self.count += 1
        self.text = f"{self.value():.8g}"
        if self.bar is not None:
            self.bar.set_postfix_str(self.text, refresh=False)
            self.bar.update()
        elif self.watched:
            self.write(end="")

    def write(self, end: str) -> None:
        line = f"\r{self.name}: {self.count} it, {self.text}"
        print(line, end=end, file=sys.stderr)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.count and sys.stderr is not None:
            self.write(end="\n")


def _with_progress(callback: Callable | None, bar: _Progress) -> Callable:
    if callback is None:
        return lambda *state: bar.step()

    # SciPy reads the parameters' names, which wraps keeps.
    @functools.wraps(callback)
    def both(*args: Any, **kwargs: Any) -> Any:
        bar.step()
        return callback(*args, **kwargs)

    return both


def _numbers(x: Any) -> Any:
    """Bounds and such: pyarr arrays as NumPy's, others unchanged."""
    if x is None or isinstance(x, (str, np.ndarray)):
        return x
    if hasattr(x, "__array_namespace__"):
        return np.asarray(detach(x))
    if isinstance(x, tuple) and any(hasattr(v, "__array_namespace__") for v in x):
        return tuple(_numbers(v) for v in x)
    return x


def _as_tuple(args: Any) -> tuple:
    return args if isinstance(args, tuple) else (args,)


def _choose_method(method: Any, bounds: Any, constraints: Any) -> Any:
    """SciPy's own choice where none is given."""
    if method is not None:
        return method
    if not isinstance(constraints, (list, tuple)) or len(constraints) > 0:
        return "SLSQP"
    return "L-BFGS-B" if bounds is not None else "BFGS"


def _exact_dict(constraint: dict) -> dict:
    args = _as_tuple(constraint.get("args", ()))
    fun = constraint["fun"]
    residuals = _Residuals(lambda x: fun(x, *args))
    exact = {k: v for k, v in constraint.items() if k != "args"}
    exact["fun"] = residuals.value
    given = constraint.get("jac")
    if callable(given):
        exact["jac"] = lambda x: np.asarray(given(x, *args))
    else:
        exact["jac"] = residuals.jacobian
    return exact


def _exact_nonlinear(constraint: Any, second_order: bool) -> Any:
    from scipy.optimize import BFGS, NonlinearConstraint

    residuals = _Residuals(constraint.fun)

    def matrix(x: np.ndarray) -> np.ndarray:
        return np.atleast_2d(residuals.jacobian(x))

    hess = constraint.hess
    if second_order and (isinstance(hess, str) or type(hess) is BFGS):
        hess = residuals.weighted_hessian  # the default approximation is not needed
    return NonlinearConstraint(
        residuals.value,
        _numbers(constraint.lb),
        _numbers(constraint.ub),
        jac=constraint.jac if callable(constraint.jac) else matrix,
        hess=hess,
        keep_feasible=constraint.keep_feasible,
        finite_diff_rel_step=constraint.finite_diff_rel_step,
        finite_diff_jac_sparsity=constraint.finite_diff_jac_sparsity,
    )


def _exact_constraints(constraints: Any, method: str) -> Any:
    from scipy.optimize import NonlinearConstraint

    def exact(constraint: Any) -> Any:
        if isinstance(constraint, dict):
            return _exact_dict(constraint)
        if isinstance(constraint, NonlinearConstraint):
            return _exact_nonlinear(constraint, method == "trust-constr")
        return constraint

    if isinstance(constraints, (list, tuple)):
        return [exact(c) for c in constraints]
    return exact(constraints)


def _bind(function: Any, args: tuple) -> Any:
    """A derivative that the user gave, with its arguments."""
    if not callable(function):
        return function
    return lambda *x: np.asarray(function(*x, *args))


def _derivatives(
    objective: _Objective, needs: str, size: int, jac: Any, hess: Any, hessp: Any
) -> dict:
    """The arguments fun, jac, hess and hessp for SciPy."""
    from scipy.optimize import HessianUpdateStrategy

    args = objective.args
    if jac is True:  # fun gives both, as SciPy has it
        chosen = {"fun": lambda x: objective.at(x), "jac": True}
    elif needs == "value":
        return {"fun": objective.value_only}
    elif jac is None or jac is False:
        chosen = {"fun": objective.value, "jac": objective.gradient}
    else:
        chosen = {"fun": objective.value_only, "jac": _bind(jac, args)}
    if needs in ("value", "gradient"):
        return chosen
    if hess is not None or hessp is not None:
        given = isinstance(hess, (str, HessianUpdateStrategy))
        chosen["hess"] = hess if given else _bind(hess, args)
        chosen["hessp"] = _bind(hessp, args)
    elif jac is True:
        raise ValueError(
            "minimize: with jac=True this method needs hess or hessp too; leave jac "
            "out, and pyarr differentiates fun itself"
        )
    elif needs == "hessian" or size <= _MATRIX_LIMIT:
        chosen["hess"] = objective.hessian
    else:
        chosen["hessp"] = objective.product
    return chosen


def minimize(
    fun: Callable,
    x0: Any,
    args: Any = (),
    method: Any = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Callable | None = None,
    options: dict | None = None,
    *,
    progress: bool = False,
) -> Any:
    """Minimise ``fun(x, *args)`` over a vector x, as ``scipy.optimize.minimize``.

    Parameters
    ----------
    fun : callable
        Takes a 1-d pyarr array and returns a real number.
    x0 : array_like
        Start, 1-d.
    method : str, optional
        Any method of SciPy. Gradients, Hessians and Hessian products that it needs
        are exact; ``jac``, ``hess`` and ``hessp`` replace them where given.
    bounds, constraints, tol, callback, options
        As SciPy's. Constraints given as a dict or a ``NonlinearConstraint`` get
        exact Jacobians (and Hessians, for ``trust-constr``).
    progress : bool
        Show iterations and the value reached (by tqdm where it is installed).

    Returns
    -------
    scipy.optimize.OptimizeResult

    Raises
    ------
    TypeError
        ``fun`` gives no real number.

    Examples
    --------
    >>> import pyarr
    >>> from pyarr.optimize import minimize
    >>> result = minimize(lambda x: ((x - 2.0) ** 2).sum(), [0.0, 0.0])
    >>> result.x.round(6)
    array([2., 2.])
    """
    import scipy.optimize

    method = _choose_method(method, bounds, constraints)
    name = method.lower() if isinstance(method, str) else "gradient of a callable"
    start = np.atleast_1d(_plain(x0))
    objective = _Objective(fun, _as_tuple(args))
    chosen = _derivatives(
        objective, _NEEDS.get(name, "gradient"), start.size, jac, hess, hessp
    )
    if isinstance(method, str):
        constraints = _exact_constraints(constraints, name)
    total = (options or {}).get("maxiter")
    bar = _Progress(str(method), lambda: objective.last, total) if progress else None
    if bar is not None:
        callback = _with_progress(callback, bar)
    try:
        return scipy.optimize.minimize(
            x0=start,
            method=method,
            bounds=_numbers(bounds),
            constraints=constraints,
            tol=tol,
            callback=callback,
            options=options,
            **chosen,
        )
    finally:
        if bar is not None:
            bar.close()


def _covariance(matrix: Any, cost: float) -> np.ndarray:
    """inv(J^T J) times the residual variance; inf where that is singular."""
    m, n = matrix.shape
    _, s, vt = np.linalg.svd(matrix, full_matrices=False)
    threshold = np.finfo(float).eps * max(m, n) * (s[0] if s.size else 0.0)
    if m <= n or s.size < n or not np.all(s > threshold):
        return np.full((n, n), np.inf)
    scaled = vt / s[:, None]
    return scaled.T @ scaled * (2.0 * cost / (m - n))


def least_squares(
    fun: Callable,
    x0: Any,
    jac: Any = None,
    bounds: Any = (-np.inf, np.inf),
    method: str = "trf",
    ftol: float | None = 1e-8,
    xtol: float | None = 1e-8,
    gtol: float | None = 1e-8,
    x_scale: Any = None,
    loss: Any = "linear",
    f_scale: float = 1.0,
    diff_step: Any = None,
    tr_solver: str | None = None,
    tr_options: dict | None = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: Any = (),
    kwargs: dict | None = None,
    callback: Callable | None = None,
    workers: Any = None,
    *,
    progress: bool = False,
) -> Any:
    """Minimise half the sum of squared residuals, as ``scipy.optimize.least_squares``.

    ``fun(x, *args, **kwargs)`` takes a pyarr array of n parameters and returns m
    residuals. ``jac=None`` is the exact Jacobian; SciPy's '2-point' and so on, or a
    callable, replace it. The other parameters are SciPy's.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's result with one more field: ``cov``, the covariance of the
        parameters, ``inv(J.T @ J)`` times the residual variance ``2*cost/(m - n)``;
        infinite where the data do not determine the parameters. For residuals that
        are already divided by known errors, divide it by that variance.

    Raises
    ------
    ValueError
        As SciPy: x0 outside the bounds, residuals that are not finite at x0, ...

    Examples
    --------
    >>> import numpy, pyarr
    >>> t = numpy.array([0.0, 1.0, 2.0])
    >>> y = numpy.array([1.0, 3.0, 5.0])
    >>> from pyarr.optimize import least_squares
    >>> least_squares(lambda p: p[0] + p[1] * t - y, [0.0, 0.0]).x.round(6)
    array([1., 2.])
    """
    import scipy.optimize

    args, kwargs = _as_tuple(args), kwargs or {}
    residuals = _Residuals(lambda x: fun(x, *args, **kwargs))

    def matrix(x: np.ndarray) -> np.ndarray:
        return np.atleast_2d(residuals.jacobian(x))

    if jac is None:
        jac = matrix
    elif callable(jac):
        jac = _bind_keywords(jac, args, kwargs)
    # Of newer SciPy only, or with another default there.
    more = {"callback": callback, "workers": workers, "x_scale": _numbers(x_scale)}
    more = {k: v for k, v in more.items() if v is not None}
    bar = None
    if progress:

        def cost() -> float:
            values = residuals.values
            return (
                np.nan
                if values is None
                else 0.5 * float(values.ravel() @ values.ravel())
            )

        bar = _Progress(f"least_squares {method}", cost, max_nfev)
        count = jac if callable(jac) else None
        if count is not None:
            # A Jacobian is asked for once an iteration, by every method and version.
            def jac(x: np.ndarray) -> Any:
                bar.step()
                return count(x)

    try:
        result = scipy.optimize.least_squares(
            residuals.value,
            np.atleast_1d(_plain(x0)),
            jac=jac,
            bounds=_numbers(bounds),
            method=method,
            ftol=ftol,
            xtol=xtol,
            gtol=gtol,
            loss=loss,
            f_scale=f_scale,
            diff_step=diff_step,
            tr_solver=tr_solver,
            tr_options=tr_options or {},
            jac_sparsity=jac_sparsity,
            max_nfev=max_nfev,
            verbose=verbose,
            **more,
        )
    finally:
        if bar is not None:
            bar.close()
    final = result.jac.toarray() if hasattr(result.jac, "toarray") else result.jac
    if isinstance(final, np.ndarray):
        result.cov = _covariance(final, result.cost)
    return result


def _bind_keywords(function: Callable, args: tuple, kwargs: dict) -> Callable:
    def bound(x: np.ndarray) -> Any:
        value = function(x, *args, **kwargs)
        return _numbers(value)

    return bound


def curve_fit(
    f: Callable,
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = (-np.inf, np.inf),
    method: str | None = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    **kwargs: Any,
) -> Any:
    """Fit ``f(xdata, *params)`` to ydata, as ``scipy.optimize.curve_fit``.

    The Jacobian is exact unless ``jac`` is given. Parameters and result are SciPy's:
    ``popt`` and ``pcov``, and three more with ``full_output``.

    Raises
    ------
    ValueError, RuntimeError, TypeError
        As SciPy: data that are not finite or do not fit, no convergence, fewer data
        than parameters.

    Examples
    --------
    >>> import numpy, pyarr
    >>> from pyarr.optimize import curve_fit
    >>> t = numpy.linspace(0.0, 1.0, 20)
    >>> y = 2.0 * numpy.exp(-3.0 * t)
    >>> popt, pcov = curve_fit(lambda t, a, k: a * pyarr.exp(-k * t), t, y, p0=[1, 1])
    >>> popt.round(6)
    array([2., 3.])
    """
    import scipy.optimize

    # One evaluation for each point: SciPy calls f and jac with the same parameters.
    cache: list = [None, None]

    def residuals_for(x: Any) -> _Residuals:
        if cache[0] is not x or cache[1] is None:
            data = x
            if isinstance(x, np.ndarray):
                data = asarray(x)
            cache[0] = x
            cache[1] = _Residuals(lambda p: f(data, *p))
        return cache[1]

    # SciPy counts the parameters of f where p0 is not given.
    @functools.wraps(f)
    def model(x: Any, *params: float) -> np.ndarray:
        return residuals_for(x).value(np.array(params, dtype=float))

    def exact(x: Any, *params: float) -> np.ndarray:
        return np.atleast_2d(residuals_for(x).jacobian(np.array(params, dtype=float)))

    more = {"nan_policy": nan_policy} if nan_policy is not None else {}
    return scipy.optimize.curve_fit(
        model,
        _numbers(xdata),
        _numbers(ydata),
        p0=_numbers(p0),
        sigma=_numbers(sigma),
        absolute_sigma=absolute_sigma,
        check_finite=check_finite,
        bounds=_numbers(bounds),
        method=method,
        jac=exact if jac is None else jac,
        full_output=full_output,
        **more,
        **kwargs,
    )


def root(
    fun: Callable,
    x0: Any,
    args: Any = (),
    method: str = "hybr",
    jac: Any = None,
    tol: float | None = None,
    callback: Callable | None = None,
    options: dict | None = None,
) -> Any:
    """Find x with ``fun(x, *args) = 0``, as ``scipy.optimize.root``.

    ``fun`` takes a pyarr array and returns as many numbers. Methods that use a
    Jacobian ('hybr', 'lm') get the exact one unless ``jac`` is given.

    Raises
    ------
    ValueError, TypeError
        As SciPy: unknown method, a result of another size than x0.

    Examples
    --------
    >>> from pyarr.optimize import root
    >>> root(lambda x: x**2 - 4.0, [1.0]).x.round(6)
    array([2.])
    """
    import scipy.optimize

    args = _as_tuple(args)
    residuals = _Residuals(lambda x: fun(x, *args))
    if jac is True:
        raise ValueError(
            "root: jac=True is not needed; leave it out, and pyarr differentiates fun"
        )
    uses_jacobian = method in ("hybr", "lm")
    if jac is None or jac is False:

        def exact(x: np.ndarray) -> np.ndarray:
            return np.atleast_2d(residuals.jacobian(x))

        jac = exact if uses_jacobian else None
    elif callable(jac):
        jac = _bind(jac, args)
    return scipy.optimize.root(
        residuals.value,
        np.atleast_1d(_plain(x0)),
        method=method,
        jac=jac,
        tol=tol,
        callback=callback,
        options=options,
    )
