"""Derivatives of functions: kinds, structure, nesting, control flow, errors."""

import math
import threading

import numpy as np
import pytest

import pyarr as pa


def test_numpy_in_float_and_ndarray_out():
    value, gradient = pa.value_and_grad(lambda x: pa.sum(x**3))(np.array([1.0, 2.0]))
    assert type(value) is float and value == 9.0
    assert type(gradient) is np.ndarray and gradient.flags.c_contiguous
    np.testing.assert_array_equal(gradient, [3.0, 12.0])


def test_pyarr_in_pyarr_out():
    value, gradient = pa.value_and_grad(lambda x: pa.sum(x**3))(pa.array([1.0, 2.0]))
    assert isinstance(value, pa.ndarray) and isinstance(gradient, pa.ndarray)


def test_python_numbers():
    assert pa.grad(lambda x: x**3)(2.0) == 12.0
    assert type(pa.grad(lambda x: x**3)(2.0)) is float
    assert pa.grad(lambda x: x * x)(3) == 6.0


def test_integer_array_becomes_float():
    gradient = pa.grad(lambda x: pa.sum(x * x))(np.array([1, 2, 3]))
    assert gradient.dtype == np.float64
    np.testing.assert_array_equal(gradient, [2.0, 4.0, 6.0])


def test_argnums_tuple_and_trees():
    def f(a, b):
        return a["x"] * b[0] + a["y"][1] * b[1]

    ga, gb = pa.grad(f, argnums=(0, 1))({"x": 2.0, "y": (1.0, 3.0)}, [5.0, 7.0])
    assert ga == {"x": 5.0, "y": (0.0, 7.0)}
    assert gb == [2.0, 3.0]


def test_has_aux():
    (value, aux), gradient = pa.value_and_grad(
        lambda x: (x * x, {"twice": 2 * x}), has_aux=True
    )(3.0)
    assert value == 9.0 and gradient == 6.0 and float(aux["twice"]) == 6.0
    gradient, aux = pa.grad(lambda x: (x * x, x + 1), has_aux=True)(3.0)
    assert gradient == 6.0 and float(aux) == 4.0


def test_ignored_argument_has_gradient_zero():
    assert pa.grad(lambda x: 3.0)(2.0) == 0.0
    np.testing.assert_array_equal(
        pa.grad(lambda x, y: pa.sum(y), argnums=0)(np.ones(3), np.ones(2)), np.zeros(3)
    )


LARGE = np.linspace(0.5, 2.0, 20_000)


@pytest.mark.parametrize("argnums", [0, -1, (0, 2), (2, 1, 0), (-2, 0), (1,)])
@pytest.mark.parametrize(
    "args",
    [
        (2.0, np.array([1.0, 3.0]), pa.array([0.5, 0.25])),
        (np.array(2.0), LARGE, LARGE[::-1]),
        (pa.asarray(2.0), np.float64(0.5), 0.25),
        (np.array(2), np.arange(1, 4), np.arange(3, 0, -1, dtype=np.float32)),
        (np.array(2.0 + 1j), np.array([1j, 2.0]), 1j),
    ],
    ids=["kinds", "large", "numbers", "integers", "complex"],
)
def test_common_calls_give_what_all_calls_give(args, argnums):
    """With `has_aux` no call is a common one."""

    def f(a, b, c):
        return pa.sum(pa.abs(pa.exp(-b) * a - c) ** 2)

    value, gradients = pa.value_and_grad(f, argnums)(*args)
    whole = pa.value_and_grad(lambda *x: (f(*x), None), argnums, has_aux=True)(*args)
    (expected_value, _), expected = whole
    assert type(value) is type(expected_value) and value == expected_value
    assert type(gradients) is type(expected)
    if type(argnums) is int:
        gradients, expected = (gradients,), (expected,)
    for found, right in zip(gradients, expected, strict=True):
        assert type(found) is type(right)
        found, right = np.asarray(found), np.asarray(right)
        assert found.dtype == right.dtype and found.shape == right.shape
        np.testing.assert_array_equal(found, right)


def test_one_argument_named_twice():
    gradients = pa.grad(lambda x: x * x, argnums=(0, 0))(3.0)
    assert gradients == (0.0, 6.0)


@pytest.mark.parametrize(
    "f, word",
    [
        (lambda x: x[0] > 0, "bool"),
        (lambda x: pa.argmax(x), "int"),
        (lambda x: x[0] * 1j, "complex"),
        (lambda x: x, "shape"),
        (lambda x: None, "NoneType"),
        (lambda x: 1, "int"),
        (lambda x: "a", "str"),
    ],
)
def test_results_without_derivative_raise(f, word):
    with pytest.raises(TypeError, match=word):
        pa.grad(f)(np.array([1.0, 2.0]))


@pytest.mark.parametrize(
    "x", ["text", True, np.array([True]), object(), np.array(["a"])]
)
def test_arguments_without_derivative_raise(x):
    with pytest.raises(TypeError):
        pa.grad(lambda x: pa.sum(x))(x)


def test_argnums_out_of_range():
    with pytest.raises(TypeError, match="argnums"):
        pa.grad(lambda x: x, argnums=1)(1.0)


def test_generator_raises():
    def f(x):
        yield x

    with pytest.raises(TypeError, match="generator"):
        pa.grad(f)(1.0)


@pytest.mark.parametrize("order", range(1, 7))
def test_nests_to_any_order(order):
    f = pa.sin
    for _ in range(order):
        f = pa.grad(f)
    expected = [math.cos, lambda x: -math.sin(x), lambda x: -math.cos(x), math.sin][
        (order - 1) % 4
    ]
    assert f(0.7) == pytest.approx(expected(0.7), rel=1e-14)


def test_no_perturbation_confusion():
    # d/dx [x * d/dy (x + y)] = 1: a confused implementation gives 2.
    assert pa.grad(lambda x: x * pa.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    x = pa.array(3.0)
    inner = pa.grad(lambda y: y * x)
    assert float(pa.grad(lambda x: x * inner(x))(x)) == 3.0


def test_nested_over_the_same_array():
    x = np.array([1.0, 2.0, 3.0])
    outer = pa.grad(lambda a: pa.sum(pa.grad(lambda b: pa.sum(b * b * a))(a)))
    np.testing.assert_allclose(outer(x), 4 * x)


def test_inner_result_that_is_not_active_can_leave():
    def f(x):
        slope = pa.grad(lambda y: y * y)(3.0)
        return x * math.exp(slope - 6.0)

    assert pa.grad(f)(2.0) == 1.0


def test_closure_over_outer_argument():
    f = pa.grad(lambda x: pa.grad(lambda y: x * x * y * y)(x))
    assert f(2.0) == pytest.approx(6 * 4.0)


def test_jacobian_matches_differences():
    def f(x):
        return pa.stack([pa.sin(x[0]) * x[1], x[2] ** 2, x[0] * x[1] * x[2]])

    x = np.array([0.3, 1.2, -0.4])
    expected = np.empty((3, 3))
    for k in range(3):
        e = np.eye(3)[k] * 1e-6
        expected[:, k] = (np.asarray(f(x + e)) - np.asarray(f(x - e))) / 2e-6
    np.testing.assert_allclose(pa.jacobian(f)(x), expected, atol=1e-9)


@pytest.mark.parametrize("n, m", [(2, 5), (5, 2)])
def test_jacobian_both_modes(n, m):
    a = np.random.default_rng(0).standard_normal((m, n))
    np.testing.assert_allclose(pa.jacobian(lambda x: a @ x)(np.ones(n)), a)
    shape = pa.jacobian(lambda x: pa.reshape(a @ x[:, 0], (1, m)))(
        np.ones((n, 1))
    ).shape
    assert shape == (1, m, n, 1)


def test_jacobian_of_complex_result():
    j = pa.jacobian(lambda x: pa.exp(1j * x))(np.array([0.2, 0.5]))
    np.testing.assert_allclose(j, np.diag(1j * np.exp(1j * np.array([0.2, 0.5]))))


def test_hessian_and_hvp():
    def rosenbrock(x):
        return pa.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    from scipy.optimize import rosen_hess, rosen_hess_prod

    x = np.array([0.3, -0.2, 1.1, 0.7])
    v = np.array([1.0, -2.0, 0.5, 3.0])
    np.testing.assert_allclose(pa.hessian(rosenbrock)(x), rosen_hess(x), atol=1e-10)
    np.testing.assert_allclose(
        pa.hvp(rosenbrock)(x, v), rosen_hess_prod(x, v), atol=1e-10
    )


def test_vjp_returns_tuple_and_can_be_called_again():
    out, pullback = pa.vjp(lambda x, y: x * y, 2.0, 3.0)
    assert out == 6.0
    assert pullback(1.0) == (3.0, 2.0)
    assert pullback(2.0) == (6.0, 4.0)


def test_vjp_of_trees_and_inside_grad():
    _out, pullback = pa.vjp(lambda x: {"a": x * x, "b": 3 * x}, np.array([1.0, 2.0]))
    (g,) = pullback({"a": np.ones(2), "b": np.ones(2)})
    np.testing.assert_array_equal(g, [5.0, 7.0])

    def outer(x):
        value, pullback = pa.vjp(lambda y: y**3, x)
        return value * pullback(1.0)[0]

    assert pa.grad(outer)(2.0) == pytest.approx(15 * 2.0**4)


def test_jvp_matches_grad():
    value, tangent = pa.jvp(lambda x, y: pa.sin(x) * y, (0.5, 2.0), (1.0, 0.5))
    assert value == pytest.approx(math.sin(0.5) * 2)
    assert tangent == pytest.approx(math.cos(0.5) * 2 + math.sin(0.5) * 0.5)
    with pytest.raises(ValueError, match="shape"):
        pa.jvp(lambda x: x, (np.ones(2),), (np.ones(3),))


def test_control_flow_runs_every_call():
    def f(x):
        while x < 100:
            x = x * x if x > 3 else x + 1
        return x

    assert pa.grad(f)(2.0) == pytest.approx(4 * 4.0**3)
    assert pa.grad(f)(50.0) == 100.0


def test_exception_in_function_leaves_no_trace():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        pa.grad(f)(1.0)
    assert not pa._core.is_tracing()
    assert pa.grad(lambda x: x * x)(3.0) == 6.0


def test_exception_in_inner_function_can_be_caught():
    def bad(y):
        raise ValueError("inner")

    def f(x):
        try:
            return pa.grad(bad)(x)
        except ValueError:
            return x * x

    assert pa.grad(f)(3.0) == 6.0


def test_array_kept_beyond_the_trace():
    class Model:
        pass

    m = Model()

    def f(x):
        m.model = pa.exp(x)
        return pa.sum(m.model)

    pa.grad(f)(np.array([0.0, 1.0]))
    np.testing.assert_allclose(np.asarray(m.model), np.exp([0.0, 1.0]))
    assert not pa._core.is_active(m.model)


def test_arrays_of_a_failed_call_can_be_read():
    seen = []

    def f(x):
        seen.append(x * 2)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        pa.grad(f)(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(np.asarray(seen[0]), [2.0, 4.0])


def test_linalg_error_inside_f():
    def f(x):
        try:
            low = pa.linalg.cholesky(
                pa.stack([pa.stack([x, 2.0 * x]), pa.stack([2.0 * x, x])])
            )
        except np.linalg.LinAlgError:
            return x * 5.0
        return pa.sum(low)

    assert pa.grad(f)(1.0) == 5.0


def test_threads_do_not_mix():
    results, errors = {}, []

    def work(k):
        try:
            for _ in range(50):
                results[k] = pa.grad(lambda x: pa.sum(pa.sin(k * x)))(np.arange(10.0))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    for k, g in results.items():
        np.testing.assert_allclose(g, k * np.cos(k * np.arange(10.0)))


def test_recording_onto_another_threads_trace_raises():
    errors = []

    def f(x):
        y = x * 2

        def work():
            try:
                y + 1
            except RuntimeError as error:
                errors.append(str(error))

        t = threading.Thread(target=work)
        t.start()
        t.join()
        return y

    assert pa.grad(f)(1.0) == 2.0
    assert len(errors) == 1 and "thread" in errors[0]


def test_optimiser_may_reuse_x():
    x = np.array([1.0, 2.0])
    value, gradient = pa.value_and_grad(lambda t: pa.sum(t * t))(x)
    x[:] = 100.0
    np.testing.assert_array_equal(gradient, [2.0, 4.0])
    assert value == 5.0


def test_custom_vjp_of_scipy_function():
    import scipy.special

    @pa.custom_vjp
    def j0(x):
        return scipy.special.j0(x)

    @pa.custom_vjp
    def j1(x):
        return scipy.special.j1(x)

    j0.defvjp(
        lambda x: (scipy.special.j0(np.asarray(x)), x), lambda x, g: (-g * j1(x),)
    )
    j1.defvjp(
        lambda x: (scipy.special.j1(np.asarray(x)), x),
        lambda x, g: (g * (j0(x) - j1(x) / x),),
    )
    assert pa.grad(j0)(1.5) == pytest.approx(-scipy.special.j1(1.5))
    assert pa.grad(pa.grad(j0))(1.5) == pytest.approx(scipy.special.jvp(0, 1.5, 2))
    x = np.linspace(1, 2, 4)
    np.testing.assert_allclose(
        pa.grad(lambda x: pa.sum(j0(x) * x))(x),
        scipy.special.j0(x) - x * scipy.special.j1(x),
    )


def test_custom_vjp_second_order_through_foreign_residual_raises():
    @pa.custom_vjp
    def cube(x):
        return np.asarray(x) ** 3

    def fwd(x):
        x = np.asarray(x)
        return x**3, 3 * x**2

    cube.defvjp(fwd, lambda slope, g: (g * slope,))
    assert pa.grad(cube)(2.0) == 12.0
    with pytest.raises(TypeError, match="residual"):
        pa.grad(pa.grad(cube))(2.0)


def test_custom_vjp_several_results_and_arguments():
    @pa.custom_vjp
    def both(x, y):
        return x * y, x + y

    both.defvjp(
        lambda x, y: (both.f(x, y), (x, y)),
        lambda res, g: (g[0] * res[1] + g[1], g[0] * res[0] + g[1]),
    )
    gx, gy = pa.grad(lambda x, y: both(x, y)[0] * 2 + both(x, y)[1], argnums=(0, 1))(
        3.0, 4.0
    )
    assert (gx, gy) == (9.0, 7.0)


def test_million_nodes():
    def f(x):
        y = x
        for _ in range(200_000):
            y = y * 1.0000001 + 0.0
        return y

    assert pa.grad(f)(1.0) == pytest.approx(1.0000001**200_000, rel=1e-9)


def test_complex_cotangent_of_a_real_result():
    _, pullback = pa.vjp(lambda x: x * 2, np.ones(3))
    with pytest.raises(TypeError, match=r"complex .* for a real result"):
        pullback(np.ones(3) * 1j)
    x = pa.ones(3).requires_grad_()
    with pytest.raises(TypeError, match=r"complex .* for a real result"):
        (x * 2).backward(pa.ones(3) * 1j)


ARGUMENTS = {
    "float": 2.0,
    "int": 3,
    "numpy": np.array([1.0, 2.0]),
    "0-d": np.array(2.0),
    "strided": np.arange(6.0)[::2],
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "empty": np.ones((0, 3)),
    "float32": np.array([1.0, 2.0], np.float32),
    "big endian": np.array([1.0, 2.0], ">f8"),
    "complex": np.array([1.0 + 2.0j, 3.0]),
    "integers": np.array([1, 2]),
    "numpy scalar": np.float64(2.0),
    "large": np.arange(20_000.0),
    "pyarr": pa.array([1.0, 2.0]),
    "pyarr float32": pa.array([1.0, 2.0], dtype="float32"),
    "pyarr scalar": pa.array(2.0),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_one_argnum_gives_what_a_tuple_of_it_gives(name):
    def f(k, x, *, scale=1.0):
        return pa.sum(pa.abs(x) ** 2) * k * scale

    x = ARGUMENTS[name]
    value, (gradient,) = pa.value_and_grad(f, (1,))(2.0, x, scale=3.0)
    for argnum in (1, -1):
        got, slope = pa.value_and_grad(f, argnum)(2.0, x, scale=3.0)
        assert type(got) is type(value) and got == value
        assert type(slope) is type(gradient)
        np.testing.assert_array_equal(np.asarray(slope), np.asarray(gradient))
        assert np.asarray(slope).dtype == np.asarray(gradient).dtype
        assert np.shape(slope) == np.shape(gradient)


def test_gradients_of_numpy_arrays_are_theirs():
    x = np.array([1.0, 2.0])
    _, gradient = pa.value_and_grad(lambda x: pa.sum(x))(x)
    assert gradient.flags.writeable and gradient.flags.c_contiguous
    gradient += 1.0
    np.testing.assert_array_equal(x, [1.0, 2.0])


@pytest.mark.parametrize("x", [2.0, np.ones(2), pa.ones(2)])
@pytest.mark.parametrize(
    "result, message",
    [
        (lambda x: None, "forget to return"),
        (lambda x: 1, "got a int"),
        (lambda x: pa.stack([x, x]), "got shape"),
        (lambda x: pa.sum(x) > 0, "got dtype bool"),
        (lambda x: (y for y in [x]), "generator"),
    ],
)
def test_results_that_have_no_gradient(x, result, message):
    with pytest.raises(TypeError, match=message):
        pa.value_and_grad(result)(x)
    assert not pa._core.is_tracing()


def test_the_function_runs_once_and_its_error_passes():
    calls = []

    def f(x, fail):
        calls.append(x)
        if fail:
            raise KeyError("mine")
        return 1.0

    for x in (2.0, np.ones(2), pa.ones(2)):
        calls.clear()
        assert pa.value_and_grad(f)(x, False)[0] == 1.0
        with pytest.raises(KeyError, match="mine"):
            pa.value_and_grad(f)(x, True)
        assert len(calls) == 2 and not pa._core.is_tracing()
        np.testing.assert_array_equal(np.asarray(calls[0]), np.asarray(x))
    with pytest.raises(TypeError, match="out of range"):
        pa.value_and_grad(f, 2)(1.0, False)


@pytest.mark.parametrize("inside", [lambda x: x**3, lambda x: np.asarray(x) ** 3])
def test_custom_forward_functions_may_call_the_function_itself(inside):
    cube = pa.custom_vjp(inside)
    cube.defvjp(lambda x: (cube(x), x), lambda x, g: (g * 3 * x**2,))
    assert pa.grad(cube)(2.0) == 12.0
    assert pa.grad(pa.grad(cube))(2.0) == 12.0
    assert pa.value_and_grad(lambda x: cube(cube(x)))(1.0) == (1.0, 9.0)
